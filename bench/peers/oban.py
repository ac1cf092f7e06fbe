"""Oban: one job per order, taken from PostgreSQL and told by NOTIFY.

oban install
uvicorn bench.peers.oban:api --workers 2
oban start --queues orders:200        (two of them: several processes in one are Oban Pro's)
"""

from oban import Oban, worker
from oban.job import Job

from bench.peers.engine import DATABASE_URL, POOL, Api, Order, outside, pause


@worker(queue="orders", max_attempts=1000)
class CreateProject:
    """Work, then call back; a failure of either is tried again."""

    async def process(self, job: Job) -> None:
        """Do both: a job that is run again finds its row and only calls back."""
        await outside.work(job.args)
        await outside.call_back(job.args)

    def backoff(self, job: Job) -> int:
        """Return the seconds before the next attempt."""
        return pause(job.attempt)


async def start() -> None:
    """Open the pool, in a client that takes no jobs."""
    pool = await Oban.create_pool(DATABASE_URL, min_size=2, max_size=POOL)
    await Oban(pool=pool).start()


async def stop() -> None:
    """Stop the client."""
    await Oban.get_instance().stop()


async def accept(order: Order) -> None:
    """Keep the order as a job."""
    await CreateProject.enqueue(order)  # type: ignore[attr-defined]


api = Api(accept, start, stop)
