"""Databases that die, freeze, hang up, refuse a lock or have no room."""

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pymysql
from sqlalchemy import make_url

from tests.chaos.database import REFUSED
from tests.chaos.handlers import ROWS
from tests.chaos.orders import touch
from tests.support.postgresql import PostgreSQL

if TYPE_CHECKING:
    from tests.chaos.faults import Place

DEADLOCKS = {
    "mysql": "SELECT variable_value FROM information_schema.global_status"
    " WHERE variable_name = 'Innodb_deadlocks'",
    "postgresql": "SELECT sum(deadlocks) FROM pg_stat_database",
}


def killed(place: "Place") -> Iterator[float]:
    assert place.system.database is not None
    place.system.database.kill()
    yield 1.0
    place.system.database.start()


def stopped(place: "Place") -> Iterator[float]:
    assert place.system.database is not None
    place.system.database.pause()
    yield 5.0
    place.system.database.resume()


def connections_killed(place: "Place") -> Iterator[float]:
    name = make_url(place.system.database_url).database
    users = f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"
    for _ in range(5):
        for (number,) in place.system.ask(users) or []:
            with suppress(pymysql.MySQLError):  # it has just ended, or is the one that asks
                place.system.do(f"KILL {number}")
        yield 0.3


def backends_ended(place: "Place") -> Iterator[float]:
    name = make_url(place.system.database_url).database
    others = f"datname = '{name}' AND pid <> pg_backend_pid()"
    for _ in range(5):
        place.system.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        yield 0.3


def read_only(place: "Place") -> Iterator[float]:
    server = place.system.database
    assert isinstance(server, PostgreSQL)

    def switch(value: str) -> None:
        say = f"ALTER SYSTEM SET default_transaction_read_only = {value}"
        server.execute("SET default_transaction_read_only = off", say, "SELECT pg_reload_conf()")

    switch("on")
    yield 4.0
    switch("off")


def lock_wait(place: "Place") -> Iterator[float]:
    rival = place.system.connect()
    with suppress(*REFUSED), rival.cursor() as cursor:
        cursor.execute(f"UPDATE chaos_rows SET touched = touched WHERE name IN {tuple(ROWS[:2])}")
    for part in range(4):
        place.load.send(touch(place.key(part), *ROWS[:2], sloppy=part % 2 == 0))
    yield 7.0
    with suppress(*REFUSED):
        rival.rollback()
    rival.close()


def deadlocks(place: "Place") -> Iterator[float]:
    count = DEADLOCKS[make_url(place.system.database_url).get_backend_name()]
    before = place.system.ask(count)
    for part in range(30):
        first, second = random.Random(place.key(part)).sample(ROWS[:3], 2)
        one = touch(place.key(part), first, second, sloppy=part % 3 == 0, pause_ms=30)
        place.load.send(one)
    yield 3.0
    after = place.system.ask(count)
    if before and after:
        place.notes.append(f"{int(after[0][0]) - int(before[0][0])} deadlocks")


def sqlite_lock(place: "Place") -> Iterator[float]:
    rival = place.system.connect()
    rival.execute("BEGIN IMMEDIATE")
    yield 4.0
    rival.rollback()
    rival.close()


def disk_full(place: "Place") -> Iterator[float]:
    place.system.disk_full.touch()
    yield 5.0
    place.system.disk_full.unlink()
