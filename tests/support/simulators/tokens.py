"""Access tokens that expire, and the endpoint that gives them out."""

from collections.abc import Mapping
from itertools import count

from tests.support.simulators.server import Call, Reply
from tests.support.simulators.tickets import basic, bearer


class Tokens:
    """A token endpoint's memory. ``grants``: those that it allows; ``life`` in s is only told."""

    client_id = "kernel-client"
    client_secret = "client-secret"
    user = "svc-kernel"
    password = "secret"

    def __init__(self, grants: tuple[str, ...], life: int, needs_scope: bool = False) -> None:
        self.grants = grants
        self.life = life
        self.needs_scope = needs_scope
        self.issued: list[str] = []
        self._valid: set[str] = set()
        self._numbers = count(1)

    def expire(self) -> None:
        """End every token; the next exchange makes a new one."""
        self._valid.clear()

    def accepts(self, call: Call) -> bool:
        """Whether the request carries a token that is still valid."""
        return bearer(call) in self._valid

    def exchange(self, call: Call) -> Reply:
        """Answer a request for a token (RFC 6749 §4.3, §4.4, §5)."""
        form = call.form
        if not form:
            return _refused("invalid_request")
        if form.get("grant_type") not in self.grants:
            return _refused("unsupported_grant_type")
        if not self._knows_client(call, form):
            return _refused("invalid_client", 401)
        if form["grant_type"] == "password" and not self._knows_user(form):
            return _refused("invalid_grant", 401)
        if self.needs_scope and not form.get("scope"):
            return _refused("invalid_scope")
        token = f"token-{next(self._numbers)}"
        self.issued.append(token)
        self._valid.add(token)
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.life}
        if form.get("scope"):
            told["scope"] = form["scope"]
        return Reply(200, told)

    def _knows_client(self, call: Call, form: Mapping[str, str]) -> bool:
        in_body = (form.get("client_id"), form.get("client_secret"))
        given = basic(call) or in_body
        return given == (self.client_id, self.client_secret)

    def _knows_user(self, form: Mapping[str, str]) -> bool:
        return (form.get("username"), form.get("password")) == (self.user, self.password)


def _refused(error: str, status: int = 400) -> Reply:
    return Reply(status, {"error": error, "error_description": error.replace("_", " ")})
