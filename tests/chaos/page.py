"""`python -m tests.chaos.page FILE...`: the tables of docs/reliability.md from runs' JSON files."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURES = (
    "orders",
    "rows imported or created",
    "retries by clients",
    "orders run more than once",
    "most runs of an order",
    "callbacks received",
    "duplicate callbacks",
    "most descriptors of an API process",
    "seconds",
)


def runs_table(runs: Sequence[dict[str, Any]]) -> str:
    """One column per run."""
    seeds = [f"seed {run['seed']}" for run in runs]
    lines = [f"| {runs[0]['variant']} | " + " | ".join(seeds) + " |", "|---|" + "--:|" * len(runs)]
    lines.append(_line("faults, of kinds", [_faults(run) for run in runs]))
    for name in ("lost", "doubled"):
        counts = [sum(line[name] for line in run["lines"].values()) for run in runs]
        lines.append(_line(f"**{name}**", [f"**{count}**" for count in counts]))
    for name in FIGURES:
        lines.append(_line(name, [run["figures"].get(name, "") for run in runs]))
    return "\n".join(lines)


def faults_table(runs: Sequence[dict[str, Any]]) -> str:
    """All runs together, a line per kind of fault."""
    names = sorted({name for run in runs for name in run["lines"]})
    head = ["fault", "times", "lost", "doubled", "slowest order (s)", "slowest callback (s)"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * 5]
    for name in names:
        found = [run["lines"][name] for run in runs if name in run["lines"]]
        sums = [sum(one[key] for one in found) for key in ("times", "lost", "doubled")]
        slowest = [f"{max(one[key] for one in found):.1f}" for key in ("orders", "callbacks")]
        lines.append(_line(f"`{name}`", [*sums, *slowest]))
    return "\n".join(lines)


def _line(name: str, cells: Sequence[Any]) -> str:
    return f"| {name} | " + " | ".join(map(str, cells)) + " |"


def _faults(run: dict[str, Any]) -> str:
    return f"{len(run['faults'])}, {len({fault['name'] for fault in run['faults']})}"


if __name__ == "__main__":
    found = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    print(runs_table(found), faults_table(found), sep="\n\n")
