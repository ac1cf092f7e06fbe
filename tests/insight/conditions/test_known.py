"""Since when conditions hold: rows that are written when one begins or ends, and not otherwise."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event, select

from kernel.db.tables.operating.conditions import STANDING
from kernel.insight.conditions import rules
from kernel.insight.conditions.known import CALM, KEEP, note, open_troubles, since_when, with_since
from kernel.insight.conditions.rules import Condition
from kernel.runtime.kernel import Kernel

A = "https://a.example:443"
GONE = Condition(rule=rules.BROKER_GONE)
FAILING = Condition(
    rule=rules.RECEIVER_FAILING,
    subject=A,
    cause="connect",
    values={"attempts": 6, "status": None, "callers": 1},
)
PAUSED = Condition(rule=rules.PAUSED, subject="host a", cause="host", values={"name": "a"})
SECOND = timedelta(seconds=1)


def standing(kernel: Kernel) -> dict[str, Any]:
    with kernel.read() as connection:
        return {row.key: row for row in connection.execute(select(STANDING))}


def test_condition_is_written_once_and_kept_since_it_began(kernel: Kernel) -> None:
    now = kernel.clock.now()
    note(kernel, [GONE, FAILING, PAUSED], now)
    said: list[str] = []
    event.listen(kernel.engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    note(kernel, [GONE, FAILING, PAUSED], now + 60 * SECOND)
    assert [one for one in said if one.split()[0] in ("INSERT", "UPDATE", "DELETE")] == []
    found = standing(kernel)
    assert {row.since for row in found.values()} == {now}
    assert "connection refused" in found["receiver_failing"].said
    with kernel.read() as connection:
        assert open_troubles(connection) == 2


def test_condition_that_comes_back_soon_was_never_gone(kernel: Kernel) -> None:
    now = kernel.clock.now()
    note(kernel, [GONE], now)
    note(kernel, [], now + SECOND)
    assert standing(kernel)["broker_gone"].ended_at == now + SECOND
    note(kernel, [GONE], now + CALM)
    back = standing(kernel)["broker_gone"]
    assert (back.since, back.ended_at) == (now, None)
    note(kernel, [], now + CALM)
    later = now + 2 * CALM + SECOND
    note(kernel, [GONE], later)
    assert standing(kernel)["broker_gone"].since == later


def test_condition_that_is_over_is_forgotten_after_a_day(kernel: Kernel) -> None:
    now = kernel.clock.now()
    note(kernel, [GONE], now)
    note(kernel, [], now)
    note(kernel, [], now + KEEP)
    assert list(standing(kernel)) == ["broker_gone"]
    note(kernel, [], now + KEEP + SECOND)
    assert standing(kernel) == {}


def test_earlier_of_what_facts_and_rows_tell_is_shown(kernel: Kernel) -> None:
    now = kernel.clock.now()
    note(kernel, [GONE], now)
    with kernel.read() as connection:
        known = since_when(connection)
    (shown,) = with_since([GONE], known)
    assert shown.since == now
    early = Condition(rule=rules.BROKER_GONE, since=now - SECOND)
    assert with_since([early], known)[0].since == now - SECOND
    assert with_since([FAILING], known)[0].since is None


def test_subject_that_no_column_holds_is_written_all_the_same(kernel: Kernel) -> None:
    odd = Condition(rule=rules.SCHEDULE_FAILED, subject="夜" * 500, values={"error": "x"})
    for _ in range(2):
        note(kernel, [odd], kernel.clock.now())
    assert len(standing(kernel)) == 1
