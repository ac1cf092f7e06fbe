"""A process's way to the broker: the Celery app that publishes hints, and the mirror of results."""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.apps.worker import Worker
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from kernel.config.celeryconfig import QUEUE, TASK, celery_config
from kernel.db.states import Outcome
from kernel.handlers import Progress, Run
from kernel.runtime.kernel import Kernel
from kernel.worker.publisher import BackgroundPublisher
from kernel.worker.result_mirror import ResultMirror

log = logging.getLogger(__name__)


# Hints linger for this long, so that those of a burst share a trip to the broker.
HINTS_SECONDS = 0.02
# With 20 or more messages queued no worker is idle, so up to 10 orders share a message, and hints
# linger for longer; this saves overhead and delays almost none.
LONG_QUEUE = 20
TOGETHER = 10
TOGETHER_SECONDS = 0.1


class QuietWorker(Worker):  # type: ignore[misc]
    """Celery's worker without gossip, mingle and heartbeat, which no command line switches on."""

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        silent = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        super().__init__(app, hostname, **(options | silent))


class HintCelery(Celery):  # type: ignore[misc]
    """A Celery app whose worker is the quiet one."""

    amqp_cls = "kernel.worker.untrusted_messages:HintAmqp"

    @cached_property
    def Worker(self) -> type[QuietWorker]:
        """The worker class that ``celery worker`` starts."""
        bound: type[QuietWorker] = self.subclass_with_self(QuietWorker)
        return bound


def make_celery(kernel: Kernel, *, publishing: bool = False) -> Celery:
    """Build a Celery app for ``kernel``: for a worker, or only for publishing hints."""
    app = HintCelery("kernel", set_as_current=False)
    app.conf.update(celery_config(kernel.settings, publishing=publishing))
    return app


class Broker:
    """A process's way to Redis: hints out, results mirrored. No method of it ever waits long.

    ``hint`` and the mirror return at once; only `backlog` asks, for half a second at the most.
    ``together``: how many orders may share a message while the queue is long. Orders that a worker
    hints again never do: they have waited for others of their message before.
    """

    def __init__(self, kernel: Kernel, together: int = 1) -> None:
        self._celery = make_celery(kernel, publishing=True)
        self._hints = BackgroundPublisher[str]("hints", self._publish, HINTS_SECONDS)
        self._mirror = ResultMirror(kernel.settings)
        self._shown: dict[str, Progress] = {}
        self._together = together

    def hint(self, order_ids: Sequence[str]) -> None:
        """Say that these orders are due. Best effort: the sweep knows the rows."""
        if order_ids:
            self._hints.put(order_ids)

    def backlog(self) -> int | None:
        """Return how many hints wait in the queue; None when the broker does not say."""
        try:
            with self._celery.connection_for_write() as connection:
                return _length(connection.default_channel)
        except (OperationalError, OSError):
            return None

    def finished(self, order_id: str, outcome: Outcome) -> None:
        """Mirror how an order ended."""
        self._shown.pop(order_id, None)
        self._mirror.finished(order_id, outcome)

    def running(self, runs: Sequence[Run]) -> None:
        """Mirror the progress of running orders where it has changed."""
        for run in runs:
            if run.progress is not None and self._shown.get(run.order_id) != run.progress:
                self._shown[run.order_id] = run.progress
                self._mirror.progress(run.order_id, run.progress)

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, at most ``seconds`` each for hints and mirror; True if it is."""
        return self._hints.flush(seconds) and self._mirror.flush(seconds)

    def _publish(self, order_ids: list[str]) -> None:
        with self._celery.producer_pool.acquire(block=True, timeout=1) as producer:
            share = self._sharing(producer.channel, len(order_ids))
            hints = [order_ids[n : n + share] for n in range(0, len(order_ids), share)]
            with producer.batch() if len(hints) > 1 else nullcontext():
                for together in hints:
                    self._send(producer, together)

    def _sharing(self, channel: Any, count: int) -> int:
        """Return how many of ``count`` orders share a message, and set how long hints linger."""
        # A batch of one order: orders do not come in quick succession.
        dense = self._together > 1 and count > 1
        long = dense and _length(channel) >= LONG_QUEUE
        self._hints.linger = TOGETHER_SECONDS if long else HINTS_SECONDS
        return self._together if long else 1

    def _send(self, producer: Producer, order_ids: list[str]) -> None:
        """Publish the least that Celery takes for a task (its message protocol, version 2).

        RabbitMQ drops it until a worker has declared the queue: the sweep knows the row.
        """
        id = str(uuid4())
        producer.publish(  # type: ignore[no-untyped-call]
            (order_ids, {}, {}),
            serializer="json",
            routing_key=QUEUE,
            headers={"lang": "py", "task": TASK, "id": id},
            correlation_id=id,
        )


def _length(channel: Any) -> int:
    """Return how many messages wait in the queue. Raises OperationalError or OSError."""
    try:  # as a worker declares it: RabbitMQ closes a channel that asks for a missing queue
        declared = channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        return int(declared.message_count)
    except (OperationalError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - each client's own word for "no such queue"
        log.debug("no queue: %s", error)
        return 0
