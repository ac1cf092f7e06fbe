"""Measures kernel against other durable engines: ./run bench peers [--quick] [--only NAME ...]

One system runs at a time, for nine idle ones would take a good part of the machine; in each round
each is started on a new database, warmed up, and put under the same loads. Then each is started
once more, and its workers are killed and its receivers refuse. The table shows medians.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from bench.against import report
from bench.against.engines import KINDS, Engine
from bench.against.faults import REFUSING, all_faults
from bench.against.places import Missing, pinned, python_of, version_of
from bench.against.plan import QUICK, Plan, Results, Sample, turns
from bench.against.systems import Measured
from bench.load import measure
from bench.machine import busy_with_others, machine
from bench.processes import cpu_ms, memory_mib
from bench.receiver import Receiver
from bench.systems import ROOT, Servers, folder

RESULTS = ROOT / "bench" / "results"
DOCUMENT = ROOT / "docs" / "performance.md"
Kinds = dict[str, type[Measured]]


def say(text: str) -> None:
    """Print progress on stderr, apart from the results."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Bench:
    """The servers and the receiver of a run, in which systems are started one at a time."""

    def __init__(self, servers: Servers, receiver: Receiver, place: Path) -> None:
        self.servers, self.receiver, self.place = servers, receiver, place
        self._starts = count()

    @contextmanager
    def running(self, kind: type[Measured]) -> Iterator[Measured]:
        """Start a system in a folder and on a database of its own; end it after the block."""
        place = self.place / f"{kind.name}-{next(self._starts)}"
        place.mkdir()
        with kind(self.servers, place) as system:
            yield system

    async def loads(self, kind: type[Measured], plan: Plan) -> dict[str, Sample]:
        """Return a round of each kind of load."""
        found = {}
        with self.running(kind) as system:
            for name, load in plan.loads().items():
                before = self._servers_ms()
                done = await measure(system, self.receiver, load)
                spent = (self._servers_ms() - before) / load.orders
                found[name] = Sample(done, spent, memory_mib(system.pids(), "Rss"))
        return found

    async def faults(self, kind: type[Measured], plan: Plan) -> dict[str, float]:
        """Return what a system does when something fails."""
        with self.running(kind) as system:
            return await all_faults(system, self.receiver, plan)

    def _servers_ms(self) -> float:
        servers = self.servers
        return cpu_ms([servers.mariadb.pid, servers.postgresql.pid, servers.redis.pid])


def available(kinds: Kinds) -> tuple[Kinds, dict[str, str]]:
    """Return the systems that can be had here, and why the others cannot."""
    found, missing = {}, {}
    for name, kind in kinds.items():
        try:
            if issubclass(kind, Engine):
                say(f"installing {name}, unless it is there")
                kind.obtain()
            found[name] = kind
        except Missing as error:
            missing[name] = str(error)
            say(f"left out: {name}: {error}")
    return found, missing


async def run(bench: Bench, kinds: Kinds, plan: Plan, *, faults: bool) -> Results:
    """Measure every system, round by round, then what each does when something fails."""
    results = Results()
    for number, name in turns(list(kinds), plan.rounds):
        say(f"round {number + 1} of {plan.rounds}: {name}")
        with noted(results, name, f"round {number + 1}"):
            for load, sample in (await bench.loads(kinds[name], plan)).items():
                results.add(name, load, sample)
    for name in kinds if faults else ():
        say(f"failures: {name}")
        with noted(results, name, "failures"):
            results.add_once(name, await bench.faults(kinds[name], plan))
    return results


@contextmanager
def noted(results: Results, name: str, what: str) -> Iterator[None]:
    """Go on with the others when a system does not do its part, and say so with the figures."""
    try:
        yield
    except (AssertionError, OSError, asyncio.IncompleteReadError) as error:
        why = " ".join(str(error).split())[-300:]
        results.broken.append(f"{name}, {what}: {type(error).__name__}: {why}")
        say(results.broken[-1])


def versions(servers: Servers, kinds: Kinds) -> dict[str, str]:
    """Return the versions of the shared servers, of kernel's packages and of each engine."""
    found = {"PostgreSQL": str(servers.postgresql.execute("SHOW server_version")[0][0])}
    ours = ("celery", "gunicorn", "sqlalchemy", "psycopg", "pymysql")
    found["kernel's"] = ", ".join(f"{package} {version(package)}" for package in ours)
    for name, kind in kinds.items():
        if issubclass(kind, Engine):
            wanted = pinned(name)
            shown = [one for one in kind.packages if one in wanted]
            python = version_of(python_of(name))
            told = ", ".join(f"{one} {wanted[one]}" for one in shown)
            found[kind.title] = f"{told} (Python {python})"
    return found


def main(arguments: list[str]) -> None:
    """Measure, print the table, write JSON, and after a whole run the page."""
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser(prog="./run bench peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round: 20 minutes")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--no-faults", action="store_true", help="kill nothing, refuse nothing")
    given = parser.parse_args(arguments)
    # Ended in an orderly way: what the programs have started would outlive them otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = QUICK if given.quick else Plan()
    if given.rounds:
        plan = Plan(**asdict(plan) | {"rounds": given.rounds})
    chosen, skipped = available({kind.name: kind for kind in KINDS if kind.name in given.only})
    result = _measured(chosen, plan, faults=not given.no_faults) | {"skipped": skipped}
    result["command"] = " ".join(["./run bench peers", *arguments])
    print(report.table(result))
    whole = not given.quick and not given.no_faults and given.only == names
    path = RESULTS / ("peers.json" if whole else "peers-part.json")
    path.write_text(report.encoded(result))
    print(f"written: {path.relative_to(ROOT)}")
    if whole:
        report.rewrite(DOCUMENT, report.page(result))
        print(f"written: {DOCUMENT.relative_to(ROOT)}")


def _measured(kinds: Kinds, plan: Plan, *, faults: bool) -> dict[str, Any]:
    """Run the plan; return what was measured, and on what."""
    others = busy_with_others()
    with folder() as place, Servers() as servers:
        servers.start_postgresql()
        receiver = Receiver(more=REFUSING)
        try:
            bench = Bench(servers, receiver, Path(place))
            results = asyncio.run(run(bench, kinds, plan, faults=faults))
        finally:
            receiver.close()
        told = versions(servers, kinds)
    figures = {name: results.figures(name) for name in kinds}
    engines = [name for name, kind in kinds.items() if issubclass(kind, Engine)]
    targets = [
        {"target": target, "system": system, "value": value, "met": met}
        for target, system, value, met in report.verdicts(figures, engines)
    ]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "cores_busy_before": others,
        "versions": told,
        "rounds": plan.rounds,
        "plan": asdict(plan),
        "titles": {name: kind.title for name, kind in kinds.items()},
        "figures": figures,
        "spread": {name: results.spread(name) for name in kinds},
        "targets": targets,
        "broken": results.broken,
    }
