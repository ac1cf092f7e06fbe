"""Measures kernel beside the code it replaces, in one run: ./run bench [--quick]

`./run bench growth` measures whether kernel stays as fast with a million orders in the tables,
`./run bench scale` how much one more process does, `./run bench peers` kernel against other durable
engines; see `bench.growth`, `bench.scale` and `bench.against`.

All systems run all the time and their rounds alternate, so that other load on the machine affects
each of them alike. The table shows medians. See docs/performance.md.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import growth, scale
from bench.against import run as peers
from bench.floor import Bare, Floor
from bench.load import Load, measure
from bench.plan import QUICK, Plan, Rounds
from bench.receiver import Receiver
from bench.report import SYSTEMS, table, write
from bench.systems import Embedded, OnPostgreSQL, Original, Ours, Servers, System, Tuned, folder

RESULTS = Path(__file__).resolve().parent / "results"
WARM_UP = Load(64)


def say(text: str) -> None:
    """Print progress on stderr, apart from the results."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def everything() -> Iterator[tuple[list[System], Receiver, Floor]]:
    """Start servers, receiver and every system; end them all after the block."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(folder()))
        servers = stack.enter_context(Servers())
        receiver = Receiver()
        stack.callback(receiver.close)
        systems: list[System] = []
        servers.start_postgresql()
        for kind in (Ours, OnPostgreSQL, Tuned, Original, Embedded):
            say(f"starting {kind.name}")
            systems.append(stack.enter_context(kind(servers, place)))
        bare = stack.enter_context(Bare(servers, place))
        floor = Floor(bare, servers, receiver)
        stack.callback(floor.close)
        yield systems, receiver, floor


async def run(plan: Plan, systems: list[System], receiver: Receiver, floor: Floor) -> Rounds:
    """Measure every system and the floor, round by round."""
    rounds = Rounds()
    for system in systems:
        await measure(system, receiver, WARM_UP)
    await floor.round(WARM_UP.orders)
    for number in range(plan.rounds):
        for kind in plan.loads("ours"):
            say(f"round {number + 1} of {plan.rounds}: {kind}")
            for system in systems:
                if kind in (loads := plan.loads(system.name)):
                    done = await measure(system, receiver, loads[kind])
                    rounds.add(system.name, kind, done)
            if kind == "saturated":  # right after it: the machine's speed may change within a round
                rounds.add_floor(await floor.round(plan.saturation))
    return rounds


def main() -> None:
    """Measure, print the table, write JSON and chart."""
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds: 2 minutes")
    plan = QUICK if parser.parse_args().quick else Plan()
    with everything() as (systems, receiver, floor):
        rounds = asyncio.run(run(plan, systems, receiver, floor))
    figures, parts = rounds.figures(SYSTEMS), rounds.floor()
    print(table(figures, parts))
    for path in write(RESULTS, plan, figures, parts):
        print(f"written: {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    others = {"growth": growth.main, "scale": scale.main, "peers": peers.main}
    if len(sys.argv) > 1 and sys.argv[1] in others:
        others[sys.argv[1]](sys.argv[2:])
    else:
        main()
