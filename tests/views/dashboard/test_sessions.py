"""Sessions on the dashboard: when they end, and what is worth nothing afterwards."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import cookie_hash
from kernel.db.tables.people import SESSIONS, Person
from kernel.runtime.kernel import Kernel
from kernel.views.http.sessions import COOKIE
from tests.support.clients import serve
from tests.support.factories import rows
from tests.support.people.dashboard import Visitor, operator, operator_key, said, stranger, words

MakeKernel = Callable[..., Kernel]
HOST = "kernel.example"


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


def person_key(kernel: Kernel, name: str, role: Role) -> str:
    with kernel.write_session() as session:
        return people.add_person(session, name, role, kernel.clock.now()).get_secret_value()


def cookie_of(visitor: Visitor) -> str:
    cookie = visitor.client.get_cookie(COOKIE, HOST)
    assert cookie is not None
    return cookie.value


def with_cookie(kernel: Kernel, cookie: str) -> Visitor:
    visitor = stranger(kernel)
    visitor.client.set_cookie(COOKIE, cookie, domain=HOST, secure=True)
    return visitor


def status(visitor: Visitor, path: str = "/dashboard/orders") -> int:
    return visitor.get(path).status_code


# ---- Ends -------------------------------------------------------------------------------------


def test_copied_cookie_is_worth_nothing_when_its_owner_signed_out(kernel: Kernel) -> None:
    visitor = operator(kernel)
    thief = with_cookie(kernel, cookie_of(visitor))
    assert status(thief) == 200
    visitor.post("/dashboard/sign-out")
    assert status(thief) == 401
    assert rows(kernel, SESSIONS) == []


def test_only_the_hash_of_a_cookie_is_stored(kernel: Kernel) -> None:
    cookie = cookie_of(operator(kernel))
    (row,) = rows(kernel, SESSIONS)
    assert row.token_hash == cookie_hash(cookie)
    assert cookie not in map(str, row)


def test_session_ends_when_idle_for_an_hour(kernel: Kernel) -> None:
    visitor = operator(kernel)
    kernel.clock.shift(59 * 60)
    assert status(visitor) == 200
    kernel.clock.shift(59 * 60)
    assert status(visitor) == 200, "a request did not count as use"
    kernel.clock.shift(61 * 60)
    assert status(visitor) == 401


def test_session_ends_when_only_an_open_page_loads_itself(kernel: Kernel) -> None:
    visitor = operator(kernel)
    for _ in range(3):
        kernel.clock.shift(19 * 60)
        assert visitor.live("/dashboard/orders").status_code == 200
    kernel.clock.shift(4 * 60)
    assert status(visitor) == 401


def test_use_is_written_once_a_minute_when_there_are_many_requests(kernel: Kernel) -> None:
    visitor = operator(kernel)
    seen = set()
    for _ in range(6):
        kernel.clock.shift(29)
        status(visitor)
        seen.add(rows(kernel, SESSIONS)[0].seen_at)
    assert len(seen) == 3


@pytest.mark.parametrize("minutes", [0.1, 1, 1.5])
def test_session_lasts_while_its_person_works_when_it_may_be_idle_for_a_moment(
    make_kernel: MakeKernel, sqlite_url: str, minutes: float
) -> None:
    kernel = make_kernel(sqlite_url, session_idle_minutes=minutes)
    visitor = operator(kernel)
    for _ in range(8):
        kernel.clock.shift(minutes * 60 * 0.55)
        assert status(visitor) == 200
    kernel.clock.shift(minutes * 61)
    assert status(visitor) == 401


def test_settings_say_how_long_sessions_last(make_kernel: MakeKernel, sqlite_url: str) -> None:
    kernel = make_kernel(sqlite_url, session_hours=1, session_idle_minutes=10)
    visitor = operator(kernel)
    kernel.clock.shift(601)
    assert status(visitor) == 401
    assert "1 hours" in words(visitor.get("/dashboard/sign-in"))


def removed(session: Session, one: Person, now: datetime) -> None:
    people.remove(session, one)


@pytest.mark.parametrize("end", [people.disable, removed])
def test_sessions_and_keys_end_with_the_transaction_that_takes_their_person_away(
    kernel: Kernel, end: Callable[..., None]
) -> None:
    key, visitor = person_key(kernel, "Ada 林", Role.ADMIN), stranger(kernel)
    visitor.sign_in(key)
    assert status(visitor) == 200
    with kernel.write_session() as session:
        end(session, people.find_person(session, "Ada 林"), kernel.clock.now())
    assert status(visitor) == 401
    assert visitor.sign_in(key).status_code == 401
    assert rows(kernel, SESSIONS) == []


def test_rows_of_sessions_that_are_over_are_deleted_at_the_next_sign_in(kernel: Kernel) -> None:
    operator(kernel)
    kernel.clock.shift(3601)
    stranger(kernel).sign_in(operator_key(kernel, "other"))
    assert len(rows(kernel, SESSIONS)) == 1


# ---- Hostile ----------------------------------------------------------------------------------


def test_planted_cookie_is_worth_nothing_when_the_victim_signs_in(kernel: Kernel) -> None:
    planted = "planted-by-another-person"
    victim = with_cookie(kernel, planted)
    assert victim.sign_in(operator_key(kernel)).status_code == 303
    assert cookie_of(victim) != planted
    assert status(with_cookie(kernel, planted)) == 401


def test_old_cookie_is_worth_nothing_when_its_browser_signs_in_anew(kernel: Kernel) -> None:
    visitor = operator(kernel)
    old = cookie_of(visitor)
    visitor.sign_in(operator_key(kernel, "again"))
    assert (status(visitor), status(with_cookie(kernel, old))) == (200, 401)


def test_form_is_refused_when_its_token_is_of_another_session(kernel: Kernel) -> None:
    key = operator_key(kernel)
    first, second = stranger(kernel), stranger(kernel)
    first.sign_in(key), second.sign_in(key)
    answer = first.post("/dashboard/sign-out", add_token=False, token=second.token())
    assert answer.status_code == 403
    assert status(first) == 200


def test_other_tab_is_asked_to_repeat_when_one_tab_signed_in_anew(kernel: Kernel) -> None:
    visitor = operator(kernel)
    of_old_tab = visitor.token()
    visitor.sign_in(operator_key(kernel, "again"))
    path = "/dashboard/pauses?what=host&back=overview"
    answer = visitor.post(path, add_token=False, token=of_old_tab, of="a.b")
    assert (answer.status_code, "out of date" in words(answer)) == (403, True)


def test_cookie_of_another_installation_is_refused(
    make_kernel: MakeKernel, kernel: Kernel, tmp_path: Path
) -> None:
    other = make_kernel(f"sqlite:///{tmp_path}/other.db")
    operator(kernel)
    assert status(with_cookie(kernel, cookie_of(operator(other)))) == 401


def test_page_is_shown_when_the_database_takes_no_writes(kernel: Kernel) -> None:
    visitor = operator(kernel)
    assert status(visitor) == 200  # the key that forms are signed with is made with the first page
    kernel.clock.shift(61)
    with kernel.write() as connection:  # a writer that goes on
        connection.execute(update(SESSIONS).values(agent="held"))
        assert status(visitor) == 200


# ---- The page of people -----------------------------------------------------------------------


def test_admin_ends_the_session_of_another_browser(kernel: Kernel) -> None:
    key, other = person_key(kernel, "Ada", Role.VIEWER), stranger(kernel)
    other.sign_in(key)
    session_id = rows(kernel, SESSIONS)[0].id
    admin = operator(kernel)
    page = words(admin.get("/dashboard/people"))
    assert "Ada" in page
    assert "this one" in page
    answer = admin.post(f"/dashboard/sessions/{session_id}/end")
    assert said(answer) == "done_session_ended"
    assert (status(other), status(admin)) == (401, 200)
    again = admin.post(f"/dashboard/sessions/{session_id}/end")
    assert said(again) == "done_session_over"


def test_admin_disables_and_enables_a_person(kernel: Kernel) -> None:
    person_key(kernel, "Ada", Role.VIEWER)
    admin = operator(kernel)
    assert said(admin.post("/dashboard/people/1/disable")) == "done_person_disabled"
    assert "disabled" in words(admin.get("/dashboard/people"))
    assert said(admin.post("/dashboard/people/1/enable")) == "done_person_enabled"
    assert admin.post("/dashboard/people/99/disable").status_code == 404


def test_browser_and_name_are_shown_as_text_when_they_are_markup(kernel: Kernel) -> None:
    client = serve(kernel).test_client()
    evil = "<script>alert(1)</script>\u202e"
    key = person_key(kernel, "<b>Ada</b>", Role.ADMIN)
    visitor = Visitor(client.application)
    visitor.client.environ_base["HTTP_USER_AGENT"] = evil.encode().decode("latin-1")
    visitor.sign_in(key)
    page = visitor.get("/dashboard/people").text
    assert "<script>alert" not in page
    assert "<b>Ada" not in page
