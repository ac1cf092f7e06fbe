"""`/v1/receivers`: an operator's receivers of every caller. Credentials are written, never read."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kernel.callers import receiver_changes
from kernel.callers.people.roles import Role
from kernel.callers.receiver_changes import ReceiverPatch
from kernel.callers.receivers import find, list_receivers, receiver_data
from kernel.delivery.profiles import made_shape
from kernel.errors import InvalidOrder
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.shapes.reading import InvalidShape
from kernel.formats.texts import text
from kernel.pauses.adoption import ground_of, settle
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import read_as

Members = dict[str, JsonValue]


class ReceiverChange(BaseModel):
    """The body of PATCH /v1/receivers/{caller}/{name}: what is to be changed.

    ``credentials``, ``terms`` and ``outcomes`` are merged member by member; null removes one.
    ``profile`` makes the shape, of the variables in ``terms`` and of ``outcomes``.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: str | None = Field(None, max_length=2048)
    profile: str | None = Field(None, max_length=100)
    shape: Members | None = None
    outcomes: Members = {}
    credentials: Members = Field({}, repr=False)
    ca_pem: str | None = Field(None, max_length=200_000, repr=False)
    terms: Members = {}

    def patch(self) -> ReceiverPatch:
        """Return it as the rooms below read it. Raises ValueError for what no profile takes."""
        names = ReceiverPatch.__dataclass_fields__
        patch = ReceiverPatch(**{name: getattr(self, name) for name in names})
        if self.profile is None:
            return patch
        if self.shape is not None:
            raise ValueError("give a profile or a shape, not both")
        variables = dict(_variables(self.terms.get("variables")))
        shape = made_shape(self.profile, variables, dict(_outcomes(self.outcomes)))
        return replace(patch, shape=shape, outcomes={})


class NewReceiver(ReceiverChange):
    """The body of POST /v1/receivers."""

    caller: str = Field(max_length=100)
    name: str = Field(max_length=100)
    url: str = Field(max_length=2048)


class ReceiverViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def show_receivers(self) -> Response:
        """GET /v1/receivers: all of them."""
        identity(self.kernel, Role.VIEWER)
        with self.kernel.read_session() as session:
            found = [receiver_data(caller, one) for caller, one in list_receivers(session)]
        return self._success({"receivers": found})

    def add_receiver(self) -> Response:
        """POST /v1/receivers: make one."""
        who = identity(self.kernel, Role.ADMIN)
        asked = read_as(NewReceiver, self.kernel.settings.max_body_bytes)
        place = (asked.caller, asked.name)
        try:
            patch = asked.patch()
            ground, by = ground_of(self.kernel), by_request(self.kernel, who)
            with self.kernel.write_session() as session:
                made = receiver_changes.add(session, *place, patch, ground, by)
        except ValueError as error:
            raise _refused(error) from None
        return self._success(receiver_data(asked.caller, made), 201)

    def show_receiver(self, caller: str, name: str) -> Response:
        """GET /v1/receivers/{caller}/{name}: one of them."""
        identity(self.kernel, Role.VIEWER)
        with self.kernel.read_session() as session:
            return self._success(receiver_data(caller, find(session, caller, name)))

    def change_receiver(self, caller: str, name: str) -> Response:
        """PATCH /v1/receivers/{caller}/{name}: change what is given."""
        who = identity(self.kernel, Role.ADMIN)
        asked = read_as(ReceiverChange, self.kernel.settings.max_body_bytes)
        try:
            patch = asked.patch()
            ground, by = ground_of(self.kernel), by_request(self.kernel, who)
            with self.kernel.write_session() as session:
                changed = receiver_changes.change(session, caller, name, patch, ground, by)
        except ValueError as error:
            raise _refused(error) from None
        return self._success(receiver_data(caller, changed))

    def remove_receiver(self, caller: str, name: str) -> Response:
        """DELETE /v1/receivers/{caller}/{name}: with its secrets."""
        by = by_request(self.kernel, identity(self.kernel, Role.ADMIN))
        with self.kernel.write_session() as session:
            receiver_changes.remove(session, caller, name, self.kernel.clock.now(), by)
        return self._success({"released": settle(self.kernel, caller, by)})

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        language = self.kernel.settings.language
        return json_response(status, envelope(0, text("success", language), data))


def _variables(given: JsonValue) -> Iterator[tuple[str, str]]:
    """Return variables as a profile takes them; null says that there is none of that name."""
    for name, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, str):
            yield name, value
        elif value is not None:
            raise ValueError(f"the variable {name} is a text")


def _outcomes(given: Members) -> Iterator[tuple[str, str]]:
    """Return outcomes as a profile takes them: text by ``STATE.KEY``, and nothing for null."""
    for state, entry in given.items():
        if not isinstance(entry, dict | None):
            raise ValueError("outcomes are objects by state, and in them values by key")
        for key, value in (entry or {}).items():
            if isinstance(value, dict | list):
                raise ValueError(f"{state}.{key} is a text, a number, true or false")
            if value is not None:
                yield f"{state}.{key}", value if isinstance(value, str) else json.dumps(value)


def _refused(error: ValueError) -> InvalidOrder:
    """Say in the API's words what is wrong with a receiver; no message holds a secret."""
    pointer = "/shape" if isinstance(error, InvalidShape) else ""
    problems = [problem(pointer, "invalid_receiver", str(error))]
    return InvalidOrder("the receiver is not valid", errors=problems)
