"""Refused keys are counted, however many there are, and nothing of another secret is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from kernel.callers.audit import refusals, search
from kernel.callers.audit.refusals import ROWS, Refusals, network_of, prefix_of
from kernel.runtime.kernel import Kernel

NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
KEY = "kwo_" + "abcdefgh" * 5 + "xyz"


def written(kernel: Kernel) -> list[tuple[str, str, int]]:
    with kernel.read() as connection:
        found = search.refused(connection, 1000)
    return sorted((one["network"], one["prefix"], one["count"]) for one in found)


def test_refused_keys_are_counted_by_prefix_network_and_minute(kernel: Kernel) -> None:
    first, second = Refusals(), Refusals()
    for one in (first, second):  # two processes
        one.note(KEY, "192.0.2.7", NOON)
        one.note(KEY, "192.0.2.250", NOON + timedelta(seconds=20))
        one.note("hunter2", "2001:db8::1", NOON)
        assert one.waiting
        one.write(kernel.write)
        assert not one.waiting
    assert written(kernel) == [("192.0.2.0/24", KEY[:12], 4), ("2001:db8::/64", "", 2)]
    first.note(KEY, "192.0.2.7", NOON + timedelta(minutes=1))
    first.write(kernel.write)
    assert len(written(kernel)) == 3


def test_strangers_cannot_fill_memory_or_table(kernel: Kernel) -> None:
    processes = [Refusals() for _ in range(3)]
    for number, one in enumerate(processes):
        for n in range(1000):
            one.note(f"kwo_{number}{n:07}" + "x" * 32, f"10.{number}.{n % 256}.1", NOON)
        one.write(kernel.write)
    found = written(kernel)
    assert len(found) == ROWS + 1
    assert sum(count for *_, count in found) == 3000
    assert ("many", "") in {row[:2] for row in found}


def test_memory_is_bounded_while_nothing_is_written() -> None:
    noted = Refusals()
    for minute in range(100):
        for n in range(50):
            noted.note(f"kwo_{n:08}" + "x" * 32, f"10.0.{n}.1", NOON + timedelta(minutes=minute))
    assert noted.waiting == ROWS + 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("no address", ""),
    ],
)
def test_network_of_an_address(address: str | None, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    "key", ["", "hunter2", "kwo_short", KEY + "\n", "x" + KEY, "kwo_" + "é" * 40]
)
def test_nothing_is_kept_of_what_is_no_key_of_ours(key: str) -> None:
    assert prefix_of(key) == ""


def test_old_counts_are_forgotten(kernel: Kernel) -> None:
    noted = Refusals()
    noted.note(KEY, "192.0.2.7", NOON)
    noted.note(KEY, "192.0.2.7", NOON + timedelta(minutes=1))
    noted.write(kernel.write)
    with kernel.write() as connection:
        assert refusals.oldest(connection) == NOON.replace(second=0)
        refusals.forget(connection, NOON)
    assert len(written(kernel)) == 1
