"""Restate: a handler of two steps, and its server's own ingress as the API.

restate-server
python -m bench.peers.restate PORT      (two of them, on one port: one that ends leaves the other)
"""

import asyncio
import socket
import sys
from datetime import timedelta

import restate
import uvloop
from hypercorn import Config
from hypercorn.asyncio import serve
from restate import RunOptions

from bench.peers.engine import Order, check, outside

orders = restate.Service("Orders")
AGAIN: RunOptions[None] = RunOptions(
    initial_retry_interval=timedelta(seconds=5),
    retry_interval_factor=2,
    max_retry_interval=timedelta(hours=1),
)


@orders.handler()
async def create(ctx: restate.Context, order: Order) -> str:
    """Work, then call back, each a step of the journal; /Orders/create/send accepts an order."""
    try:
        order = {**check(order), "id": str(ctx.uuid())}
    except ValueError as error:
        raise restate.TerminalError(str(error), 400) from error
    await ctx.run_typed("work", outside.work, AGAIN, order)
    await ctx.run_typed("call back", outside.call_back, AGAIN, order)
    return str(order["id"])


api = restate.app(services=[orders])


async def run(port: int) -> None:
    """Serve the handler by Hypercorn, beside another process that listens on the same port."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", port))
        listening.set_inheritable(True)
        config = Config()
        config.bind = [f"fd://{listening.fileno()}"]
        print("ready", flush=True)
        await serve(api, config)  # type: ignore[arg-type]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(int(sys.argv[1])))
