"""Keys that end, and keys that work from some networks alone: what their holders hear of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from kernel.callers import keys
from kernel.callers.audit import search
from kernel.callers.identity import Scope
from kernel.callers.key_terms import SOON, KeyTerms, warnings
from kernel.callers.keys import AT_ONCE
from kernel.errors import Conflict
from kernel.runtime.kernel import Kernel
from tests.support.clients import ORDER, Client, is_refusal, new_key, serve
from tests.support.people.dashboard import stranger, words

MakeKernel = Callable[..., Kernel]
DAY = timedelta(days=1)
HERE = ("10.20.0.0/16", "2001:db8::/32")


def made(kernel: Kernel, **terms: Any) -> str:
    """A key of the caller zammad on these terms."""
    with kernel.write_session() as session:
        key = keys.add(session, "zammad", kernel.clock.now(), terms=KeyTerms(**terms)).api_key
    assert key is not None
    return key.get_secret_value()


# ---- Keys that were right once ----------------------------------------------------------------


def expired(kernel: Kernel) -> str:
    """A key that worked until a moment ago."""
    return made(kernel, expires_at=kernel.clock.now())


def revoked(kernel: Kernel) -> str:
    """A key that was revoked."""
    key = made(kernel)
    with kernel.write_session() as session:
        keys.revoke(session, "zammad", kernel.clock.now())
    return key


@pytest.mark.parametrize("end", [expired, revoked])
def test_holder_is_told_when_a_key_works_no_more(
    kernel: Kernel, end: Callable[[Kernel], str]
) -> None:
    held = Client(serve(kernel), end(kernel))
    wrong = Client(held.app, "kwo_" + "x" * 43)
    told, refused = held.get("/v1/orders"), wrong.get("/v1/orders")
    assert is_refusal(told, 401, "key_expired")
    assert is_refusal(refused, 401, "unauthenticated")
    same = [dict(one.headers) for one in (told, refused)]
    for one in same:
        del one["X-Request-ID"], one["Content-Length"]
    assert same[0] == same[1]
    assert refused.json["data"] == {"code": "unauthenticated"}
    assert told.json["data"] == {"code": "key_expired"}


def test_right_past_and_invented_keys_cost_the_same_one_statement(kernel: Kernel) -> None:
    past, right, app = expired(kernel), new_key(kernel, "other"), serve(kernel)
    said: list[str] = []
    heard = kernel.engines.single
    event.listen(heard, "before_cursor_execute", lambda *seen: said.append(seen[2]))
    found = []
    for key in (right, past, "kwo_wrong", ""):
        said.clear()
        Client(app, key or None).get("/v1/orders/unknown", headers={"X-Key": key})
        found.append([one for one in said if "kernel_api_keys" in one])
    assert found[0] == found[1] == found[2]
    assert (len(found[0]), found[3]) == (1, [])


def test_submit_says_that_the_key_ended_when_it_was_good_a_moment_ago(kernel: Kernel) -> None:
    zammad = Client(serve(kernel), made(kernel))
    assert zammad.submit().status_code == 202
    with kernel.write_session() as session:
        keys.revoke(session, "zammad", kernel.clock.now())
    assert is_refusal(zammad.submit(), 401, "key_expired")


def test_every_refusal_of_a_submit_says_that_the_key_ended_first(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, max_pending=2)
    zammad = Client(serve(kernel), made(kernel))
    one = {"orders": [ORDER]}

    def batch(key: str, body: dict[str, Any]) -> Any:
        return zammad.post("/v1/orders/batch", json=body, headers={"Idempotency-Key": key})

    assert zammad.submit("a").status_code == batch("b", one).status_code == 202

    def refused() -> list[Any]:
        other = {"orders": [ORDER | {"projname": "another"}]}
        asked = [zammad.submit("a", projname="another"), batch("b", other)]
        return [*asked, zammad.submit(), batch("c", one), zammad.submit("\x01"), batch("\x01", one)]

    assert [answer.status_code for answer in refused()] == [422, 422, 503, 503, 422, 422]
    with kernel.write_session() as session:
        keys.revoke(session, "zammad", kernel.clock.now())
    assert all(is_refusal(answer, 401, "key_expired") for answer in refused())


def test_sign_in_tells_an_expired_key_from_a_wrong_one(kernel: Kernel) -> None:
    past = made(kernel, scopes=frozenset({Scope.OPERATOR}), expires_at=kernel.clock.now())
    visitor = stranger(kernel)
    assert "has expired or was revoked" in words(visitor.sign_in(past))
    assert "That key is unknown" in words(visitor.sign_in("kwo_wrong"))


# ---- Networks ---------------------------------------------------------------------------------


def asked(kernel: Kernel, key: str, peer: str, forwarded: str | None = None) -> Any:
    """GET as a client whose connection comes from ``peer``."""
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return Client(serve(kernel), key).get("/v1/orders", environ_overrides=environ)


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        *[(peer, 200) for peer in ("10.20.255.255", "2001:db8::1", "::ffff:10.20.0.1")],
        *[(peer, 401) for peer in ("10.21.0.0", "2001:db9::1", "127.0.0.1", "::ffff:10.2.3.4", "")],
    ],
)
def test_key_works_from_its_networks_alone(kernel: Kernel, peer: str, status: int) -> None:
    assert asked(kernel, made(kernel, networks=HERE), peer).status_code == status


def test_holder_is_told_from_where_a_key_does_not_work(kernel: Kernel) -> None:
    answer = asked(kernel, made(kernel, networks=HERE), "192.0.2.7")
    assert is_refusal(answer, 401, "unauthenticated")
    assert answer.json["data"]["detail"] == "this key does not work from 192.0.2.7"
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("127.0.0.1", "10.20.1.1", 200),
        ("127.0.0.1", "6.6.6.6, 10.20.1.1, 172.16.0.9", 200),
        ("", "10.20.1.1", 200),  # a unix socket
        ("127.0.0.1", "10.20.1.1, 6.6.6.6", 401),
        ("127.0.0.1", "10.20.1.1, nonsense", 401),
        ("127.0.0.1", "", 401),
        ("127.0.0.1", None, 401),
        ("6.6.6.6", "10.20.1.1", 401),
        ("10.20.1.1", "10.20.1.1", 401),  # a proxy that is not named
    ],
)
def test_forwarded_address_counts_behind_a_trusted_proxy_alone(
    make_kernel: MakeKernel, sqlite_url: str, peer: str, forwarded: str | None, status: int
) -> None:
    kernel = make_kernel(sqlite_url, trusted_proxies="127.0.0.1/32, 172.16.0.0/12")
    assert asked(kernel, made(kernel, networks=HERE), peer, forwarded).status_code == status


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("127.0.0.1", 200),  # the proxy's own host asks
        ("172.16.0.9, 127.0.0.1", 401),
        *[(word, 401) for word in ("6.6.6.6:51234", "unknown", "6.6.6.6,", "[2001:db8::1]:443")],
    ],
)
def test_trusted_proxy_that_does_not_say_who_asks_is_not_taken_for_the_client(
    make_kernel: MakeKernel, sqlite_url: str, forwarded: str, status: int
) -> None:
    """A key that works from the proxy's network does not work through the proxy for everybody."""
    kernel = make_kernel(sqlite_url, trusted_proxies="127.0.0.1/32, 172.16.0.0/12")
    key = made(kernel, networks=("127.0.0.0/8",))
    assert asked(kernel, key, "127.0.0.1", forwarded).status_code == status
    assert asked(kernel, key, "127.0.0.1").status_code == 200
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=6.6.6.6"}
    answer = Client(serve(kernel), key).get("/v1/orders", environ_overrides=environ)
    assert answer.status_code == 401


def test_key_that_is_used_from_elsewhere_is_counted_as_refused(kernel: Kernel) -> None:
    key, app = made(kernel, networks=HERE), serve(kernel)
    environ = {"REMOTE_ADDR": "192.0.2.7"}
    Client(app, key).get("/v1/orders", environ_overrides=environ)
    Client(app, key).post("/v1/orders", json=ORDER, environ_overrides=environ)
    kernel.refusals.write(kernel.write)
    with kernel.read() as connection:
        (found,) = search.refused(connection)
    assert (found["network"], found["prefix"], found["count"]) == ("192.0.2.0/24", key[:12], 2)


def test_holder_is_told_when_an_unnamed_proxy_hides_the_address(kernel: Kernel) -> None:
    answer = asked(kernel, made(kernel, networks=("127.0.0.1/32",)), "127.0.0.1", "127.0.0.1")
    assert answer.status_code == 401
    assert "KERNEL_TRUSTED_PROXIES" in answer.json["data"]["detail"]


def test_submit_is_refused_from_elsewhere_when_the_key_is_remembered(kernel: Kernel) -> None:
    app, key = serve(kernel), made(kernel, networks=HERE)
    for peer, status in (("10.20.0.1", 202), ("10.21.0.1", 401)):
        environ = {"REMOTE_ADDR": peer}
        answer = Client(app, key).post("/v1/orders", json=ORDER, environ_overrides=environ)
        assert answer.status_code == status


def test_session_ends_when_its_key_does_not_work_from_there(kernel: Kernel) -> None:
    scopes = frozenset({Scope.OPERATOR})
    key, visitor = made(kernel, scopes=scopes, networks=HERE), stranger(kernel)
    assert "does not work from where you are" in words(visitor.sign_in(key))
    here, there = ({"REMOTE_ADDR": one} for one in ("10.20.0.1", "10.21.0.1"))
    visitor.client.environ_base.update(here)
    assert visitor.sign_in(key).status_code == 303
    assert visitor.get("/dashboard/orders").status_code == 200
    visitor.client.environ_base.update(there)
    assert visitor.get("/dashboard/orders").status_code == 401


@pytest.mark.parametrize(
    "terms",
    [
        {"networks": ("10.20.0.1/16",)},
        {"networks": ("nowhere",)},
        {"networks": ()},
        {"tags": frozenset()},
        {"tags": frozenset({"two words"})},
        {"tags": frozenset({"x"}), "scopes": frozenset({"operator"})},
    ],
)
def test_terms_are_refused_when_they_limit_nothing_or_make_no_sense(terms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        KeyTerms(**terms)


# ---- Rotation and warnings --------------------------------------------------------------------


def test_old_key_works_beside_the_new_one_for_the_overlap_and_no_longer(kernel: Kernel) -> None:
    old, now = made(kernel), kernel.clock.now()
    with kernel.write_session() as session:
        keys.rotate_key(session, "zammad", now, KeyTerms(), DAY)
    app = serve(kernel)
    assert Client(app, old).get("/v1/orders").status_code == 200
    kernel.clock.shift(DAY.total_seconds() + 1)
    assert is_refusal(Client(app, old).get("/v1/orders"), 401, "key_expired")


@pytest.mark.parametrize("overlap", [AT_ONCE, DAY, 30 * DAY])
def test_old_key_never_works_longer_than_before_when_rotated(
    kernel: Kernel, overlap: timedelta
) -> None:
    now = kernel.clock.now()
    key = made(kernel, expires_at=now + 2 * DAY)
    with kernel.write_session() as session:
        old = keys.find_key(session, key[:12], now)
        keys.replace_key(session, old, now, KeyTerms(), overlap)
        ended = old.revoked_at or old.expires_at
    assert ended == now + min(overlap, 2 * DAY)


def test_rotation_keeps_what_a_key_may_do_and_how_long_it_lasts(kernel: Kernel) -> None:
    now = kernel.clock.now()
    scopes, tags = frozenset({Scope.READ}), frozenset({"create_project"})
    made(kernel, scopes=scopes, tags=tags, networks=HERE, expires_at=now + 30 * DAY)
    later = now + 29 * DAY
    with kernel.read_session() as session:
        terms = keys.common_terms(session, "zammad", later, 365)
    assert (terms.scopes, terms.tags, terms.networks) == (scopes, tags, HERE)
    assert abs(terms.expires_at - later - 30 * DAY) < timedelta(minutes=5)


def test_rotation_asks_which_key_when_they_differ_in_what_they_may_do(kernel: Kernel) -> None:
    made(kernel)
    now = kernel.clock.now()
    with kernel.write_session() as session:
        keys.add_key(session, "zammad", now, KeyTerms(frozenset({Scope.READ})))
    with kernel.read_session() as session, pytest.raises(Conflict, match="--key kwo_"):
        keys.common_terms(session, "zammad", now, 365)


def test_keys_are_warned_about_when_they_never_end_or_soon(kernel: Kernel) -> None:
    now = kernel.clock.now()
    made(kernel)
    with kernel.write_session() as session:
        for ends in (SOON / 2, 2 * SOON, -DAY):
            keys.add(session, f"in{ends.days}", now, terms=KeyTerms(expires_at=now + ends))
    with kernel.read() as connection:
        endless, ending = warnings(connection, now)
    assert "without an end: kwo_" in endless
    assert "zammad" in endless
    assert ending.startswith("keys that end within 14 days: kwo_")
    assert ("in7" in ending, "in28" in ending, "in-1" in ending) == (True, False, False)
