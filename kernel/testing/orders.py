"""Orders of tests: submitted, told events, and read as a caller or an operator reads them."""

from typing import Any

from kernel.callers.identity import identity_of
from kernel.config.keyring import Keyring, new_key
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import list_deliveries
from kernel.errors import InvalidOrder
from kernel.formats.order_request import order_request, problem
from kernel.formats.representations import order_envelope, step_details
from kernel.handlers.events import EVENT_NAME
from kernel.insight.standing.described import explain
from kernel.insight.standing.look import Look
from kernel.insight.standing.words import Words
from kernel.orders.gates import events
from kernel.orders.gates.shown import gate_shown
from kernel.orders.pages import get_order
from kernel.orders.submit import submit
from kernel.runs.recorded import list_steps, rerun_of
from kernel.runtime.kernel import Kernel

RECEIVER = "https://receiver.example/callback"


def order(
    kernel: Kernel, /, select_tag: str, callback_url: str | None = RECEIVER, **args: Any
) -> str:
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


def tell(kernel: Kernel, order_id: str, name: str, /, **data: Any) -> None:
    """Tell an order an event, as `POST /v1/orders/{id}/events` does; see `kernel.Wait`.

    Raises InvalidOrder where the API would answer 422.
    """
    if not EVENT_NAME.fullmatch(name):
        wrong = problem("/name", "string_pattern_mismatch", f"must match {EVENT_NAME.pattern}")
        raise InvalidOrder("the request is not valid", errors=[wrong])
    events.tell(kernel, order_id, events.Told(name, events.as_data(data)))


def poll(kernel: Kernel, order_id: str) -> dict[str, Any]:
    """Return what `GET /v1/orders/{id}` answers its caller: ``status``, ``msg`` and ``data``.

    ``data`` has the ``state`` and, when the order has ended, the ``result`` or the ``error``; the
    order's page has no address here. Raises NotFound for an unknown id.
    """
    with kernel.read_session() as session:
        found = get_order(session, None, order_id)
        gate = gate_shown(session, found)
        owed, told = list_deliveries(session, order_id), list_steps(session, found)
        body = order_envelope(found, kernel.settings.language, owed, gate, told)
        look = Look(kernel, session, found, gate, deep=False)
        explain(look, body["data"], owed, Words(kernel.settings.language))
        earlier = rerun_of(session, found)
    return body if earlier is None else body | {"data": body["data"] | {"rerun_of": earlier}}
