"""An installation whose callers have headers: drafts, held callbacks, and nothing secret sent."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from kernel.builtin import handlers
from kernel.callers import identity, receiver_changes
from kernel.callers.receivers import list_receivers
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.db.tables.operating.pauses import PAUSES
from kernel.errors import Conflict
from kernel.pauses.adoption import adopt, ground_of, settle
from kernel.pauses.changes import resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from tests.support import old_installation as old

NOW = "2026-01-02 03:04:05.000006"
SECRET = "Bearer s3cret"
CALLERS = (
    "INSERT INTO kernel_callers (id, name, created_at, allow_nets, allow_hosts, headers)"
    " VALUES (:id, :name, :now, '[]', '[]', :headers)"
)
ORDERS = (
    "INSERT INTO kernel_orders (id, caller_id, select_tag, args, callback_url, fingerprint,"
    " created_at, state, run_after, run, checkpoint, crashes, finished_at)"
    " VALUES (:id, :caller, 'create_project', '{}', :url, 'f', :now, :state, :now, 0, 0, 0, :over)"
)
DELIVERIES = (
    "INSERT INTO kernel_deliveries (id, order_id, caller_id, origin, url, body, created_at, state,"
    " next_attempt_at, is_retry, attempt, tries, client_errors)"
    " VALUES (:id, :id, :caller, :origin, :url, '{}', :now, 'pending', :now, :no, 0, 0, 0)"
)
PLACES = {
    "https://desk.example:443": "https://desk.example/hook",
    "https://desk.example:8443": "https://desk.example:8443/hook",
    "http://plain.example:80": "http://plain.example/hook",
}


def installation(url: str) -> None:
    """An installation as the release before left it: three callers, of which two have headers."""
    migrate.upgrade(url, "0010")
    secret = json.dumps({"Authorization": SECRET})
    with old.connected(url) as connection:
        for number, name, headers in ((2, "desk", secret), (3, "new", secret), (4, "plain", "{}")):
            values = {"id": number, "name": name, "now": NOW, "headers": headers}
            connection.execute(text(CALLERS), values)
        for number, (origin, target) in enumerate(PLACES.items()):
            row = {"id": f"o-{number}", "caller": 2, "url": target, "now": NOW, "over": NOW}
            connection.execute(text(ORDERS), row | {"state": "success"})
            more = {"origin": origin, "no": False}
            connection.execute(text(DELIVERIES), row | more)
        row = {"id": "o-4", "caller": 4, "url": "https://a.example/", "now": NOW, "over": NOW}
        connection.execute(text(ORDERS), row | {"state": "success"})
        connection.execute(text(DELIVERIES), row | {"origin": "https://a.example:443", "no": False})


def opened(url: str) -> Kernel:
    migrate.upgrade(url)
    return Kernel(load(database_url=url), handlers, FakeTransport())


def sent(kernel: Kernel) -> list[str]:
    """Send all that is due; return where it went. No secret may be in any of it."""
    drain(kernel)
    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    assert SECRET not in repr([dict(one.headers) for one in transport.sent])
    return sorted(one.url for one in transport.sent)


def drafts(kernel: Kernel) -> dict[str, tuple[str, str]]:
    with kernel.read_session() as session:
        found = list_receivers(session)
    return {one.url: (caller, one.name) for caller, one in found if one.is_draft}


def test_callbacks_are_held_until_their_drafts_are_adopted(new_database_url: str) -> None:
    installation(new_database_url)
    kernel = opened(new_database_url)
    assert drafts(kernel) == {
        "https://desk.example/": ("desk", "draft-1"),
        "https://desk.example:8443/": ("desk", "draft-2"),
        "": ("new", "draft-1"),
    }
    with kernel.read_session() as session:
        assert {one.reason for one in session.execute(PAUSES.select())} == {"adopt"}
        assert set(session.scalars(text("SELECT headers FROM kernel_callers"))) == {"{}"}
    assert sent(kernel) == ["https://a.example/"]
    with kernel.read_session() as session:
        desk = identity.find(session, "desk").id
    with pytest.raises(Conflict, match="kernel receivers adopt"):
        resume(kernel, Subject(caller_id=desk))
    first = adopt(kernel, "desk", ["draft-2"])
    assert (first.left, first.released) == (("draft-1",), 0)
    assert sent(kernel) == ["https://a.example/"]
    assert [one.name for one in adopt(kernel, "desk").confirmed] == ["draft-1"]
    drain(kernel)
    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    assert {one.url for one in transport.sent} == {*PLACES.values(), "https://a.example/"}
    plain = [one for one in transport.sent if one.url.startswith("http://")]
    assert [one for one in plain if SECRET in one.headers.values()] == []
    kernel.close()


def test_draft_without_a_url_is_adopted_once_it_has_one(sqlite_url: str) -> None:
    installation(sqlite_url)
    kernel = opened(sqlite_url)
    with pytest.raises(ValueError, match="has no URL"):
        adopt(kernel, "new")
    patch = receiver_changes.ReceiverPatch(url="https://late.example/x")
    with kernel.write_session() as session:
        receiver_changes.change(session, "new", "draft-1", patch, ground_of(kernel))
    assert adopt(kernel, "new").confirmed[0].origin == "https://late.example:443"
    kernel.close()


def test_hold_ends_when_the_last_draft_is_removed(sqlite_url: str) -> None:
    installation(sqlite_url)
    kernel = opened(sqlite_url)
    soon = kernel.clock.now() + timedelta(0)
    with kernel.write_session() as session:
        for name in ("draft-1", "draft-2"):
            receiver_changes.remove(session, "desk", name, soon)
    settle(kernel, "desk")
    assert sent(kernel) == sorted([*PLACES.values(), "https://a.example/"])
    kernel.close()
