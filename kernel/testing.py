"""For tests of your own handlers: a kernel without servers, and a fake transport.

    kernel = Kernel(settings, handlers, transport=FakeTransport())
    create_tables(kernel)
    order_id = order(kernel, "create_project", projname="Bridge")
    drain(kernel)
    assert kernel.transport.sent[0].json()["status"] == 0

`drain` runs the same stages as a worker, in the calling thread and without Celery.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, text

from kernel.callers.identity import identity_of
from kernel.db.columns import Base
from kernel.db.schema.version import SCHEMA, VERSION_TABLE
from kernel.db.tables.callers import ANONYMOUS, Caller, SigningSecret
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import BATCH, claim_due, due_lanes
from kernel.delivery.record import record
from kernel.errors import TransportError
from kernel.formats.order_request import order_request
from kernel.formats.signing import new_secret
from kernel.orders.due import HINTS, due_orders
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Response

RECEIVER = "https://receiver.example/callback"


@dataclass(frozen=True, slots=True)
class Sent:
    """A POST that a FakeTransport was asked to send."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class FakeTransport:
    """Answers POSTs from a script and remembers them in ``sent``.

    It uses ``answers`` in turn and repeats the last one: an HTTP status, a reason of the
    transport's closed set (raised as TransportError), or a function of the `Sent`.
    """

    answers: list[int | str | Callable[[Sent], Response]] = field(default_factory=lambda: [200])
    sent: list[Sent] = field(default_factory=list)

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, policy: CallbackPolicy
    ) -> Response:
        """Remember the POST and answer as scripted."""
        sent = Sent(url, dict(headers), body)
        self.sent.append(sent)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise TransportError(answer)
        if isinstance(answer, int):
            return Response(status=answer, headers={}, excerpt=b"", phases={})
        return answer(sent)

    def close(self) -> None:
        """Do nothing: a fake has no connections."""


def create_tables(kernel: Kernel) -> None:
    """Create the tables as the newest migration does, and add the anonymous caller.

    For throw-away databases of tests; ``kernel migrate`` makes real ones.
    """
    Base.metadata.create_all(kernel.engine)
    now = kernel.clock.now()
    with kernel.write_session() as session:
        version = VERSION_TABLE
        session.execute(text(f"CREATE TABLE IF NOT EXISTS {version} (version_num VARCHAR(32))"))
        session.execute(text(f"DELETE FROM {version}"))  # noqa: S608 - a constant
        session.execute(text(f"INSERT INTO {version} VALUES ('{SCHEMA}')"))  # noqa: S608
        if session.scalar(select(Caller.id).where(Caller.name == ANONYMOUS)) is None:
            session.add(Caller(id=1, name=ANONYMOUS, created_at=now))
            session.flush()
            session.add(SigningSecret(caller_id=1, secret=new_secret(), created_at=now))


def order(kernel: Kernel, select_tag: str, callback_url: str = RECEIVER, **args: Any) -> str:
    """Submit an order as a caller without credentials would; return its id.

    Raises InvalidOrder where the API would answer 422, but does not check the address of
    ``callback_url``.
    """
    members = {"select_tag": select_tag, "callback_url": callback_url, **args}
    with kernel.read_session() as session:
        who = identity_of(session)
    return submit(kernel, who, order_request(members, kernel.handlers)).order_id


def drain(kernel: Kernel) -> int:
    """Run due orders and send due callbacks until none is due; return the number of both.

    Orders and callbacks due later stay: move the clock with ``kernel.clock.shift(seconds)``.
    """
    done = 0
    while True:
        orders = [execute(kernel, order_id) for order_id in due_orders(kernel, HINTS)]
        shares = dict.fromkeys(due_lanes(kernel)[:BATCH], BATCH)
        finished = [attempt(kernel, due) for due in claim_due(kernel, shares).deliveries]
        if finished:
            record(kernel, finished)
        if not orders and not finished:
            return done
        done += len(orders) + len(finished)
