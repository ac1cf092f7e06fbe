"""The original's code with the usual first improvements: a pooled engine, one HTTP session.

gunicorn -w 2 bench.peers.tuned:app
celery -A bench.peers.tuned:celery worker -l info -c 2
"""

from datetime import datetime
from functools import cache
from typing import Any

import requests
from sqlalchemy import Engine, create_engine

from bench.peers.settings import DATABASE_URL, INSERT, answer, make_app, make_celery

celery = make_celery("tuned")


@cache
def engine() -> Engine:
    """This process's engine, made with the first task and so after the fork."""
    return create_engine(DATABASE_URL)


@cache
def session() -> requests.Session:
    """This process's session: one connection per receiver is kept."""
    return requests.Session()


@celery.task(name="tuned.create_project")
def create_project(order: dict[str, Any]) -> dict[str, Any]:
    """Insert, commit, call back."""
    with engine().begin() as connection:
        row = (order["projname"], order.get("prodesc", ""), datetime.now())
        connection.exec_driver_sql(INSERT, row)
    said = answer(order)
    session().post(order["callback_url"], json=said, timeout=30)
    return said


app = make_app(create_project)
