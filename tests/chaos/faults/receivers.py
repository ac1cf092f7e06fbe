"""Receivers of callbacks that do not answer as they should. Each fault takes one of several."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.faults import Place


def down(place: "Place") -> Iterator[float]:
    receiver = place.rand.choice(place.system.receivers)
    receiver.down()
    yield 4.0
    receiver.open()


def hang(place: "Place") -> Iterator[float]:
    yield from _mode(place, "hang", 5.0)


def reset(place: "Place") -> Iterator[float]:
    yield from _mode(place, "reset", 4.0)


def unavailable(place: "Place") -> Iterator[float]:
    yield from _mode(place, "unavailable", 4.0)


def _mode(place: "Place", mode: str, seconds: float) -> Iterator[float]:
    receiver = place.rand.choice(place.system.receivers)
    receiver.mode = mode
    yield seconds
    receiver.open()
