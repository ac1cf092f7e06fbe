"""Who asks: keys, callers, and when nobody needs to say."""

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from kernel.callers import identity, keys
from kernel.callers.profile import profiles_of
from kernel.db.tables.callers import ANONYMOUS, ApiKey
from kernel.db.tables.orders import Order
from kernel.errors import Conflict, NotFound, Unauthenticated
from kernel.runtime.kernel import Kernel
from tests.performance.test_costs import counting
from tests.support.clients import ORDER, Client, client, is_refusal, new_key, serve
from tests.support.factories import make_order


def asking(kernel: Kernel, **headers: str) -> Any:
    return Client(serve(kernel), None).get("/v1/orders", headers=headers)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_caller_is_known_when_it_shows_its_key_as_bearer(kernel: Kernel) -> None:
    key = new_key(kernel, "zammad")
    assert asking(kernel, Authorization=f"Bearer {key}").status_code == 200


@pytest.mark.parametrize("user", ["", "zammad", "whatever"])
def test_caller_is_known_when_it_shows_its_key_as_basic_password(kernel: Kernel, user: str) -> None:
    key = new_key(kernel, "zammad")
    assert asking(kernel, Authorization=basic(user, key)).status_code == 200


@pytest.mark.parametrize(
    ("sent", "is_refused"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "https://localhost"}, False),  # behind a proxy that speaks TLS
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": ""}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
    ],
)
def test_change_by_basic_is_refused_when_another_sites_page_asks_a_browser_for_it(
    kernel: Kernel, sent: dict[str, str], is_refused: bool
) -> None:
    key = new_key(kernel, "zammad")
    who, own = Client(serve(kernel), None), {"Authorization": basic("", key)}
    for path in ("/v1/orders", "/test/add/"):
        answer = who.post(path, json=ORDER, headers=own | sent)
        assert (answer.status_code == 403) == is_refused, path
    assert who.get("/v1/orders", headers=own | sent).status_code == 200
    other = {"Authorization": f"Bearer {key}"}  # no browser keeps it
    assert who.post("/v1/orders", json=ORDER, headers=other | sent).status_code == 202


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer kwo_😀".encode().decode("latin-1"),
        "Basic",
        "Basic !!!",
        basic("kwo_right", ""),
        basic("x", "wrong"),
        'Digest username="x"',
        "wrong",
    ],
)
def test_answer_is_401_when_credentials_are_wrong(kernel: Kernel, shown: str) -> None:
    answer = asking(kernel, Authorization=shown)
    assert is_refusal(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="kernel", Basic realm="kernel"'


# Health, pages for people (which have doors of their own), and what answers for absent methods.
OPEN = re.compile(
    r"^health\.|\.order_page\.|\.event_links\.|\.docs\.|\.dashboard\.|^root$|other methods"
)


def test_answer_is_401_everywhere_when_there_are_no_credentials(kernel: Kernel) -> None:
    app = serve(kernel)
    nobody = Client(app, None)
    for rule in app.url_map.iter_rules():
        if OPEN.search(rule.endpoint):
            continue
        path = rule.rule.replace("<path:below>", "x/y/z")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert nobody.open(method, path, json=ORDER).status_code == 401, (method, path)


def test_answer_is_401_when_the_key_is_revoked(kernel: Kernel) -> None:
    zammad = client(kernel)
    with kernel.write_session() as session:
        assert keys.revoke(session, "zammad", kernel.clock.now()) == 1
    assert zammad.get("/v1/orders").status_code == 401


@pytest.mark.parametrize(
    ("key", "members"), [("once", {}), ("twice", {}), ("twice", {"projname": 7})], ids=str
)
def test_submit_is_401_at_once_when_the_key_was_good_a_moment_ago(
    kernel: Kernel, key: str, members: dict[str, Any]
) -> None:
    zammad = client(kernel)
    assert zammad.submit(key="once").status_code == 202
    with kernel.write_session() as session:
        keys.revoke(session, "zammad", kernel.clock.now())
    assert zammad.submit(key=key, **members).status_code == 401
    with kernel.read_session() as session:
        assert session.scalar(select(func.count()).select_from(Order)) == 1


def test_old_key_stops_and_new_one_works_when_rotated(kernel: Kernel) -> None:
    zammad = client(kernel)
    with kernel.write_session() as session:
        fresh = keys.rotate_key(session, "zammad", kernel.clock.now()).api_key
    assert zammad.get("/v1/orders").status_code == 401
    assert Client(zammad.app, fresh.get_secret_value()).get("/v1/orders").status_code == 200


def test_old_secret_signs_along_for_a_day_when_rotated(kernel: Kernel) -> None:
    now = kernel.clock.now()
    with kernel.write_session() as session:
        first = keys.add(session, "zammad", now).signing_secret
        second = keys.rotate_secret(session, "zammad", now).signing_secret
        owner = identity.find(session, "zammad").id
        both = profiles_of(session.connection(), [owner], now)[owner].secrets
        later = profiles_of(session.connection(), [owner], now + keys.OVERLAP)[owner].secrets
    assert both == (second, first)
    assert later == (second,)


def test_key_is_not_in_the_database_when_a_caller_is_added(kernel: Kernel) -> None:
    key = new_key(kernel, "zammad")
    with kernel.read_session() as session:
        (row,) = session.query(ApiKey).all()
        assert key not in str(vars(row))
        assert key.startswith(row.prefix)


def test_keys_are_hidden_when_credentials_are_printed(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        handed = keys.add(session, "zammad", kernel.clock.now())
    assert handed.api_key.get_secret_value() not in repr(handed)
    assert handed.signing_secret.get_secret_value() not in repr(handed)


@pytest.mark.parametrize("name", ["", "a b", "é", "-x", "x" * 101, "a\n", "../x"])
def test_caller_is_refused_when_its_name_is_malformed(kernel: Kernel, name: str) -> None:
    with kernel.write_session() as session, pytest.raises(Conflict):
        keys.add(session, name, kernel.clock.now())


def test_caller_is_refused_when_its_name_is_taken(kernel: Kernel) -> None:
    new_key(kernel, "zammad")
    with kernel.write_session() as session, pytest.raises(Conflict, match="already"):
        keys.add(session, "zammad", kernel.clock.now())


@pytest.mark.parametrize("name", ["nobody", "😀", "zammad ", ""])
def test_caller_is_not_found_when_there_is_none(kernel: Kernel, name: str) -> None:
    new_key(kernel, "zammad")
    with kernel.read_session() as session, pytest.raises(NotFound):
        identity.find(session, name)


def test_identity_is_refused_when_the_key_is_anothers_prefix(kernel: Kernel) -> None:
    key = new_key(kernel, "zammad")
    with kernel.read_session() as session, pytest.raises(Unauthenticated):
        identity.identify(session, key[:12], kernel.clock.now())


@pytest.fixture
def open_kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    known = ["kernel.example", "127.0.0.1.evil.example"]
    return make_kernel(sqlite_url, auth="off", hosts=known)


def test_nobody_needs_a_key_when_auth_is_off(open_kernel: Kernel) -> None:
    nobody = Client(serve(open_kernel), None)
    mine = make_order(open_kernel)
    listed = [one["order_id"] for one in nobody.get("/v1/orders").json["data"]["orders"]]
    assert listed == [mine]


def test_who_orders_without_a_key_is_remembered_and_still_has_to_be_on_this_host(
    open_kernel: Kernel,
) -> None:
    nobody = Client(serve(open_kernel), None)
    assert nobody.post("/v1/orders", json=ORDER).status_code == 202
    with counting(open_kernel) as counts:
        assert nobody.post("/v1/orders", json=ORDER).status_code == 202
    assert counts["statements"] == 1
    elsewhere = {"REMOTE_ADDR": "10.1.2.3"}
    answer = nobody.post("/v1/orders", json=ORDER, environ_overrides=elsewhere)
    assert is_refusal(answer, 401, "unauthenticated")


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "10.1.2.3"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "::ffff:10.1.2.3"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_HOST": "kernel.example"},
        {"HTTP_HOST": "127.0.0.1.evil.example"},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://localhost:9999"},
        {"HTTP_AUTHORIZATION": "Bearer wrong"},
    ],
)
def test_a_key_is_needed_when_auth_is_off_and_the_request_is_not_of_this_host(
    open_kernel: Kernel, environ: dict[str, str]
) -> None:
    answer = Client(serve(open_kernel), None).get("/v1/orders", environ_overrides=environ)
    assert is_refusal(answer, 401, "unauthenticated")


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:8000"},
        {"REMOTE_ADDR": "127.0.0.2", "HTTP_HOST": "127.0.0.1:8000"},
        {"HTTP_HOST": "localhost:8000", "HTTP_ORIGIN": "http://localhost:8000"},
    ],
)
def test_nobody_needs_a_key_when_auth_is_off_and_the_request_is_of_this_host(
    open_kernel: Kernel, environ: dict[str, str]
) -> None:
    answer = Client(serve(open_kernel), None).get("/v1/orders", environ_overrides=environ)
    assert answer.status_code == 200


def test_answer_is_500_when_the_anonymous_caller_is_missing(open_kernel: Kernel) -> None:
    with open_kernel.write_session() as session:
        identity.find(session, ANONYMOUS).name = "gone"
    answer = Client(serve(open_kernel), None).get("/v1/orders")
    assert is_refusal(answer, 500, "internal_error")
