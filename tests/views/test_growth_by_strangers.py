"""No public input leaves something behind for each value: thousands of them, and memory stays.

Counted are blocks of Python's allocator: a dict, set or cache without an end that is keyed by a
stranger's text holds at least one for each value. Caches with an end are full before it counts.
"""

import gc
import logging
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Self

import pytest

from kernel.callers.identity import Scope
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys
from kernel.views.http.links import Links
from tests.support.clients import ORDER, Client, FakeHints, handlers, serve
from tests.support.guards import by_night
from tests.support.people.dashboard import SAME_ORIGIN, operator_key

# More than the longest cache has entries.
FILLING = 1_100
VALUES = by_night(5_000, 2_500)
# Below one block for each value, and above a connection that the pool has opened meanwhile.
MOST = VALUES // 2
LIMITS = {"rate_limit": "1000000/second", "broker_url": "amqp://guest@127.0.0.1:1//"}
HEADERS = {
    "Host": "{}.example:8000",
    "Origin": "https://{}.example",
    "Referer": "https://{}.example/",
    "Accept": "text/html, application/{}",
    "Accept-Language": "zh-{}, {};q=0.5",
    "Accept-Encoding": "{}",
    "Cookie": "__Host-kernel={}; kernel-language={}; {}=1",
    "Content-Type": "application/json; charset={}",
    "User-Agent": "{}",
    "X-Request-ID": "{}",
    "X-Forwarded-For": "{}",
    "X-Forwarded-Proto": "{}",
    "Forwarded": "for={}",
    "If-None-Match": '"{}"',
    "Range": "{}=0-1",
    "X-{}": "{}",
}
PATHS = [
    *("/{}", "/v1/{}", "/v1/orders/{}", "/v1//orders/{}", "/o/{}", "/test/{}/", "/docs?{}={}"),
    *("/dashboard/{}", "/dashboard/static/{}/{}"),
]
Ask = Callable[[str], object]


class Forgetful(list[str]):
    """A list that stays empty: what is hinted is the broker's to keep."""

    def __iadd__(self, _: Iterable[str]) -> Self:
        return self


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Keep no log lines: pytest would."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers, public_url="https://kernel.example", **LIMITS)


@pytest.fixture
def stranger(kernel: Kernel) -> Client:
    """A client without a key."""
    return Client(serve(kernel), None)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    """A client whose key may read and write."""
    hints = FakeHints(hinted=Forgetful())
    return Client(
        serve(kernel, hints), operator_key(kernel, "zammad", f"{Scope.READ} {Scope.WRITE}")
    )


def left_behind(ask: Ask) -> int:
    """How many blocks more there are after `VALUES` distinct words; asked twice if they are many.

    What a dict without an end holds grows each time; a thread's own things do so once.
    """
    for number in range(FILLING):
        ask(f"f{number:x}")
    grown = MOST
    for letter in "wv":
        if grown >= MOST:
            gc.collect()
            before = sys.getallocatedblocks()
            for number in range(VALUES):
                ask(f"{letter}{number:x}")
            gc.collect()
            grown = sys.getallocatedblocks() - before
    return grown


def test_a_dict_without_an_end_is_found_when_words_are_its_keys() -> None:
    kept: dict[str, float] = {}

    def keep(word: str) -> None:
        kept[word] = 0.0

    assert left_behind(keep) > MOST


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_left_of_paths(stranger: Client, path: str) -> None:
    assert left_behind(lambda word: stranger.get(path.replace("{}", word))) < MOST


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/orders", "/dashboard/sign-in"])
def test_nothing_is_left_of_headers(stranger: Client, path: str) -> None:
    def ask(word: str) -> None:
        headers = {
            name.replace("{}", word): text.replace("{}", word) for name, text in HEADERS.items()
        }
        stranger.post(path, data=b"{}", headers=headers | {"traceparent": trace(word)})
        stranger.open(f"M{word.upper()}", path, environ_overrides={"REMOTE_ADDR": address(word)})

    assert left_behind(ask) < MOST


def trace(word: str) -> str:
    """A trace of its own for each word."""
    return f"00-{uuid.uuid5(uuid.NAMESPACE_URL, word).hex}-{'1' * 16}-01"


def address(word: str) -> str:
    """An IPv6 address of its own for each word."""
    host = uuid.uuid5(uuid.NAMESPACE_URL, word).hex[:16]
    return "2001:db8::" + ":".join(host[n : n + 4] for n in range(0, 16, 4))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["Bearer {}", "Basic OnB{}"])
def test_nothing_is_left_of_keys(stranger: Client, scheme: str) -> None:
    def ask(word: str) -> None:
        headers = {"Authorization": scheme.replace("{}", word.ljust(13, "0"))}
        assert stranger.post("/v1/orders", json=ORDER, headers=headers).status_code == 401

    assert left_behind(ask) < MOST


@pytest.mark.slow
def test_nothing_is_left_of_links(kernel: Kernel, stranger: Client) -> None:
    links = Links(ServiceKeys(kernel))

    def ask(word: str) -> None:
        token = links.token(str(uuid.uuid5(uuid.NAMESPACE_URL, word)))
        assert stranger.get(f"/o/{token}").status_code == 404

    assert left_behind(ask) < MOST


@pytest.mark.slow
def test_nothing_is_left_of_keys_shown_at_the_door(stranger: Client) -> None:
    def ask(word: str) -> None:
        form = {"key": word, "next": f"/{word}"}
        stranger.post("/dashboard/sign-in", data=form, headers=SAME_ORIGIN)

    assert left_behind(ask) < MOST


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["{}", "create_project"])
def test_nothing_is_left_of_orders_that_are_refused(zammad: Client, tag: str) -> None:
    def ask(word: str) -> None:
        wrong = {"callback_url": f"http://{word}.internal/", "reference": word, word: word}
        members = wrong | {"select_tag": tag.replace("{}", word)}
        assert zammad.post("/v1/orders", json=ORDER | members).status_code == 422

    assert left_behind(ask) < MOST


@pytest.mark.slow
def test_nothing_is_left_of_queries(zammad: Client) -> None:
    def ask(word: str) -> None:
        zammad.get("/v1/orders", query_string={"reference": word, "select_tag": word})
        zammad.get("/v1/orders", query_string={"state": word, "since": word, word: word})

    assert left_behind(ask) < MOST


@pytest.mark.slow
def test_nothing_is_left_of_orders_that_are_stored(zammad: Client) -> None:
    def ask(word: str) -> None:
        members = {"callback_url": f"https://{word}.example:8443/{word}", "reference": word}
        # pydantic keeps the last 16,384 strings that are shorter than 64 characters.
        long = word.rjust(64, "x")
        assert zammad.submit(word, projname=long, **members).status_code == 202

    assert left_behind(ask) < MOST
