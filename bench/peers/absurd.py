"""Absurd: one task per order; the row is a step, the callback the end of the task.

absurdctl init
uvicorn bench.peers.absurd:api --workers 2
python -m bench.peers.absurd            (two of them)
"""

import asyncio
from typing import Any

import uvloop
from absurd_sdk import AsyncAbsurd, AsyncTaskContext
from psycopg_pool import AsyncConnectionPool

from bench.peers.engine import (
    CONCURRENCY,
    DATABASE_URL,
    LEASE_SECONDS,
    Api,
    Order,
    outside,
)

QUEUE, TASK = "orders", "create_project"
# Its default is 0.25; it has no notification, and this is what a callback waits for.
POLL_SECONDS = 0.05
_pools: list[AsyncConnectionPool] = []


async def create_project(params: Any, context: AsyncTaskContext) -> None:
    """Work in a step, which a later run does not repeat; then call back."""

    async def work() -> bool:
        await outside.work(params)
        return True

    await context.step("work", work)
    await outside.call_back(params)


async def start() -> None:
    """Open the pool, from which each submit has a connection of its own."""
    _pools.append(await outside.pool())


async def stop() -> None:
    """Close the pool."""
    await _pools.pop().close()


async def accept(order: Order) -> None:
    """Keep the order as a task."""
    async with _pools[0].connection() as connection:
        await AsyncAbsurd(connection, queue_name=QUEUE).spawn(
            TASK,
            order,
            queue=QUEUE,
            max_attempts=1000,
            retry_strategy={
                "kind": "exponential",
                "base_seconds": 5,
                "factor": 2,
                "max_seconds": 3600,
            },
        )


async def run() -> None:
    """Take tasks until the end."""
    app = AsyncAbsurd(DATABASE_URL, queue_name=QUEUE)
    app.register_task(TASK, queue=QUEUE)(create_project)
    print("ready", flush=True)
    await app.start_worker(
        concurrency=CONCURRENCY, claim_timeout=LEASE_SECONDS, poll_interval=POLL_SECONDS
    )


api = Api(accept, start, stop)

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
