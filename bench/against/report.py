"""Writes a run's results: a table, JSON, and the section of docs/performance.md between marks."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.against.plan import FAULTS, FIGURES, TARGETS, Figures

BEGIN = "<!-- written by ./run bench peers -->"
END = "<!-- end of what ./run bench peers writes -->"
OURS = "kernel"


def number(value: float | None) -> str:
    """Return a figure with three digits that mean something."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "never"
    return f"{value:.2f}" if value < 20 and value != int(value) else f"{value:.0f}"


def verdicts(figures: Figures, others: Sequence[str]) -> list[tuple[str, str, float, bool]]:
    """Judge every target for each system of ours with keys: target, system, value, met."""
    found: list[tuple[str, str, float, bool]] = []
    for system in (name for name in ("kernel", "kernel-pg") if name in figures):
        for target in TARGETS:
            try:
                value, met = target.judge(system, figures, others)
            except LookupError:
                continue  # not measured in this run
            found.append((str(target), system, value, met))
    return found


def rows(figures: Figures) -> list[list[str]]:
    """Return a row for each figure that any system has: its name and a cell for each system."""
    found = []
    for figure in (*FIGURES, *FAULTS):
        if any(figure in one for one in figures.values()):
            found.append([figure, *(number(one.get(figure)) for one in figures.values())])
    return found


def table(result: Mapping[str, Any]) -> str:
    """Return the figures, the targets and who was left out, as text."""
    figures = result["figures"]
    lines = [f"{'':46}" + "".join(f"{name:>16}" for name in figures)]
    lines += [
        f"{first:46}" + "".join(f"{cell:>16}" for cell in rest) for first, *rest in rows(figures)
    ]
    lines.append("")
    for one in result["targets"]:
        word = "met   " if one["met"] else "MISSED"
        lines.append(f"{word} {one['system']}: {one['target']}: {number(one['value'])}")
    lines += [f"left out: {name}: {why}" for name, why in result["skipped"].items()]
    lines += [f"not measured: {one}" for one in result["broken"]]
    return "\n".join(lines)


def page(result: Mapping[str, Any]) -> str:
    """Return the section of docs/performance.md, without its marks."""
    figures = result["figures"]
    titles = [result["titles"][name] for name in figures]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(titles)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows(figures)]
    lines += ["", "| target | system | measured | |", "|---|---|--:|---|"]
    for one in result["targets"]:
        word = "met" if one["met"] else "**missed**"
        cells = (one["target"], one["system"], number(one["value"]), word)
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *_told(result)]
    return "\n".join(lines)


def rewrite(document: Path, text: str) -> None:
    """Put ``text`` between the marks of a document. Raises ValueError when it has none."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} lacks the marks {BEGIN} and {END}")
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def encoded(result: Mapping[str, Any]) -> str:
    """Return the result as JSON; a recovery that never came is null."""
    return json.dumps(_finite(result), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _told(result: Mapping[str, Any]) -> list[str]:
    """Say when, on what and with which versions it was measured."""
    machine = result["machine"]
    lines = [
        f"Medians of {result['rounds']} rounds of {result['plan']['saturation']} orders, "
        f"{result['at'][:10]}; {machine['cores']} cores ({machine['processor']}), "
        f"{machine['system']}, of which {result['cores_busy_before']:.1f} were busy before; "
        f"Python {machine['python']}. `{result['command']}`. "
        "[Figures](../bench/results/peers.json)",
        "",
        "Versions: " + "; ".join(f"{name} {one}" for name, one in result["versions"].items()) + ".",
    ]
    for name, why in result["skipped"].items():
        lines += ["", f"Left out: {name}, for {why}."]
    for one in result["broken"]:
        lines += ["", f"Not measured: {one}."]
    return lines
