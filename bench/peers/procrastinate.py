"""Procrastinate: one job per order, told by NOTIFY.

procrastinate --app bench.peers.procrastinate.app schema --apply
uvicorn bench.peers.procrastinate:api --workers 2
procrastinate --app bench.peers.procrastinate.app worker --concurrency 200     (two of them)
"""

import procrastinate
from procrastinate.jobs import Job

from bench.peers.engine import DATABASE_URL, LEASE_SECONDS, POOL, Api, Order, outside, pause

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=DATABASE_URL, min_size=2, max_size=POOL)
)


class Again(procrastinate.BaseRetryStrategy):
    """Until the receiver has answered with 2xx."""

    def get_retry_decision(
        self, *, exception: BaseException, job: Job
    ) -> procrastinate.RetryDecision:
        """Return when the next attempt is due."""
        return procrastinate.RetryDecision(retry_in={"seconds": pause(job.attempts + 1)})


@app.task(name="create_project", queue="orders", retry=Again())
async def create_project(order: Order) -> None:
    """Work, then call back: a job that is run again finds its row and only calls back."""
    await outside.work(order)
    await outside.call_back(order)


@app.periodic(cron="* * * * * */10")
@app.task(name="rescue", queue="orders", queueing_lock="rescue", pass_context=True)
async def rescue(context: procrastinate.JobContext, timestamp: int) -> None:
    """Have jobs run again whose worker has sent no heartbeat; its documentation's recipe."""
    manager = app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=LEASE_SECONDS):
        await manager.retry_job(job)


async def start() -> None:
    """Open the connector's pool."""
    await app.open_async()


async def stop() -> None:
    """Close the pool."""
    await app.close_async()


async def accept(order: Order) -> None:
    """Keep the order as a job."""
    await create_project.defer_async(order=order)


api = Api(accept, start, stop)
