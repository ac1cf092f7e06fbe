"""How gunicorn serves kernel: `gunicorn -c gunicorn.conf.py kernel:app`.

Gunicorn's own options on the command line win over this file. Ten slow clients can keep every
thread busy, whatever stands here: a buffering reverse proxy belongs in front of a public address.
"""

import gc
import os
import sys
from pathlib import Path
from typing import Any

from kernel.config.listening import why_not_bound
from kernel.config.settings import load
from kernel.errors import ConfigurationError

try:
    _settings = load()
except ConfigurationError as error:
    sys.exit(f"kernel: {error.message}")

bind = _settings.bind
workers = int(os.environ.get("WEB_CONCURRENCY") or _settings.api_processes)

# Threads, because with the sync class two slow answers stop the whole API.
worker_class = "gthread"
threads = 8

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


def post_worker_init(worker: Any) -> None:
    """Make a process ready that has loaded the application and is about to answer."""
    from gunicorn.http import wsgi

    # Requests that wait for an order's end are answered before the server ends.
    if hasattr(getattr(worker, "wsgi", None), "config"):
        worker.wsgi.config["KERNEL_SERVER_ENDS"] = lambda: not worker.alive
    # The server's name tells an attacker where to look. Gunicorn has no option for it; the name
    # is a constant that each answer reads when it is made.
    wsgi.SERVER = "kernel"
    # What was loaded stays. Looking through it for garbage took 65 to 82 ms, every few thousand
    # requests of a process, while all threads waited.
    gc.collect()
    gc.freeze()
