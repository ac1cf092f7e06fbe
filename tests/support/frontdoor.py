"""nginx with deploy/nginx.conf, and the systemd units started without systemd."""

import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from kernel.cli.local.processes import Child, Program
from tests.support.deployment import DEPLOY, ROOT, unit
from tests.support.servers import Server, require
from tests.support.stack import BIN, PATIENCE, Stack
from tests.support.waiting import wait_until

# What /etc/nginx/nginx.conf is to a site. One process: a killed test leaves no worker behind.
AROUND = """
daemon off;
master_process off;
{user}
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx(Server):
    """nginx as it is shipped, on a private port, in front of the API at another one."""

    def __init__(self, api_port: int) -> None:
        super().__init__()
        site = (DEPLOY / "nginx.conf").read_text()
        for old, new in (
            (r"listen 80;", f"listen 127.0.0.1:{self.port};"),
            (r"server 127\.0\.0\.1:8000;", f"server 127.0.0.1:{api_port};"),
            (r"/var/log/nginx/access\.log", f"{self.folder}/access.log"),
        ):
            site, count = re.subn(old, new, site)
            assert count == 1, f"deploy/nginx.conf: {old} stands there {count} times"
        (self.folder / "site.conf").write_text(site)
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder, user=user))

    def argv(self) -> list[str]:
        """The command of Debian's package."""
        folder = str(self.folder)
        return [require("nginx"), "-p", folder, "-c", f"{folder}/nginx.conf", "-e", "stderr"]

    def answers(self) -> bool:
        """Tell whether it listens."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def url(self, path: str) -> str:
        """The address of a page behind it."""
        return f"http://127.0.0.1:{self.port}{path}"


class Host:
    """A host set up as docs/deployment.md says: /opt/kernel is the checkout, /etc/kernel a folder.

    Its environment file holds the stack's settings; its handlers are the built-in ones by a
    module of their own.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.etc = stack.folder / "etc"
        (self.etc / "handlers").mkdir(parents=True)
        module = self.etc / "handlers" / "sitehandlers.py"
        module.write_text("from kernel.builtin import handlers as handlers\n")
        settings = stack.settings | {"handlers": "sitehandlers:handlers"}
        lines = [f"KERNEL_{name.upper()}={value}\n" for name, value in settings.items()]
        (self.etc / "kernel.env").write_text("".join(lines))

    def start(
        self, part: str, ready: Callable[[], bool], more: Mapping[str, str] | None = None
    ) -> Child:
        """Start a unit's program with its environment; return once it is ready."""
        one = unit(part)
        argv = [word if word != "gunicorn.conf.py" else str(ROOT / word) for word in one.argv(BIN)]
        log = self.stack.folder / f"{part}.log"
        child = Child(Program(part, argv, self._environment(part) | dict(more or {})), log)
        self.stack.children.append(child)
        wait_until(lambda: child.returncode is not None or ready(), PATIENCE, part)
        assert child.returncode is None, log.read_text()
        return child

    def api(self, more: Mapping[str, str] | None = None) -> Child:
        """Start the API's unit."""
        return self.start("api", self.stack.answers, more)

    def says(self, part: str, words: str) -> Callable[[], bool]:
        """Return a condition: do these words stand in the log of that unit?"""
        log = self.stack.folder / f"{part}.log"
        return lambda: words in log.read_text()

    def _environment(self, part: str) -> dict[str, str]:
        one = unit(part)
        assert one["EnvironmentFile"] == "/etc/kernel/kernel.env"
        assert one["WorkingDirectory"] == "/opt/kernel"
        lines = (self.etc / "kernel.env").read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines) | one.environment()
        env["PYTHONPATH"] = env["PYTHONPATH"].replace("/etc/kernel", str(self.etc))
        return env | {"PYTHONPATH": os.pathsep.join([env["PYTHONPATH"], str(ROOT)])}


class From(HTTPAdapter):
    """Sends requests from another address of this host."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *given: Any, **options: Any) -> None:
        """Have the connections begin there."""
        super().init_poolmanager(*given, source_address=(self.address, 0), **options)


class SlowUpload:
    """A client that sends the head of a submit and then a byte when it likes."""

    def __init__(self, port: int, key: str, body: bytes) -> None:
        self.rest = body
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        head = (
            f"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
            f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        self.send(1)

    def send(self, count: int) -> None:
        """Send so many bytes more."""
        self.socket.sendall(self.rest[:count])
        self.rest = self.rest[count:]

    def finish(self) -> int:
        """Send the rest; return the HTTP status of the answer."""
        self.send(len(self.rest))
        with self.socket.makefile("rb") as answer:
            return int(answer.readline().split()[1])

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def answers_in_time(port: int, seconds: float) -> bool:
    """Tell whether the API behind this port answers a further client within so many seconds."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=seconds).ok
    except requests.Timeout:
        return False
