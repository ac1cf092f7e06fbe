"""Sign-in by the organisation's provider: who stays outside, and what they read."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from kernel.callers.people.people import disable, find_person
from kernel.runtime.kernel import Kernel
from kernel.transport.client import Transport
from kernel.views.dashboard.signing_in.oidc import ATTEMPT_SECONDS, COOKIE
from tests.support.oidc_provider import SECRET, Provider
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
from tests.support.people.dashboard import Visitor, operator_key, stranger, words

__all__ = ["kernel", "provider", "running", "visitor"]


def test_person_reads_why_when_none_of_their_groups_has_a_role(
    visitor: Visitor, provider: Provider
) -> None:
    answer = visitor.get(led_back(visitor, provider, "otto"))
    assert (answer.status_code, answer.location) == (403, None)
    assert "none of your groups may use this dashboard" in words(answer)
    assert 'name="key"' in answer.text
    assert is_outside(visitor)


def test_person_reads_so_when_an_administrator_has_shut_them_out(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    visitor.get(led_back(visitor, provider))
    with kernel.write_session() as session:
        disable(session, find_person(session, "alice"), kernel.clock.now())
    answer = visitor.get(led_back(visitor, provider))
    assert (answer.status_code, "has shut you out" in words(answer)) == (403, True)
    assert is_outside(visitor)


def test_code_is_refused_when_another_browser_brings_it(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    path = led_back(visitor, provider)
    before = provider.asked().count("/token")
    victim = stranger(kernel)
    assert victim.get(path).status_code == 400
    victim.get(START)  # even in the middle of an attempt of its own
    assert victim.get(path).status_code == 400
    assert is_outside(victim)
    assert provider.asked().count("/token") == before


@pytest.mark.parametrize("state", ["", "x", "😀", None])
def test_code_is_refused_when_the_state_is_not_the_attempts(
    visitor: Visitor, provider: Provider, state: str | None
) -> None:
    asked = parse_qs(urlsplit(led_back(visitor, provider)).query)
    query = {"code": asked["code"][0]} | ({} if state is None else {"state": state})
    assert visitor.get(f"{CALLBACK}?{urlencode(query)}").status_code == 400
    assert is_outside(visitor)


@pytest.mark.parametrize(
    "query",
    [
        *("code=%00", "code=%F0%9F%98%80", "code=a&code=b", "code=" + "x" * 50_000),
        *("error=%1B%5B31m%0Ax", "iss=%FF", "", "code[]=x", "code=x&next=//evil.example"),
    ],
)
def test_strange_answer_is_refused_when_it_has_the_state_of_the_attempt(
    visitor: Visitor, query: str
) -> None:
    state = parse_qs(urlsplit(visitor.get(START).location).query)["state"][0]
    answer = visitor.get(f"{CALLBACK}?state={state}&{query}")
    assert (answer.status_code in (403, 502, 503), answer.location) == (True, None)
    assert is_outside(visitor)


def test_attempt_is_over_when_ten_minutes_have_passed(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    path = led_back(visitor, provider)
    sealed = visitor.client.get_cookie(COOKIE, "kernel.example")
    assert sealed is not None
    kernel.clock.shift(ATTEMPT_SECONDS + 2)
    visitor.client.set_cookie(COOKIE, sealed.value, domain="kernel.example", secure=True)
    assert visitor.get(path).status_code == 400
    assert is_outside(visitor)


@pytest.mark.parametrize("change", ["", "x", "gAAAAA", "😀"])
def test_attempt_is_refused_when_its_cookie_was_changed(
    visitor: Visitor, provider: Provider, change: str
) -> None:
    path = led_back(visitor, provider)
    sealed = visitor.client.get_cookie(COOKIE, "kernel.example")
    assert sealed is not None
    forged = sealed.value[:-4] + "AAA=" if change == "" else change
    visitor.client.set_cookie(COOKIE, forged, domain="kernel.example", secure=True)
    assert visitor.get(path).status_code == 400
    assert is_outside(visitor)


def test_answer_is_refused_when_it_names_another_issuer(
    visitor: Visitor, provider: Provider
) -> None:
    path = led_back(visitor, provider)
    assert visitor.get(f"{path}&iss=https://evil.example").status_code == 502
    path = led_back(visitor, provider)
    assert visitor.get(f"{path}&{urlencode({'iss': provider.issuer})}").status_code == 303


def test_person_reads_so_when_they_have_cancelled_at_the_provider(visitor: Visitor) -> None:
    state = parse_qs(urlsplit(visitor.get(START).location).query)["state"][0]
    hostile = "<script>alert(1)</script>"
    query = {"error": "access_denied", "error_description": hostile, "state": state}
    answer = visitor.get(f"{CALLBACK}?{urlencode(query)}")
    assert (answer.status_code, "cancelled or refused" in words(answer)) == (403, True)
    assert hostile not in answer.text
    assert any(f"{COOKIE}=;" in one for one in cookies(answer))


def test_nothing_is_shown_of_a_lie_when_the_provider_tells_one(
    visitor: Visitor, provider: Provider
) -> None:
    path = led_back(visitor, provider)
    provider.tell(lie="audience")
    answer = visitor.get(path)
    assert (answer.status_code, "could not be trusted" in words(answer)) == (502, True)
    assert "another-client" not in answer.text
    assert is_outside(visitor)


def test_keys_still_open_the_dashboard_when_the_provider_is_away(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    provider.tell(lie="broken")
    answer = visitor.get(START)
    assert (answer.status_code, "does not answer" in words(answer)) == (503, True)
    assert int(answer.headers["Retry-After"]) > 0
    assert 'name="key"' in answer.text
    assert visitor.sign_in(operator_key(kernel)).status_code == 303
    assert not is_outside(visitor)


def test_failed_sign_ins_are_counted_by_address_when_there_is_a_limit(
    make_kernel: MakeKernel, sqlite_url: str, provider: Provider
) -> None:
    limits = {"rate_limit": "3/hour", "broker_url": "amqp://guest@127.0.0.1:1//"}
    settings = {"public_url": PUBLIC, **provider.settings, **limits}
    visitor = stranger(make_kernel(sqlite_url, transport=Transport(), **settings))
    path = f"{CALLBACK}?code=x&state=y"
    assert [visitor.get(path).status_code for _ in range(4)] == [400, 400, 400, 429]
    assert visitor.get(led_back(visitor, provider)).status_code == 303, "a person was kept out"


# ---- No provider ------------------------------------------------------------------------------


def test_there_is_no_such_page_when_no_provider_is_set(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    visitor = stranger(make_kernel(sqlite_url))
    assert "oidc" not in visitor.get("/dashboard/sign-in").text
    for path in (START, CALLBACK):
        assert visitor.get(path).status_code in (401, 404)


def test_browser_is_sent_nowhere_when_it_would_keep_no_cookie(kernel: Kernel) -> None:
    visitor = stranger(kernel, "http://kernel.example")
    answer = visitor.get(START)
    assert (answer.status_code, answer.location) == (403, None)
    assert "Signing in needs HTTPS" in words(answer)


def test_no_log_line_tells_a_code_or_a_secret_when_sign_ins_go_well_and_wrong(
    visitor: Visitor, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    paths = []
    for lie in ("", "audience", "nonce", "html", "broken"):
        paths.append(led_back(visitor, provider))
        provider.tell(lie=lie)
        visitor.get(paths[-1])
        provider.tell(lie="")
    # But for what the browser of this test asks, which tells its own address to this log, too.
    told = "\n".join(one for one in caplog.text.splitlines() if "/authorize?" not in one)
    assert "sign-in by the provider refused" in told
    assert "person signed in" in told
    secrets = [SECRET, SECRET[-20:], *(parse_qs(urlsplit(path).query)["code"][0] for path in paths)]
    secrets += [parse_qs(urlsplit(path).query)["state"][0] for path in paths]
    assert [one for one in secrets if one in told] == []
    assert "eyJ" not in told, "a part of an id_token"
