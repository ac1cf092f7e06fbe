"""Receivers: what is refused, what is written, and which shape a callback has."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, update

from kernel.callers import keys, receiver_changes
from kernel.callers.callback_rules import CallerRules
from kernel.callers.profile import profiles_of
from kernel.callers.receiver_changes import Ground, ReceiverPatch
from kernel.callers.receivers import (
    Receiver,
    ShapeVersion,
    find,
    list_receivers,
    origin_of_named,
    shape_at,
    versions_of,
)
from kernel.db.tables.callers import Caller
from kernel.db.tables.receivers import RECEIVERS, SHAPES
from kernel.errors import Conflict, NotFound
from kernel.runtime.kernel import Kernel

URL = "https://desk.example/api"
TOKEN = {"bearer": "hush"}


def ground(kernel: Kernel) -> Ground:
    return Ground(kernel.callback_policy, kernel.retry_policy, kernel.clock.now())


def done(kernel: Kernel, change: Callable[..., Any], *words: Any, **values: Any) -> Any:
    """Make one change of the receivers of `desk`, who is added at the first one."""
    with kernel.write_session() as session:
        if session.scalar(select(Caller.id).where(Caller.name == "desk")) is None:
            rules = CallerRules(nets=["10.1.0.0/16"], hosts=["tickets.internal"])
            keys.add(session, "desk", kernel.clock.now(), rules)
        if change is receiver_changes.remove:
            return change(session, "desk", *words, kernel.clock.now())
        return change(session, "desk", *words, ReceiverPatch(**values), ground(kernel))


def add(kernel: Kernel, name: str = "one", **values: Any) -> Receiver:
    made: Receiver = done(kernel, receiver_changes.add, name, **{"url": URL} | values)
    return made


def change(kernel: Kernel, name: str = "one", **values: Any) -> Receiver:
    made: Receiver = done(kernel, receiver_changes.change, name, **values)
    return made


def test_receiver_is_read_as_it_was_added(kernel: Kernel) -> None:
    terms = {"schedule": [5, 60], "rate": 30, "variables": {"table": "incident"}}
    made = add(kernel, credentials=TOKEN, terms=terms)
    assert made.origin == "https://desk.example:443"
    assert made.credentials.bearer is not None
    assert made.credentials.bearer.get_secret_value() == "hush"
    assert (made.terms.schedule, made.terms.rate) == ((5, 60), 30)
    assert "hush" not in repr(made)
    with kernel.read_session() as session:
        assert find(session, "desk", "one") == made
        assert list_receivers(session) == [("desk", made)]
        connection, desk = session.connection(), made.caller_id
        assert profiles_of(connection, [desk], kernel.clock.now())[desk].receivers == (made,)
        assert origin_of_named(connection, desk, "one") == made.origin
        assert origin_of_named(connection, desk, "two") == "receiver:two"


WRONG: dict[str, dict[str, Any]] = {
    "needs a URL": {"url": None},
    "needs at least two labels": {"url": "https://desk/x"},
    "encoded dot": {"url": f"{URL}/%2e"},
    "has to be https": {"url": "http://desk.example/", "credentials": TOKEN},
    "the URL has to be https, or its host named": {
        **{"url": "http://desk.example/", "credentials": TOKEN},
        "terms": {"clear_text": True},
    },
    "the token's URL has to be https": {
        "credentials": {
            "oauth2": {
                **{"token_url": "http://desk.example/t", "grant": "client_credentials"},
                **{"client_id": "a", "client_secret": "b"},
            }
        }
    },
    "outlasts": {"terms": {"schedule": [60, 120], "give_up": 150}},
    "there are no such terms": {"terms": {"shedule": [1]}},
    "from above 0": {"terms": {"rate": 0}},
    "whole number": {"terms": {"concurrency": 1.5}},
    "1 to 100 pauses": {"terms": {"schedule": []}},
    "is not the name of a variable": {"terms": {"variables": {"a.b": "c"}}},
    "is a text": {"terms": {"variables": {"a": 1}}},
    "may be 65535": {"terms": {"variables": {f"v{number}": "单" * 1000 for number in range(50)}}},
    "half of a surrogate pair": {"terms": {"variables": {"a": "\udc80"}}},
    "no credentials": {"credentials": {"bearer": 7}},
    "both be the header": {"credentials": {**TOKEN, "headers": {"Authorization": "a"}}},
    "not PEM|no PEM|PEM": {"ca_pem": "nonsense"},
}


@pytest.mark.parametrize("character", ["a", "单", "😀", '"', "\x01"])
def test_receiver_is_read_as_it_was_added_when_its_variables_are_as_long_as_they_may_be(
    kernel: Kernel, character: str
) -> None:
    written = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    value = character * min(1000, 1300 // written)
    variables = {f"{'n' * 90}{number}": value for number in range(46)}
    desk = add(kernel, terms={"variables": variables}).caller_id
    found = change(kernel, terms={"variables": {"another": "a"}})
    assert found.terms.variables == variables | {"another": "a"}
    with kernel.read_session() as session:
        [first, _] = versions_of(session.connection(), [desk])[desk]
    assert first.variables == variables


@pytest.mark.parametrize(("why", "values"), WRONG.items(), ids=WRONG)
def test_receiver_is_refused_when_it_could_not_work(
    kernel: Kernel, why: str, values: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=why):
        add(kernel, **values)
    with kernel.read_session() as session:
        assert session.scalar(select(func.count()).select_from(RECEIVERS)) == 0


@pytest.mark.parametrize("url", ["", " ", "\n"])
def test_receiver_is_refused_when_its_url_is_empty(kernel: Kernel, url: str) -> None:
    with pytest.raises(ValueError, match="needs a URL"):
        add(kernel, url=url)
    draft = add(kernel)
    with kernel.write_session() as session:
        session.execute(update(RECEIVERS).values(is_draft=True, url="", origin=""))
    with pytest.raises(ValueError, match="needs a URL"):
        change(kernel, url=url)
    assert change(kernel, url=URL).url == draft.url


@pytest.mark.parametrize("url", ["", "https://desk.example/%2e"])
def test_row_without_a_url_that_a_receiver_may_have_leaves_the_others_alone(
    kernel: Kernel, url: str
) -> None:
    """An older release let it pass; the row and the versions of its shape have been there since."""
    desk = add(kernel).caller_id
    broken = add(kernel, "two", url="https://desk.example/other")
    with kernel.write_session() as session:
        values = {"url": url, "origin": ""}
        session.execute(update(RECEIVERS).where(RECEIVERS.c.id == broken.id).values(values))
        session.execute(update(SHAPES).where(SHAPES.c.receiver_id == broken.id).values(url=url))
    with kernel.read_session() as session:
        profile = profiles_of(session.connection(), [desk], kernel.clock.now())[desk]
    found = profile.receiver_for(f"{URL}/1")
    version = shape_at(profile.versions, f"{URL}/1", profile.shapes_until)
    assert found is not None
    assert version is not None
    assert (found.name, version.name) == ("one", "one")
    assert profile.receiver_for("https://desk.example/other") is None


@pytest.mark.parametrize("host", ["10.1.2.3", "tickets.internal"])
def test_secret_may_go_in_clear_when_network_and_receiver_say_so(kernel: Kernel, host: str) -> None:
    with pytest.raises(ValueError, match="over TLS alone"):
        add(kernel, url=f"http://{host}/", credentials=TOKEN)
    assert add(kernel, url=f"http://{host}/", credentials=TOKEN, terms={"clear_text": True})


def test_name_is_refused_when_it_is_taken_or_malformed(kernel: Kernel) -> None:
    add(kernel)
    with pytest.raises(Conflict):
        add(kernel)
    with pytest.raises(ValueError, match="letters"):
        add(kernel, "a b")


def test_secrets_stay_when_something_else_is_changed(kernel: Kernel) -> None:
    add(kernel, credentials={**TOKEN, "secrets": {"a": "1", "b": "2"}})
    after = change(kernel, credentials={"secrets": {"b": None}}, terms={"timeout": 3})
    assert json.loads(after.credentials.to_json()) == {**TOKEN, "secrets": {"a": "1"}}
    assert after.terms.timeout == 3
    assert change(kernel, terms={"timeout": None}).terms.timeout is None


def test_change_is_refused_when_it_moves_secrets_to_another_origin(kernel: Kernel) -> None:
    add(kernel, credentials=TOKEN)
    with pytest.raises(ValueError, match="remove it and add another"):
        change(kernel, url="https://evil.example/api")
    assert change(kernel, url=f"{URL}/v2").url == f"{URL}/v2"


def oauth(**members: Any) -> dict[str, Any]:
    return {"oauth2": members}


CLIENT = oauth(
    **{"token_url": "https://login.example/t", "grant": "password", "client_id": "c"},
    **{"client_secret": "hush", "user": "u", "password": "hush too"},
)
EVIL = "https://evil.example/t"


@pytest.mark.parametrize(
    "moved",
    [
        {"token_url": EVIL},
        {"token_url": "https://login.example:8443/t"},
        {"token_url": EVIL, "client_secret": "new"},
        {"token_url": EVIL, "password": "new"},
        {"token_url": EVIL, "grant": "client_credentials", "user": None, "password": None},
    ],
)
def test_change_is_refused_when_it_moves_secrets_to_another_token_endpoint(
    kernel: Kernel, moved: dict[str, Any]
) -> None:
    before = add(kernel, credentials=CLIENT)
    with pytest.raises(ValueError, match="and so are its secrets") as said:
        change(kernel, credentials=oauth(**moved))
    assert "for https://login.example:443," in str(said.value)
    assert "hush" not in str(said.value)
    with kernel.read_session() as session:
        assert find(session, "desk", "one") == before


def test_token_endpoint_is_changed_when_its_secrets_come_along_or_its_origin_stays(
    kernel: Kernel,
) -> None:
    add(kernel, credentials=CLIENT)
    same = change(kernel, credentials=oauth(token_url="https://login.example/v2/t")).credentials
    assert same.oauth2 is not None
    assert same.oauth2.client_secret.get_secret_value() == "hush"
    anew = oauth(token_url=EVIL, client_secret="new", password="new too")
    moved = change(kernel, credentials=anew).credentials
    assert moved.oauth2 is not None
    assert moved.oauth2.token_url == EVIL


def test_version_is_written_when_what_callbacks_look_like_has_changed(kernel: Kernel) -> None:
    desk = add(kernel).caller_id
    change(kernel, terms={"timeout": 3}, credentials=TOKEN)
    change(kernel, url=f"{URL}/v2")
    change(kernel, shape={"method": "PUT"})
    change(kernel, shape={"method": "PUT"})
    change(kernel, terms={"variables": {"a": "b"}})
    done(kernel, receiver_changes.remove, "one")
    with kernel.read_session() as session:
        found = versions_of(session.connection(), [desk])[desk]
        profile = profiles_of(session.connection(), [desk], kernel.clock.now())[desk]
    put = '{"method": "PUT"}'
    assert [one.shape for one in found] == ["{}", "{}", put, put, None]
    assert [one.url for one in found] == [URL] + [f"{URL}/v2"] * 4
    assert [dict(one.variables) for one in found][2:] == [{}, {"a": "b"}, {"a": "b"}]
    assert (profile.receivers, profile.shapes_until) == ((), found[-1].id)


def test_shape_is_that_of_the_outcome_when_it_has_changed_since(kernel: Kernel) -> None:
    def at(url: str, until: int | None) -> str | None:
        found = shape_at(known, url, until)
        return None if found is None else found.shape

    def version(id: int, url: str, shape: str | None, receiver: int = 1) -> ShapeVersion:
        return ShapeVersion(id=id, receiver_id=receiver, name=f"r{receiver}", url=url, shape=shape)

    known = [version(3, URL, "a"), version(5, URL, "b"), version(6, f"{URL}/x", "c", 2)]
    known += [version(8, URL, None), version(9, f"{URL}/y", "d", 2)]
    seen = [at(f"{URL}/x/1", until) for until in (None, 0, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert seen == [None, None, None, "a", "a", "b", "c", "c", "c", None]
    assert [at("receiver:r1", until) for until in (2, 3, 7, 8)] == [None, "a", "b", None]
    assert at("https://other.example/api", 7) is None


def test_receiver_is_found_by_name_or_longest_prefix(kernel: Kernel) -> None:
    desk = add(kernel).caller_id
    add(kernel, "two", url=f"{URL}/x")
    with kernel.read_session() as session:
        profile = profiles_of(session.connection(), [desk], kernel.clock.now())[desk]
    urls = (f"{URL}/x/1", f"{URL}/y", "receiver:one", "receiver:three", "https://other.example/")
    found = [profile.receiver_for(url) for url in urls]
    assert [None if one is None else one.name for one in found] == ["two", "one", "one", None, None]


def test_receiver_of_another_caller_is_not_found(kernel: Kernel) -> None:
    add(kernel)
    with kernel.read_session() as session:
        assert profiles_of(session.connection(), [1], kernel.clock.now())[1].is_plain
        with pytest.raises(NotFound):
            find(session, "anonymous", "one")
