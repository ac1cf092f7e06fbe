"""`./run bench peers`: whose turn it is, medians, who is left out, the page; and one peer for real.

No figure is judged here: those depend on the machine.
"""

import asyncio
import json
import math
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.against import report
from bench.against.engines import KINDS, Absurd, Engine
from bench.against.places import NAMES, PINNED, Missing, interpreter, pinned
from bench.against.plan import FIGURES, Plan, Results, Sample, Target, turns
from bench.against.run import Bench, available, noted
from bench.against.systems import Kernel
from bench.load import Round, at_once
from bench.processes import holders
from bench.receiver import Receiver
from bench.systems import Servers

ROOT = Path(__file__).resolve().parents[2]


def sample(cpu_ms: float, orders: int = 10, seconds: float = 1.0) -> Sample:
    """A round in which nothing but the CPU is of interest."""
    done = Round(orders, cpu_ms=cpu_ms, seconds=seconds, submitting=seconds)
    done.submits, done.callbacks = [0.001] * orders, [0.01] * orders
    return Sample(done, servers_ms=1.0, rss_mib=2.0)


class NotToBeHad(Engine):
    """A peer that no machine has."""

    name, title = "nowhere", "Nowhere"

    @classmethod
    def obtain(cls) -> None:
        raise Missing("its registry is away")


def test_rounds_alternate_and_each_begins_with_another_system() -> None:
    taken = list(turns(["a", "b", "c"], 3))
    assert taken[:3] == [(0, "a"), (0, "b"), (0, "c")]
    assert [name for number, name in taken if number == 1] == ["b", "c", "a"]
    assert sorted(taken) == [(number, name) for number in range(3) for name in "abc"]


def test_figures_are_medians_with_their_spread() -> None:
    results = Results()
    for cpu in (4.0, 9.0, 5.0):
        results.add("kernel", "saturated", sample(cpu))
    results.add_once("kernel", {"lost": 0})
    assert results.figures("kernel")["CPU ms per order"] == 5.0
    assert results.spread("kernel")["CPU ms per order"] == (4.0, 9.0)
    assert results.figures("kernel")["lost"] == 0


def test_a_load_that_was_not_put_has_no_figures() -> None:
    results = Results()
    results.add("kernel", "saturated", sample(4.0, orders=30, seconds=2.0))
    figures = results.figures("kernel")
    assert figures["orders/s"] == 15
    assert "orders/s, receivers of 500 ms" not in figures


def test_a_target_is_a_share_of_the_best_of_the_others() -> None:
    figures = {"kernel": {"orders/s": 300.0}, "one": {"orders/s": 200.0}, "two": {"orders/s": 250}}
    target = Target("orders/s", 1.2, max, at_most=False)
    assert target.judge("kernel", figures, ["one", "two"]) == (1.2, True)
    with pytest.raises(LookupError):
        target.judge("kernel", figures, [])
    assert report.verdicts(figures, []) == []


def test_who_cannot_be_had_is_left_out_by_name() -> None:
    kinds, skipped = available({"nowhere": NotToBeHad, "kernel": Kernel})
    assert list(kinds) == ["kernel"]
    assert skipped == {"nowhere": "its registry is away"}
    result = {"figures": {}, "targets": [], "skipped": skipped, "broken": []}
    assert "left out: nowhere: its registry is away" in report.table(result)


def test_a_system_that_does_not_do_its_part_does_not_end_the_run() -> None:
    results = Results()
    with noted(results, "dbos", "round 2"):
        raise AssertionError("3 of 20 callbacks")
    assert results.broken == ["dbos, round 2: AssertionError: 3 of 20 callbacks"]
    with pytest.raises(KeyError), noted(results, "dbos", "round 2"):  # a mistake of the bench
        raise KeyError("x")


def test_an_interpreter_that_is_too_old_is_told_with_what_to_type() -> None:
    assert interpreter((3, 11))
    with pytest.raises(Missing, match=r"needs Python 3\.99 or newer.*BENCH_PYTHON="):
        interpreter((3, 99))


@pytest.mark.parametrize("name", NAMES)
def test_every_package_of_a_peer_is_pinned(name: str) -> None:
    lines = (PINNED / f"{name}.txt").read_text().splitlines()
    assert [one for one in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", one)] == []
    kind = next(one for one in KINDS if one.name == name)
    assert issubclass(kind, Engine)
    assert kind.packages
    assert set(kind.packages) <= set(pinned(name))


def test_what_never_came_is_said_and_is_null_in_the_file() -> None:
    assert [report.number(one) for one in (None, math.inf, 3.0, 3.14159, 314.159)] == [
        "-",
        "never",
        "3",
        "3.14",
        "314",
    ]
    said = json.loads(report.encoded({"figures": {"a": {"lost": 0, "s": math.inf}}}))
    assert said == {"figures": {"a": {"lost": 0, "s": None}}}


def test_the_page_is_rewritten_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.rewrite(page, "new")
    assert page.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="lacks the marks"):
        report.rewrite(page, "new")
    assert report.BEGIN in (ROOT / "docs" / "performance.md").read_text()


def test_the_process_that_holds_a_connection_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert holders([os.getpid()], {port}) == {}
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert holders([os.getpid()], {port}) == {os.getpid(): 1}
            assert holders([os.getpid()], {1}) == {}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Servers and a receiver for systems of the benchmark."""
    with Servers() as servers:
        servers.start_postgresql()
        receiver = Receiver(more=1)
        yield Bench(servers, receiver, tmp_path)
        receiver.close()


@pytest.mark.slow
def test_a_peer_takes_orders_writes_rows_and_calls_back(bench: Bench) -> None:
    try:
        Absurd.obtain()
    except Missing as error:
        pytest.skip(str(error))
    plan = Plan(saturation=20, warm_up=5, paced=5, waiting=5)
    results = Results()
    for load, done in asyncio.run(bench.loads(Absurd, plan)).items():
        results.add("absurd", load, done)
    figures = results.figures("absurd")
    assert figures["CPU ms per order"] > 0
    assert figures["memory MiB, PSS"] < figures["memory MiB, RSS"]
    assert set(figures) == set(FIGURES)

    async def refused_once() -> list[float]:
        with bench.running(Absurd) as system:
            port = bench.receiver.others[0]
            url = f"http://127.0.0.1:{port}/again/0?status=503"
            await at_once(system, [system.request(0, url)])
            while len(times := (await bench.receiver.all_arrivals("again")).get(0, [])) < 2:
                await asyncio.sleep(0.1)
            assert system.rows() == {"/again/0": 1}
        return times

    first, second = asyncio.run(asyncio.wait_for(refused_once(), 60))
    assert second - first > 4
