"""What Celery's main process says of a pool process that is gone in the midst of a task."""

from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from kernel.worker.pool.vitals import IN_ORDER


class HintRequest(Request):  # type: ignore[misc]
    """A message that a pool process works off."""

    def on_failure(self, exc_info: Any, *more: Any, return_ok: bool = False, **options: Any) -> Any:
        """Log no error for a process that ended in order: what it ran is no loss."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        in_order = isinstance(error, WorkerLostError) and f"exitcode {IN_ORDER} " in str(error)
        return super().on_failure(exc_info, *more, return_ok=return_ok or in_order, **options)
