"""Sessions as rows: opened, looked up, noted as used, listed, forgotten."""

from datetime import timedelta

import pytest

from kernel.callers.people import people, sessions
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import Lifetimes
from kernel.callers.people.signed_in import SignedIn
from kernel.errors import NotFound, Unauthenticated
from kernel.runtime.kernel import Kernel
from tests.support.queries.administration import people_sign_in

LASTS = Lifetimes()


def test_every_question_about_people_is_answered(kernel: Kernel) -> None:
    people_sign_in(kernel)


def test_session_of_a_person_without_a_key_is_known_until_it_is_idle(kernel: Kernel) -> None:
    now = kernel.clock.now()
    with kernel.write_session() as session:
        ada = SignedIn("https://login.example", "1", "Ada", Role.OPERATOR)
        who = people.person_of(session, ada, now)
        given = {"address": "10.1.2.3", "agent": "a" * 999, "now": now}
        cookie = sessions.open_session(session, person_id=who.id, key_id=None, **given)
    told = cookie.get_secret_value()
    with kernel.write_session() as session:
        known = sessions.known_session(session, told, now, LASTS)
        assert (known.name, known.role, known.key_prefix) == ("Ada", Role.OPERATOR, None)
        later = now + timedelta(minutes=59)
        sessions.touch(session, known, later, LASTS)
        again = sessions.known_session(session, told, later + timedelta(minutes=59), LASTS)
        assert again.id == known.id
        over = later + timedelta(minutes=61)
        assert sessions.list_sessions(session, over, LASTS) == []
        with pytest.raises(Unauthenticated):
            sessions.known_session(session, told, over, LASTS)
        sessions.forget_old(session, over, LASTS)
        with pytest.raises(NotFound):
            sessions.end_session(session, known.id)


def test_session_belongs_to_a_person_or_a_key(kernel: Kernel) -> None:
    given = {"address": "", "agent": "", "now": kernel.clock.now()}
    with kernel.write_session() as session, pytest.raises(ValueError, match="belongs"):
        sessions.open_session(session, person_id=None, key_id=None, **given)
