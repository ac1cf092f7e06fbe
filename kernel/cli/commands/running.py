"""`kernel worker`, `kernel dispatcher` and `kernel up`: the commands that run until stopped."""

import fcntl
import json
import logging
import os
import shlex
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from kernel.cli.local.programs import (
    MARGIN_SECONDS,
    api_program,
    configured,
    copied,
    embedded_broker,
    is_taken,
    reachable,
    worker_program,
)
from kernel.cli.local.receiver import Inbox, Received
from kernel.cli.local.reloading import HandlersFollower
from kernel.cli.local.sealing import seal_embedded
from kernel.cli.local.supervisor import Supervisor, free_port
from kernel.cli.local.up_keys import UpKeys
from kernel.cli.opening import migrated, opened
from kernel.config import logging as kernel_logging
from kernel.config.private_files import mend_folder, opener
from kernel.config.settings import Settings, load
from kernel.errors import ConfigurationError, Unavailable
from kernel.handlers import Handlers
from kernel.handlers.registering.models import described
from kernel.handlers.reloading import forget_modules
from kernel.runtime import startup
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.views.openapi.tags.examples import example
from kernel.worker.broker import Broker
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.pool.keeper import Keeper, begin
from kernel.worker.pool.vitals import Vitals
from kernel.worker.priority import step_back

log = logging.getLogger(__name__)

VAR = Path("var")
# Without Celery's lines about its start, and its warning to root, who tries things out.
TO_ROOT = "You're running the worker with"
QUIETLY = {kernel_logging.QUIET: "1", "PYTHONWARNINGS": f"ignore:{TO_ROOT}"}


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    help="How many processes run handlers.  [default: KERNEL_WORKER_PROCESSES]",
)
def worker(concurrency: int | None) -> None:
    """Run handlers, send callbacks, sweep.

    A Celery worker under a small parent that starts it again when it ends, and a second one
    beside it when its consumer ends while handlers run.

    On SIGTERM or Ctrl-C running handlers have KERNEL_SHUTDOWN_GRACE_SECONDS to finish; then the
    worker hands their orders back. A second signal kills it.
    """
    settings = load()
    kernel_logging.configure(settings.log_level)
    with opened(settings, handlers=True) as kernel:
        startup.check(kernel)  # here, once: a child would report it at each restart
        startup.check_host(kernel)
    with Supervisor() as supervisor:
        supervisor.start(worker_program(settings, concurrency))
        supervisor.run_forever()


@click.command()
def dispatcher() -> None:
    """Send callbacks and sweep; run no handlers.

    For installations with many callbacks. A small parent starts it again when it ends by a signal.

    On SIGTERM or Ctrl-C it claims no more callbacks, and those in flight may finish.
    """
    settings = load()
    kernel_logging.configure(settings.log_level)
    step_back(settings.worker_nice)
    with opened(settings, handlers=True) as kernel:
        for warning in startup.check(kernel):
            log.warning(warning)
        kernel.close()  # no connection of the parent survives into a child
        code = Keeper(kernel, partial(_send, kernel)).run()
    raise SystemExit(code)


def _send(kernel: Kernel, vitals: Vitals, told: threading.Event) -> None:
    settings = kernel.settings
    sender = Dispatcher(kernel, Broker(kernel), threads=settings.dispatcher_threads, works=False)
    begin(kernel, vitals, sender)
    log.info("dispatcher started")
    # The system may give a signal to another thread, and Python runs handlers in this one only
    # when it wakes.
    while not told.wait(1.0):
        pass
    if not sender.stop(settings.callback_timeout + MARGIN_SECONDS):
        log.warning("callbacks in flight were left; they will be sent again")
    kernel.close()
    log.info("dispatcher stopped")


@click.command()
@click.option(
    "--reload",
    is_flag=True,
    help="Take handlers anew when one of their files changes; for development.",
)
def up(*, reload: bool) -> None:
    """Run everything in the foreground.

    Broker, API and worker, until Ctrl-C. The database is ./var/kernel.db unless
    KERNEL_DATABASE_URL is set, the broker an embedded one unless KERNEL_BROKER_URL is set. Prints
    an API key, the same at each start, and a command to paste.
    """
    settings = load()
    kernel_logging.configure(settings.log_level)
    given = {"bind": free_bind(settings), "reload": "on" if reload else settings.reload}
    settings = settings.model_copy(update=given)
    mend_folder(VAR)
    with _alone(), Supervisor() as supervisor:
        click.echo("starting ...", err=True)
        follower = HandlersFollower(settings) if settings.reload == "on" else None
        if settings.handlers_migrations or not _is_migrated(settings):
            migrated(settings)
        seal_embedded(settings)
        with opened(settings) as kernel:
            kept = UpKeys(kernel, VAR / "up.keys")
            (key, secrets), operator = kept.caller(), kept.operator()
            # Written at the first start: API and worker would be in each other's way with it.
            kernel.one(Name).read()
        forget_modules()
        _start(supervisor, settings)
        sample = _sample(Kernel(settings).handlers)
        with Inbox(secrets, _show) as inbox:
            supervisor.wait_until_ready()
            _welcome(settings, key, sample | {"callback_url": inbox.url})
            if settings.dashboard != "off":
                _invite(settings, operator)
            if follower is not None:
                follower.begin()
            supervisor.run_forever(follower.look if follower else None)
    click.echo("stopped")


def _is_migrated(settings: Settings) -> bool:
    """Tell whether nothing is to be migrated, without loading Alembic."""
    with closing(Kernel(settings, Handlers())) as kernel:
        try:
            kernel.check_schema()
        except (ConfigurationError, Unavailable):  # what is wrong, the migration says
            return False
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Refuse a second `kernel up` in this folder: the two would share data, key and caller."""
    with open(VAR / "up.lock", "w", opener=opener) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"`kernel up` runs in this folder already (it holds {held.name})"
            ) from None
        yield


def _sample(handlers: Handlers) -> dict[str, Any]:
    """Return an order to paste: a create_project if that is registered, else the first tag."""
    tag = "create_project" if "create_project" in handlers else next(iter(handlers), "")
    if not tag:
        return {"select_tag": "..."}
    schema = described(handlers[tag].model)
    return {"select_tag": tag, **(example(schema, schema.get("$defs", {})) or {})}


def free_bind(settings: Settings, taken: Callable[[str], bool] = is_taken) -> str:
    """Return where the API listens: a free port where the default one is taken.

    Raises ConfigurationError when a port that was set is taken.
    """
    if not taken(settings.bind):
        return settings.bind
    if "bind" in settings.model_fields_set:
        raise ConfigurationError(f"KERNEL_BIND: another program listens at {settings.bind}")
    return f"127.0.0.1:{free_port()}"


def _start(supervisor: Supervisor, settings: Settings) -> None:
    """Start an embedded broker unless one is configured, then API and worker side by side."""
    overrides: dict[str, str] = {"reload": settings.reload}
    if "broker_url" not in settings.model_fields_set:
        broker, of_broker = embedded_broker(VAR.resolve())
        if "result_backend" in settings.model_fields_set:
            del of_broker["result_backend"]
        overrides |= of_broker
        # It says much, and none of it matters to who has just started.
        supervisor.start(replace(broker, log=VAR.resolve() / "broker.log"))
    if "api_processes" not in settings.model_fields_set and "WEB_CONCURRENCY" not in os.environ:
        overrides["api_processes"] = "1"  # one process has eight threads, and starts sooner
    warnings.filterwarnings("ignore", TO_ROOT)  # a copy has the filters of this process
    api = api_program(settings.bind, "--log-level", "warning")
    for program in (api, replace(worker_program(settings), env=QUIETLY)):
        supervisor.start(configured(copied(program), overrides))


def _show(received: Received) -> None:
    line = f"callback  order {received.order_id}  {received.data['state']}: {received.msg}"
    click.echo(f"{line}  (signature verified)")


def _welcome(settings: Settings, key: str, order: dict[str, Any]) -> None:
    address = f"http://{reachable(settings.bind)}"
    body = shlex.quote(json.dumps(order, ensure_ascii=False))
    authorization = f"-H 'Authorization: Bearer {key}'"
    content = "-H 'Content-Type: application/json'"
    click.echo(
        f"""
{click.style("kernel is up", bold=True)} at {address}, process {os.getpid()}; Ctrl-C stops it.

Submit an order; its callback shows up here:

  curl {address}/v1/orders {authorization} {content} -d {body}

See how it ended:

  curl '{address}/v1/orders?limit=1' {authorization}
"""
    )


def _invite(settings: Settings, key: str) -> None:
    click.echo(
        f"""See it all at http://{reachable(settings.bind)}/dashboard with this operator's key:

  {key}

The keys are the same at the next start: {VAR}/up.keys. The data are in {VAR}/, too."""
    )
