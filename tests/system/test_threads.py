"""How gunicorn.conf.py gives connections and requests to threads, with a real gunicorn."""

import http.client
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kernel.cli.local.processes import Child, Program
from kernel.cli.local.supervisor import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
# Answers with its process; an address below /hold is answered when a file of its name is there.
APP = """
import os, pathlib, time

FOLDER = pathlib.Path(__file__).parent

def app(environ, start):
    held = environ["PATH_INFO"].removeprefix("/hold/")
    if held != environ["PATH_INFO"]:
        (FOLDER / f"{held}-begun").touch()
        while not (FOLDER / held).exists():
            time.sleep(0.01)  # no thread may be told by another process
    if environ["PATH_INFO"] == "/break":
        raise BaseException("what no server expects of an application")
    body = str(os.getpid()).encode()
    if environ["PATH_INFO"] == "/places":
        body = str(app.config["KERNEL_LONG_POLLS"]).encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app.config = {}
"""


class Served:
    """gunicorn with that application, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log, self._path = folder / "gunicorn.log", f"{folder}:{ROOT}"
        self._child: Child | None = None

    def start(self, processes: int, threads: int) -> int:
        """Start so many processes of so many threads; returns the port."""
        config = ["-c", str(ROOT / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{self.port}"]
        number = ["--workers", str(processes), "--threads", str(threads)]
        argv = [sys.executable, "-m", "gunicorn", *config, *number, "answering:app"]
        self._child = Child(Program("api", argv, {"PYTHONPATH": self._path}), self._log)
        wait_until(lambda: self._log.read_text().count("Booting worker") == processes, 30)
        return self.port

    def send(self, number: signal.Signals) -> None:
        """Signal the server's main process."""
        assert self._child is not None
        os.kill(self._child.pid, number)

    def kill(self) -> None:
        """End it, if it was started."""
        if self._child is not None:
            self._child.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A server to be started, ended after the test."""
    (tmp_path / "answering.py").write_text(APP)
    served = Served(tmp_path)
    yield served
    served.kill()


def ask(port: int, path: str = "/") -> str:
    """Ask on a connection of its own; returns the process that answered."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def test_process_whose_threads_are_busy_takes_no_connection(server: Served, tmp_path: Path) -> None:
    port = server.start(2, 1)
    found: list[str] = []
    held = threading.Thread(target=lambda: found.append(ask(port, "/hold/it")))
    held.start()
    wait_until((tmp_path / "it-begun").exists, 10)
    others = {ask(port) for _ in range(30)}  # one that waits for the busy thread times out
    (tmp_path / "it").touch()
    held.join(10)
    assert len(others) == 1
    assert set(found).isdisjoint(others)
    # It takes connections again.
    wait_until(lambda: ask(port) in found, 10)


def test_thread_is_free_again_when_an_application_breaks_it(server: Served) -> None:
    port = server.start(1, 1)
    for _ in range(3):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(port, "/break")
    assert ask(port).isdigit()


def test_connection_is_used_for_many_requests_and_for_several_at_once(server: Served) -> None:
    port = server.start(1, 2)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for _ in range(200):
            connection.request("GET", "/")
            assert connection.getresponse().read().isdigit()
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with socket.create_connection(("127.0.0.1", port), 10) as pipelined:
        pipelined.sendall((request + b"\r\n") * 9 + request + b"Connection: close\r\n\r\n")
        answers = b"".join(iter(lambda: pipelined.recv(65536), b""))
    assert len(re.findall(rb"HTTP/1.1 200 OK", answers)) == 10


def test_no_request_is_lost_when_the_server_ends_under_load(server: Served) -> None:
    port = server.start(2, 4)
    answered, ends = set[int](), list[str]()

    def use_until_closed() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            while True:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                answered.add(threading.get_ident())
                if answer.getheader("Connection") == "close":
                    ends.append("told")
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is fails the test
            ends.append(repr(error))
        finally:
            connection.close()

    clients = [threading.Thread(target=use_until_closed) for _ in range(6)]
    for client in clients:
        client.start()
    wait_until(lambda: len(answered) == len(clients), 10)  # their connections were accepted
    server.send(signal.SIGTERM)
    for client in clients:
        client.join(15)
    assert ends == ["told"] * 6


@pytest.mark.parametrize(("threads", "places"), [(1, 0), (2, 1), (4, 1), (8, 2), (20, 5)])
def test_quarter_of_the_threads_that_there_are_may_wait(
    server: Served, threads: int, places: int
) -> None:
    assert ask(server.start(1, threads), "/places") == str(places)
