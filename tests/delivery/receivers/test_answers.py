"""What an answer means that is long, ends early, or is none that the system is known for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.delivery.receivers.desks import DESKS, WRITES, ticket_in
from tests.support.howto_setting import Setting
from tests.support.simulators import faults
from tests.support.simulators.open_trackers.redmine import Redmine
from tests.support.simulators.server import Simulator
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
