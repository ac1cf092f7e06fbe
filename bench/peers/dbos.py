"""DBOS: one workflow of two steps per order, enqueued by its client.

uvicorn bench.peers.dbos:api --workers 2
python -m bench.peers.dbos              (two of them, each with a DBOS__VMID of its own)
"""

import asyncio
import sys

import uvloop
from dbos import DBOS, DBOSClient, DBOSConfig

from bench.peers.engine import CONCURRENCY, DATABASE_URL, POOL, Api, Order, outside

QUEUE, WORKFLOW, VERSION = "orders", "create_project", "1"
# Its default is 1; it has no notification, and this is what a callback waits for.
POLL_SECONDS = 0.05
_clients: list[DBOSClient] = []


@DBOS.step()
async def work(order: Order) -> None:
    """Do the work: the row is there once though a step may run twice."""
    await outside.work(order)


@DBOS.step(retries_allowed=True, max_attempts=1000, interval_seconds=5, backoff_rate=2)
async def call_back(order: Order) -> None:
    """Tell the outcome, until it is taken."""
    await outside.call_back(order)


@DBOS.workflow(name=WORKFLOW)
async def create_project(order: Order) -> None:
    """Work, then call back."""
    await work(order)
    await call_back(order)


async def start() -> None:
    """Connect the client."""
    _clients.append(
        DBOSClient(
            system_database_url=DATABASE_URL,
            system_database_pool_size=POOL,
            application_name="bench",
        )
    )


async def stop() -> None:
    """Close the client's connections."""
    _clients.pop().destroy()


async def accept(order: Order) -> None:
    """Keep the order as a workflow."""
    await _clients[0].enqueue_async(
        {"workflow_name": WORKFLOW, "queue_name": QUEUE, "app_version": VERSION}, order
    )


async def run() -> None:
    """Take workflows until the end."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": DATABASE_URL,
        "application_version": VERSION,
        "sys_db_pool_size": 2 * POOL,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLL_SECONDS
    )
    print("ready", flush=True)
    await asyncio.Event().wait()


api = Api(accept, start, stop)

if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        DBOS(config={"name": "bench", "system_database_url": DATABASE_URL})
        DBOS.launch()
        DBOS.destroy()
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
