"""What an answer means that is long, packed, ends early, or is none of the system's own."""

import codecs
import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.delivery.receivers.desks import DESKS, WRITES, ticket_in
from tests.support.howto_setting import Setting
from tests.support.simulators import faults
from tests.support.simulators.open_trackers.redmine import Redmine
from tests.support.simulators.server import Fault, Simulator
from tests.support.simulators.service_desks.zendesk import Zendesk

SetUp = Callable[[str, Simulator], Setting]
DAY = 86_400.0


@pytest.mark.parametrize("receiver", ["servicenow/tickets", "itop/tickets", "zendesk/tickets"])
def test_answer_in_latin1_is_read_as_its_type_says(set_up: SetUp, receiver: str) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(faults.latin1, on=WRITES.get(receiver, ""))
        assert setting.deliver(setting.order()).state == "delivered", setting.attempts()
        assert len(ticket.notes) == 1


def bare(body: bytes) -> bytes:
    """The bare stream, which many call deflate."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


# What proxies and PHP make of an answer though it was not asked for, and what .NET and PHP write.
READ: dict[str, Fault] = {
    "gzip": faults.encoded(gzip.compress, Content_Encoding="gzip"),
    "x-gzip": faults.encoded(gzip.compress, Content_Encoding="X-GZIP"),
    "deflate": faults.encoded(zlib.compress, Content_Encoding="deflate"),
    "bare deflate": faults.encoded(bare, Content_Encoding="deflate"),
    "twice": faults.encoded(
        lambda body: gzip.compress(zlib.compress(body)), Content_Encoding="deflate, gzip"
    ),
    "said alone": faults.encoded(bytes, Content_Encoding="gzip"),
    "identity": faults.encoded(bytes, Content_Encoding="identity"),
    "mark": faults.encoded(lambda body: codecs.BOM_UTF8 + body),
    "notice": faults.encoded(lambda body: b"<br />\n<b>Notice</b>: x in <b>a</b><br />\n" + body),
    "UTF-16": faults.encoded(lambda body: body.decode().encode("utf-16")),
    "UTF-16 without a mark": faults.encoded(lambda body: body.decode().encode("utf-16-le")),
}


@pytest.mark.parametrize(
    ("receiver", "fault"),
    [
        *(("jira/issues", name) for name in READ),
        *(("servicenow/tickets", name) for name in ("gzip", "mark")),
        *(("itop/tickets", name) for name in ("gzip", "said alone", "mark", "notice")),
    ],
)
def test_note_is_written_once_when_answers_are_packed_or_marked(
    set_up: SetUp, receiver: str, fault: str
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(*[READ[fault]] * 9)
        delivery = setting.deliver(setting.order(), turns=3, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == ("delivered", 1), setting.attempts()


@pytest.mark.parametrize("coding", ["br", "gzip"])
@pytest.mark.parametrize(
    ("receiver", "state", "notes"), [("jira/issues", "delivered", 1), ("itop/tickets", "dead", 4)]
)
def test_status_counts_where_it_tells_when_an_answer_cannot_be_unpacked(
    set_up: SetUp, receiver: str, state: str, notes: int, coding: str
) -> None:
    """That of iTop is 200 in any case."""
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(*[faults.encoded(lambda _: b"\x1b\x0f\x00\xf8", Content_Encoding=coding)] * 9)
        delivery = setting.deliver(setting.order(), turns=5, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == (state, notes), setting.attempts()


@pytest.mark.parametrize(
    ("receiver", "notes"), [("servicenow/tickets", 1), ("zendesk/tickets", 1), ("itop/tickets", 2)]
)
def test_answer_that_drips_ends_by_the_time_limit_and_its_status_counts_where_it_tells(
    set_up: SetUp, receiver: str, notes: int
) -> None:
    """That of iTop is 200 in any case."""
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        setting.change("--timeout", "3s")
        desk.next(faults.slow(0.2), on=WRITES.get(receiver, ""))
        order_id = setting.order()
        assert (setting.deliver(order_id).state == "delivered") == (notes == 1), setting.attempts()
        setting.restart(DAY)
        assert setting.deliver(order_id).state == "delivered", setting.attempts()
        assert len(ticket.notes) == notes


@pytest.mark.parametrize("size", [70_000, 2_000_000])
def test_note_is_written_once_when_the_answer_repeats_a_long_ticket(
    set_up: SetUp, size: int
) -> None:
    with Zendesk() as desk:
        ticket, setting = ticket_in(desk, "zendesk/tickets"), set_up("zendesk/tickets", desk)
        ticket.fields["description"] = "x" * size
        delivery = setting.deliver(setting.order(), turns=3, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == ("delivered", 1), setting.attempts()


def test_note_is_written_once_when_redmine_is_old_and_answers_200_without_a_word(
    set_up: SetUp,
) -> None:
    with Redmine() as desk:
        ticket, setting = ticket_in(desk, "redmine/issues"), set_up("redmine/issues", desk)
        desk.is_old = True
        delivery = setting.deliver(setting.order(), turns=3, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == ("delivered", 1), setting.attempts()


def test_callback_is_dead_after_a_few_notes_when_no_rule_takes_what_the_system_answers(
    set_up: SetUp,
) -> None:
    with Zendesk() as desk:
        ticket, setting = ticket_in(desk, "zendesk/tickets"), set_up("zendesk/tickets", desk)
        desk.next(*[lambda call, work: replace(work(), status=202)] * 9)
        delivery = setting.deliver(setting.order(), turns=6, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == ("dead", 4), setting.attempts()
