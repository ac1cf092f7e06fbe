"""The floor: the parts that every order needs, each measured alone, in CPU milliseconds."""

import os
import sys
import time
from collections.abc import Callable

import requests
from celery import Celery
from flask import Flask, Response
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert

from bench.load import Load, measure
from bench.processes import cpu_ms
from bench.receiver import Receiver
from bench.systems import ROOT, Servers, System
from kernel.cli.local.processes import Program
from kernel.config.brokers.celeryconfig import celery_config
from kernel.config.settings import load

# T1, T2 and T3 commit for one order; T4 and T5 for a batch of 50 callbacks.
COMMITS = 3 + 2 / 50
TASK, QUEUE = "floor.nothing", "floor"
BODY = b'{"status":0,"msg":"success","data":{"order_id":"0199","select_tag":"create_project"}}'
_rows = Table("floor", MetaData(), Column("id", Integer, primary_key=True), Column("x", String(99)))


def make_app() -> Flask:
    """Return an application with a view that answers 202, for gunicorn."""
    app = Flask("floor")

    @app.post("/")
    def accept() -> Response:
        return Response(b'{"status":2}', 202, mimetype="application/json")

    return app


def make_celery(*, publishing: bool = False) -> Celery:
    """Return Celery with a no-op task and kernel's settings, on BENCH_BROKER_URL."""
    app = Celery("floor", set_as_current=False)
    settings = load(broker_url=os.environ["BENCH_BROKER_URL"])
    app.conf.update(celery_config(settings, publishing=publishing), task_default_queue=QUEUE)
    app.task(name=TASK, shared=False, ignore_result=True)(do_nothing)
    return app


def do_nothing(order_id: str) -> None:
    """Do nothing, as the worker's task."""


class Bare(System):
    """A gunicorn and a Celery worker that do nothing, with kernel's settings."""

    name, path = "floor", "/"
    calls_back = False

    def programs(self) -> list[Program]:
        self.broker, _ = self.servers.redis_urls()
        env = {"PYTHONPATH": str(ROOT), "BENCH_BROKER_URL": self.broker}
        config = str(ROOT / "gunicorn.conf.py")
        api = ["gunicorn", "-c", config, "-b", f"127.0.0.1:{self.port}", "bench.floor:make_app()"]
        silent = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        worker = ["celery", "-A", "bench.floor:worker", "worker", "-c", "2", "-l", "info", *silent]
        return [
            Program("api", [sys.executable, "-m", *api], env),
            Program("worker", [sys.executable, "-m", *worker], env),
        ]


class Floor:
    """Measures the parts, in rounds."""

    def __init__(self, bare: Bare, servers: Servers, receiver: Receiver) -> None:
        self.bare, self.receiver = bare, receiver
        self.engine = create_engine(servers.mariadb.create_database())
        _rows.create(self.engine)
        os.environ["BENCH_BROKER_URL"] = bare.broker
        self.celery = make_celery(publishing=True)
        self.session = requests.Session()
        self.session.trust_env = False

    async def round(self, count: int) -> dict[str, float]:
        """Return the CPU milliseconds of each part, and their sum for one order."""
        _, worker = self.bare.pids()
        view = await measure(self.bare, self.receiver, Load(count))
        commit = _mine(count, self._insert)
        before = cpu_ms([worker])
        publish = _mine(count, self._publish)
        self._wait_until_consumed()
        consume = (cpu_ms([worker]) - before) / count
        post = _mine(count, self._post)
        parts = {"view": view.cpu_ms, "commits": COMMITS * commit, "post": post}
        parts |= {"publish": publish, "consume": consume}
        return parts | {"floor": sum(parts.values())}

    def _insert(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(insert(_rows), {"x": "Bridge"})

    def _publish(self) -> None:
        self.celery.send_task(TASK, ("0199aaaa-0000-7000-8000-000000000000",), queue=QUEUE)

    def _wait_until_consumed(self) -> None:
        with self.bare.servers.redis.client(int(self.bare.broker.rpartition("/")[2])) as client:
            while client.llen(QUEUE):
                time.sleep(0.02)
        time.sleep(0.2)

    def _post(self) -> None:
        self.session.post(self.receiver.url("floor", 0), data=BODY, timeout=5)

    def close(self) -> None:
        """Close its connections."""
        self.engine.dispose()
        self.session.close()
        self.celery.close()


def _mine(count: int, work: Callable[[], None]) -> float:
    """Return the CPU milliseconds of this process per call, over ``count`` calls."""
    before = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - before) * 1000 / count


def __getattr__(name: str) -> Celery:
    """Make ``worker``, for celery's command line, on first use."""
    if name != "worker":
        raise AttributeError(name)
    return make_celery()
