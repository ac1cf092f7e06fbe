"""How gunicorn serves kernel: `gunicorn -c gunicorn.conf.py kernel:app`.

Gunicorn's own options on the command line win over this file. Ten slow clients can keep every
thread busy, whatever stands here: a buffering reverse proxy belongs in front of a public address.
"""

import gc
import os
import sys
from pathlib import Path
from typing import Any

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

# Our longest address is far shorter, and no caller of ours sends more headers. The size of a
# body is limited by the application, which answers 413 in the envelope (MAX_BODY_BYTES).
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# The heartbeat file must not wait for a disk.
if Path("/dev/shm").is_dir():  # noqa: S108 - the memory file system itself, not a file in it
    worker_tmp_dir = "/dev/shm"  # noqa: S108

# The application logs what it accepts, as one line with the order's id.
accesslog = None
errorlog = "-"
proc_name = "kernel-api"


def post_worker_init(worker: Any) -> None:
    """Make a process ready that has loaded the application and is about to answer."""
    from gunicorn.http import wsgi

    # The server's name tells an attacker where to look. Gunicorn has no option for it; the name
    # is a constant that each answer reads when it is made.
    wsgi.SERVER = "kernel"
    # What was loaded stays. Looking through it for garbage took 65 to 82 ms, every few thousand
    # requests of a process, while all threads waited.
    gc.collect()
    gc.freeze()
