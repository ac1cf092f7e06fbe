"""Keys that were rotated and work along yet: what replaces them again, and who is told of them."""

from datetime import timedelta
from typing import Any

import pytest

from kernel.callers import keys
from kernel.callers.identity import Scope
from kernel.callers.key_terms import SOON, USED, KeyTerms, terms_of, warnings
from kernel.db.tables.callers import ApiKey
from kernel.runtime.kernel import Kernel

DAY = timedelta(days=1)


def made(kernel: Kernel, age: timedelta, **terms: Any) -> str:
    """The first characters of a key of a new caller that was made ``age`` ago."""
    with kernel.write_session() as session:
        now = kernel.clock.now() - age
        key = keys.add(session, "jira", now, terms=KeyTerms(**terms)).api_key
    assert key is not None
    return key.get_secret_value()[:12]


def lasting(kernel: Kernel, prefix: str, overlap: timedelta = DAY, **changed: Any) -> timedelta:
    """Rotate a key with an overlap; return how long the new one works."""
    now = kernel.clock.now()
    with kernel.write_session() as session:
        old = keys.find_key(session, prefix, now)
        terms = terms_of(session, old, now, 365)
        given = KeyTerms(**changed) if changed else terms
        ends = keys.replace_key(session, old, now, given, overlap).expires_at
    assert ends is not None
    return ends - now


@pytest.mark.parametrize(("age", "left"), [(30, 335), (30, None), (0, 365)])
def test_key_that_is_rotated_twice_is_replaced_on_the_same_terms(
    kernel: Kernel, age: int, left: int | None
) -> None:
    ends = None if left is None else kernel.clock.now() + left * DAY
    prefix = made(kernel, age * DAY, expires_at=ends)
    for _ in range(3):
        assert round(lasting(kernel, prefix) / DAY) == 365
        kernel.clock.shift(300)
    with kernel.read_session() as session:
        together = keys.common_terms(session, "jira", kernel.clock.now(), 365)
    assert together.expires_at is not None
    assert round((together.expires_at - kernel.clock.now()) / DAY) == 365


def test_key_that_is_rotated_again_lasts_as_long_as_was_chosen(kernel: Kernel) -> None:
    prefix, now = made(kernel, DAY, expires_at=kernel.clock.now() + 2 * DAY), kernel.clock.now()
    lasting(kernel, prefix, expires_at=now + 90 * DAY)
    assert round(lasting(kernel, prefix) / DAY) == 90


@pytest.mark.parametrize(
    "terms",
    [{"scopes": {Scope.READ}}, {"tags": {"create_project"}}, {"networks": ("10.0.0.0/8",)}],
)
def test_key_with_other_rights_does_not_say_how_long_one_lasts(
    kernel: Kernel, terms: dict[str, Any]
) -> None:
    now = kernel.clock.now()
    prefix = made(kernel, 10 * DAY, expires_at=now + 20 * DAY)
    with kernel.write_session() as session:
        other = {name: frozenset(v) if isinstance(v, set) else v for name, v in terms.items()}
        keys.add_key(session, "jira", now, KeyTerms(expires_at=now + 900 * DAY, **other))
        keys.add_key(session, "jira", now, KeyTerms(expires_at=now + DAY))  # for a test
    assert round(lasting(kernel, prefix) / DAY) == 30


def warned(kernel: Kernel) -> str:
    with kernel.read() as connection:
        return "".join(warnings(connection, kernel.clock.now()))


def test_rotated_key_is_warned_about_only_while_it_is_used(kernel: Kernel) -> None:
    now = kernel.clock.now()
    prefix = made(kernel, DAY, expires_at=now + 300 * DAY)
    lasting(kernel, prefix, SOON / 2)
    assert warned(kernel) == ""
    for used, is_told in ((now, True), (now - 2 * USED, False)):
        with kernel.write_session() as session:
            session.query(ApiKey).filter(ApiKey.prefix == prefix).update({"used_at": used})
        assert (prefix in warned(kernel)) is is_told


def test_unused_key_is_warned_about_when_none_of_its_caller_lasts_longer(kernel: Kernel) -> None:
    prefix = made(kernel, DAY, expires_at=kernel.clock.now() + DAY)
    assert prefix in warned(kernel)
