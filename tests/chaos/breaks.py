"""Switches that take one mechanism of kernel away, to see the ledger report what it prevents.

Thrown in every process of the system under test by `tests.chaos.handlers`, which all of them
import. Nothing of this is in kernel.
"""

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, or_, update

from kernel.cli.local.supervisor import Supervisor
from kernel.db import clock, guard
from kernel.db.dialects import mysql, postgresql, sqlite
from kernel.db.statements.prepared import Prepared
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import FENCE, ORDERS
from kernel.delivery import attempt as deliver
from kernel.delivery import claim, first_attempt
from kernel.orders import submit, transitions
from kernel.runs import execute, fence, leases
from kernel.runs.together import company
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Answer, Dead, Delivered, RetryPolicy
from kernel.views.http import requests
from kernel.worker import process, publisher, row_queue
from kernel.worker.maintenance import due_hints, rescue, sweep
from kernel.worker.services import housekeeping, sending, takeover
from tests.chaos.mends import MENDS
from tests.chaos.mutants import MUTANTS
from tests.chaos.switch import Break
from tests.chaos.unfathered import UNFATHERED
from tests.chaos.ungated import UNGATED
from tests.chaos.unneighbourly import UNNEIGHBOURLY


def no_sweep() -> None:
    housekeeping.next_turn = lambda kernel: 1.0


def hints_only() -> None:
    def send_once(self: Any, batch: list[Any], failing: bool) -> bool:
        try:
            self._send(batch)
        except Exception:  # noqa: BLE001 - dropped, as if the broker were trusted
            return True
        return True

    due_hints.due_orders = process.due_orders = lambda kernel, limit, **_: []
    row_queue.next_orders = lambda kernel, limit, last: []
    publisher.BackgroundPublisher._try = send_once


def no_rescue() -> None:
    sweep.rescue_orders = lambda *_: None
    takeover.take_over = lambda *_: True


def no_kill() -> None:
    rescue._kill_connection = lambda kernel, connection_id: None


def no_fence() -> None:
    no_kill()
    anyhow = or_(FENCE, ORDERS.c.id == bindparam("held_id"))
    ended = transitions._END.statement._values
    transitions._END = Prepared(update(ORDERS).where(anyhow).values(ended))
    fence.owned_by = leases.owned_by = lambda run: ORDERS.c.id == run.order_id


def no_guard() -> None:
    guard.Watch.failed = lambda self, context: None


def errors_are_final() -> None:
    mysql.PASSING = sqlite.PASSING = frozenset()
    postgresql.PASSING = postgresql.PASSING_CLASSES = frozenset()


def split_commit() -> None:
    finish = execute.finish

    def in_two(batch: Any, claimed: Any, run: Any, outcome: Any) -> Any:
        fence.commit(run)
        time.sleep(0.3)
        return finish(batch, claimed, run, outcome)

    execute.finish = in_two
    end_together = company.end_together

    def each_in_two(kernel: Kernel, connection: Connection, endings: Any) -> Any:
        connection.commit()
        time.sleep(0.3)
        connection.begin()
        return end_together(kernel, connection, endings)

    company.end_together = each_in_two


def early_answer() -> None:
    insert = submit._insert

    def later(*given: Any) -> None:
        time.sleep(0.3)
        insert(*given)

    def at_once(kernel: Kernel, row: dict[str, Any], key_id: int | None) -> submit.Accepted:
        threading.Thread(target=later, args=(kernel, row, key_id), daemon=True).start()
        return submit.Accepted(row["id"], replayed=False)

    submit._insert = at_once


def no_idempotency() -> None:
    key = requests.idempotency_key
    requests.idempotency_key = lambda: f"{key()}~{secrets.token_hex(4)}"


def no_worker_lost() -> None:
    decide = transitions.decide
    transitions.decide = lambda exit_, row: decide(exit_, replace(row, crashes=0))


def no_restart() -> None:
    Supervisor._keep_running = lambda self, child: None


def wall_clock() -> None:
    now = clock.Clock.now

    def offset(self: clock.Clock, plus: timedelta = clock.AT_ONCE) -> int:
        wrong_by = datetime.fromtimestamp(time.time(), UTC) - now(self)
        return round((plus + wrong_by) / timedelta(microseconds=1))

    clock.Clock.offset = offset


def delivered_first() -> None:
    attempt = deliver.attempt

    def trusting(kernel: Kernel, due: claim.DueDelivery) -> deliver.FinishedAttempt:
        with kernel.write_session() as session:
            session.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.id == due.id)
                .values(state=DeliveryState.DELIVERED, claim_token=None)
            )
        return attempt(kernel, due)

    sending.attempt = trusting


def no_retry() -> None:
    def once(policy: RetryPolicy, answer: Answer) -> Delivered | Dead:
        return Delivered() if answer.reason is None else Dead("deadline")

    deliver.verdict = once


def claim_forever() -> None:
    def forever(_: Kernel) -> timedelta:
        return timedelta(days=1)

    claim.claim_length = first_attempt.claim_length = forever


def new_webhook_id() -> None:
    headers = deliver.delivery_headers

    def renamed(due: claim.DueDelivery, *more: Any) -> dict[str, str]:
        return headers(replace(due, id=f"{due.id}-{due.attempt}"), *more)

    deliver.delivery_headers = renamed


REDIS = ("redis-kill", "redis-flushall", "redis-flap", "redis-client-kill", "redis-stop")
BREAKS: Mapping[str, Break] = {
    "no-sweep": Break("no process sweeps", ("pool-kill", "worker-kill", "redis-kill", "redis-flap"),
        "lost", "still", no_sweep),
    "hints-only": Break("only the broker knows what is due: the sweep hints nothing, no "
        "order is taken from the rows, a hint that cannot be sent is dropped", REDIS, "lost",
        "still pending", hints_only),
    "no-rescue": Break("orders of dead workers are not taken over",
        ("pool-kill", "worker-main-kill", "worker-kill"), "lost", "still running", no_rescue),
    "no-restart": Break("`kernel worker` does not start Celery again", ("worker-main-kill",),
        "lost", "still", no_restart),
    "no-worker-lost": Break("crashes are not counted", ("suicide",), "lost", "still",
        no_worker_lost),
    "no-kill": Break("a rescue leaves the dead run's connection, and its locks",
        ("frozen-lock",), "wrong", "not ended by another run", no_kill),
    "no-fence": Break("run and checkpoint are not compared, and the connection is left",
        ("frozen-before", "cut-database", "cut-one-way"), "doubled", "is there 2 times", no_fence),
    "split-commit": Break("the work is committed 0.3 s before its outcome",
        ("pool-kill", "worker-main-kill"), "doubled", "is there 2 times", split_commit),
    "no-guard": Break("the guard does not note that the database dropped a handler's transaction",
        ("deadlock", "lock-wait", "mariadb-client-kill", "mariadb-kill"), "lost",
        "", no_guard),  # a project of an order that says success, or the count of a contended row
    "errors-are-final": Break("a deadlock or a lock wait counts as the handler's bug",
        ("deadlock", "lock-wait"), "wrong", "internal_error", errors_are_final),
    "early-answer": Break("202 is answered 0.3 s before the row is committed",
        ("api-worker-kill", "api-master-kill", "mariadb-kill"), "lost", "was answered 2xx",
        early_answer),
    "early-answer-sqlite": Break("the same, on SQLite", ("disk-full", "sqlite-lock"),
        "lost", "was answered 2xx", early_answer, "sqlite"),
    "no-idempotency": Break("idempotency keys are ignored",
        ("api-worker-kill", "api-master-kill", "mariadb-stop"), "doubled", "is there",
        no_idempotency),
    "wall-clock": Break("each host believes its own clock", ("clock",), "wrong", "", wall_clock),
    "delivered-first": Break("a delivery is marked delivered before its POST",
        ("receiver-down", "receiver-503", "receiver-reset", "receiver-hang"), "callback lost",
        "'delivered'", delivered_first),
    "no-retry": Break("a failed callback is not tried again",
        ("receiver-down", "receiver-503", "receiver-reset", "receiver-hang"), "callback lost",
        "'dead'", no_retry),
    "claim-forever": Break("a claimed delivery does not become due again",
        ("sender-kill",), "callback lost", "'pending'", claim_forever,
        patience=45.0),
    "new-webhook-id": Break("each attempt has an id of its own", ("receiver-reset",), "wrong",
        "more than one webhook-id", new_webhook_id),
    **MENDS,
    **MUTANTS,
    **UNGATED,
    **UNFATHERED,
    **UNNEIGHBOURLY,
}  # fmt: skip


def apply(name: str) -> None:
    """Throw the switch of that name in this process; the empty name is none."""
    if name:
        BREAKS[name].patch()
