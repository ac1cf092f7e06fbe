"""Who sends a request that changes something, for the act that is written with the change."""

from flask import request

from kernel.callers.audit.actor import Actor, actor_of
from kernel.callers.audit.acts import By
from kernel.callers.identity import Identity
from kernel.config.settings import Settings
from kernel.runtime.kernel import Kernel
from kernel.views.http.client_address import client_address

# Why, in the caller's words; a form of the dashboard has a field of that name.
REASON_HEADER, REASON_FIELD = "X-Reason", "reason"


def by_request(kernel: Kernel, who: Identity) -> By:
    """Return who asks for a change by the API, and why."""
    actor = actor_of(who, "api", client_address(kernel.settings))
    given = request.headers.get(REASON_HEADER)
    try:  # WSGI hands headers on as ISO 8859-1
        return By(actor, given and given.encode("latin-1").decode())
    except UnicodeError:
        return By(actor, given)


def by_page(settings: Settings, name: str, key: str | None) -> By:
    """Return who changes something by a form of the dashboard, and why.

    ``key``: the first characters of the key that was shown at the sign-in, if one was.
    """
    actor = Actor(name, "page", client_address(settings), key)
    return By(actor, request.form.get(REASON_FIELD))
