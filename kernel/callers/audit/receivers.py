"""What an act tells of a receiver: kinds and names of its credentials, never their values."""

from typing import Any

from kernel.callers.receivers import Receiver, receiver_data


def facts(of: Receiver) -> dict[str, Any]:
    """Return a receiver as an act tells of it; the act's target says which one it is."""
    found = receiver_data("", of)
    return {name: value for name, value in found.items() if name not in ("caller", "name")}


def changed(before: Receiver, after: Receiver, has_shape: bool) -> dict[str, dict[str, Any]]:
    """Return ``before`` and ``after`` of an act, and in ``after`` which parts are new unshown."""
    secret = before.credentials.to_json() != after.credentials.to_json()
    ca = before.ca_pem != after.ca_pem
    parts = {"new_credentials": secret, "new_ca": ca, "new_shape": has_shape}
    unshown = {name: True for name, is_new in parts.items() if is_new}
    return {"before": facts(before), "after": facts(after) | unshown}
