"""Moments that lie too far ahead since the database's clock was set back: the rule, for any two."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kernel.db.statements.set_back import from_now

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
moments = st.timedeltas(timedelta(days=-2), timedelta(days=2)).map(lambda away: NOON + away)


@given(due=moments, begun=moments)
def test_a_wait_is_never_longer_than_it_was_to_be_and_is_moved_once(
    due: datetime, begun: datetime
) -> None:
    moved = from_now(due, begun, NOON)
    if moved is None:
        return
    assert NOON <= moved < due
    assert moved - NOON == max(due - begun, timedelta())
    assert begun - NOON < 3 * SECOND or from_now(moved, begun, NOON) is None
