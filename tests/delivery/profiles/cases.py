"""One outcome for each state, and what a receiver of each profile is made with."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from kernel.delivery.profiles import made_shape, profile
from kernel.formats.envelope import encode, envelope
from kernel.formats.shapes.render import Rendered, facts, render
from kernel.formats.shapes.shape import Shape, parse_shape

DELIVERY = "01970000-0000-7000-8000-000000000002"
MESSAGES = {
    "success": (0, "success"),
    "warning": (1, "created 2 of 3 accounts"),
    "failed": (-1, "the directory did not answer"),
    "cancelled": (-1, "cancelled by the operator"),
}
VARIABLES = {
    "gitlab-note": {"project": "42"},
    "gitea-note": {"owner": "ops", "repository": "tickets"},
    "znuny": {"webservice": "Kernel"},
    "cloudevents-binary": {"source": "https://kernel.example.com/"},
    "cloudevents-structured": {"source": "https://kernel.example.com/"},
}
# A success that ends the ticket, where one call can do both.
ENDING = {
    "servicenow-table": {"state": "6", "close_code": "Solution provided"},
    "servicenow-scripted": {"state": "6", "close_code": "Solution provided"},
    "jira-cloud-transition": {"transition": "31", "resolution": "Done"},
    "jira-dc-transition": {"transition": "31"},
    "jsm-comment": {"public": "true"},
    "zammad": {"state": "closed"},
    "itop": {"stimulus": "ev_resolve", "solution": "{{ message }}"},
    "glpi-solution": {"solve": "true"},
    "znuny": {"state": "closed successful"},
    "redmine": {"status_id": "3"},
    "zendesk": {"status": "solved"},
}
# Whose system numbers its records with digits alone.
NUMBERED = {
    *("freshservice-note", "gitea-note", "gitlab-note", "glpi-followup", "glpi-solution"),
    *("redmine", "zendesk"),
}
SECRETS = {
    "user": SecretStr("kernel"),
    "password": SecretStr("p&ss wörd"),
    "url": SecretStr("https://hooks.example.com/services/T0/B0/x?sig=a%2Fb"),
}
FOUND = "9d385017c611228701d22104cc95c371"


def outcome(state: str, message: str | None = None, **more: Any) -> bytes:
    """Return the envelope of an outcome, as it is frozen in the outbox."""
    status, words = MESSAGES[state]
    said = words if message is None else message
    told = {"error": {"code": "x", "message": said}} if state in ("failed", "cancelled") else {}
    data = {
        "order_id": "01970000-0000-7000-8000-000000000001",
        "reference": "4711",
        "select_tag": "create_accounts",
        "state": state,
        **(told or {"result": {"count": 3}}),
        "created_at": "2026-01-02T03:04:05.000000Z",
        "finished_at": "2026-01-02T03:04:06.000000Z",
        **more,
    }
    return encode(envelope(status, said, {k: v for k, v in data.items() if v is not None}))


def shape_of(name: str, ending: Mapping[str, str] | None = None) -> Shape:
    """Return a profile's shape; ``ending``: what a success gets beside the note."""
    outcomes = {f"success.{key}": value for key, value in (ending or {}).items()}
    return parse_shape(made_shape(name, VARIABLES.get(name, {}), outcomes))


def sent(shape: Shape, name: str, body: bytes) -> Rendered:
    """Return the request of an outcome, with the secrets that the profile asks for."""
    secrets = {secret: SECRETS[secret] for secret in profile(name).secrets}
    return render(shape, facts(body, DELIVERY, {}), secrets, FOUND)
