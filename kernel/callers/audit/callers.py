"""What an act tells of a caller and of its keys: rules and limits, never a key."""

import json
from typing import Any

from pydantic import SecretStr

from kernel.callers.key_terms import KeyTerms
from kernel.db.tables.callers import Caller

# How much of a key may be seen.
SHOWN = 12


def key_facts(key: SecretStr, terms: KeyTerms | None) -> dict[str, Any]:
    """Return a new key as an act tells of it: its first characters and its terms.

    A limit that is none is left out.
    """
    terms = terms or KeyTerms()
    told = {"prefix": key.get_secret_value()[:SHOWN], "scopes": sorted(terms.scopes)}
    bounds = {"tags": terms.tags and sorted(terms.tags), "networks": terms.networks}
    limits = {name: given for name, given in bounds.items() if given is not None}
    return told | {"expires_at": terms.expires_at} | limits


def rules_facts(caller: Caller) -> dict[str, Any]:
    """Return a caller's rules as an act tells of them."""
    return {
        "callback_nets": json.loads(caller.allow_nets),
        "callback_hosts": json.loads(caller.allow_hosts),
        "schedule": caller.schedule and json.loads(caller.schedule),
        "listed": bool(caller.is_listed),
        **({} if caller.max_running is None else {"max_running": caller.max_running}),
    }
