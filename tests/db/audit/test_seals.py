"""Seals over acts: what was altered, deleted or inserted shows, and what was only late does not."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from kernel.callers.audit import seals
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.audit.seals import Findings, SealedActs
from kernel.db.tables.audit import ACTS, SEALS
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.sweep import sweep

ANN = By(Actor("ann", "page", "192.0.2.7", "kwo_abcdefgh"), "why not 😀")
MANY, FEW = 3_000, 20
Break = Callable[[Kernel], None]


def act(kernel: Kernel, number: int) -> None:
    """Write one act."""
    with kernel.write() as connection:
        told = {"before": {"桥": number}, "after": {"n": None}}
        ANN.record(connection, "order.cancel", f"order {number}", **told)


def seal(kernel: Kernel, known: SealedActs | None = None) -> str | None:
    """Seal what is old enough. ``known``: what the process knows; nothing, unless it is given."""
    with kernel.write() as connection:
        found = seals.unsealed(connection, kernel.clock, known or SealedActs())
        return None if found is None else seals.seal(connection, kernel.clock, found)


def verify(kernel: Kernel) -> Findings:
    with kernel.read() as connection:
        return seals.verify(connection, kernel.clock)


def run(kernel: Kernel, statement: object) -> None:
    with kernel.write() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
def sealed(kernel: Kernel) -> Kernel:
    """A kernel with six acts in two seals."""
    for number in range(1, 7):
        act(kernel, number)
        if number in (3, 6):
            kernel.clock.shift(61)
            assert seal(kernel) is not None
    return kernel


def test_acts_are_sealed_when_they_are_a_minute_old(kernel: Kernel) -> None:
    act(kernel, 1)
    assert seal(kernel) is None
    kernel.clock.shift(61)
    assert seal(kernel) == verify(kernel).head
    assert seal(kernel) is None
    found = verify(kernel)
    assert (found.seals, found.sealed, found.waiting, found.problems) == (1, 1, 0, [])


def test_act_waits_without_being_a_problem_when_it_is_young(sealed: Kernel) -> None:
    act(sealed, 7)
    found = verify(sealed)
    assert (found.seals, found.sealed, found.waiting, found.problems) == (2, 6, 1, [])


def test_every_act_is_sealed_when_there_are_more_than_one_seal_takes(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "BATCH", 2)
    for number in range(5):
        act(kernel, number)
    kernel.clock.shift(61)
    while seal(kernel):
        pass
    found = verify(kernel)
    assert (found.seals, found.sealed, found.waiting, found.problems) == (3, 5, 0, [])


def test_sweep_seals_what_is_old_enough(kernel: Kernel) -> None:
    act(kernel, 1)
    kernel.clock.shift(61)
    sweep(kernel, rescue=False)
    sweep(kernel, rescue=False)
    assert verify(kernel).seals == 1


def test_only_one_of_two_seals_stays_when_they_are_made_at_once(sealed: Kernel) -> None:
    act(sealed, 7)
    sealed.clock.shift(61)
    with sealed.read() as connection:
        newest = connection.execute(select(SEALS).where(SEALS.c.id == 2)).mappings().one()
    seal(sealed)
    with pytest.raises(IntegrityError):
        run(
            sealed,
            insert(SEALS).values({**newest, "id": 3}),
        )
    assert verify(sealed).problems == []


def ids(kernel: Kernel) -> list[int]:
    with kernel.read() as connection:
        return list(connection.scalars(select(ACTS.c.id).order_by(ACTS.c.id)))


def move(kernel: Kernel, old: int, new: int) -> None:
    run(kernel, update(ACTS).where(ACTS.c.id == old).values(id=new))


def test_gap_of_ids_is_no_problem(kernel: Kernel) -> None:
    act(kernel, 1)
    with kernel.engine.connect() as connection:
        ANN.record(connection, "order.cancel", "order 2")
        connection.rollback()
    act(kernel, 3)
    run(kernel, update(ACTS).where(ACTS.c.target == "order 3").values(id=40))
    kernel.clock.shift(61)
    seal(kernel)
    found = verify(kernel)
    assert (found.sealed, found.problems) == (2, [])


def late_act(kernel: Kernel) -> None:
    """Give a new act an id below the sealed ones, as when its transaction ended after theirs."""
    first = ids(kernel)[0]
    act(kernel, 9)
    move(kernel, ids(kernel)[-1], first - 1)


def test_late_act_is_sealed_by_a_later_seal(sealed: Kernel) -> None:
    late_act(sealed)
    assert (verify(sealed).waiting, verify(sealed).problems) == (1, [])
    # The clock of the tests has gone on by two minutes: the act is older than one.
    assert seal(sealed) is not None
    found = verify(sealed)
    assert (found.seals, found.sealed, found.waiting, found.problems) == (3, 7, 0, [])
    assert seal(sealed) is None


class Counting:
    """A connection that counts the rows which it gives."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.rows = connection, 0

    def execute(self, asked: Any) -> Any:
        """Return what the database answers, fetched."""
        found = self.connection.execute(asked).freeze()
        self.rows += len(found.data)
        return found()

    def scalars(self, asked: Any) -> Any:
        """Return the first column of what the database answers."""
        return self.execute(asked).scalars()


def rows_of_a_look(kernel: Kernel, known: SealedActs) -> int:
    """Count the rows that a look which finds nothing to seal fetches."""
    with kernel.read() as connection:
        counting: Any = Counting(connection)
        assert seals.unsealed(counting, kernel.clock, known) is None
        return int(counting.rows)


def test_look_fetches_few_rows_after_thousands_of_acts_were_sealed(kernel: Kernel) -> None:
    """As after a large bulk act; and one that is late is found among them."""
    one = {"actor": "ann", "via": "page", "verb": "order.cancel", "at": kernel.clock.now()}
    acts = [one | {"target": f"order {number}"} for number in range(MANY)]
    with kernel.write() as connection:
        connection.execute(insert(ACTS), acts)
    kernel.clock.shift(61)
    known = SealedActs()
    while seal(kernel, known) is not None:
        pass
    assert rows_of_a_look(kernel, known) < FEW
    most = FEW + seals.BLOCK + MANY // seals.BATCH
    assert rows_of_a_look(kernel, SealedActs()) < most, "by a process that knows nothing yet"
    late_act(kernel)
    kernel.clock.shift(61)
    assert seal(kernel, known) is not None
    assert (verify(kernel).waiting, verify(kernel).problems) == (0, [])


def alter(kernel: Kernel) -> None:
    run(kernel, update(ACTS).where(ACTS.c.target == "order 2").values(actor="bob"))


def alter_time(kernel: Kernel) -> None:
    with kernel.read() as connection:
        at = connection.scalar(select(ACTS.c.at).where(ACTS.c.target == "order 2"))
    assert at is not None
    moved = at + timedelta(microseconds=1)
    run(kernel, update(ACTS).where(ACTS.c.target == "order 2").values(at=moved))


def remove(kernel: Kernel) -> None:
    run(kernel, delete(ACTS).where(ACTS.c.target == "order 2"))


def insert_below(kernel: Kernel) -> None:
    late_act(kernel)
    kernel.clock.shift(3600)


def alter_seal(kernel: Kernel) -> None:
    alter(kernel)
    with kernel.read() as connection:
        changed = connection.execute(select(ACTS).where(ACTS.c.target == "order 2")).one()
        first = connection.execute(select(SEALS).where(SEALS.c.id == 1)).one()
    lines = [
        f"{changed.id} {seals.digest(changed)}" if line.startswith(f"{changed.id} ") else line
        for line in first.digests.splitlines()
    ]
    run(kernel, update(SEALS).where(SEALS.c.id == 1).values(digests="\n".join(lines)))


def remove_first_seal(kernel: Kernel) -> None:
    run(kernel, delete(SEALS).where(SEALS.c.id == 1))


def forge_first_seal(kernel: Kernel) -> None:
    run(kernel, update(SEALS).where(SEALS.c.id == 1).values(previous="1" * 64))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (alter, ["act {2} was altered (seal 1)"]),
        (alter_time, ["act {2} was altered (seal 1)"]),
        (remove, ["act {2} was deleted (seal 1)"]),
        (insert_below, ["act {0} was inserted: no seal covers it"]),
        (alter_seal, ["seal 1 was altered"]),
        (remove_first_seal, ["seal 1 is missing", "seal 2 does not follow the one before it"]),
        (forge_first_seal, ["seal 1 was altered", "seal 1 does not follow the one before it"]),
    ],
)
def test_verify_says_what_is_wrong(sealed: Kernel, broken: Break, said: list[str]) -> None:
    first = ids(sealed)[0]
    broken(sealed)
    expected = [one.replace("{2}", str(first + 1)).replace("{0}", str(first - 1)) for one in said]
    found = verify(sealed).problems
    assert found[: len(expected)] == expected
    if broken is not remove_first_seal:
        assert len(found) == len(expected)


def test_act_that_was_inserted_is_never_sealed(sealed: Kernel) -> None:
    insert_below(sealed)
    assert seal(sealed) is None
    assert len(verify(sealed).problems) == 1


def test_newest_acts_are_missed_when_the_newest_seal_was_noted_elsewhere(sealed: Kernel) -> None:
    number, _, noted = verify(sealed).head.partition(":")
    run(sealed, text("DELETE FROM kernel_act_seals WHERE id = 2"))
    run(sealed, text("DELETE FROM kernel_acts WHERE target IN ('order 4', 'order 5', 'order 6')"))
    assert verify(sealed).problems == []
    with sealed.read() as connection:
        assert seals.hash_of(connection, int(number)) != noted
