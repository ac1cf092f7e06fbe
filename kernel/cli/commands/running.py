"""`kernel worker`, `kernel dispatcher` and `kernel up`: the commands that run until stopped."""

import fcntl
import json
import logging
import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from kernel.callers import identity, keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.identity import Scope
from kernel.callers.keys import KeyTerms
from kernel.callers.profile import profiles_of
from kernel.cli.local.programs import (
    MARGIN_SECONDS,
    api_program,
    configured,
    embedded_broker,
    is_taken,
    reachable,
    worker_program,
)
from kernel.cli.local.receiver import Inbox, Received
from kernel.cli.local.sealing import seal_embedded
from kernel.cli.local.supervisor import Supervisor, free_port
from kernel.cli.opening import migrated, opened
from kernel.config import logging as kernel_logging
from kernel.config.private_files import mend_folder, opener
from kernel.config.settings import Settings, load
from kernel.errors import ConfigurationError, NotFound
from kernel.handlers import Handlers
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.views.openapi.examples import example
from kernel.worker.broker import Broker
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.priority import step_back

log = logging.getLogger(__name__)

VAR = Path("var")
# The caller that `kernel up` adds; each start gives it a new API key.
CALLER = "kernel-up"
# The operator that `kernel up` adds: its key signs in to the dashboard.
OPERATOR = "kernel-up-operator"
LOOPBACK = "127.0.0.1/32"


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
    with Supervisor() as supervisor:
        supervisor.start(worker_program(settings, concurrency))
        supervisor.run_forever()


@click.command()
def dispatcher() -> None:
    """Send callbacks and sweep; run no handlers.

    For installations with many callbacks.

    On SIGTERM or Ctrl-C it claims no more callbacks, and those in flight may finish.
    """
    settings = load()
    kernel_logging.configure(settings.log_level)
    step_back(settings.worker_nice)
    with opened(settings, handlers=True) as kernel:
        for warning in startup.check(kernel):
            log.warning(warning)
        told = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        sender = Dispatcher(
            kernel, Broker(kernel), threads=settings.dispatcher_threads, works=False
        )
        sender.start()
        log.info("dispatcher started")
        # The system may give a signal to another thread, and Python runs handlers in this one
        # only when it wakes.
        while not told.wait(1.0):
            pass
        if not sender.stop(settings.callback_timeout + MARGIN_SECONDS):
            log.warning("callbacks in flight were left; they will be sent again")
        log.info("dispatcher stopped")


@click.command()
def up() -> None:
    """Run everything in the foreground.

    Broker, API and worker, until Ctrl-C. The database is ./var/kernel.db unless
    KERNEL_DATABASE_URL is set, the broker an embedded one unless KERNEL_BROKER_URL is set. Prints
    an API key, a new one at each start, and a command to paste.
    """
    settings = load()
    kernel_logging.configure(settings.log_level)
    settings = settings.model_copy(update={"bind": free_bind(settings)})
    mend_folder(VAR)
    with _alone(), Supervisor() as supervisor:
        click.echo("migrations ...", err=True)
        migrated(settings, told=lambda line: click.echo(f"  {line}", err=True))
        seal_embedded(settings)
        click.echo("broker, API and worker ...", err=True)
        _start(supervisor, settings)
        with opened(settings, handlers=True) as kernel:
            key, secrets = _credentials(kernel)
            operator = _operator_key(kernel)
            sample = _sample(kernel.handlers)
        with Inbox(secrets, _show) as inbox:
            supervisor.wait_until_ready()
            _welcome(settings, key, sample | {"callback_url": inbox.url})
            if settings.dashboard != "off":
                _invite(settings, operator)
            supervisor.run_forever()
    click.echo("stopped")


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
    schema = handlers[tag].model.model_json_schema()
    return {"select_tag": tag, **example(schema, schema.get("$defs", {}))}


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
    overrides: dict[str, str] = {}
    if "broker_url" not in settings.model_fields_set:
        broker, overrides = embedded_broker(VAR.resolve())
        if "result_backend" in settings.model_fields_set:
            del overrides["result_backend"]
        supervisor.start(broker)
    supervisor.start(configured(api_program(settings.bind), overrides))
    supervisor.start(configured(worker_program(settings), overrides))


def _credentials(kernel: Kernel) -> tuple[str, list[str]]:
    """Return a new API key and the signing secrets of `CALLER`, which is added if missing."""
    now = kernel.clock.now()
    terms = KeyTerms(expires_at=now + timedelta(days=kernel.settings.key_days))
    with kernel.write_session() as session:
        try:
            made = keys.rotate_key(session, CALLER, now, terms)
        except NotFound:
            made = keys.add(session, CALLER, now, CallerRules(nets=[LOOPBACK]), terms)
        caller_id = identity.find(session, CALLER).id
        profile = profiles_of(session.connection(), [caller_id], now)[caller_id]
        secrets = [one.get_secret_value() for one in profile.secrets]
    assert made.api_key is not None  # noqa: S101 - both ways make one
    return made.api_key.get_secret_value(), secrets


def _operator_key(kernel: Kernel) -> str:
    """Return a new API key of `OPERATOR`, which is added if missing."""
    now = kernel.clock.now()
    ends = now + timedelta(days=kernel.settings.key_days)
    terms = KeyTerms(frozenset({Scope.OPERATOR}), ends)
    with kernel.write_session() as session:
        try:
            made = keys.rotate_key(session, OPERATOR, now, terms)
        except NotFound:
            made = keys.add(session, OPERATOR, now, terms=terms)
    assert made.api_key is not None  # noqa: S101 - both ways make one
    return made.api_key.get_secret_value()


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
API key of the caller {CALLER}, a new one at each start:

  {key}

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
"""
    )
