"""The harness of `./run chaos`: its ledger sees what is wrong, its table of faults is whole."""

import itertools
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos import faults
from tests.chaos.breaks import BREAKS
from tests.chaos.checks.attempts import explained
from tests.chaos.checks.record import Aged
from tests.chaos.faults import FAULTS, NAMES, deck, left_out
from tests.chaos.ledger import CALLBACK_LOST, KINDS, LEFT, TWICE, WORK_LOST, WRONG, Ledger, Row
from tests.chaos.load import MOST_UNDER_WAY, Account, Load
from tests.chaos.orders import create, order, patient, touch
from tests.chaos.receiver import Book
from tests.chaos.run import together
from tests.chaos.traffic.deaths import Deaths
from tests.chaos.traffic.traffic import Traffic
from tests.support.waiting import wait_until

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
ORDER = create("o1")
DATA = {"order_id": "id1", "select_tag": "create_project", "state": "success"}
DATA |= {"result": {"projname": "o1#0"}, "created_at": "c", "finished_at": "f"}  # type: ignore[dict-item]
CALL = {"at": 110.0, "port": 1, "webhook_id": "d1", "order_id": "id1", "state": "success"}
CALL |= {"status": 0, "data": DATA, "answered": True, "signed": True}
POLL = {"code": 200, "state": "success", "status": 0, "data": DATA, "args": True}
UNFINISHED = {"order_id": "id1", "select_tag": "create_project", "state": "running"}
EARLY = {"code": 202, "state": "running", "status": 2, "data": UNFINISHED, "args": True}
TOUCH = touch("o1", "a", "b")


PAUSE = {"what": "host", "port": 1, "asked": 99.0, "from": 100.0, "until": 120.0}
REPLAY = {"answer": "replayed", "asked": 130.0, "since": 100.0, "until": 120.0, "count": 1}


def ledger(**changed: Any) -> Ledger:
    """A run with one order in which everything is well, with parts of it changed."""
    row = Row("id1", "o1", "success", 100.0, 109.0, None, DATA["result"], held=False, run=1)  # type: ignore[arg-type]
    parts: dict[str, Any] = {
        "orders": {"o1": ORDER},
        "accepted": {"o1": {"id1"}},
        "rows": [row],
        "projects": Counter(ORDER.rows),
        "calls": {"id1": [CALL]},
        "deliveries": {"id1": [("d1", "delivered")]},
        "touched": {"a": 0},
        "attempts": {"d1": [200]},
        "polls": {"id1": [EARLY, POLL]},
    }
    return Ledger(**{**parts, **changed})


def other(entry: dict[str, Any], **data: Any) -> dict[str, list[dict[str, Any]]]:
    """A callback or a poll that says something else."""
    return {"id1": [{**entry, "data": {**entry["data"], **data}}]}


def asked(kind: str, **told: Any) -> dict[str, list[dict[str, Any]]]:
    """Something that the load asked for, about the one order."""
    return {kind: [{"kind": kind, "key": "o1", "order_id": "id1", "asked": 120.0, **told}]}


def aged(at: float = 120.0) -> dict[str, Aged]:
    return {"id1": Aged(ledger().rows[0], [("d1", "delivered")], [200], at, done=True)}


def state(name: str, **more: Any) -> list[Row]:
    result = DATA["result"] if name == "success" else {}
    more = {"held": False, "run": 1, **more}
    return [Row("id1", "o1", name, 100.0, 109.0, None, result, **more)]  # type: ignore[arg-type]


def test_ledger_finds_nothing_when_all_is_well() -> None:
    assert ledger().check() == []


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (WORK_LOST, {"rows": []}),
        (WORK_LOST, {"rows": state("pending")}),
        (WORK_LOST, {"rows": state("running")}),
        (WORK_LOST, {"projects": Counter()}),
        (TWICE, {"accepted": {"o1": {"id1", "id2"}}}),
        (TWICE, {"projects": Counter({ORDER.rows[0]: 2})}),
        (TWICE, {"touched": {"a": 1}}),
        (WRONG, {"calls": other(CALL, result={"projname": "o2#0"})}),
        (WRONG, {"calls": other(CALL, select_tag="import_projects")}),
        (WRONG, {"calls": other(CALL, error={"code": "internal_error"})}),
        (WRONG, {"calls": {"id1": [{**CALL, "webhook_id": "of another"}]}}),
        (WRONG, {"polls": other(POLL, result={"projname": "o2#0"})}),
        (WRONG, {"polls": other(POLL, finished_at="later")}),
        (WRONG, {"polls": other(POLL, order_id="id2")}),
        (WRONG, {"polls": {"id1": [POLL, EARLY]}}),
        (WRONG, {"polls": {"id1": [EARLY]}}),
        (WRONG, {"polls": {"id1": [{**POLL, "code": 202}]}}),
        (WRONG, {"polls": {"id1": [{**EARLY, "status": 0}, POLL]}}),
        (WRONG, {"polls": {"id1": [{**POLL, "args": False}]}}),
        (WRONG, {"attempts": {}}),
        (WRONG, {"attempts": {}, "deaths": [90.0, 140.0]}),
        (WRONG, {"attempts": {"d1": [200, 200]}}),
        (WRONG, {"asked": asked("cancel", answer="cancelled", state="cancelled", answered=105.0)}),
        (WRONG, {"asked": asked("cancel", answer="refused", state="failed", answered=105.0)}),
        (WRONG, {"asked": asked("cancel", answer="noted", state="pending", answered=108.5)}),
        (WRONG, {"asked": {"pause": [PAUSE]}}),
        (WRONG, {"asked": {"pause": [PAUSE]}, "stalls": [(90.0, 104.0)]}),
        (CALLBACK_LOST, {"asked": asked("redeliver", answer="redelivered")}),
        (CALLBACK_LOST, {"asked": {"replay": [REPLAY]}}),
        (CALLBACK_LOST, {"asked": {"replay": [REPLAY]}, "stalls": [(100.0, 115.0)]}),
        (LEFT, {"aged": aged(), "ended": 140.0}),
        (TWICE, {"deliveries": {"id1": [("d1", "delivered"), ("d2", "delivered")]}}),
        (CALLBACK_LOST, {"deliveries": {}}),
        (CALLBACK_LOST, {"calls": {}}),
        (CALLBACK_LOST, {"calls": {"id1": [{**CALL, "answered": False}]}}),
        (WRONG, {"rows": state("failed")}),
        (WRONG, {"projects": Counter([*ORDER.rows, "nobody's"])}),
        (WRONG, {"calls": {"id1": [CALL, {**CALL, "webhook_id": "d2"}]}}),
        (WRONG, {"calls": {"id1": [{**CALL, "status": -1}]}}),
        (WRONG, {"calls": {"id1": [{**CALL, "signed": False}]}}),
        (LEFT, {"rows": state("success", held=True)}),
        (LEFT, {"deliveries": {"id1": [("d1", "pending")]}}),
    ],
)
def test_ledger_finds_it_when_something_is_wrong(kind: str, changed: dict[str, Any]) -> None:
    assert kind in {finding.kind for finding in ledger(**changed).check()}


@pytest.mark.parametrize(
    "changed",
    [
        {"attempts": {}, "deaths": [112.0]},
        {"attempts": {"d1": [200, None]}},
        {"asked": asked("cancel", answer="refused", state="success", answered=108.0)},
        {"asked": asked("cancel", answer="noted", state="running", answered=108.0)},
        {"asked": {"pause": [{**PAUSE, "port": 2}]}},
        {"asked": {"pause": [{**PAUSE, "from": 108.0}]}},
        {"asked": {"pause": [{**PAUSE, "until": 109.0}]}},
        {"asked": {"pause": [PAUSE]}, "stalls": [(101.0, 109.0)]},
        {"asked": asked("redeliver", answer="in flight")},
        {"asked": {"replay": [{**REPLAY, "asked": 112.0}]}},
        {"asked": {"replay": [{**REPLAY, "since": 110.0}]}},
        {"asked": {"replay": [REPLAY]}, "stalls": [(110.0, 125.0)]},
        {"aged": aged(), "pruned": frozenset({"id1"}), "ended": 140.0},
        {"aged": aged(105.0), "ended": 140.0},
    ],
)
def test_ledger_finds_nothing_when_it_is_explained(changed: dict[str, Any]) -> None:
    assert ledger(**changed).check() == []


def test_contended_rows_are_compared_alone_when_their_sum_is_right() -> None:
    calls, polls = other(CALL, select_tag="touch_project"), other(POLL, select_tag="touch_project")
    parts: dict[str, Any] = {"orders": {"o1": TOUCH}, "calls": calls, "polls": polls}
    assert ledger(**parts, touched={"a": 1, "b": 1}).check() == []
    kinds = {finding.kind for finding in ledger(**parts, touched={"a": 2, "b": 0}).check()}
    assert kinds == {TWICE, WORK_LOST}


def test_patient_handler_is_found_when_it_goes_on_after_a_noted_cancel() -> None:
    calls, polls = (other(c, select_tag="patient_project") for c in (CALL, POLL))
    cancel = asked("cancel", answer="noted", state="running", answered=104.0)
    found = ledger(orders={"o1": patient("o1")}, calls=calls, polls=polls, asked=cancel).check()
    assert [finding.what for finding in found] == [
        "its cancel was noted, and its handler went on for 5.0 s"
    ]


def test_each_death_explains_one_post_when_it_may_have_interrupted_it() -> None:
    posts = [{"at": 10.0}, {"at": 20.0}, {"at": 50.0}]
    assert explained(posts, [12.0, 21.0]) == 2
    assert explained(posts, [12.0]) == explained(posts, [51.0, 90.0]) == 1


def test_killed_pool_process_is_a_death_when_a_sibling_has_deleted_its_row(tmp_path: Path) -> None:
    system: Any = SimpleNamespace(folder=tmp_path, ask=lambda query: [])
    with (tmp_path / "worker-a.log").open("w", buffering=1) as log:
        log.write("Process 'ForkPoolWorker-2' pid:9 exited with 'signal 9 (SIGKILL)'\n" * 2)
        log.write("Process 'ForkPoolWorker-1' pid:8 exited with 'exitcode 155'\n")
        log.write("Process 'ForkPoolWorker-3' pid:7 exi")
        deaths = Deaths(system)
        assert len(deaths.stop()) == 1
        log.write("ted with 'signal 9 (SIGKILL)'\n")
        assert len(deaths.stop()) == 2


def test_process_that_another_one_takes_over_from_is_a_death(tmp_path: Path) -> None:
    """Its row may be deleted before the harness has seen it stay."""
    alive = SimpleNamespace(folder=tmp_path, ask=lambda _: [("r-1", os.getpid())])
    deaths = Deaths(alive)  # type: ignore[arg-type]
    assert deaths.stop() == []
    said = "process is gone, all that it had claimed is handed back"
    (tmp_path / "dispatcher.log").write_text(f'"{said}: r-1"\n')
    (tmp_path / "worker-a.log").write_text(f"pid:{os.getpid()} exited with 'signal 9'\n")
    assert len(deaths.stop()) == 1
    (tmp_path / "worker-b.log").write_text(f'"{said}: r-2"\n')
    assert len(deaths.stop()) == 2


def test_load_that_fails_by_itself_is_found(tmp_path: Path) -> None:
    system: Any = SimpleNamespace(folder=tmp_path, wait=lambda *_: True, ask=lambda _: [])
    load: Any = SimpleNamespace(url="", accounts=[])
    traffic = Traffic(system, load, "key")
    traffic.start(1)
    found = list(traffic.finish(lambda: None))
    traffic.stop()
    assert found == ["the load itself failed: IndexError('list index out of range')"]


def test_load_waits_while_too_many_orders_are_under_way(tmp_path: Path) -> None:
    account = Account("chaos", "key", ("http://127.0.0.1:9/",))
    load = Load("http://127.0.0.1:9", [account], Book(tmp_path / "answers.jsonl"))
    counts = itertools.chain([MOST_UNDER_WAY + 1] * 20, itertools.repeat(0))
    asked: list[int] = []

    def under_way() -> int:
        asked.append(load.made)
        return next(counts)

    load.under_way = under_way
    load.start(1)
    wait_until(lambda: load.made > 0)
    load.stop(0)
    load.book.close()
    assert asked[:21] == [0] * 21


def test_orders_are_the_same_when_the_seed_is() -> None:
    first, second = random.Random(7), random.Random(7)
    assert [order(f"o{n}", first) for n in range(50)] == [order(f"o{n}", second) for n in range(50)]


@pytest.mark.parametrize("variant", ["mariadb", "postgresql", "sqlite", "rabbitmq"])
def test_deck_holds_every_kind_when_it_is_large_enough(variant: str) -> None:
    drawn = Counter(fault.name for fault in deck(variant, 64, random.Random(1)))
    assert drawn.total() == 64
    known = {fault.name for fault in FAULTS if variant in fault.variants.split()}
    assert set(drawn) == known - set(left_out(variant))
    assert len(drawn) >= 15


def test_deck_leaves_out_by_name_what_the_machine_does_not_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = replace(NAMES["redis-kill"], lacks=lambda: "no brokers here")
    monkeypatch.setattr(faults, "FAULTS", (refused, NAMES["redis-flap"]))
    assert left_out("mariadb") == {"redis-kill": "no brokers here"}
    drawn = deck("mariadb", 4, random.Random(1))
    assert [fault.name for fault in drawn] == ["redis-flap"] * 4
    assert deck("mariadb", 4, random.Random(1), ["redis-kill"]) == []


def test_quick_deck_holds_the_short_faults_alone_unless_another_is_asked_for() -> None:
    drawn = deck("mariadb", 64, random.Random(1), quick=True)
    assert not any(fault.alone for fault in drawn)
    asked = deck("mariadb", 2, random.Random(1), ["read-only"], quick=True)
    assert [fault.name for fault in asked] == ["read-only"] * 2


def test_faults_are_not_combined_when_they_break_the_same_server() -> None:
    assert together(NAMES["redis-kill"], NAMES["mariadb-kill"])
    assert not together(NAMES["redis-kill"], NAMES["redis-flap"])
    assert not together(NAMES["redis-kill"], NAMES["read-only"])
    assert not together(NAMES["mariadb-stop"], NAMES["frozen-lock"])


def test_every_fault_is_caught_by_a_break_that_names_it() -> None:
    named = {name for one in BREAKS.values() for name in one.faults}
    assert named <= set(NAMES)
    # What these do is done, harder, by the faults after them.
    covered = {"worker-term": "worker-kill", "dispatcher-kill": "sender-kill"}
    covered |= {"cut-broker": "redis-stop", "database-behind": "database-ahead"}
    covered |= {f"postgresql-{name}": "mariadb-kill" for name in ("kill", "read-only")}
    covered |= {f"postgresql-{name}": f"mariadb-{name}" for name in ("stop", "client-kill")}
    covered |= {"rabbitmq-kill": "redis-kill", "rabbitmq-close": "redis-client-kill"}
    assert set(NAMES) - named == set(covered)
    assert set(covered.values()) <= named
    assert {one.found for one in BREAKS.values()} <= set(KINDS)


def test_every_fault_and_break_is_documented_in_the_page_of_results() -> None:
    page = DOCS.read_text()
    assert [name for name in [*NAMES, *BREAKS] if f"`{name}`" not in page] == []
