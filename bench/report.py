"""Writes a run's results: a table, JSON, and a chart.

`python -m bench.report FILE` prints the tables of docs/performance.md from a run's JSON.
"""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.plan import FIGURES, TARGETS, Figures, Plan

SYSTEMS = ("ours", "postgresql", "tuned", "original", "embedded")
PACKAGES = (
    "celery",
    "kombu",
    "redis",
    "flask",
    "gunicorn",
    "sqlalchemy",
    "pymysql",
    "psycopg",
    "requests",
)
COLOURS = {
    "ours": "#1b6f8a",
    "postgresql": "#33658a",
    "tuned": "#8f8f8f",
    "original": "#c9c9c9",
    "embedded": "#7fb2c4",
}
CHARTED = (
    "CPU ms per order, saturated",
    "CPU ms per order at 10/s",
    "orders/s",
    "orders/s, receivers take 500 ms",
    "202 to callback p95 ms at 50/s",
)


def table(figures: Figures, floor: dict[str, float]) -> str:
    """Return the figures and the targets as text."""
    lines = [f"{'':34}" + "".join(f"{name:>11}" for name in _measured(figures))]
    for figure in FIGURES:
        cells = (figures[name].get(figure) for name in _measured(figures))
        lines.append(f"{figure:34}" + "".join(f"{_number(cell):>11}" for cell in cells))
    parts = ", ".join(f"{name} {ms:.2f}" for name, ms in floor.items() if name != "floor")
    lines += ["", f"floor: {floor['floor']:.2f} CPU ms per order ({parts})", ""]
    for target, value, met in verdicts(figures, floor):
        lines.append(f"{'met   ' if met else 'MISSED'} {target}: {value:.2f}")
    return "\n".join(lines)


def verdicts(figures: Figures, floor: dict[str, float]) -> list[tuple[str, float, bool]]:
    """Judge every target."""
    known = figures | {"floor": {"CPU ms per order, saturated": floor["floor"]}}
    return [(str(target), *target.judge(known)) for target in TARGETS]


def _measured(figures: Figures) -> list[str]:
    """Return the systems of a run; one from before a system was added has no figures of it."""
    return [name for name in SYSTEMS if name in figures]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 20 else f"{value:.0f}"


def write(folder: Path, plan: Plan, figures: Figures, floor: dict[str, float]) -> list[Path]:
    """Write the JSON and the chart; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "quick" if plan.rounds < Plan().rounds else "latest"
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "rounds": plan.rounds,
        "figures": figures,
        "floor": floor,
        "targets": [
            {"target": target, "value": value, "met": met}
            for target, value, met in verdicts(figures, floor)
        ],
    }
    paths = [folder / f"{name}.json", folder / f"{name}.svg"]
    paths[0].write_text(json.dumps(result, indent=1) + "\n")
    paths[1].write_text(chart(figures))
    return paths


def chart(figures: Figures) -> str:
    """Draw horizontal bars, one group per figure, as SVG."""
    parts, y = [], 20
    for figure in CHARTED:
        systems = [name for name in _measured(figures) if figure in figures[name]]
        known = [(name, figures[name][figure]) for name in systems]
        most = max(value for _, value in known)
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{figure}</text>')
        for name, value in known:
            y += 20
            width = max(1, round(420 * value / most))
            parts.append(f'<text x="90" y="{y + 4}" text-anchor="end">{name}</text>')
            parts.append(
                f'<rect x="98" y="{y - 8}" width="{width}" height="15" fill="{COLOURS[name]}"/>'
            )
            parts.append(f'<text x="{width + 104}" y="{y + 4}">{_number(value)}</text>')
        y += 34
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="620" height="{y}" '
    style = 'font-family="sans-serif" font-size="12" fill="#222">'
    return "\n".join(
        [head + style, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"]
    )


def page(result: dict[str, Any]) -> str:
    """Return the tables of docs/performance.md."""
    systems = _measured(result["figures"])
    lines = ["| | " + " | ".join(systems) + " |", "|---|" + "--:|" * len(systems)]
    for figure in FIGURES:
        cells = (_number(result["figures"][name].get(figure)) for name in systems)
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    lines += ["", "| target | measured | |", "|---|--:|---|"]
    for one in result["targets"]:
        word = "met" if one["met"] else "missed"
        lines.append(f"| {one['target']} | {one['value']:.2f} | {word} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(json.loads(Path(sys.argv[1]).read_text())))
