"""For tests of your own handlers: a kernel without servers, and a fake transport.

    kernel = Kernel(settings, handlers, transport=FakeTransport())
    create_tables(kernel)
    order_id = order(kernel, "create_project", projname="Bridge")
    drain(kernel)
    assert kernel.transport.sent[0].json()["status"] == 0

`drain` runs the same stages as a worker, in the calling thread and without Celery. `steps` tells
what the steps of an order have come to.
"""

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from sqlalchemy import inspect, select, text

from kernel.callers.identity import identity_of
from kernel.config.keyring import Keyring, new_key
from kernel.db.columns import Base
from kernel.db.schema.version import SCHEMA, VERSION_TABLE
from kernel.db.tables.callers import ANONYMOUS, Caller, SigningSecret
from kernel.db.tables.orders import Order
from kernel.db.tables.sealed import seal
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import BATCH, claim_due, due_lanes
from kernel.delivery.record import record
from kernel.errors import TransportError
from kernel.formats.envelope import encode
from kernel.formats.order_request import order_request
from kernel.formats.representations import step_details
from kernel.formats.signing import new_secret
from kernel.orders.due import HINTS, due_orders
from kernel.orders.gates import events
from kernel.orders.gates.waiting import end_wait, ended_waits
from kernel.orders.gates.windows import close_window, ended_windows
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runs.recorded import list_steps
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Response

RECEIVER = "https://receiver.example/callback"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that a FakeTransport was asked to send."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class FakeTransport:
    """Answers requests from a script and remembers them in ``sent``.

    It uses ``answers`` in turn and repeats the last one: an HTTP status, a reason of the
    transport's closed set (raised as TransportError), or a function of the `Sent`.
    """

    answers: list[int | str | Callable[[Sent], Response]] = field(default_factory=lambda: [200])
    sent: list[Sent] = field(default_factory=list)

    def send(self, request: Request, policy: CallbackPolicy, caller: Hashable = None) -> Response:
        """Remember the request and answer as scripted."""
        sent = Sent(request.url, dict(request.headers), request.body, request.method)
        self.sent.append(sent)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise TransportError(answer)
        if isinstance(answer, int):
            return Response(status=answer, headers={}, body=b"", phases={})
        return answer(sent)

    def sweep(self) -> None:
        """Do nothing: a fake has no connections."""

    def close(self) -> None:
        """Do nothing: a fake has no connections."""


def create_tables(kernel: Kernel) -> None:
    """Create the tables as the newest migration does, and add the anonymous caller.

    For throw-away databases of tests; ``kernel migrate`` makes real ones.
    """
    # Asked for all at once, not one by one: most tests share a database that has them.
    if not set(Base.metadata.tables) <= set(inspect(kernel.engine).get_table_names()):
        Base.metadata.create_all(kernel.engine)
    now = kernel.clock.now()
    with kernel.write_session() as session:
        version = VERSION_TABLE
        session.execute(text(f"CREATE TABLE IF NOT EXISTS {version} (version_num VARCHAR(32))"))
        session.execute(text(f"DELETE FROM {version}"))  # noqa: S608 - a constant  # nosec B608
        number = text(f"INSERT INTO {version} VALUES ('{SCHEMA}')")  # noqa: S608  # nosec B608
        session.execute(number)
        if session.scalar(select(Caller.id).where(Caller.name == ANONYMOUS)) is None:
            session.add(Caller(id=1, name=ANONYMOUS, created_at=now))
            session.flush()
            secret = seal(session, SecretStr(new_secret()))
            session.add(SigningSecret(caller_id=1, secret=secret, created_at=now))


def order(kernel: Kernel, select_tag: str, callback_url: str | None = RECEIVER, **args: Any) -> str:
    """Submit an order as a caller without credentials would; return its id.

    ``args``: the other members, ``reference`` among them. Raises InvalidOrder where the API would
    answer 422, but does not check the address of ``callback_url``, which is None for no callback.
    Secret arguments are sealed with a key of this kernel alone if it has none.
    """
    members = {"select_tag": select_tag, "callback_url": callback_url, **args}
    with kernel.read_session() as session:
        who = identity_of(session)
    request = order_request(members, kernel.handlers)
    if request.secrets is not None and kernel.keyring.is_empty:
        kernel.keyring = Keyring.from_text(new_key(), "kernel.testing")
    return submit(kernel, who, request).order_id


def steps(kernel: Kernel, order_id: str) -> list[dict[str, Any]]:
    """Return what the steps of an order have come to, in the order in which they were begun.

    Each has ``name``, ``state`` (done, failed, begun), ``attempts``, ``started_at``,
    ``duration_ms``, ``error`` and ``result``; a secret result is a mask.
    """
    with kernel.read_session() as session:
        found = session.get_one(Order, order_id)
        return [step_details(one) for one in list_steps(session, found)]


def tell(kernel: Kernel, order_id: str, name: str, **data: Any) -> None:
    """Tell an order an event, as `POST /v1/orders/{id}/events` does; see `kernel.Wait`."""
    events.tell(kernel, order_id, events.Told(name, encode(data).decode()))


def drain(kernel: Kernel) -> int:
    """Run due orders and send due callbacks until none is due; return the number of both.

    Orders whose window has ended expire first, and are counted; those whose wait has ended go on.
    Orders and callbacks due later stay: move the clock with ``kernel.clock.shift(seconds)``.
    """
    done = 0
    while True:
        orders: list[object] = [close_window(kernel, one) for one in ended_windows(kernel, HINTS)]
        for waiting in ended_waits(kernel, HINTS):
            end_wait(kernel, waiting)
        orders += [execute(kernel, order_id) for order_id in due_orders(kernel, HINTS)]
        shares = dict.fromkeys(due_lanes(kernel)[:BATCH], BATCH)
        finished = [attempt(kernel, due) for due in claim_due(kernel, shares).deliveries]
        if finished:
            record(kernel, finished)
        if not orders and not finished:
            return done
        done += len(orders) + len(finished)
