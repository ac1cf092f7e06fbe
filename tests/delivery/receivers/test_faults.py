"""What becomes of a callback when the system is not well: again, dead, or done; notes counted."""

from collections.abc import Callable

import pytest

from tests.delivery.receivers.desks import DESKS, WRITES, map_outcomes, ticket_in
from tests.support.howto_setting import Setting
from tests.support.simulators import faults
from tests.support.simulators.chats.slack import Slack
from tests.support.simulators.open_trackers import gitea, glpi, itop, redmine, zammad, znuny
from tests.support.simulators.server import Fault, Simulator
from tests.support.simulators.service_desks import (
    jira_cloud,
    jira_data_center,
    jira_issues,
    servicenow,
    zendesk,
)

SetUp = Callable[[str, Simulator], Setting]
DAY = 86_400.0

#: How many notes there are when a callback is made again after its answer was lost.
TWICE = dict.fromkeys(DESKS, 2) | {"servicenow/script": 1}
#: A second try is refused by these: the ticket is solved, the transition no longer on offer.
ONCE = {"glpi/solutions", "jira/transitions", "jira/datacenter-transitions"}


@pytest.mark.parametrize("receiver", [one for one in DESKS if one not in ONCE])
def test_note_appears_again_when_the_answer_was_lost(set_up: SetUp, receiver: str) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(faults.lost, on=WRITES.get(receiver, ""))
        order_id = setting.order()
        assert setting.deliver(order_id).state == "pending"
        assert len(ticket.notes) == 1
        setting.restart(DAY)
        delivery = setting.deliver(order_id)
        assert (delivery.state, len(ticket.notes)) == ("delivered", TWICE[receiver])
        assert {text.rpartition("ref ")[2].strip() for text in ticket.texts} == {delivery.id}


#: What passes: the receiver, the fault, and the request that it strikes.
PASSING: list[tuple[str, Fault, str]] = [
    ("servicenow/tickets", servicenow.rate_limited, "PATCH"),
    ("servicenow/tickets", servicenow.rate_limited, "GET"),
    ("servicenow/tickets", faults.unavailable(500), "PATCH"),
    ("servicenow/tickets", faults.html, "PATCH"),
    ("servicenow/tickets", faults.html, "GET"),
    ("servicenow/tickets", faults.html_error, "GET"),
    ("servicenow/tickets", faults.empty, "PATCH"),
    ("servicenow/tickets", faults.hung_up, "GET"),
    ("servicenow/tickets", servicenow.unrelated_row, "GET"),
    ("servicenow/tickets", faults.status(404, {"error": {"message": "No Record"}}), "GET"),
    ("servicenow/oauth-tickets", faults.unavailable(), "oauth_token"),
    ("servicenow/oauth-tickets", faults.html, "oauth_token"),
    ("jira/issues", jira_issues.conflict, ""),
    ("jira/issues", jira_cloud.too_many_writes, ""),
    ("jira/issues", faults.unavailable(), ""),
    ("jira/issues", faults.html, ""),
    ("jira/datacenter", jira_data_center.blocked, ""),
    ("zammad/tickets", faults.html_error, "PUT"),
    ("zammad/tickets", zammad.deadlock, "PUT"),
    ("zammad/tickets", faults.html, "GET"),
    ("zammad/tickets", zammad.no_rows, "GET"),
    ("itop/tickets", itop.no_objects, ""),
    ("itop/tickets", itop.database_trouble, ""),
    ("itop/tickets", faults.html, ""),
    ("itop/tickets", faults.empty, ""),
    ("glpi/tickets", glpi.refused_500, "Timeline"),
    ("glpi/tickets", faults.unavailable(), "token"),
    ("znuny/tickets", znuny.broken, ""),
    ("znuny/tickets", faults.html, ""),
    ("redmine/issues", faults.unavailable(), ""),
    ("redmine/issues", faults.html, ""),
    ("redmine/issues", redmine.collision, ""),
    ("freshservice/tickets", faults.throttled("30"), ""),
    ("freshservice/tickets", faults.html, ""),
    ("zendesk/tickets", zendesk.collision, ""),
    ("zendesk/tickets", faults.throttled(), ""),
    ("gitlab/issues", faults.throttled(), ""),
    ("gitlab/issues", faults.html, ""),
    ("gitlab/gitea-issues", faults.unavailable(500), ""),
]


@pytest.mark.parametrize(
    ("receiver", "wait"),
    [*((one, faults.ABSURD_WAIT) for one in DESKS), ("zendesk/tickets", "1000000000")],
)
def test_wait_of_years_holds_a_callback_for_a_day_and_no_longer(
    set_up: SetUp, receiver: str, wait: str
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(faults.throttled(wait), on=WRITES.get(receiver, ""))
        order_id = setting.order()
        for later in (0.0, 0.9 * DAY):
            setting.restart(later)
            assert setting.deliver(order_id).state == "pending", setting.attempts()
            assert (len(setting.attempts()), ticket.notes) == (1, [])
        setting.restart(0.3 * DAY)  # a day, and its jitter
        assert setting.deliver(order_id).state == "delivered", setting.attempts()
        assert len(ticket.notes) == 1


@pytest.mark.parametrize("receiver", sorted(ONCE))
def test_change_is_made_once_and_the_callback_dead_when_a_second_try_is_refused(
    set_up: SetUp, receiver: str
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(faults.lost, on=WRITES.get(receiver, ""))
        delivery = setting.deliver(setting.order(), turns=5, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == ("dead", 1), setting.attempts()


@pytest.mark.parametrize(("receiver", "fault", "on"), PASSING)
def test_callback_is_tried_again_when_it_may_yet_succeed(
    set_up: SetUp, receiver: str, fault: Fault, on: str
) -> None:
    tried_again(set_up, receiver, fault, on)


def tried_again(set_up: SetUp, receiver: str, fault: Fault, on: str) -> None:
    """Make a callback whose first attempt meets a fault: it writes nothing, the second one does."""
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(fault, on=on)
        order_id = setting.order()
        assert setting.deliver(order_id).state == "pending", setting.attempts()
        assert ticket.notes == []
        setting.restart(1.2 * DAY)  # the longest wait, and its jitter
        assert setting.deliver(order_id).state == "delivered", setting.attempts()
        assert len(ticket.notes) == 1


#: What does not pass: the receiver, the fault, the request, and a word that the attempt keeps.
FINAL: list[tuple[str, Fault, str, str]] = [
    ("servicenow/tickets", servicenow.two_rows, "GET", "2"),
    ("servicenow/tickets", faults.status(403, {"error": {"message": "no"}}), "GET", "403"),
    ("servicenow/tickets", servicenow.data_policy, "PATCH", "Data Policy"),
    ("servicenow/tickets", faults.status(404, {"error": {"message": "No Record"}}), "PATCH", ""),
    ("jira/issues", faults.status(404, {"errorMessages": ["no"]}), "", ""),
    ("jira/issues", faults.status(413, {"errorMessages": ["too many"]}), "", ""),
    ("jira/transitions", jira_issues.transition_gone, "", ""),
    ("zammad/tickets", faults.status(403, {"error": "Not authorized"}), "PUT", ""),
    ("itop/tickets", faults.status(200, {"code": 1, "message": "Invalid login"}), "", "Invalid"),
    (
        "itop/tickets",
        faults.status(200, {"code": 100, "message": "Error: No item found"}),
        *("", "No item"),
    ),
    (
        "itop/tickets",
        faults.status(200, {"code": 100, "message": "Error: Missing mandatory attribute"}),
        *("", "Missing mandatory"),
    ),
    ("glpi/tickets", faults.status(404, {"status": "ERROR_ITEM_NOT_FOUND"}), "Timeline", ""),
    ("znuny/tickets", znuny.access_denied, "", "AccessDenied"),
    ("redmine/issues", faults.status(422, {"errors": ["Status is invalid"]}), "", ""),
    ("freshservice/tickets", faults.status(400, {"description": "Validation failed"}), "", ""),
    ("zendesk/tickets", zendesk.closed, "", ""),
    ("gitlab/issues", faults.status(404, {"message": "404 Not Found"}), "", ""),
    ("gitlab/gitea-issues", gitea.locked, "", ""),
    ("gitlab/gitea-issues", faults.status(423, {"message": "archived"}), "", ""),
]


@pytest.mark.parametrize(("receiver", "fault", "on", "word"), FINAL)
def test_callback_is_dead_at_once_when_it_cannot_succeed(
    set_up: SetUp, receiver: str, fault: Fault, on: str, word: str
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(fault, on=on)
        assert setting.deliver(setting.order()).state == "dead", setting.attempts()
        assert ticket.notes == []
        ((_, _, judged),) = setting.attempts()
        assert word in (judged or "")


#: What looks final or passing and is neither: kernel tries it a few times.
FEW_TRIES: list[tuple[str, Fault]] = [
    ("glpi/tickets", glpi.refused_500),
    ("zammad/tickets", zammad.deadlock),
    ("gitlab/gitea-issues", faults.unavailable(500)),
]


@pytest.mark.parametrize(("receiver", "fault"), FEW_TRIES)
def test_callback_is_dead_after_a_few_tries_when_a_refusal_looks_passing(
    set_up: SetUp, receiver: str, fault: Fault
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(*[fault] * 9, on=WRITES.get(receiver, ""))
        delivery = setting.deliver(setting.order(), turns=5, seconds=0.5 * DAY)
        assert (delivery.state, len(setting.attempts())) == ("dead", 3)
        assert ticket.notes == []


@pytest.mark.parametrize(("receiver", "fault"), FEW_TRIES)
def test_refusal_that_passes_has_its_few_tries_behind_failures_of_another_kind(
    set_up: SetUp, receiver: str, fault: Fault
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(*[faults.hung_up] * 3, fault, on=WRITES.get(receiver, ""))
        delivery = setting.deliver(setting.order(), turns=5, seconds=0.5 * DAY)
        assert (delivery.state, len(ticket.notes)) == ("delivered", 1), setting.attempts()


@pytest.mark.parametrize(
    ("receiver", "fault"),
    [("zammad/tickets", zammad.no_rows), ("servicenow/tickets", servicenow.no_rows)],
)
def test_callback_is_dead_after_a_few_lookups_that_find_no_ticket(
    set_up: SetUp, receiver: str, fault: Fault
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(*[fault] * 9, on="GET")
        delivery = setting.deliver(setting.order(), turns=6, seconds=0.5 * DAY)
        assert (delivery.died_of, len(setting.attempts())) == ("lookup", 4)
        assert ticket.notes == []


@pytest.mark.parametrize("has_index", [True, False])
def test_zammad_ticket_is_found_that_the_index_does_not_know(
    set_up: SetUp, has_index: bool
) -> None:
    with zammad.Zammad() as desk:
        ticket, setting = ticket_in(desk, "zammad/tickets"), set_up("zammad/tickets", desk)
        desk.has_index = has_index
        desk.unindexed.add(ticket.number)
        assert setting.deliver(setting.order()).state == "delivered", setting.attempts()
        assert len(ticket.notes) == 1


def test_stimulus_that_was_applied_counts_as_done_when_its_answer_was_lost(set_up: SetUp) -> None:
    with itop.ITop() as desk:
        ticket, setting = ticket_in(desk, "itop/tickets"), set_up("itop/tickets", desk)
        map_outcomes(setting)
        desk.next(faults.lost)
        order_id = setting.order()
        delivery = setting.deliver(order_id, turns=2, seconds=DAY)
        assert (delivery.state, len(ticket.notes)) == ("delivered", 1), setting.attempts()


def test_stimulus_that_the_state_does_not_allow_is_dead_and_not_done(set_up: SetUp) -> None:
    with itop.ITop() as desk:
        ticket, setting = ticket_in(desk, "itop/tickets"), set_up("itop/tickets", desk)
        map_outcomes(setting)
        ticket.state = "new"
        assert setting.deliver(setting.order()).state == "dead", setting.attempts()
        assert ticket.notes == []


@pytest.mark.parametrize("receiver", ["servicenow/oauth-tickets", "glpi/tickets"])
def test_token_is_taken_anew_within_the_attempt_when_it_has_expired(
    set_up: SetUp, receiver: str
) -> None:
    with DESKS[receiver]() as desk:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        setting.deliver(setting.order())
        desk.tokens.expire()
        order_id = setting.order(key="another")
        assert setting.deliver(order_id).state == "delivered", setting.attempts()
        assert (len(desk.tokens.issued), len(ticket.notes)) == (2, 2)


def test_callback_has_four_tries_when_new_tokens_are_refused_as_well(set_up: SetUp) -> None:
    with glpi.GLPI() as desk:
        ticket, setting = ticket_in(desk, "glpi/tickets"), set_up("glpi/tickets", desk)
        desk.next(*[glpi.token_refused] * 99, on="Timeline")
        delivery = setting.deliver(setting.order(), turns=6, seconds=0.5 * DAY)
        assert (delivery.state, len(setting.attempts())) == ("dead", 4), setting.attempts()
        assert ticket.notes == []


@pytest.mark.parametrize("receiver", DESKS)
def test_redirect_is_not_followed_and_secrets_stay_at_home(set_up: SetUp, receiver: str) -> None:
    with DESKS[receiver]() as desk, Slack() as elsewhere:
        ticket, setting = ticket_in(desk, receiver), set_up(receiver, desk)
        desk.next(*[faults.redirect(elsewhere.url + "/api", 307)] * 9)
        delivery = setting.deliver(setting.order(), turns=2, seconds=DAY)
        assert delivery.state != "delivered"
        assert (elsewhere.calls, ticket.notes) == ([], [])


def test_redmine_status_that_is_dropped_in_silence_counts_as_delivered(set_up: SetUp) -> None:
    with redmine.Redmine() as desk:
        ticket, setting = ticket_in(desk, "redmine/issues"), set_up("redmine/issues", desk)
        desk.next(redmine.no_effect)
        assert setting.deliver(setting.order()).state == "delivered"
        assert ticket.notes == []  # the page tells
