"""A process's way to the broker: the Celery app that publishes hints, and the mirror of results."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.apps.worker import Worker
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from kernel.config.brokers.celeryconfig import ASKING, ASKING_SECONDS, TASK, celery_config
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.states import Outcome
from kernel.handlers import Progress, Run
from kernel.runtime.hints import MORE
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.worker.publisher import BackgroundPublisher
from kernel.worker.result_mirror import ResultMirror

log = logging.getLogger(__name__)


# Hints linger for this long, so that those of a burst share a trip to the broker; and for less
# while each comes alone: a worker that has nothing else to do begins at once.
HINTS_SECONDS, ALONE_SECONDS = 0.02, 0.004
# With 20 or more messages queued no worker is idle, and no order is hinted: workers take them from
# the rows in fair turns (`kernel.worker.row_queue`). One message in place of a batch of hints has
# the rows looked at once those before it are worked off; hints linger for longer then.
LONG_QUEUE = 20
LONG_SECONDS = 0.1
# In a queue as long as this there are such messages, and not even those are sent.
FULL_QUEUE = 400
# A broker that has not answered for this long is not asked a second time.
SILENT_SECONDS = 0.3
# Orders that come one by one: the length of the queue is asked for with every twentieth of them.
ASK_EVERY = 20


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
    """

    def __init__(self, kernel: Kernel) -> None:
        self._celery = make_celery(kernel, publishing=True)
        self._name = kernel.one(Name)
        self._hints = BackgroundPublisher[str]("hints", self._publish, ALONE_SECONDS)
        self._mirror = ResultMirror(kernel.settings)
        self._asking = _Asking(self._celery)
        self._shown: dict[str, Progress] = {}
        self._long = False
        self._unasked = 0

    def hint(self, order_ids: Sequence[str]) -> None:
        """Say that these orders are due. Best effort: the sweep knows the rows."""
        if order_ids:
            self._hints.put(order_ids)

    def backlog(self) -> int | None:
        """Return how many hints wait in the queue; None when the broker does not say.

        Zero while the database has not told this process what its queue is called.
        """
        return self._asking.length(self._queue())

    def _queue(self) -> str | None:
        try:
            return self._name.queue()
        except DATABASE_ERRORS:
            return None

    def finished(self, order_id: str, outcome: Outcome) -> None:
        """Mirror how an order ended."""
        self._shown.pop(order_id, None)
        self._mirror.finished(order_id, outcome)

    def running(self, runs: Sequence[Run]) -> None:
        """Mirror the progress of running orders where it has changed; ``runs`` are all of them."""
        for run in runs:
            if run.progress is not None and self._shown.get(run.order_id) != run.progress:
                self._shown[run.order_id] = run.progress
                self._mirror.progress(run.order_id, run.progress)
        # Orders that another process has taken over never end here.
        for order_id in set(self._shown.copy()) - {run.order_id for run in runs}:
            self._shown.pop(order_id, None)

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, at most ``seconds`` each for hints and mirror; True if it is."""
        return self._hints.flush(seconds) and self._mirror.flush(seconds)

    def _publish(self, order_ids: list[str]) -> None:
        with self._celery.producer_pool.acquire(block=True, timeout=1) as producer:
            queue = self._name.queue()
            length = self._asked(producer.channel, queue, order_ids)
            self._long = length >= LONG_QUEUE
            usual = HINTS_SECONDS if len(order_ids) > 1 else ALONE_SECONDS
            self._hints.linger = LONG_SECONDS if self._long else usual
            if length >= FULL_QUEUE:
                return
            hints = [MORE] if self._long else order_ids[:LONG_QUEUE]
            if len(hints) < len(order_ids) and not self._long:
                hints.append(MORE)  # many at once are a long queue themselves
            # An older kombu sends each message by a trip of its own.
            together = getattr(producer, "batch", nullcontext)
            with together() if len(hints) > 1 else nullcontext():
                for one in hints:
                    self._send(producer, queue, one)

    def _asked(self, channel: Any, queue: str, order_ids: list[str]) -> int:
        """Return how many messages wait; 0 where orders come one by one and it is not asked."""
        self._unasked += 1
        alone = len(order_ids) == 1 and order_ids != [MORE]
        if alone and not self._long and self._unasked < ASK_EVERY:
            return 0
        self._unasked = 0
        return _length(channel, queue)

    def _send(self, producer: Producer, queue: str, order_id: str) -> None:
        """Publish the least that Celery takes for a task (its message protocol, version 2).

        RabbitMQ drops it until a worker has declared the queue: the sweep knows the row.
        """
        id = str(uuid4())
        producer.publish(  # type: ignore[no-untyped-call]
            ([order_id], {}, {}),
            serializer="json",
            routing_key=queue,
            headers={"lang": "py", "task": TASK, "id": id},
            correlation_id=id,
        )


class _Asking:
    """Asks how long a queue is, on a connection that is kept: a new one costs six times as much."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._lock = threading.Lock()
        # With the process that opened it: a child does not speak on its parent's.
        self._kept: tuple[int, Connection] | None = None

    def length(self, queue: str | None) -> int | None:
        """Return how many messages wait, 0 where no queue is named; None when none can be told.

        What was kept may be lost, as after a restart of the broker: then a new one is asked.
        """
        with self._lock:
            kept, self._kept = self._kept, None
            asked = time.monotonic()
            if kept is not None and kept[0] == os.getpid():
                try:
                    # A connection that nothing is asked on yet is as good as it was.
                    length = 0 if queue is None else _declared(kept[1].default_channel, queue)
                except Exception as error:  # noqa: BLE001 - each client has errors of its own
                    log.debug("the kept connection is lost: %s", error)
                    kept[1].collect(socket_timeout=0.1)  # type: ignore[no-untyped-call]
                    if time.monotonic() - asked > SILENT_SECONDS:
                        return None
                else:
                    self._kept = kept
                    return length
            connection = self._celery.connection_for_write(
                connect_timeout=ASKING_SECONDS, transport_options=ASKING
            )
            try:
                length = _length(connection.default_channel, queue)
            except (OperationalError, OSError):
                connection.release()
                return None
            self._kept = (os.getpid(), connection)
            return length


def _length(channel: Any, queue: str | None) -> int:
    """Return how many messages wait in the queue. Raises OperationalError or OSError."""
    if queue is None:
        return 0
    try:
        return _declared(channel, queue)
    except (OperationalError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - each client's own word for "no such queue"
        log.debug("no queue: %s", error)
        return 0


def _declared(channel: Any, queue: str) -> int:
    """Declare the queue as a worker does, and return its length.

    RabbitMQ closes a channel that asks for a missing one.
    """
    declared = channel.queue_declare(queue, durable=True, auto_delete=False)
    return int(declared.message_count)
