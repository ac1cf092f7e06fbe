"""Breaks servers and workers under load and counts what is lost.

Exit code 0 when nothing is lost, 1 when something is, 2 when it cannot run here. With --break the
other way round: 0 when the ledger reports what the broken mechanism prevents.
"""

import argparse
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.breaks import BREAKS, Break
from tests.chaos.faults import NAMES
from tests.chaos.report import Report
from tests.chaos.run import Chaos, Options
from tests.chaos.stack import Plan

NEEDED = {
    "mariadb": ("redis-server", "mariadbd"),
    "postgresql": ("redis-server",),
    "sqlite": (),
    "rabbitmq": ("rabbitmq-server", "mariadbd"),
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./run chaos", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, help="repeat the choices of a run")
    add("--variant", choices=sorted(NEEDED), default="mariadb", help="which servers")
    add("--orders", type=int, default=2000, help="at least so many orders")
    add("--faults", type=int, default=64, help="so many faults")
    add("--quick", action="store_true", help="200 orders and 14 faults, beside neighbours, for CI")
    add("--only", nargs="+", metavar="FAULT", choices=sorted(NAMES), default=(), help="only these")
    add(
        "--break",
        dest="broken",
        metavar="NAME",
        choices=[*BREAKS, "all"],
        help="break a mechanism"
        " of kernel on purpose ('all': one after the other); the ledger must report it",
    )
    add("--list", action="store_true", help="list the faults and what can be broken")
    add("--json", type=Path, default=Path("var/chaos.json"), help="where the figures go")
    return parser.parse_args(argv)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run what was asked for."""
    asked = parse(argv)
    if asked.list:
        return _list()
    if asked.seed is None:
        asked.seed = random.randrange(10_000)
    if asked.broken:
        names = list(BREAKS) if asked.broken == "all" else [asked.broken]
        return max([_run_broken(name, asked) for name in names])
    faults, orders = (14, 200) if asked.quick else (asked.faults, asked.orders)
    # Neighbours live on one server with it; a run without Redis or MariaDB has none.
    beside = asked.quick and asked.variant == "mariadb"
    options = Options(
        asked.seed, orders, faults, tuple(asked.only), quick=asked.quick, neighbours=beside
    )
    report = _run(Plan(asked.variant, Path()), options)
    if report is None:
        return 2
    report.write(asked.json)
    print(report.table(), report.summary(), sep="\n\n")
    return 0 if report.passed else 1


def _run_broken(name: str, asked: argparse.Namespace) -> int:
    broken = BREAKS[name]
    faults = asked.only or broken.faults
    least = 1 if asked.only else broken.times
    times = max(least, len(faults) + (least > 1))
    options = Options(
        asked.seed, 50, times, tuple(faults), broken.patience, neighbours=broken.neighbours
    )
    report = _run(Plan(broken.variant, Path(), name), options)
    if report is None:
        return 2
    caught = _caught(broken, report)
    print(f"| {name} | {broken.what} | {caught or 'NOT CAUGHT'} |")
    sys.stdout.flush()
    return 0 if caught else 1


def _caught(broken: Break, report: Report) -> str:
    """Count what was found, by kind; empty when what must be found was not."""
    kinds = [one.kind for one in report.findings]
    if not any(f.kind == broken.found and broken.words in f.what for f in report.findings):
        print(report.summary(), file=sys.stderr)
        return ""
    return report.blames() or ", ".join(sorted(set(kinds)))


def _run(plan: Plan, options: Options) -> Report | None:
    """Run once in a new folder; it is kept when the run fails unasked. None if it cannot run."""
    if missing := [name for name in NEEDED[plan.variant] if not _has(name)]:
        print(f"chaos: not installed: {', '.join(missing)}", file=sys.stderr)
        return None
    folder = Path(tempfile.mkdtemp(prefix="kernel-chaos-"))
    title = f"{plan.variant}, seed {options.seed}" + (
        f", broken: {plan.broken}" if plan.broken else ""
    )
    print(f"chaos: {title}, logs in {folder}", file=sys.stderr)
    started, keep = time.monotonic(), True
    try:
        report = Chaos(Plan(plan.variant, folder, plan.broken), options).run()
        keep = not (report.passed or plan.broken)
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    report.figures["seconds"] = round(time.monotonic() - started)
    return report


def _has(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") is not None


def _list() -> int:
    for fault in NAMES.values():
        print(f"{fault.name:20} {fault.injected}; {fault.undone} [{fault.variants}]")
    print()
    for name, broken in BREAKS.items():
        print(f"--break {name:16} {broken.what} [{', '.join(broken.faults)}]")
    return 0


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as it is under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("chaos: interrupted; nothing is left running")
