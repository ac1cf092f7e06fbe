"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.formats.durations import all_in_words, in_words, schedule, seconds

WORDS = {"5": 5, "5s": 5, " 1.5 m ": 90, "2h": 7200, "4d": 345600, "0.001s": 0.001}


@pytest.mark.parametrize(("text", "expected"), WORDS.items())
def test_duration_is_read_when_it_has_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-5s", "5 weeks", "1e3", "0", "0m", "٥s", "5s5s", "inf"])
def test_text_is_refused_when_it_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|no time"):
        seconds(text)


def test_schedule_is_read_when_commas_stand_between() -> None:
    assert schedule("5s, 1m,5m") == (5, 60, 300)
    assert all_in_words((5, 60, 90, 7200, 345600, 0.5)) == "5s, 1m, 90s, 2h, 4d, 0.5s"
    with pytest.raises(ValueError, match="no duration"):
        schedule("5s,,1m")


@given(st.integers(1, 10**6))
def test_duration_is_the_same_when_it_was_written_and_read(number: int) -> None:
    assert seconds(in_words(number)) == number
