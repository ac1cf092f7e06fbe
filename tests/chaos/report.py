"""Which fault did what: the table of a run, and the same as JSON."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.checks.asked import was_held
from tests.chaos.faults import Injected
from tests.chaos.ledger import CALLBACK_LOST, LEFT, TWICE, WORK_LOST, WRONG, Finding, Ledger
from tests.chaos.stack import LEASE_SECONDS

RECOVERY_SECONDS = LEASE_SECONDS + 10.0
BEFORE = "(no fault)"
# Orders whose own handlers kill or freeze their process.
DYING = ("suicide", "hold_project", "doze_project")
# While these last, rows have the times of a clock that is wrong: nothing is told of how long.
CLOCKS = ("database-ahead", "database-behind")
HALF_AN_HOUR = 1800.0


@dataclass
class Line:
    """A line of the table."""

    times: int = 0
    lost: int = 0
    doubled: int = 0
    otherwise: int = 0
    orders: float = 0.0
    callbacks: float = 0.0


@dataclass
class Report:
    """A run's figures."""

    variant: str
    seed: int
    ledger: Ledger
    injected: Sequence[Injected]
    findings: list[Finding]
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines: dict[str, Line] = defaultdict(Line)
        for one in self.injected:
            self.lines[one.name].times += 1
        self._time_orders()
        self._count_findings()

    @property
    def passed(self) -> bool:
        """Nothing was found that must not be."""
        return not self.findings

    def _blamed(self, moment: float) -> list[Injected]:
        """The faults that something was hit by: the first that were not over at ``moment``."""
        first = next((one.until for one in self.injected if one.until >= moment), None)
        return [one for one in self.injected if one.until == first]

    def _time_orders(self) -> None:
        for row in self.ledger.rows:
            if row.finished is None:
                continue
            if self.ledger.orders[row.key].tag in DYING:  # counted from when it was accepted
                name = self.injected[int(row.key[1:5]) - 1].name
                self._slowest(name, row.finished - row.created)
            else:
                for fault in self._blamed(row.created):
                    if fault.name not in CLOCKS and abs(row.created - fault.at) < HALF_AN_HOUR:
                        self._slowest(fault.name, row.finished - fault.until)
            if not was_held(self.ledger, row):
                self._time_callback(row.id, row.finished)

    def _slowest(self, name: str, seconds: float) -> None:
        self.lines[name].orders = max(self.lines[name].orders, seconds)

    def _time_callback(self, order_id: str, finished: float) -> None:
        calls = [call["at"] for call in self.ledger.calls.get(order_id, []) if call["answered"]]
        known = bool(calls) and abs(min(calls) - finished) < HALF_AN_HOUR
        for fault in self._blamed(finished) if known else ():
            line = self.lines[fault.name]
            line.callbacks = max(line.callbacks, min(calls) - fault.until)

    def _count_findings(self) -> None:
        created = {**self.ledger.answered} | {row.key: row.created for row in self.ledger.rows}
        for finding in self.findings:
            moment = created.get(finding.key or "")
            known = [name for name in self.lines if finding.what.startswith(name)]
            blamed = known if moment is None else [one.name for one in self._blamed(moment)]
            for name in blamed or [BEFORE]:
                self.lines[name].lost += finding.kind in (WORK_LOST, CALLBACK_LOST)
                self.lines[name].doubled += finding.kind == TWICE
                self.lines[name].otherwise += finding.kind in (WRONG, LEFT)

    def blames(self) -> str:
        """Which faults something was lost, doubled or otherwise wrong by: for broken kernels."""
        told = {
            name: ", ".join(
                f"{count} {kind}"
                for kind in ("lost", "doubled", "otherwise")
                if (count := getattr(line, kind))
            )
            for name, line in sorted(self.lines.items())
        }
        return "; ".join(f"{name}: {counts}" for name, counts in told.items() if counts)

    def table(self) -> str:
        """The table, in Markdown."""
        head = "| fault | times | lost | doubled | slowest order (s) | slowest callback (s) |"
        rows = [head, "|---|--:|--:|--:|--:|--:|"]
        for name, line in sorted(self.lines.items()):
            rows.append(
                f"| {name} | {line.times} | {line.lost} | {line.doubled} "
                f"| {line.orders:.1f} | {line.callbacks:.1f} |"
            )
        return "\n".join(rows)

    def summary(self) -> str:
        """The verdict and the sums."""
        kinds = len({one.name for one in self.injected})
        lines = [f"{'PASSED' if self.passed else 'FAILED'}: {self.variant}, seed {self.seed}"]
        lines += [f"  {len(self.injected)} faults of {kinds} kinds"]
        lines += [f"  {name}: {value}" for name, value in self.figures.items()]
        shown = self.findings[:40]
        lines += [f"  {one.kind}: {one.key or '-'}: {one.what}" for one in shown]
        if len(self.findings) > len(shown):
            lines.append(f"  ... and {len(self.findings) - len(shown)} more")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "passed": self.passed,
            "variant": self.variant,
            "seed": self.seed,
            "figures": self.figures,
            "lines": {name: asdict(line) for name, line in sorted(self.lines.items())},
            "faults": [one.json() for one in self.injected],
            "findings": [asdict(one) for one in self.findings],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
