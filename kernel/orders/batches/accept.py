"""Accept a batch: check each of its orders, and store those that are good in one commit.

Knows nothing of HTTP, as `kernel.orders.accept`. A batch that is named, or has an idempotency key,
is an order itself: it waits for its children, and no worker ever runs it.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import bindparam, select

from kernel.callers.identity import Identity
from kernel.db.ids import new_id
from kernel.db.states import Priority
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import NO_CALLBACK, ORDERS
from kernel.db.transactions import TRIES, retrying
from kernel.errors import IdempotencyKeyReused, InvalidOrder, TooManyPending, Unavailable
from kernel.formats.envelope import encode
from kernel.formats.order_request import OrderRequest, fingerprint
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.handlers.registering.refusals import BATCH_TAG
from kernel.orders.accept import Judge, callback_problems
from kernel.orders.backpressure import Coming, Pressure
from kernel.orders.batches.check import (
    Checked,
    accepted_before,
    batch_fingerprint,
    check_orders,
    key_reused,
    placed,
)
from kernel.orders.batches.read import BatchTerms, batch_request
from kernel.orders.batches.store import (
    Known,
    Raced,
    hold_key,
    known_keys,
    store_batch,
    store_orders,
)
from kernel.orders.gates.children import wake_parent
from kernel.orders.secrets.arguments import is_same
from kernel.orders.submit import check_key, new_row
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ACCEPTED

T = TypeVar("T")
# The time between the ids of two orders of a batch: ids sort them as the body has them.
APART = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class BatchSubmission:
    """A batch as it was sent: by whom, the members of its body, its key, what it is traced by.

    ``pressure`` counts the caller's waiting orders; None takes any number of them.
    """

    caller: Identity
    members: Mapping[str, Any]
    idempotency_key: str | None = None
    trace: Trace = UNTRACED
    pressure: Pressure | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one order of a batch: its id, or why it was refused.

    ``replayed``: it was accepted before, under its idempotency key.
    """

    order_id: str | None = None
    replayed: bool = False
    errors: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """The items in the order of the body; ``batch_id`` of the order that the batch itself is.

    ``due``: the new orders that may begin at once, to be hinted. ``replayed``: all of it was
    accepted before.
    """

    items: Sequence[Item]
    batch_id: str | None = None
    due: Sequence[str] = ()
    replayed: bool = False


class _Repeated(Exception):
    """The batch's key is known by now, and nothing of this batch may be stored."""


def accept_batch(kernel: Kernel, sent: BatchSubmission) -> AcceptedBatch:
    """Store the good orders of a batch in one commit, or find what an earlier try has stored.

    Raises InvalidOrder for a body that is no batch, and when none of its orders is good;
    TooManyPending and TooManyWaiting when they may not all come; IdempotencyKeyReused, KeyExpired
    and Unavailable as `kernel.orders.submit.submit`.
    """
    check_key(sent.idempotency_key)
    wanted = batch_request(sent.members)
    if first := _first_try(kernel, sent):
        return first
    judge = _judge(kernel, sent.caller)
    given = (wanted.orders, judge, sent.idempotency_key)
    checked, refused = check_orders(kernel, sent.caller, *given)
    firsts = accepted_before(kernel, sent.caller.caller_id, refused)
    wrong = [] if wanted.batch is None else judge(wanted.batch.callback_url)
    if wrong or not (checked or firsts):
        problems = [one | {"pointer": f"/batch{one['pointer']}"} for one in wrong]
        new = (one for one in refused if one.place not in firsts)
        raise InvalidOrder(errors=[*problems, *(one for each in new for one in each.errors)])
    answered = {one.place: Item(errors=one.errors) for one in refused}
    answered |= {place: Item(first, replayed=True) for place, first in firsts.items()}
    _refuse_too_many(kernel, sent, checked)
    batch = None
    if wanted.batch is not None or sent.idempotency_key is not None:
        whole = batch_fingerprint(kernel, sent.members, checked, refused)
        batch = _batch_row(sent, wanted.batch or BatchTerms(), whole)
    try:
        return _store(kernel, sent, batch, (checked, answered))
    except _Repeated:
        if first := _first_try(kernel, sent):
            return first
        raise IdempotencyKeyReused from None  # it was pruned meanwhile


def _judge(kernel: Kernel, caller: Identity) -> Judge:
    """Return what judges callback addresses, the same one once.

    What is no text is for the members' own check, and may be nothing that can be remembered.
    """
    remembered = cache(lambda url: callback_problems(kernel, caller, url))
    return lambda url: remembered(url) if isinstance(url, str) else []


def _refuse_too_many(kernel: Kernel, sent: BatchSubmission, checked: Sequence[Checked]) -> None:
    """Raise TooManyPending or TooManyWaiting when the new orders would be too many together."""
    if sent.pressure is None or not checked:
        return
    caller_id = sent.caller.caller_id
    try:
        sent.pressure.check_several(caller_id, [_coming(one.request) for one in checked])
    except TooManyPending:  # TooManyWaiting is one of its kind
        keys = [one.key for one in checked if one.key is not None]
        if not keys:
            raise
        with kernel.read() as connection:
            known = known_keys(connection, caller_id, keys)
        new = [_coming(one.request) for one in checked if one.key not in known]
        if new:
            sent.pressure.check_several(caller_id, new)


def _coming(request: OrderRequest) -> Coming:
    return request.not_before, request.ordering_key


def _store(
    kernel: Kernel,
    sent: BatchSubmission,
    batch: dict[str, Any] | None,
    found: tuple[Sequence[Checked], Mapping[int, Item]],
) -> AcceptedBatch:
    """Store the good orders with what they are children of, ``batch``, in one commit.

    ``found``: those, and by their places what became of the others.
    """
    checked, answered = found
    caller_id, now = sent.caller.caller_id, retrying(kernel.clock.now)
    by_id = {new_id(now + n * APART): one for n, one in enumerate(checked, 1)}
    with kernel.tracer.span("kernel.submit", "server", sent.trace.traceparent) as span:
        traced = {"request_id": sent.trace.request_id, "traceparent": span.traceparent}
        rows = [
            new_row(kernel, caller_id, one.request, order_id, one.key) | traced
            for order_id, one in by_id.items()
        ]
        for row in rows if batch is not None else ():
            row["gates"] = row.get("gates", 0) | int(Has.PARENT)
        batch_id = None
        if batch is not None:
            batch |= traced | {"id": (batch_id := new_id(now))}

        def commit() -> tuple[list[Item], set[str], set[str]]:
            with kernel.write() as connection:
                if sent.caller.key_id is not None:
                    hold_key(kernel, connection, sent.caller.key_id)
                known, waiting = store_orders(kernel, connection, rows, batch_id)
                items = _items(kernel, by_id, known, answered)
                if batch is not None:
                    batch["run_state"] = _stored(items)
                    if store_batch(kernel, connection, batch) is not None:
                        raise _Repeated
            return items, by_id.keys() - known.keys(), waiting

        items, new, waiting = retrying(lambda: _unraced(commit))
        span.note(orders=len(new), batch_id=batch_id)
    if batch_id is not None and not new:
        wake_parent(kernel, batch_id)  # each of its orders was accepted before
    _count(kernel, sent, {order_id: by_id[order_id].request for order_id in new}, waiting)
    at_once = new - waiting
    due = [one for one in by_id if one in at_once and by_id[one].request.not_before is None]
    return AcceptedBatch(items, batch_id, due)


def _unraced(work: Callable[[], T]) -> T:
    """Do ``work`` again when other orders have come under the same keys meanwhile."""
    for _ in range(TRIES):
        try:
            return work()
        except Raced:
            continue
    raise Unavailable(retry_after=1)


def _batch_row(sent: BatchSubmission, batch: BatchTerms, whole: str) -> dict[str, Any]:
    """Return what is stored of the batch itself, without its id; ``whole``: its fingerprint."""
    url = batch.callback_url
    return {
        "caller_id": sent.caller.caller_id,
        "select_tag": BATCH_TAG,
        "args": "{}",
        "callback_url": NO_CALLBACK if url is None else url,
        "idempotency_key": sent.idempotency_key,
        "fingerprint": whole,
        "reference": batch.reference,
        "is_original": None,
        "secret_args": None,
        "priority": Priority.NORMAL,
        "gates": int(Has.CHILDREN),
    }


def _items(
    kernel: Kernel,
    by_id: Mapping[str, Checked],
    known: Mapping[str, Known],
    answered: Mapping[int, Item],
) -> list[Item]:
    """Return what became of each order, in the order of the body."""
    items = dict(answered)
    for order_id, one in by_id.items():
        first = known.get(order_id)
        if first is not None and not is_same(kernel, first.fingerprint, one.request.fingerprint):
            items |= {n: Item(errors=placed(n, [key_reused()])) for n in (one.place, *one.again)}
            continue
        stored = order_id if first is None else first.order_id
        items[one.place] = Item(stored, replayed=first is not None)
        items |= {n: Item(stored, replayed=True) for n in one.again}
    return [items[n] for n in sorted(items)]


def _stored(items: Sequence[Item]) -> str:
    """Return what the batch's row keeps of its answer, for a repeat."""
    return encode([one.order_id or list(one.errors) for one in items]).decode()


def _first_try(kernel: Kernel, sent: BatchSubmission) -> AcceptedBatch | None:
    """Return the batch that was accepted before under this key. Raises IdempotencyKeyReused."""
    key, caller_id = sent.idempotency_key, sent.caller.caller_id
    if key is None:
        return None
    with kernel.read() as connection:
        asked = {"caller_id": caller_id, "key": key}
        first = connection.execute(_FIRST, asked).one_or_none()
    if first is None:
        return None
    same = is_same(kernel, first.fingerprint, fingerprint(sent.members))
    if not same or first.run_state is None:
        raise IdempotencyKeyReused
    items = [
        Item(one, replayed=True) if isinstance(one, str) else Item(errors=one)
        for one in json.loads(first.run_state)
    ]
    return AcceptedBatch(items, first.id, replayed=True)


_FIRST = select(ORDERS.c.id, ORDERS.c.fingerprint, ORDERS.c.run_state).where(
    ORDERS.c.caller_id == bindparam("caller_id"), ORDERS.c.idempotency_key == bindparam("key")
)


def _count(
    kernel: Kernel, sent: BatchSubmission, new: Mapping[str, OrderRequest], waiting: set[str]
) -> None:
    for tag, count in Counter(one.select_tag for one in new.values()).items():
        kernel.metrics.count(ACCEPTED, tag, amount=count)
    if sent.pressure is not None:
        caller_id = sent.caller.caller_id
        for order_id, one in new.items():
            sent.pressure.accepted(caller_id, one.not_before, waits=order_id in waiting)
