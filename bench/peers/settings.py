"""Where the peers find their servers: the environment of the process that runs them."""

import os
from typing import Any

from celery import Celery
from flask import Flask, Response, jsonify, request

DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "mysql+pymysql://root@127.0.0.1/bench")
BROKER_URL = os.environ.get("BENCH_BROKER_URL", "redis://127.0.0.1:6379/1")
RESULT_BACKEND = os.environ.get("BENCH_RESULT_BACKEND", "redis://127.0.0.1:6379/2")

INSERT = "INSERT INTO project_tb_project (projname, prodesc, projctime) VALUES (%s, %s, %s)"


def make_celery(name: str) -> Celery:
    """A Celery app as the original makes it: a broker, a result backend, the defaults."""
    return Celery(name, broker=BROKER_URL, backend=RESULT_BACKEND)


def make_app(task: Any) -> Flask:
    """The original's one view: validate, `task.delay`, answer."""
    app = Flask("original")

    @app.post("/test/add/")
    def add() -> tuple[Response, int]:
        order = request.get_json(silent=True)
        if not isinstance(order, dict) or order.get("select_tag") != "create_project":
            return jsonify(status=-1, msg="参数错误", data={}), 200
        if not order.get("projname") or not order.get("callback_url"):
            return jsonify(status=-1, msg="参数错误", data={}), 200
        task.delay(order)
        return jsonify(status=2, msg="等待", data={"项目中文名称": order["projname"]}), 200

    return app


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the callback."""
    return {"status": 0, "msg": "成功", "data": {"项目中文名称": order["projname"]}}
