"""Steps in the life of Celery's worker: they tell its processes how the consumer fares."""

import logging
import signal
from os import EX_OK
from types import FrameType
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state
from celery.worker.consumer.connection import Connection

from kernel.worker.pool.vitals import Vitals

log = logging.getLogger(__name__)

# From one note that the consumer's loop turns to the next, in seconds.
TURN_SECONDS = 1.0
FAILURE = 1


def add_steps(app: Celery, vitals: Vitals) -> None:
    """Have the workers of ``app`` note in ``vitals`` that their consumer lives, and that it ends.

    Celery makes the steps itself, from classes that it finds in the app.
    """
    consumer = vitals.consumer

    class Turning(bootsteps.StartStopStep):  # type: ignore[misc]
        """Notes the turns of the consumer's loop while there is a connection to the broker.

        It takes messages unless its host is drained. The loop gives the timer its turns. Only with
        gevent and eventlet has that a thread: there the notes tell that the consumer has not ended.
        """

        requires = (Connection,)

        def start(self, worker: Any) -> None:
            consumer.turned()
            self.timer = worker.timer.call_repeatedly(TURN_SECONDS, turn, (worker,))

        def stop(self, worker: Any) -> None:
            self.timer.cancel()

    class Ending(bootsteps.StartStopStep):  # type: ignore[misc]
        """Notes that the worker takes nothing more, before it waits for its handlers."""

        def start(self, worker: Any) -> None:
            if consumer.has_supervisor and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                signal.signal(signal.SIGHUP, give_way)

        def close(self, worker: Any) -> None:
            if not _starts_again(vitals):
                if not vitals.stopping_at:
                    log.warning("the consumer has ended; handlers that run may finish")
                consumer.ended()

    def give_way(_number: int, _frame: FrameType | None) -> None:
        """Begin anew in a successor. Celery would do so in this process, without its line."""
        if not consumer.asked_at:
            consumer.ask_for_successor()
            state.should_stop = EX_OK

    def turn(worker: Any) -> None:
        consumer.turned()
        _take_or_not(worker, quiet=vitals.is_quiet)
        if consumer.asked_at and state.should_stop is None:
            state.should_stop = FAILURE  # as a signal does it: a warm shutdown

    app.steps["consumer"].add(Turning)
    app.steps["worker"].add(Ending)


def _take_or_not(worker: Any, *, quiet: bool) -> None:
    """Have Celery's consumer leave the queue to other hosts, or take from it again."""
    found, queue = worker.task_consumer, worker.app.conf.task_default_queue
    if found is None or quiet != bool(found.consuming_from(queue)):
        return
    if quiet:
        log.warning("this host is drained: nothing new is taken until it is resumed")
        worker.cancel_task_queue(queue)
    else:
        log.warning("this host is resumed")
        worker.add_task_queue(queue)


def _starts_again(vitals: Vitals) -> bool:
    """Tell whether SIGHUP ends the worker: Celery starts it again in the same process.

    Not under a supervisor of ours, who starts a successor.
    """
    is_told = state.should_stop is not None or state.should_terminate is not None
    return is_told and not vitals.stopping_at and not vitals.consumer.asked_at
