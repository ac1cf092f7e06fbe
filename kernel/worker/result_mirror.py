"""The result mirror: what `AsyncResult(order_id)` of the original system's clients reads.

Written in Celery's own format after the commit, best effort, expiring. Never read by kernel.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import redis

from kernel.config.brokers.clients import ALIVE, budget, redis_client
from kernel.config.brokers.urls import redis_urls
from kernel.config.settings import Settings
from kernel.db.states import OrderState, Outcome
from kernel.handlers import Progress
from kernel.worker.publisher import BackgroundPublisher

# As Celery's Redis backend names its keys.
KEY = "celery-task-meta-"
# Results linger for this long, so that those of a burst share a trip to the broker.
RESULTS_SECONDS = 0.1


class ResultMirror:
    """Writes states and results into the result backend, from a thread of its own.

    Does nothing when KERNEL_RESULT_BACKEND is empty.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.result_backend.get_secret_value()
        self._expires = settings.result_expires_seconds
        self._client: redis.Redis | None = None
        self._sender = BackgroundPublisher[tuple[str, bytes]](
            "result mirror", self._write, RESULTS_SECONDS
        )

    def finished(self, order_id: str, outcome: Outcome) -> None:
        """Show how an order ended: SUCCESS with the handler's result, or FAILURE."""
        if outcome.state.wire_status >= 0:
            self._put(order_id, outcome.state.celery_state, outcome.result or "{}")
        else:
            failure = {
                "exc_type": "OrderFailed",
                "exc_message": [outcome.error_code, outcome.message],
                "exc_module": "celery.exceptions",
            }
            self._put(order_id, outcome.state.celery_state, json.dumps(failure))

    def progress(self, order_id: str, progress: Progress) -> None:
        """Show how far a running order is: the custom state PROGRESS."""
        meta = {"current": progress.current, "total": progress.total, "status": progress.note}
        self._put(order_id, OrderState.RUNNING.celery_state, json.dumps(meta))

    def flush(self, seconds: float) -> bool:
        """Wait until all is written, at most for ``seconds``; True if it is."""
        return self._sender.flush(seconds)

    def _put(self, order_id: str, state: str, result: str) -> None:
        """Queue a state with its result, which is JSON already."""
        if not self._url:
            return
        done = datetime.now(UTC).isoformat() if state in ("SUCCESS", "FAILURE") else None
        meta = {"status": state, "date_done": done, "task_id": order_id}
        rest = f'"result": {result}, "traceback": null, "children": []'
        whole = f"{json.dumps(meta)[:-1]}, {rest}}}"
        self._sender.put([(KEY + order_id, whole.encode())])

    def _write(self, batch: Iterable[tuple[str, bytes]]) -> None:
        if self._client is None:
            (url,) = redis_urls(self._url)
            self._client = redis_client(url, self._settings, **budget(1), **ALIVE)
        with self._client.pipeline(transaction=False) as pipeline:
            for key, meta in batch:
                pipeline.set(key, meta, ex=self._expires)
            pipeline.execute()
