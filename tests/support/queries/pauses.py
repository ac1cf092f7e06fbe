"""Pauses of orders and of receivers: made, held, told of, ended."""

from datetime import timedelta

from bench.rows import FIRST_CALLER, RARE_TAG
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import Order
from kernel.delivery.claim import claim_due
from kernel.delivery.lanes import Lane
from kernel.orders.cancel import cancel
from kernel.pauses.changes import end_pauses, pause, resume
from kernel.pauses.listing import find_pause, holding_callback, holding_order, list_pauses
from kernel.pauses.subjects import Subject, is_known
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.paused import hold_deliveries, hold_due_orders, keep_pauses
from tests.support.factories import make_delivery, make_order
from tests.support.ticketing import make_receiver

CALLER = FIRST_CALLER + 2


def orders_are_paused(kernel: Kernel) -> None:
    """Pause orders and a receiver, with an end; hold what is due, and let it go."""
    soon = kernel.clock.now() + timedelta(seconds=60)
    made = make_receiver(kernel, "paused", "https://paused.example/")
    place = {"url": "receiver:paused", "origin": "https://paused.example:443"}
    callback = make_delivery(kernel, **place)
    for subject in (Subject(tag=RARE_TAG), Subject(orders_of=CALLER), Subject(receiver_id=made)):
        held = make_order(kernel, select_tag=RARE_TAG, caller_id=CALLER)
        kept = make_order(kernel, select_tag=RARE_TAG, caller_id=CALLER, gates=int(Has.LIMIT))
        pause(kernel, subject, until=soon)
        pause(kernel, subject)
        pause(kernel, subject, until=soon)
        with kernel.read_session() as session:
            is_known(session, subject)
            holding_order(session, session.get_one(Order, held))
            holding_callback(session, session.get_one(Delivery, callback))
            (found,) = list_pauses(session)
            find_pause(session, found.id)
        make_delivery(kernel, **place)
        claim_due(kernel, {Lane(is_retry=False, caller_id=1, origin=place["origin"]): 5})
        kernel.clock.shift(61)
        end_pauses(kernel)
        hold_deliveries(kernel, Swept())
        for job in (keep_pauses, hold_due_orders):
            job(kernel, Swept())
        kernel.clock.shift(-61)
        cancel(kernel, None, held)
        cancel(kernel, None, kept)
    one_of_two_pauses_ends(kernel)


def one_of_two_pauses_ends(kernel: Kernel) -> None:
    """Have an order wait for the pause that is left."""
    held = make_order(kernel, select_tag=RARE_TAG, caller_id=CALLER)
    two = (Subject(tag=RARE_TAG), Subject(orders_of=CALLER))
    for subject in two:
        pause(kernel, subject)
    for subject in two:
        resume(kernel, subject)
    cancel(kernel, None, held)
