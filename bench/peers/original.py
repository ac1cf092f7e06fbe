"""The original's structure: a connection and a bare POST per task, nothing kept, nothing retried.

gunicorn -w 2 bench.peers.original:app
celery -A bench.peers.original:celery worker -l info -c 2
"""

from datetime import datetime
from typing import Any

import pymysql
import requests
from sqlalchemy import make_url

from bench.peers.settings import DATABASE_URL, INSERT, answer, make_app, make_celery

celery = make_celery("original")
_url = make_url(DATABASE_URL)


@celery.task(name="original.create_project")
def create_project(order: dict[str, Any]) -> dict[str, Any]:
    """Insert, commit, call back."""
    connection = pymysql.connect(
        host=_url.host,
        port=_url.port or 3306,
        user=_url.username,
        password=_url.password or "",
        database=_url.database,
        charset="utf8mb4",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(INSERT, (order["projname"], order.get("prodesc", ""), datetime.now()))
        connection.commit()
    said = answer(order)
    requests.post(order["callback_url"], json=said, timeout=30)
    return said


app = make_app(create_project)
