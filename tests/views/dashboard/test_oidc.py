"""Sign-in by the organisation's provider: the way there, the way back, and who is then inside."""

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, update

from kernel.callers.people.people import add_person
from kernel.callers.people.roles import Role
from kernel.db.tables.people import DashboardSession, Person
from kernel.runtime.kernel import Kernel
from kernel.transport.client import Transport
from kernel.views.app import init_app
from kernel.views.dashboard.signing_in.oidc import ATTEMPT_SECONDS
from tests.support.clients import FakeHints
from tests.support.oidc_provider import Provider
from tests.support.oidc_provider.visiting import (
    CALLBACK,
    PUBLIC,
    START,
    MakeKernel,
    cookies,
    is_outside,
    kernel,
    led_back,
    provider,
    running,
    visitor,
)
from tests.support.people.dashboard import Visitor, stranger, words

__all__ = ["kernel", "provider", "running", "visitor"]


def test_person_sees_the_page_asked_for_when_the_provider_knows_them(
    visitor: Visitor, provider: Provider
) -> None:
    asked = visitor.get("/dashboard/orders?state=failed")
    link = f"{PUBLIC}{START}?next=/dashboard/orders?state%3Dfailed"
    assert f'href="{link}"' in asked.text
    back = visitor.get(led_back(visitor, provider, next_="/dashboard/orders?state=failed"))
    assert (back.status_code, back.location) == (303, "/dashboard/orders?state=failed")
    page = visitor.get(back.location)
    assert page.status_code == 200
    assert "alice" in words(page)


def test_browser_keeps_the_attempt_to_itself_when_it_goes_to_the_provider(
    visitor: Visitor,
) -> None:
    answer = visitor.get(START)
    [cookie] = cookies(answer)
    parts = set(cookie.split("; "))
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={ATTEMPT_SECONDS}"} <= parts
    assert not any(part.startswith("Domain") for part in parts)
    asked = parse_qs(urlsplit(answer.location).query)
    for secret in (*asked["state"], *asked["nonce"]):
        assert secret not in cookie
    assert asked["redirect_uri"] == [PUBLIC + CALLBACK]
    assert asked["code_challenge_method"] == ["S256"]


def test_cookie_of_an_attempt_fits_a_browser_however_long_the_way_back_is(
    visitor: Visitor, provider: Provider
) -> None:
    long = "/dashboard/orders?ids=" + "a" * 6000
    [cookie] = cookies(visitor.get(START, query_string={"next": long}))
    assert len(cookie) < 4000
    back = visitor.get(led_back(visitor, provider, next_=long))
    assert (back.status_code, back.location) == (303, "/dashboard/")
    shorter = "/dashboard/orders?ids=" + "a" * 1900
    assert visitor.get(led_back(visitor, provider, next_=shorter)).location == shorter


def test_provider_leads_back_to_the_public_address_when_the_host_is_forged(
    visitor: Visitor,
) -> None:
    answer = visitor.client.get(START, base_url="https://evil.example")
    assert parse_qs(urlsplit(answer.location).query)["redirect_uri"] == [PUBLIC + CALLBACK]


@pytest.mark.parametrize("public_url", [PUBLIC, f"{PUBLIC}/kernel"])
def test_provider_leads_back_below_the_prefix_when_an_application_mounts_us(
    make_kernel: MakeKernel, sqlite_url: str, provider: Provider, public_url: str
) -> None:
    settings = {"public_url": public_url, **provider.settings}
    host = Flask("host")
    kernel = make_kernel(sqlite_url, transport=Transport(), **settings)
    init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    answer = Visitor(host).get(f"/kernel{START}")
    leads_back = parse_qs(urlsplit(answer.location).query)["redirect_uri"]
    assert leads_back == [f"{PUBLIC}/kernel{CALLBACK}"]


def test_attempt_is_forgotten_when_the_browser_is_back(
    visitor: Visitor, provider: Provider
) -> None:
    path = led_back(visitor, provider)
    assert visitor.get(path).status_code == 303
    again = visitor.get(path)
    assert (again.status_code, "Begin again" in words(again)) == (400, True)


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil", "javascript:1", "x", "/\t/evil.example"],
)
def test_person_is_led_nowhere_else_when_the_page_asked_for_is_forged(
    visitor: Visitor, provider: Provider, target: str
) -> None:
    answer = visitor.get(led_back(visitor, provider, next_=target))
    assert (answer.status_code, answer.location) == (303, "/dashboard/")


def test_person_is_out_when_signed_out(visitor: Visitor, provider: Provider) -> None:
    visitor.get(led_back(visitor, provider))
    assert visitor.post("/dashboard/sign-out").status_code == 303
    assert is_outside(visitor)


def people(kernel: Kernel) -> list[tuple[str, str, str | None]]:
    """Name, role and the provider's id of everybody."""
    with kernel.read_session() as session:
        rows = session.scalars(select(Person).order_by(Person.id)).all()
        return [(one.name, one.role, one.subject) for one in rows]


def test_person_is_the_same_one_when_they_sign_in_again(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    for _ in range(2):
        visitor.get(led_back(visitor, provider))
    stranger_ = stranger(kernel)
    stranger_.get(led_back(stranger_, provider, "norah"))
    assert people(kernel) == [
        ("alice", "admin", "sub-alice"),
        ("norah", "operator", "sub-norah"),
    ]


def test_role_is_the_one_of_the_groups_of_now_when_signed_in_again(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    visitor.get(led_back(visitor, provider))
    with kernel.write_session() as session:
        session.execute(update(Person).values(role="viewer", name="alice-before"))
    visitor.get(led_back(visitor, provider))
    assert people(kernel) == [("alice", "admin", "sub-alice")]


def test_person_is_nobody_else_when_they_are_called_the_same(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    with kernel.write_session() as session:
        add_person(session, "vera", Role.ADMIN, kernel.clock.now())
    visitor.get(led_back(visitor, provider, "vera"))
    [(_, mine, no_subject), (name, role, subject)] = people(kernel)
    assert (mine, no_subject) == ("admin", None)
    assert (name != "vera", role, subject) == (True, "viewer", "sub-vera")


def test_session_names_browser_and_address_when_signed_in(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    path = led_back(visitor, provider)
    answer = visitor.get(path, headers={"User-Agent": "Firefox " + "x" * 5000})
    [session] = [one for one in cookies(answer) if one.startswith("__Host-kernel=")]
    with kernel.read_session() as asking:
        [row] = asking.scalars(select(DashboardSession)).all()
    assert (row.address, row.agent[:7], row.key_id) == ("127.0.0.1", "Firefox", None)
    assert row.token_hash not in session


def test_person_is_added_once_when_three_windows_come_back_at_once(
    make_kernel: MakeKernel, mariadb_rows_url: str, provider: Provider
) -> None:
    settings = {"public_url": PUBLIC, **provider.settings}
    kernel = make_kernel(mariadb_rows_url, transport=Transport(), **settings)
    windows = [stranger(kernel) for _ in range(3)]
    paths = [led_back(window, provider, "norah") for window in windows]
    ready = threading.Barrier(3)

    def come_back(window: Visitor, path: str) -> int:
        ready.wait(10)
        return window.get(path).status_code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(come_back, windows, paths)) == [303, 303, 303]
    assert people(kernel) == [("norah", "operator", "sub-norah")]
