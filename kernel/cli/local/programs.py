"""Broker, API and worker, as `kernel up`, `kernel worker` and `kernel demo` run them."""

import http.client
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from kernel.cli.local.embedded_broker import broker_program
from kernel.cli.local.processes import Program
from kernel.cli.local.supervisor import free_port
from kernel.config.settings import PREFIX, Settings
from kernel.config.shipped import shipped
from kernel.db.tables.service import Sweep
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.consumer_watch import LINE
from kernel.worker.process import LAST_CALL_SECONDS

# Pool processes outlive a worker's main process for less than this: they hand back what they do.
HAND_BACK_SECONDS = 2.0
# Added to the time that a program's threads and children have to end.
MARGIN_SECONDS = 5.0
# What API and worker import, for those that begin as copies of their supervisor.
IMPORTS = {
    "api": ("gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "kernel.views.app"),
    "worker": (
        *("celery.bin.worker", "celery.apps.worker", "celery.concurrency.prefork"),
        *("kombu.transport.redis", "kernel.views.api", "kernel.worker.celery_app"),
    ),
}
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - not bound to  # nosec B104


def embedded_broker(folder: Path) -> tuple[Program, dict[str, str]]:
    """Return a broker on a free port and the settings (by field name) that lead to it.

    Every local user reaches a port of loopback: the password is new each time.
    """
    port, password = free_port(), secrets.token_urlsafe(32)
    url = f"redis://:{password}@127.0.0.1:{port}"
    settings = {"broker_url": f"{url}/1", "result_backend": f"{url}/2"}
    return broker_program(port, folder, password), settings


def api_program(bind: str, *options: str) -> Program:
    """Return the API, as `gunicorn -c gunicorn.conf.py kernel:app` runs it, with more options."""
    argv = [sys.executable, "-m", "gunicorn", "-c", str(shipped("gunicorn.conf.py"))]
    argv += ["--bind", bind, *options, "kernel:app"]
    return Program("api", argv, ready=lambda: answers(bind))


def worker_program(settings: Settings, processes: int | None = None) -> Program:
    """Return the worker, as `celery -A kernel.views.api worker` runs it.

    Its time to end covers the handlers' grace time, and then a callback in flight. When its
    consumer ends while handlers run, its successor starts beside it.
    """
    argv = [sys.executable, "-m", "celery", "--quiet", "-A", "kernel.views.api", "worker"]
    argv += ["--loglevel", settings.log_level]
    argv += ["--concurrency", str(processes or settings.worker_processes)]
    patience = settings.shutdown_grace_seconds + LAST_CALL_SECONDS + settings.callback_timeout
    return Program(
        "worker",
        argv,
        stop_timeout=patience + MARGIN_SECONDS,
        successor_line=LINE,
        last_seconds=HAND_BACK_SECONDS,
    )


def configured(program: Program, overrides: Mapping[str, str]) -> Program:
    """Return ``program`` with ``overrides`` (settings by field name) in its environment."""
    env = {PREFIX + name.upper(): value for name, value in overrides.items()}
    return replace(program, env={**program.env, **env})


def copied(program: Program) -> Program:
    """Return an API or a worker that begins as a copy of its supervisor: without imports."""
    return replace(program, imports=IMPORTS[program.name])


def answers(bind: str) -> bool:
    """Tell whether an API answers at ``bind`` and can reach its database."""
    try:
        with closing(http.client.HTTPConnection(reachable(bind), timeout=2)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def is_taken(bind: str) -> bool:
    """Tell whether a program listens at ``bind``."""
    try:
        with closing(http.client.HTTPConnection(reachable(bind), timeout=2)) as connection:
            connection.connect()
    except OSError:
        return False
    return True


def reachable(bind: str) -> str:
    """Return ``host:port`` for clients on this machine: loopback instead of 0.0.0.0."""
    host, _, port = bind.rpartition(":")
    return f"{EVERYWHERE.get(host, host)}:{port}"


def has_swept(kernel: Kernel) -> Callable[[], bool]:
    """Return a function that tells whether a worker has swept since this call.

    A worker sweeps as soon as it has started, so the first sweep shows that it is ready.
    """
    with kernel.read_session() as session:
        before = session.scalar(select(Sweep.swept_at))

    def swept() -> bool:
        with kernel.read_session() as session:
            return session.scalar(select(Sweep.swept_at)) != before

    return swept
