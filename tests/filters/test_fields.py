"""Fields of filters: read, refused in words, written again."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.db.states import DeliveryState, OrderState
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.fields import (
    CALLBACK_FIELDS,
    ORDER_FIELDS,
    Known,
    read_callbacks,
    read_orders,
    written,
)
from kernel.filters.moments import Here
from kernel.filters.orders import OrderFilter
from kernel.formats.moments import moment
from kernel.handlers.limits import bounded
from kernel.orders.gates.limits.known import Place
from kernel.views.orders.queries import ListQuery

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
CALLERS = {"jira": 2, "service now": 3}
KNOWN = Known(CALLERS, Here(NOW))
NAMES = {id: name for name, id in CALLERS.items()}
ID = "01946a3f-0000-7000-8000-000000000000"
ORDERS: dict[str, str] = {
    "state": "failed",
    "tag": "create_project",
    "caller": "jira",
    "host": "receiver.net:8443",
    "receiver": "tickets",
    "error": "timed_out",
    "reference": "INC 桥",
    "reference_prefix": "INC00",
    "ordering_key": "srv-12",
    "batch": ID,
    "since": "14:00",
    "until": "15:00",
    "callback": "dead",
    "fingerprint": "0123456789abcdef",
    "waiting": "event:approved",
    "q": "Brücke",
    "ids": f"{ID},{ID}",
    "ended_since": "2h",
    "ended_until": "1h",
}
CALLBACKS = {name: ORDERS[name] for name in CALLBACK_FIELDS if name in ORDERS} | {
    "state": "dead",
    "died_of": "deadline",
    "order": ID,
}


def test_every_field_is_read_and_written_again() -> None:
    assert (set(ORDERS), set(CALLBACKS)) == (set(ORDER_FIELDS), set(CALLBACK_FIELDS))
    for read, fields in ((read_orders, ORDERS), (read_callbacks, CALLBACKS)):
        found: Any = read(fields, KNOWN)
        assert (found.wrong, found.given) == ({}, fields)
        assert not {v for v in written(found.wanted, NAMES).values() if v in ("14:00", "2h")}
        again: Any = read(written(found.wanted, NAMES), KNOWN)
        assert (again.wanted, again.wrong) == (found.wanted, {})


@pytest.mark.parametrize("value", ["acme", "New York", "Müller AG", "a" * 300, "a\nb", " a", "桥"])
def test_what_an_order_waits_for_behind_a_limit_is_a_filter(value: str) -> None:
    what = Place("each", bounded(value)).waiting_for
    found = read_orders({"waiting": what}, KNOWN)
    assert (found.wrong, found.wanted.waiting) == ({}, what)
    asked = ListQuery.model_validate_strings({"waiting": what})
    assert asked.waiting == what


def test_window_in_the_readers_zone_ends_after_it_begins() -> None:
    found = read_orders({"since": "14:00", "until": "18:00", "zone": "Asia/Shanghai"}, KNOWN)
    wanted = found.wanted
    assert (wanted.since, wanted.until) == (
        NOW.replace(hour=6, minute=0),
        NOW.replace(hour=10, minute=0),
    )


def test_names_of_the_api_mean_the_same() -> None:
    assert read_orders({"select_tag": "a", "text": "b"}, KNOWN).wanted == OrderFilter(
        select_tag="a", text="b"
    )


@pytest.mark.parametrize("alias", ["", " ", "a"])
def test_field_holds_when_its_other_name_says_nothing_or_the_same(alias: str) -> None:
    for fields in ({"tag": "a", "select_tag": alias}, {"select_tag": alias, "tag": "a"}):
        found = read_orders(fields, KNOWN)
        assert (found.wanted, found.wrong) == (OrderFilter(select_tag="a"), {})


def test_field_is_refused_when_its_other_name_says_something_else() -> None:
    found = read_orders({"select_tag": "a", "tag": "b"}, KNOWN)
    assert (list(found.wrong), found.wanted) == (["tag"], OrderFilter())
    assert read_callbacks({"q": "a", "text": "b"}, KNOWN).wrong == {}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("state", "done", "none of pending, waiting"),
        ("callback", "lost", "none of pending, delivered, dead, held, none"),
        ("caller", "jria", "did you mean jira?"),
        ("caller", "x" * 500, "there is no caller"),
        ("since", "gestern", "write 14:00, 2h"),
        ("zone", "Mars", "Europe/Berlin or +01:00"),
        ("tag", "two words", "without spaces"),
        ("host", "桥.example/path", "a path"),
        ("reference", "a\x00b", "no control characters"),
        ("batch", "4711", "is no id"),
        ("ids", f"{ID},", "is no id"),
        ("ids", ",".join([ID] * 101), "more than 100"),
        ("q", "a\u202eb", "can be seen"),
    ],
)
def test_what_makes_no_sense_is_named_in_words(name: str, text: str, words: str) -> None:
    found = read_orders({name: text}, KNOWN)
    assert found.wanted == OrderFilter()
    assert list(found.wrong) == [name]
    assert words in found.wrong[name]
    assert len(found.wrong[name]) < 300


@given(st.sampled_from(sorted({*ORDER_FIELDS, "zone", "order"})), st.text(max_size=400))
def test_text_of_any_kind_is_read_or_refused(name: str, text: str) -> None:
    for read in (read_orders, read_callbacks):
        found: Any = read({name: text}, KNOWN)
        assert set(found.wrong) <= {name}
        if not found.wrong:
            assert type(found.wanted).of(found.wanted.kept()) == found.wanted


def test_filter_is_the_same_when_it_was_kept_as_json() -> None:
    wanted = read_orders(ORDERS, KNOWN).wanted
    assert OrderFilter.of(wanted.kept()) == wanted
    assert OrderFilter().kept() == {}
    given = CallbackFilter(2, DeliveryState.DEAD, tags=frozenset("ba"))
    assert given.kept() == {"caller_id": 2, "state": "dead", "tags": ["a", "b"]}
    assert CallbackFilter.of(given.kept()) == given


TIMES = (
    *("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z"),
    *("1970-01-01T05:00:00+05:00", "9999-12-31T00:00:00-23:59", "2026-11-20t08:00:00.123456789z"),
)


@pytest.mark.parametrize("at", TIMES)
def test_filter_is_the_same_when_its_time_is_a_strange_one(at: str) -> None:
    found = moment(at)
    assert found is not None
    for wanted in (OrderFilter(since=found, ended_until=found), CallbackFilter(until=found)):
        assert type(wanted).of(wanted.kept()) == wanted


@pytest.mark.parametrize(
    ("given", "states"),
    [
        ({}, None),
        ({"state": OrderState.FAILED}, ("failed",)),
        ({"state": OrderState.PENDING, "as_callers_see": True}, ("pending", "waiting")),
        ({"waiting": "any"}, ("waiting",)),
        ({"error": "timed_out"}, ("failed",)),
        ({"error": "cancelled"}, ("cancelled",)),
        ({"error": "timed_out", "state": OrderState.SUCCESS}, ()),
        ({"ended_since": NOW}, ("cancelled", "failed", "success", "warning")),
        ({"ended_since": NOW, "state": OrderState.RUNNING}, ()),
    ],
)
def test_states_are_those_that_every_part_of_a_filter_allows(
    given: dict[str, Any], states: tuple[str, ...] | None
) -> None:
    assert OrderFilter(**given).states == states
