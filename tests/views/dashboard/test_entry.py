"""The dashboard's door: who gets in, and when a session ends."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from kernel.callers import keys
from kernel.callers.identity import Scope
from kernel.callers.keys import KeyTerms
from kernel.runtime.kernel import Kernel
from kernel.views.http.sessions import COOKIE
from tests.support.clients import new_key, serve
from tests.support.factories import make_order
from tests.support.people.dashboard import SAME_ORIGIN, operator, operator_key, stranger, words

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


# ---- Sign-in ----------------------------------------------------------------------------------


def test_operator_sees_the_page_asked_for_when_the_key_is_right(kernel: Kernel) -> None:
    visitor, key = stranger(kernel), operator_key(kernel)
    asked = visitor.get("/dashboard/orders?state=failed")
    assert asked.status_code == 401
    assert 'name="next" value="/dashboard/orders?state=failed"' in asked.text
    form = {"key": key, "next": "/dashboard/orders?state=failed"}
    answer = visitor.post("/dashboard/sign-in", add_token=False, **form)
    assert (answer.status_code, answer.location) == (303, "/dashboard/orders?state=failed")
    assert visitor.get(answer.location).status_code == 200


def test_cookie_is_bound_to_host_browser_and_site_when_signed_in(kernel: Kernel) -> None:
    answer = stranger(kernel).sign_in(operator_key(kernel))
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    parts = set(cookie.split("; "))
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"} <= parts
    assert not any(part.startswith("Domain") for part in parts)


def test_key_is_neither_in_the_cookie_nor_on_a_page_when_signed_in(kernel: Kernel) -> None:
    visitor, key = stranger(kernel), operator_key(kernel)
    cookie = visitor.sign_in(key).headers["Set-Cookie"]
    assert key not in cookie
    assert key not in visitor.get("/dashboard/orders").text


@pytest.mark.parametrize("key", ["", "wrong", "kwo_😀", "kwo_" + "x" * 4000, "' OR 1=1 --"])
def test_nobody_gets_in_when_the_key_is_wrong(kernel: Kernel, key: str) -> None:
    visitor = stranger(kernel)
    answer = visitor.sign_in(key)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
    assert "That key is unknown" in words(answer)
    assert key == "" or key not in answer.text


def test_nobody_gets_in_when_the_key_is_a_callers(kernel: Kernel) -> None:
    answer = stranger(kernel).sign_in(new_key(kernel, "zammad"))
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert "not an operator's" in words(answer)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "https://evil.example",
        "/\\evil",
        "\\\\evil",
        "javascript:1",
        "x",
    ],
)
def test_sign_in_leads_nowhere_else_when_the_page_after_it_is_forged(
    kernel: Kernel, target: str
) -> None:
    form = {"key": operator_key(kernel), "next": target}
    answer = stranger(kernel).post("/dashboard/sign-in", add_token=False, **form)
    assert answer.location == "/dashboard/"


def test_page_says_why_when_signing_in_over_plain_http_cannot_work(kernel: Kernel) -> None:
    visitor = stranger(kernel, "http://kernel.example")
    page = visitor.get("/dashboard/sign-in")
    assert "Signing in needs HTTPS" in words(page)
    assert 'name="key"' not in page.text
    assert visitor.sign_in(operator_key(kernel)).status_code == 403


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"])
def test_operator_gets_in_over_plain_http_when_it_is_this_host(kernel: Kernel, base: str) -> None:
    assert stranger(kernel, base).sign_in(operator_key(kernel)).status_code == 303


@pytest.mark.parametrize(
    ("said", "status"),
    [("https", 303), ("https,http", 303), ("HTTPS , http", 303), ("http,https", 403), ("", 403)],
)
def test_operator_gets_in_when_the_proxy_in_front_has_tls(
    kernel: Kernel, said: str, status: int
) -> None:
    client = serve(kernel).test_client()
    headers = SAME_ORIGIN | {"X-Forwarded-Proto": said}
    options = {"base_url": "http://kernel.example", "headers": headers}
    key = operator_key(kernel)
    assert client.post("/dashboard/sign-in", data={"key": key}, **options).status_code == status


# ---- Sessions ---------------------------------------------------------------------------------


def test_session_ends_at_once_when_the_key_is_revoked(kernel: Kernel) -> None:
    visitor = operator(kernel)
    assert visitor.get("/dashboard/orders").status_code == 200
    with kernel.write_session() as session:
        keys.revoke(session, "ops", kernel.clock.now())
    assert visitor.get("/dashboard/orders").status_code == 401


def test_session_ends_at_once_when_the_key_expires(kernel: Kernel) -> None:
    until = kernel.clock.now() + timedelta(minutes=5)
    terms = KeyTerms(frozenset({Scope.OPERATOR}), until)
    with kernel.write_session() as session:
        key = keys.add(session, "ops", kernel.clock.now(), terms=terms).api_key
    visitor = stranger(kernel)
    visitor.sign_in(key.get_secret_value())
    assert visitor.get("/dashboard/orders").status_code == 200
    kernel.clock.shift(301)
    assert visitor.get("/dashboard/orders").status_code == 401


def test_session_ends_when_it_is_twelve_hours_old_however_busy(kernel: Kernel) -> None:
    visitor = operator(kernel)
    for _ in range(23):
        kernel.clock.shift(30 * 60)
        assert visitor.get("/dashboard/orders").status_code == 200
    kernel.clock.shift(31 * 60)
    assert visitor.get("/dashboard/orders").status_code == 401


def test_session_is_refused_when_a_letter_of_it_was_changed(kernel: Kernel) -> None:
    visitor = operator(kernel)
    cookie = visitor.client.get_cookie(COOKIE, "kernel.example")
    assert cookie is not None
    other = ("b" if cookie.value[0] == "a" else "a") + cookie.value[1:]
    sealed = "WzEsMTc2NDM0NTYwMCwieCJd.0Qk4k3nZ0XbIhP8k"  # of the release before
    for forged in (other, cookie.value[:-1], cookie.value.swapcase(), sealed, "", "a.b", "😀"):
        visitor.client.set_cookie(COOKIE, forged, domain="kernel.example", secure=True)
        assert visitor.get("/dashboard/orders").status_code == 401, forged


def test_session_is_good_in_every_process_when_it_was_begun_in_one(
    make_kernel: MakeKernel, kernel: Kernel
) -> None:
    visitor = operator(kernel)
    other = make_kernel(kernel.settings.database_url.get_secret_value())
    cookie = visitor.client.get_cookie(COOKIE, "kernel.example")
    assert cookie is not None
    elsewhere = stranger(other)
    elsewhere.client.set_cookie(COOKIE, cookie.value, domain="kernel.example", secure=True)
    assert elsewhere.get("/dashboard/orders").status_code == 200


def test_script_is_told_to_load_the_page_anew_when_the_session_is_over(kernel: Kernel) -> None:
    answer = stranger(kernel).live("/dashboard/orders")
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")


def test_operator_is_out_when_signed_out(kernel: Kernel) -> None:
    visitor = operator(kernel)
    answer = visitor.post("/dashboard/sign-out")
    assert (answer.status_code, answer.location) == (303, "/dashboard/sign-in")
    assert visitor.get("/dashboard/orders").status_code == 401


def test_wrong_keys_are_refused_with_429_when_there_are_too_many(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    limits = {"rate_limit": "3/hour", "broker_url": "amqp://guest@127.0.0.1:1//"}
    visitor = stranger(kernel := make_kernel(sqlite_url, **limits))
    assert [visitor.sign_in("wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert int(visitor.sign_in("wrong").headers["Retry-After"]) > 0
    assert visitor.sign_in(operator_key(kernel)).status_code == 303, "an operator was kept out"


def test_wrong_keys_are_counted_by_the_network_that_a_client_has(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    limits = {"rate_limit": "3/hour", "broker_url": "amqp://guest@127.0.0.1:1//"}
    visitor = stranger(make_kernel(sqlite_url, **limits))

    def tried(*addresses: str) -> list[int]:
        found = []
        for one in addresses:
            visitor.client.environ_base["REMOTE_ADDR"] = one
            found.append(visitor.sign_in("wrong").status_code)
        return found

    own = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8::4%eth0"]
    assert tried(*own) == [401, 401, 401, 429]
    assert tried("2001:db8:0:1::1") == [401]
    assert tried(*(f"203.0.113.{n}" for n in range(4))) == [401] * 4
    assert tried("::ffff:203.0.113.9", "::ffff:203.0.113.10", "::5") == [401] * 3


# ---- No sign-in -------------------------------------------------------------------------------


@pytest.fixture
def open_kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, auth="off", hosts=["kernel.example", "rebound.example"])


def test_nobody_signs_in_when_auth_is_off_and_the_visitor_is_here(open_kernel: Kernel) -> None:
    visitor = stranger(open_kernel, "http://127.0.0.1:8000")
    page = visitor.get("/dashboard/orders")
    assert page.status_code == 200
    assert "Sign out" not in words(page)
    order_id = make_order(open_kernel)
    headers = SAME_ORIGIN | {"Origin": "null"}  # what browsers say of a page without referrer
    path = f"/dashboard/orders/{order_id}/cancel"
    form = {"token": visitor_token(page.text + visitor.get(f"/dashboard/orders/{order_id}").text)}
    answer = visitor.client.post(path, base_url=visitor.base, data=form, headers=headers)
    assert answer.status_code == 303


def visitor_token(page: str) -> str:
    found = re.search(r'name="token" value="(\w+)"', page)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "10.1.2.3"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_HOST": "rebound.example"},
    ],
)
def test_a_key_is_needed_when_auth_is_off_and_the_visitor_is_elsewhere(
    open_kernel: Kernel, environ: dict[str, str]
) -> None:
    client = serve(open_kernel).test_client()
    assert client.get("/dashboard/", environ_overrides=environ).status_code == 401
