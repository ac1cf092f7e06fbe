"""People: known by a provider's word, and what their keys may do."""

import pytest
from sqlalchemy import select

from kernel.callers import identity, keys
from kernel.callers.identity import Scope
from kernel.callers.key_terms import KeyTerms, warnings
from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.callers.people.signed_in import SignedIn
from kernel.db.tables.callers import ANONYMOUS
from kernel.db.tables.people import Person
from kernel.errors import Conflict, Forbidden, NotFound, Unauthenticated
from kernel.runtime.kernel import Kernel

ISSUER = "https://login.example"


def vouched(kernel: Kernel, subject: str, name: str, role: Role = Role.VIEWER) -> Person:
    with kernel.write_session() as session:
        return people.person_of(session, SignedIn(ISSUER, subject, name, role), kernel.clock.now())


def added(kernel: Kernel, name: str, role: Role) -> str:
    with kernel.write_session() as session:
        return people.add_person(session, name, role, kernel.clock.now()).get_secret_value()


def test_person_of_a_provider_is_one_row_and_follows_its_word(kernel: Kernel) -> None:
    first = vouched(kernel, "1", "Ada")
    again = vouched(kernel, "1", "Ada L.", Role.ADMIN)
    assert (again.id, again.name, again.role) == (first.id, "Ada L.", "admin")


def test_name_is_numbered_when_another_person_has_it(kernel: Kernel) -> None:
    added(kernel, "Ada", Role.ADMIN)
    names = [vouched(kernel, subject, "Ada").name for subject in ("1", "2", "1")]
    assert names == ["Ada (2)", "Ada (3)", "Ada (2)"]


@pytest.mark.parametrize("name", ["", "\n", "\u202e", "x" * 500])
def test_name_of_a_provider_is_made_fit_when_it_is_none(kernel: Kernel, name: str) -> None:
    assert people.is_name(vouched(kernel, "1", name).name)


def test_disabled_person_is_refused_when_the_provider_vouches(kernel: Kernel) -> None:
    vouched(kernel, "1", "Ada")
    with kernel.write_session() as session:
        people.disable(session, people.find_person(session, "Ada"), kernel.clock.now())
    with pytest.raises(Forbidden, match="disabled"):
        vouched(kernel, "1", "Ada")


def test_role_of_a_providers_person_is_not_set_by_hand(kernel: Kernel) -> None:
    vouched(kernel, "1", "Ada")
    with kernel.read_session() as session, pytest.raises(Conflict, match="groups"):
        people.set_role(session, session.scalars(select(Person)).one(), Role.ADMIN)


def test_role_includes_those_before_it() -> None:
    table = [[one.includes(other) for other in Role] for one in Role]
    assert table == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("role", list(Role))
def test_key_of_a_person_sees_all_and_submits_nothing(kernel: Kernel, role: Role) -> None:
    key = added(kernel, "Ada", role)
    with kernel.read() as connection:
        who = identity.identify(connection, key, kernel.clock.now())
    assert (who.person, who.role, who.sees, who.key_prefix) == ("Ada", role, None, key[:12])
    with pytest.raises(Forbidden):
        who.require_submitting()


def test_key_of_a_caller_has_a_role_only_when_it_is_an_operators(kernel: Kernel) -> None:
    terms = keys.KeyTerms(frozenset({Scope.OPERATOR}))
    with kernel.write_session() as session:
        own = keys.add(session, "desk", kernel.clock.now()).api_key
        shared = keys.add_key(session, "desk", kernel.clock.now(), terms).api_key
    assert own is not None and shared is not None  # noqa: PT018
    found = []
    with kernel.read() as connection:
        for key in (own, shared):
            found.append(identity.identify(connection, key.get_secret_value(), kernel.clock.now()))
    assert [(who.role, who.sees is None) for who in found] == [(None, False), (Role.ADMIN, True)]
    with pytest.raises(Forbidden):
        found[0].require(Role.VIEWER)


def test_persons_key_is_no_callers(kernel: Kernel) -> None:
    key = added(kernel, "Ada", Role.ADMIN)
    with kernel.write_session() as session:
        assert keys.revoke(session, "anonymous", kernel.clock.now()) == 0
        key_id = identity.identify(session, key, kernel.clock.now()).key_id
        assert key_id is not None
        with pytest.raises(NotFound):
            keys.revoke_key(session, key_id, kernel.clock.now())


def test_key_works_no_more_when_its_person_is_removed(kernel: Kernel) -> None:
    key = added(kernel, "Ada", Role.ADMIN)
    with kernel.write_session() as session:
        people.remove(session, people.find_person(session, "Ada"))
    with kernel.read() as connection, pytest.raises(Unauthenticated):
        identity.identify(connection, key, kernel.clock.now())


def test_keys_of_people_are_no_callers_to_rotate(kernel: Kernel) -> None:
    key, now = added(kernel, "Ada", Role.ADMIN), kernel.clock.now()
    with kernel.write_session() as session:
        made = keys.rotate_key(session, ANONYMOUS, now, KeyTerms())
        assert made.api_key is not None
        with pytest.raises(NotFound):
            keys.find_key(session, key[:12], now)
    with kernel.read_session() as session:
        assert identity.identify(session, key, now).person == "Ada"
        assert Scope.READ in keys.common_terms(session, ANONYMOUS, now, 30).scopes


def test_keys_of_people_are_warned_about_with_the_command_that_replaces_them(
    kernel: Kernel,
) -> None:
    key = added(kernel, "Ada", Role.ADMIN)
    with kernel.read() as connection:
        (warning,) = warnings(connection, kernel.clock.now())
    assert warning == (
        f"keys of people without an end: {key[:12]} of Ada (kernel people set NAME --new-key)"
    )
