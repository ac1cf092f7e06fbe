"""What admins do, done once: people and sessions, secrets, the audit trail."""

from datetime import timedelta

from sqlalchemy import text, update

from bench.rows import FIRST_CALLER
from kernel.builtin import CreateProject
from kernel.callers import identity
from kernel.callers.audit import refusals, seals, search
from kernel.callers.audit.acts import BY_SYSTEM
from kernel.callers.audit.refusals import Refusals
from kernel.callers.audit.search import ActFilter
from kernel.callers.people import people, sessions
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import Lifetimes
from kernel.callers.people.signed_in import SignedIn
from kernel.config.keyring import new_key
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import Order
from kernel.db.tables.schedules import SCHEDULES
from kernel.filters.orders import ANYTHING
from kernel.handlers import Run, Wait
from kernel.insight.conditions.look import look
from kernel.orders.cancel import cancel
from kernel.orders.gates.events import Told, events_of, tell
from kernel.orders.gates.shown import gates_shown
from kernel.orders.pages import LaneFilter, list_orders
from kernel.orders.secrets.arguments import forget_secrets, live_with_secrets
from kernel.orders.secrets.erase import Whose, count_erasable, erase
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runs.execute import execute
from kernel.runs.recorded import list_steps, rerun_of, run_live_again, taking_over
from kernel.runtime.kernel import Kernel
from kernel.runtime.rotation import NEWEST, count_sealed, rotate
from kernel.schedules import changes
from kernel.schedules.definition import Definition
from kernel.schedules.firing import due_schedules, fire
from kernel.schedules.rows import list_schedules
from kernel.worker.maintenance.gates.windows import wake_orders
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import BEGINNING
from tests.support.factories import make_order
from tests.support.sealing import with_keys


def secrets_are_rotated(kernel: Kernel) -> None:
    """Look which keys seal secrets at the start, and seal them with another one."""
    count_sealed(kernel, NEWEST)
    rotate(kernel, lambda _: None, to_clear=True)
    live_with_secrets(kernel, 10)
    with with_keys(kernel, new_key().get_secret_value()) as other:
        assert rotate(other, lambda _: None)
        rotate(other, lambda _: None, to_clear=True)


def people_sign_in(kernel: Kernel) -> None:
    """Add people, open sessions, look them up, list them, end them."""
    lasts, now = Lifetimes(), kernel.clock.now()
    with kernel.write_session() as session:
        key = people.add_person(session, "Ada", Role.ADMIN, now).get_secret_value()
        ada = people.find_person(session, "Ada")
        theirs = SignedIn("https://login.example", "1", "Bob", Role.VIEWER)
        bob = people.person_of(session, theirs, now)
        opened = {"address": "10.1.2.3", "agent": "", "now": now}
        cookie = sessions.open_session(session, person_id=ada.id, key_id=None, **opened)
        sessions.open_session(session, person_id=bob.id, key_id=None, **opened)
        identity.identify(session, key, now)
        known = sessions.known_session(session, cookie.get_secret_value(), now, lasts)
        sessions.touch(session, known, now + timedelta(minutes=2), lasts)
        assert len(sessions.list_sessions(session, now, lasts)) == 2
        sessions.end_session(session, known.id)
        sessions.end_cookie(session, cookie.get_secret_value())
        sessions.forget_old(session, now, lasts)
        people.replace_keys(session, ada, now)
        people.disable(session, bob, now)
        people.remove(session, bob)
        people.remove(session, ada)


def the_trail_is_read(kernel: Kernel) -> None:
    """Seal, verify, find acts by each filter, stream them; count refused keys, and forget them."""
    now = kernel.clock.now()
    for name in ("one.example", "two.example"):
        pause(kernel, Subject(host=name))
    kernel.clock.shift(61)
    with kernel.read() as connection:
        found = seals.unsealed(connection, kernel.clock, seals.SealedActs())
    assert found is not None
    with kernel.write() as connection:
        assert seals.seal(connection, kernel.clock, found)
    pause(kernel, Subject(host="three.example"))
    refused = Refusals()
    refused.note("nonsense", "192.0.2.1", now)
    refused.write(kernel.write)
    with kernel.read() as connection:
        seals.unsealed(connection, kernel.clock, seals.SealedActs())
        assert seals.verify(connection, kernel.clock).problems == []
        for wanted in (
            ActFilter(),
            ActFilter(actor="kernel"),
            ActFilter(verb="deliveries"),
            ActFilter(target="host one.example"),
            ActFilter(target="host:one.example"),
            # The acts have the database's time, and this clock was moved.
            ActFilter(since=now - timedelta(days=99), until=now + timedelta(days=1)),
        ):
            assert search.find(connection, wanted, before=10**9)
            assert list(search.stream(connection, wanted))
        assert search.refused(connection)
        refusals.oldest(connection)
    with kernel.write() as connection:
        refusals.forget(connection, now)


def secrets_and_persons_are_forgotten(kernel: Kernel) -> None:
    """Delete secrets of an order with steps that ended, and erase what some orders say."""
    ended = make_order(kernel, state="failed", gates=int(Has.STEPS))
    with kernel.write() as connection:
        values = "secret_args = '', finished_at = '2020-01-01 00:00:00'"
        connection.execute(text(f"UPDATE kernel_orders SET {values} WHERE id = '{ended}'"))
    forget_secrets(kernel, BEGINNING)
    for whose in (Whose(reference="INC001"), Whose(caller_id=FIRST_CALLER + 2, order_id="none")):
        count_erasable(kernel, whose)
        list(erase(kernel, whose))


def orders_recur(kernel: Kernel) -> None:
    """Make schedules, list and fire them: in time, again, as the order that it is not; fail."""
    made = Definition("anonymous", "* * * * *", "UTC", "create_project", {"projname": "x"})
    for name in ("one", "two"):
        changes.add(kernel, name, made)
    with kernel.read_session() as session:
        assert len(list_schedules(session)) == len(list_schedules(session, "anonymous")) == 2
    changes.run_now(kernel, "two")
    changes.pause(kernel, "two")
    changes.change(kernel, "two", {"cron": "0 2 * * *"})
    changes.resume(kernel, "two")
    changes.remove(kernel, "two")
    kernel.clock.shift(60)
    (due,) = due_schedules(kernel, 100)
    assert fire(kernel, due)
    for changed in ({}, {"args": '{"projname":"y"}'}, {"select_tag": "unheard_of"}):
        with kernel.write() as connection:
            connection.execute(update(SCHEDULES).values(next_at=due.next_at, **changed))
        (again,) = due_schedules(kernel, 100)
        fire(kernel, again)
    with kernel.write() as connection:
        failed = {"failed_at": kernel.clock.now(), "last_error": "unknown select_tag"}
        connection.execute(update(SCHEDULES).values(failed))
    look(kernel)
    changes.remove(kernel, "one")


def events_are_told(kernel: Kernel) -> None:
    """For an event that comes, for one that was there before, and until the time is over."""

    @kernel.handlers.register("waiting", CreateProject)
    def wait(run: Run, args: CreateProject) -> Wait:
        return Wait("approved")

    args = '{"projname":"waiting"}'
    early, told, late = (make_order(kernel, select_tag="waiting", args=args) for _ in range(3))
    assert tell(kernel, early, Told("approved", key="key:1")).woken == ()
    for order_id in (early, told, late):
        assert execute(kernel, order_id)
    assert tell(kernel, told, Told("approved")).woken == (told,)
    assert tell(kernel, early, Told("approved", key="key:1")).replayed
    assert execute(kernel, told)
    with kernel.write_session() as session:
        past = kernel.clock.sql(-timedelta(seconds=1))
        session.execute(update(GATES).where(GATES.c.order_id == late).values(wakes_at=past))
    swept = Swept()
    wake_orders(kernel, swept)
    assert late in swept.rescued
    with kernel.read_session() as session:
        waiting = list_orders(session, None, LaneFilter(waiting="event:approved"))
        assert gates_shown(session, waiting)
        assert events_of(session, told)
        one_caller = LaneFilter(waiting=ANYTHING, as_callers_see=True, state="pending")
        list_orders(session, FIRST_CALLER, one_caller)
    for order_id in (told, early, late):
        cancel(kernel, None, order_id)


def steps_are_taken(kernel: Kernel) -> None:
    """By two runs, again from the second in the order itself, and in a new one once it ended."""
    args = '{"projname":"steps"}'
    order_id = make_order(kernel, select_tag="import_projects", args=args)
    assert execute(kernel, order_id)
    assert run_live_again(kernel, order_id, "second", BY_SYSTEM)
    assert execute(kernel, order_id)
    assert not run_live_again(kernel, order_id, "second", BY_SYSTEM)
    with kernel.read_session() as session:
        ended = session.get_one(Order, order_id)
        steps = list_steps(session, ended)
        along = taking_over(kernel, ended, steps, steps[1], BY_SYSTEM)
    again = make_order(kernel)
    with kernel.write() as connection:
        along(connection, again)
    with kernel.read_session() as session:
        assert rerun_of(session, session.get_one(Order, again)) == order_id
