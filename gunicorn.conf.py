"""How gunicorn serves kernel: `gunicorn -c gunicorn.conf.py kernel:app`.

Gunicorn's own options on the command line win over this file. Ten slow clients can keep every
thread busy, whatever stands here: a buffering reverse proxy belongs in front of a public address.
"""

import gc
import os
import selectors
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from kernel.config.listening import why_not_bound
from kernel.config.settings import load
from kernel.errors import ConfigurationError

try:
    _settings = load()
except ConfigurationError as error:
    sys.exit(f"kernel: {error.message}")

bind = _settings.bind
workers = int(os.environ.get("WEB_CONCURRENCY") or _settings.api_processes)

threads = 8


class _Heard:
    """In a socket's place: what gunicorn would answer."""

    said = b""

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, said: bytes) -> None:
        self.said += said


def _refusal(said: bytes) -> bytes:
    """Return an answer of gunicorn's own as an envelope, with an id of its own."""
    # Loaded by the processes that answer, and not by the one that starts them.
    from kernel.formats.envelope import encode, envelope
    from kernel.formats.texts import text
    from kernel.formats.tracecontext import request_id_from

    status = (said or b"HTTP/1.1 400 Bad Request").partition(b"\r\n")[0]
    code = "internal_error" if status.split()[1] == b"500" else "bad_request"
    body = encode(envelope(-1, text(code, _settings.language), {"code": code}))
    headers = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-ID": request_id_from(None),
    }
    lines = [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([status, *lines, b"", body])


class FreeThreads(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threads; a process accepts a connection only while one of its threads is free.

    Otherwise the process that is awake first takes all that knock at once, and their requests wait
    for its threads while another process has some to spare. And a thread that has answered hands
    the connection to the poller itself: the main thread need not wake up for it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Connections whose requests have a thread, or wait for one.
        self._answering: set[TConn] = set()
        self._keeping = threading.Lock()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections, or stop; asked in each turn of the main thread."""
        super().set_accept_enabled(enabled and self._has_a_free_thread())

    def enqueue_req(self, conn: TConn) -> None:
        """Have a thread answer the request of ``conn``; in the main thread."""
        self._answering.add(conn)
        self.tpool.submit(self._answer, conn)
        if self._accepting and not self._has_a_free_thread():
            super().set_accept_enabled(False)
            # A thread that was done meanwhile found nothing to wake the main thread for.
            self.set_accept_enabled(True)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn refuses, with its status, as every other refusal: the envelope."""
        heard = _Heard()
        super().handle_error(req, heard, addr, exc)
        try:
            util.write_nonblock(client, _refusal(heard.said))
        except Exception:  # noqa: BLE001 - as gunicorn: the client is gone
            self.log.debug("Failed to send error message.")

    def _has_a_free_thread(self) -> bool:
        return len(self._answering) < self.cfg.threads

    def _answer(self, conn: TConn) -> None:
        """Answer a request in one of the threads, and see to what becomes of its connection."""
        answered: Future[Any] = Future()
        is_kept = False
        try:
            answered.set_result(self.handle(conn))
            is_kept = answered.result() is True and self._keep(conn)
        except BaseException as error:
            # Whatever it is, the thread is free again.
            self.log.exception("a connection is closed: %s", error)
            answered = Future()
            answered.set_result(False)
        self._answering.discard(conn)
        if not is_kept:
            self.method_queue.defer(self.finish_request, conn, answered)
        elif not self._accepting:  # the main thread may accept again
            self.method_queue.defer(lambda: None)

    def _keep(self, conn: TConn) -> bool:
        """Wait for the next request of a connection; False if `finish_request` is to decide.

        A deque and a selector take what another thread gives them, but while the deque is gone
        through.
        """
        with self._keeping:
            if not self.alive or conn.parser.unreader.buf.getvalue():
                return False
            conn.sock.setblocking(False)
            conn.set_timeout()
            self.keepalived_conns.append(conn)
            readable = partial(self.on_client_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, readable)
            return True

    def _cap_keepalive(self, deadline: float) -> None:
        with self._keeping:
            super()._cap_keepalive(deadline)


# Threads, because with the sync class two slow answers stop the whole API.
worker_class = FreeThreads

# Two instances on one machine would take this socket from each other, and nothing here uses it.
control_socket_disable = True

# A worker that shows no sign of life is ended; threads may take longer over one request.
timeout = 30
# What SIGTERM leaves to requests in flight: shorter than the ten seconds that container managers
# and `kernel up` wait, so that workers end in an orderly way.
graceful_timeout = 8
# Ticketing systems poll; reverse proxies reuse connections.
keepalive = 5
# Further connections are refused by the system, which callers notice at once and try again.
backlog = 512

# No header of a client becomes SCRIPT_NAME or PATH_INFO: Location and links would begin with it.
forwarder_headers = ""

# Our longest address is far shorter, and no caller of ours sends more headers. The size of a
# body is limited by the application, which answers 413 in the envelope (MAX_BODY_BYTES).
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# The heartbeat file must not wait for a disk.
if Path("/dev/shm").is_dir():  # noqa: S108 - no file in it  # nosec B108
    worker_tmp_dir = "/dev/shm"  # noqa: S108  # nosec B108

# The application logs what it accepts, as one line with the order's id.
accesslog = None
errorlog = "-"
proc_name = "kernel-api"


def on_starting(server: Any) -> None:
    """Say in one line, at once, that an address cannot be had: gunicorn tries for five seconds."""
    if "GUNICORN_FD" in os.environ or "LISTEN_FDS" in os.environ:  # sockets that are open already
        return
    for address in server.cfg.address:
        if isinstance(address, tuple) and (words := why_not_bound(*address[:2])):
            sys.exit(f"kernel: {words}")


def post_fork(server: Any, worker: Any) -> None:
    """Look for no garbage while the application is loaded: there is none, and it takes a while."""
    gc.disable()


def post_worker_init(worker: Any) -> None:
    """Make a process ready that has loaded the application and is about to answer."""
    from gunicorn.http import wsgi

    # Requests that wait for an order's end are answered before the server ends.
    if hasattr(getattr(worker, "wsgi", None), "config"):
        worker.wsgi.config["KERNEL_SERVER_ENDS"] = lambda: not worker.alive
        if isinstance(worker, ThreadWorker):
            threads = worker.cfg.threads
            # One at least, as long as there is a thread for others; a host that says it is heard.
            places = max(threads // 4, int(threads > 1))
            worker.wsgi.config.setdefault("KERNEL_LONG_POLLS", places)
    # The server's name tells an attacker where to look. Gunicorn has no option for it; the name
    # is a constant that each answer reads when it is made.
    wsgi.SERVER = "kernel"
    # What was loaded stays. Looking through it for garbage took 65 to 82 ms, every few thousand
    # requests of a process, while all threads waited.
    gc.collect()
    gc.freeze()
    gc.enable()
