"""A shop: an application with Flask-SQLAlchemy and Flask-Migrate that knows nothing of kernel.

Its table `orders` and its `alembic_version` are in the database in which kernel lives as well.
"""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError

# As docs/operations.md has it: what `flask db migrate` leaves alone.
OTHERS = ("kernel_", "project_tb_project", "chaos_")


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Tell whether Alembic is to compare this table."""
    return kind != "table" or not str(name).startswith(OTHERS)


app = Flask("shop")
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SHOP_DATABASE_URL"]
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_pre_ping": True}
db: Any = SQLAlchemy(app)
Migrate(app, db, include_name=is_ours)


class Order(db.Model):  # type: ignore[misc]
    """What a customer bought. Its second release adds a column."""

    __tablename__ = "orders"
    id = db.Column(db.Integer, primary_key=True)
    customer = db.Column(db.String(40), nullable=False, unique=True)
    state = db.Column(db.String(20), nullable=False, index=True)
    if os.environ["SHOP_RELEASE"] >= "2":
        note = db.Column(db.String(40), nullable=False, server_default="")


@app.cli.command("trade")
def trade() -> None:
    """Sell, and take down each commit, until told to end."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    with Path(os.environ["SHOP_BOOK"]).open("a", encoding="utf-8") as book:

        def note(**entry: Any) -> None:
            book.write(json.dumps(entry) + "\n")
            book.flush()

        number = 0
        while not told:
            number += 1
            _sell(f"{os.getpid()}-{number}", note)
            time.sleep(0.25)


def _sell(customer: str, note: Any) -> None:
    """Insert an order and pay it; what the database does not answer for is noted as tried."""
    note(customer=customer, tried="new")
    with suppress(SQLAlchemyError):
        db.session.add(Order(customer=customer, state="new"))
        db.session.commit()
        note(customer=customer, done="new")
        note(customer=customer, tried="paid")
        Order.query.filter_by(customer=customer).update({"state": "paid"})
        db.session.commit()
        note(customer=customer, done="paid")
    with suppress(SQLAlchemyError):
        db.session.remove()
