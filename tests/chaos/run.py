"""One run: start, a stream of orders, faults one after the other, quiet, the ledger."""

import os
import random
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from tests.chaos.faults import Fault, Injected, Place, deck, inject, left_out
from tests.chaos.ledger import LEFT, WORK_LOST, WRONG, Finding, Ledger
from tests.chaos.load import Load
from tests.chaos.neighbours.together import Neighbours, Nobody
from tests.chaos.reading import Books, read
from tests.chaos.receiver import Book
from tests.chaos.report import RECOVERY_SECONDS, Report
from tests.chaos.stack import START_SECONDS, Plan, System
from tests.chaos.traffic.accounts import make_accounts
from tests.chaos.traffic.traffic import Traffic

QUIET_SECONDS = 150.0
# With a mechanism broken on purpose it will never be quiet, and this is long enough to know.
BROKEN_RECOVERY_SECONDS = 4.0
# So many faults in a hundred happen together with the next one.
TOGETHER = 20
MAX_DESCRIPTORS = 100
SAID = (
    "order rescued",
    "order taken over from a process that is gone",
    "callbacks of a process that is gone are due again",
    "run broken",
    "lost to another run",
    "a turn failed",
    "sending failed",
    "bug in a handler",
    "the outcome could not be written",
    "ending the worker",
)
# A process, or the database that it waits for, stands still and goes on later.
STANDSTILL = (
    *("mariadb", "postgresql", "sqlite", "disk", "frozen", "read-only", "database", "standstill"),
    *("cut", "thread"),
)
DATABASE = ("mariadb", "postgresql", "lock-wait", "deadlock", "sqlite", "disk", "frozen")


@dataclass(frozen=True)
class Options:
    """How much of it."""

    seed: int
    orders: int
    faults: int
    only: tuple[str, ...] = ()
    # For how long it may take until all is quiet.
    patience: float = QUIET_SECONDS
    # Only the faults that may happen beside others.
    quick: bool = False
    # Beside a shop in the same database and a second installation on the same servers.
    neighbours: bool = False


class Chaos:
    """A run."""

    def __init__(self, plan: Plan, options: Options) -> None:
        self.plan, self.options = plan, options
        self.rand = random.Random(f"faults {options.seed}")
        self.system = System(plan)
        self.beside = Neighbours(self.system) if options.neighbours else Nobody()
        self.system.move_in = self.beside.move_in
        self.injected: list[Injected] = []
        self.findings: list[Finding] = []
        self.figures: dict[str, Any] = {}
        self._placed = 0
        self._told = 0.0

    def run(self) -> Report:
        """Do all of it; whatever happens, nothing is left running."""
        with self.system as system, closing(self.beside):
            answers = Book(self.plan.folder / "answers.jsonl")
            accounts, operator_key = make_accounts(system)
            self.load = Load(system.url, accounts, answers)
            self.traffic = Traffic(system, self.load, operator_key)
            system.start()
            self.beside.start()
            self.load.start(self.options.seed)
            self.traffic.start(self.options.seed)
            try:
                self._break_things()
                self._finish_load()
                self._wait_for_quiet()
                self._measure()
            finally:
                self.load.stop(0)
                self.traffic.stop()
            found = self._read()
            self.findings += [*found.check(), *self.beside.check()]
            self._figures(found)
        return Report(
            self.plan.variant, self.options.seed, found, self.injected, self.findings, self.figures
        )

    def _read(self) -> Ledger:
        traffic = self.traffic
        books = Books(self.load.book, traffic.polls, traffic.asked)
        found = read(self.system, self.load.orders, books, traffic.aged)
        found.deaths, found.windows = traffic.deaths, self.load.windows
        found.clock_was_set = any(o.name.startswith("database-") for o in self.injected)
        found.stalls = [(o.at, o.until) for o in self.injected if o.name.startswith(STANDSTILL)]
        return found

    # ---- faults

    def _break_things(self) -> None:
        only, quick = self.options.only, self.options.quick
        faults = deck(self.plan.variant, self.options.faults, self.rand, only, quick=quick)
        half = len(faults) // 2
        while faults:
            if len(self.injected) >= half >= 0:
                self.beside.half_way()
                half = -1
            pair = [faults.pop(0)]
            if faults and self.rand.random() * 100 < TOGETHER and together(pair[0], faults[0]):
                pair.append(faults.pop(0))
            self._say(" + ".join(fault.name for fault in pair))
            done = inject(self._place, pair, self._tick)
            self.injected += done
            self._await_recovery(done)
            self.system.wait(self._ticked, self.rand.uniform(0.2, 1.5))

    def _place(self) -> Place:
        self._placed += 1
        number = self._placed
        rand = random.Random(f"fault {self.options.seed} {number}")
        return Place(self.system, self.load, rand, number)

    def _await_recovery(self, done: list[Injected]) -> None:
        """Wait until the orders from before the end of these faults have ended, in time."""
        until = done[-1].until
        seconds = BROKEN_RECOVERY_SECONDS if self.plan.broken else RECOVERY_SECONDS
        in_time = self.system.wait(lambda: self._ticked() or self._ended_before(until), seconds)
        # The next fault is for a system at work: one that is still starting takes no orders.
        self.system.wait(lambda: self._ticked() or self.system.is_ready("api"), START_SECONDS)
        names = " + ".join(one.name for one in done)
        for one in done:
            one.recovered = in_time
            self.findings += [Finding(WRONG, f"{one.name}: {n}") for n in one.notes if "FAIL" in n]
        if not in_time:
            left = self.system.unfinished(until)
            what = f"{names}: {left} orders unfinished after {seconds:g} s"
            self.findings.append(Finding(WRONG, what))

    def _ended_before(self, moment: float) -> bool:
        return self.system.unfinished(moment) == 0

    # ---- the end

    def _finish_load(self) -> None:
        """Go on until there were as many orders as asked for."""
        limit = time.monotonic() + self.options.orders / 5
        self.load.rate *= 2
        self.system.wait(
            lambda: self._ticked() or self.load.accepted >= self.options.orders,
            max(0.0, limit - time.monotonic()),
        )
        self.system.wait(lambda: self._ticked() or self.traffic.has_begun, START_SECONDS)
        self.load.close()
        self.beside.stop_ordering()
        self.findings += [Finding(LEFT, what) for what in self.traffic.finish(self._tick)]
        if not self.load.stop(60):
            self.findings.append(Finding(WORK_LOST, "an order was not accepted within a minute"))
        self.findings += [Finding(WRONG, f"refused: {one}") for one in self.load.refused]

    def _wait_for_quiet(self) -> None:
        seconds = self.options.patience
        started = time.monotonic()
        self._say("waiting for quiet")
        self.system.wait(lambda: self._ticked() or self._is_quiet(), seconds)
        self.figures["seconds until quiet"] = round(time.monotonic() - started, 1)

    def _is_quiet(self) -> bool:
        owed = self.system.ask(
            "SELECT COUNT(*) FROM kernel_deliveries WHERE state IN ('pending', 'held')"
        )
        return self.system.unfinished() == 0 and owed == [(0,)] and self._others_are_quiet()

    def _others_are_quiet(self) -> bool:
        return self.traffic.is_polled and self.beside.is_quiet()

    def _measure(self) -> None:
        """Count descriptors while they run, and connections when they have ended."""
        counts = [len(os.listdir(f"/proc/{pid}/fd")) for pid in self.system.api_workers()]
        self.figures["most descriptors of an API process"] = max(counts, default=0)
        if max(counts, default=0) > MAX_DESCRIPTORS:
            self.findings.append(Finding(LEFT, f"an API process has {max(counts)} descriptors"))
        everybody = self.system.everybody()
        self.system.end_processes()
        left = [pid for pid in everybody if Path(f"/proc/{pid}").exists()]
        deadline = time.monotonic() + 15
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = [pid for pid in left if Path(f"/proc/{pid}").exists()]
        if left:
            self.findings.append(Finding(LEFT, f"{len(left)} processes outlived their parents"))
        self._count_connections()

    def _count_connections(self) -> None:
        if self.system.database is None:
            return
        name = make_url(self.system.database_url).database
        query = (
            f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{name}'"
            " AND id <> CONNECTION_ID()"
        )
        if self.system.plan.variant == "postgresql":
            query = (
                f"SELECT COUNT(*) FROM pg_stat_activity WHERE datname = '{name}'"
                " AND pid <> pg_backend_pid()"
            )
        gone = self.system.wait(lambda: self.system.ask(query) == [(0,)], 5)
        if not gone:
            self.findings.append(Finding(LEFT, f"connections: {self.system.ask(query)}"))

    def _figures(self, found: Ledger) -> None:
        runs = [row.run for row in found.rows]
        self.figures |= {
            "orders": len(found.rows),
            "accepted answers": self.load.accepted,
            "retries by clients": self.load.retries,
            "orders run more than once": sum(run > 1 for run in runs),
            "most runs of an order": max(runs, default=0),
            "rows imported or created": sum(len(o.rows) for o in found.orders.values()),
            "callbacks received": sum(map(len, found.calls.values())),
            "duplicate callbacks": found.duplicates(),
            **found.asked_figures(),
            **self.beside.figures(),
            "processes the harness restarted": self.system.restarts,
            **self._left_out(),
            **self._count_log(),
        }

    def _left_out(self) -> dict[str, str]:
        """The faults that this machine does not allow, each with a sentence."""
        out = left_out(self.plan.variant, self.options.only)
        return {f"left out, {name!r}": lack for name, lack in out.items()}

    def _count_log(self) -> dict[str, int]:
        """How often the processes said what they should rarely say."""
        logs = [path.read_bytes() for path in self.plan.folder.glob("*.log")]
        return {
            f"in the logs, {words!r}": sum(log.count(words.encode()) for log in logs)
            for words in SAID
        }

    # ---- progress

    def _ticked(self) -> bool:
        self._tick()
        return False

    def _tick(self) -> None:
        self.system.tick()
        self.beside.tick()
        pause = 0.5 if sys.stderr.isatty() else 15.0
        if time.monotonic() - self._told > pause:
            self._say("")

    def _say(self, what: str) -> None:
        self._told = time.monotonic()
        done = f"{len(self.injected):3}/{self.options.faults} faults"
        line = f"{done}, {self.load.accepted:5}/{self.options.orders} orders"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}  {what}", end="", file=sys.stderr, flush=True)
        else:
            print(f"{line}  {what}", file=sys.stderr, flush=True)


def together(one: Fault, other: Fault) -> bool:
    """Whether two faults may happen at the same time; those of one server would collide."""
    first, second = (name.partition("-")[0] for name in (one.name, other.name))
    both = one.name.startswith(DATABASE) and other.name.startswith(DATABASE)
    return first != second and not (both or one.alone or other.alone)
