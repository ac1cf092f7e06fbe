"""Errors that pass for others, errors that come every time, and errors that nobody listed."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tests.chaos.orders import create

if TYPE_CHECKING:
    from tests.chaos.faults import Place

# In quarters: an order that broke this often ends with its third broken run.
NEARLY = 17 * 4
PASSING = ("outfile_project", "full_table_project", "hang_up_project")
# For how long an order may take to fail, its three setbacks included.
FAILS_IN_SECONDS = 12.0
SERVED_IN_SECONDS = 6.0
# Numbers that neither MariaDB nor a list of ours has.
UNLISTED = range(20_000, 30_000)


def read_only(place: "Place") -> Iterator[float]:
    """Refuse writes; two seconds later, let connections write that are opened from then on.

    As behind an address that leads to another server after a failover: who keeps its connections
    is refused until the end of the fault.
    """
    database, load = place.system.mariadb, place.load
    assert database is not None
    database.execute("SET GLOBAL read_only = 1")
    try:
        yield 2.0
        database.let_write(True)
        started, accepted = time.monotonic(), load.accepted
        while load.accepted == accepted and time.monotonic() < started + SERVED_IN_SECONDS:
            yield 0.1
        if load.accepted == accepted:
            place.notes.append("FAILED: no order is accepted although the address leads elsewhere")
        else:
            place.notes.append(f"served again after {time.monotonic() - started:.1f} s")
        yield from _until_all_are_served(place)
        place.load.send(create(place.key()))
        yield from _until_ended(place, place.key(), SERVED_IN_SECONDS)
    finally:
        database.execute("SET GLOBAL read_only = 0")
        database.let_write(False)


def _until_all_are_served(place: "Place") -> Iterator[float]:
    """Look at submits for some seconds: one that is accepted had a new connection by chance."""
    load = place.load
    yield 1.0
    accepted, refused = load.accepted, load.retries
    yield 3.0
    if load.retries - refused > load.accepted - accepted:
        place.notes.append("FAILED: orders are refused although the address leads elsewhere")


def passing(place: "Place") -> Iterator[float]:
    """Submit orders whose every run breaks; count for them the runs that there is no time for."""
    keys = {place.key(part): tag for part, tag in enumerate(PASSING)}
    for key, tag in keys.items():
        place.load.send(create(key, tag, "failed"))
    deadline = time.monotonic() + 5
    while len(_codes(place, keys)) < len(keys) and time.monotonic() < deadline:
        yield 0.05
    names = ", ".join(f"'{key}'" for key in keys)
    place.system.do(
        f"UPDATE kernel_orders SET broken = {NEARLY} WHERE idempotency_key IN ({names})"
        f" AND broken < {NEARLY} AND finished_at IS NULL"
    )
    deadline = time.monotonic() + FAILS_IN_SECONDS
    while None in _codes(place, keys).values() and time.monotonic() < deadline:
        yield 0.2
    for key, code in _codes(place, keys).items():
        if code != "keeps_breaking":
            place.notes.append(f"FAILED: {keys[key]} ended by {code}, not keeps_breaking")


def unlisted(place: "Place") -> Iterator[float]:
    """Have triggers refuse statements with a number that stands in no list."""
    number = place.rand.choice(UNLISTED)
    place.notes.append(f"error {number}")
    signal = f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'chaos'"
    do = place.system.do
    do(f"CREATE TRIGGER chaos_odd_refused BEFORE INSERT ON chaos_odd FOR EACH ROW {signal}")
    do(
        "CREATE TRIGGER chaos_submit_refused BEFORE INSERT ON kernel_orders FOR EACH ROW"
        f" IF RAND() < 0.3 AND NEW.select_tag <> 'odd_project' THEN {signal}; END IF"
    )
    keys = [place.key(part) for part in range(3)]
    try:
        for key in keys:
            place.load.send(create(key, "odd_project", "failed"))
        deadline = time.monotonic() + FAILS_IN_SECONDS
        codes = _codes(place, keys)
        while (len(codes) < len(keys) or None in codes.values()) and time.monotonic() < deadline:
            yield 0.2
            codes = _codes(place, keys)
        for key in keys:
            if codes.get(key) != "internal_error":
                place.notes.append(f"FAILED: {key} ended by {codes.get(key)}, not internal_error")
        yield 2.0
    finally:
        for name in ("chaos_odd_refused", "chaos_submit_refused"):
            do(f"DROP TRIGGER {name}")


def _codes(place: "Place", keys: Iterable[str]) -> dict[str, str | None]:
    """The error codes of those of these orders that are accepted; None until one has ended."""
    names = ", ".join(f"'{key}'" for key in keys)
    query = "SELECT idempotency_key, error_code FROM kernel_orders WHERE idempotency_key IN"
    rows = place.system.ask(f"{query} ({names})") or []
    return {key.decode() if isinstance(key, bytes) else str(key): code for key, code in rows}


def _until_ended(place: "Place", key: str, seconds: float) -> Iterator[float]:
    query = f"SELECT finished_at FROM kernel_orders WHERE idempotency_key = '{key}'"
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        rows = place.system.ask(query)
        if rows and rows[0][0] is not None:
            place.notes.append(f"an order ended after {time.monotonic() - started:.1f} s")
            return
        yield 0.1
    place.notes.append(f"FAILED: {key} has not ended after {seconds:g} s")
