"""Why work and callbacks stand as they do: the facts of each case, and what is said of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernel.db.states import DeliveryState, OrderState
from kernel.insight.standing.facts import (
    CallbackFacts,
    Deed,
    Held,
    Named,
    OpenBreaker,
    WorkFacts,
)
from kernel.insight.standing.sentences import (
    Sentence,
    how_attempt_ended,
    next_attempt,
    why_callback,
    why_work,
)
from kernel.insight.standing.texts import TEXTS
from kernel.insight.standing.words import Words, parts, said

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
PAST, LATER = NOW - timedelta(minutes=12), NOW + timedelta(minutes=12)
SOON = NOW + timedelta(minutes=2)
AT, THEN = "2026-11-29 02:48:00 UTC", "2026-11-29 03:12:00 UTC"
BEHIND = Named("0194f3b2-7a11-7c3e-9d20-1f0a55c1be01", "INC7")
OPS = Deed("ops", PAST, "CHG42", "page")
PAUSED = Held("host", "desk.example:443", PAST, "ops", "maintenance")


def work(**known: Any) -> str:
    facts = WorkFacts(**{"now": NOW, "run_after": PAST, "finished_at": PAST} | known)
    return said(Words("en"), why_work(facts))


def callback(**known: Any) -> str:
    return said(Words("en"), why_callback(CallbackFacts(**{"now": NOW} | known)))


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({}, f"due {AT}: waiting for a free worker"),
        ({"workers": 3}, f"due {AT}: waiting for a free worker"),
        ({"workers": 0}, f"due {AT}: no worker is alive"),
        ({"run_after": LATER, "not_before": LATER}, f"not before {THEN}"),
        ({"run_after": LATER}, f"begins {THEN}"),
        (
            {"run_after": LATER, "run": 2, "last_end": "retry", "last_reason": "locked"},
            f"its handler asked for a retry: locked; begins again {THEN}",
        ),
        (
            {"run_after": LATER, "run": 2, "last_end": "died"},
            f"its worker died; begins again {THEN}",
        ),
        ({"run_after": LATER, "run": 2, "last_end": "of a newer one"}, f"begins {THEN}"),
    ],
)
def test_pending_work_says_what_it_waits_for(known: dict[str, Any], sentence: str) -> None:
    assert work(state="pending", **known) == sentence


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (
            {"waiting_for": "ordering_key", "key": "srv-12", "position": 1, "behind": BEHIND},
            "waiting behind order INC7 for key srv-12",
        ),
        (
            {"waiting_for": "ordering_key", "key": "srv-12", "position": 3, "behind": BEHIND},
            "waiting behind order INC7 for key srv-12, at place 3",
        ),
        (
            {"waiting_for": "ordering_key", "key": "srv-12", "position": 2},
            "waiting for its turn for key srv-12, at place 2",
        ),
        ({"waiting_for": "limit:mail"}, "waiting for a slot of the limit of tag mail"),
        ({"waiting_for": "limit:mail#a"}, "waiting for a slot of the limit of tag mail for a"),
        ({"waiting_for": "event:approved"}, "waits for event approved"),
        (
            {"waiting_for": "event:approved,no", "wakes_at": LATER},
            f"waits for event approved,no until {THEN}",
        ),
        ({"waiting_for": "children", "children": 3}, "waits for 3 child orders"),
        ({"waiting_for": "children", "children": 1}, "waits for 1 child order"),
        (
            {"waiting_for": "paused:tag:mail", "held": Held("tag", "mail", PAST, "ops", "CHG42")},
            f"held: orders of tag mail are paused {AT} by ops: CHG42",
        ),
        ({"waiting_for": "paused:caller:jira"}, "held: orders of jira are paused"),
        ({"waiting_for": "paused:moon:full"}, "waits for paused:moon:full"),
        ({"waiting_for": "of a newer release"}, "waits for of a newer release"),
        ({}, "waits for ?"),
    ],
)
def test_waiting_work_says_what_it_waits_for(known: dict[str, Any], sentence: str) -> None:
    assert work(state="waiting", **known) == sentence


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"state": "running", "started_at": PAST, "run": 1}, f"running since {AT}"),
        (
            {"state": "running", "started_at": PAST, "run": 2, "process": "db-3:47"},
            f"running since {AT}, run 2, on db-3:47",
        ),
        (
            {"state": "running", "started_at": PAST, "lease_until": PAST},
            f"began {AT}; its worker has not been heard of since {AT}, and another one takes over",
        ),
        (
            {"state": "running", "cancel_requested_at": PAST, "cancelled": OPS},
            f"cancelling was asked for {AT} by ops: CHG42; its handler sees that at its next "
            "checkpoint",
        ),
        ({"state": "success"}, f"done {AT}"),
        ({"state": "warning", "message": "half"}, f"done {AT}, with a warning: half"),
        ({"state": "failed", "error_code": "budget"}, f"failed {AT}, budget"),
        (
            {"state": "failed", "error_code": "budget", "message": "none\u202eleft"},
            f"failed {AT}, budget: none\\u202eleft",
        ),
        ({"state": "cancelled"}, f"cancelled {AT}"),
        ({"state": "cancelled", "cancelled": OPS}, f"cancelled {AT} by ops: CHG42"),
        (
            {"state": "cancelled", "cancelled": Deed("kernel", PAST, None, "system")},
            f"cancelled {AT}, by kernel itself",
        ),
    ],
)
def test_work_that_runs_or_has_ended_says_how(known: dict[str, Any], sentence: str) -> None:
    assert work(**known) == sentence


FAILING = {"state": "pending", "tries": 6, "attempt": 6, "reason": "connect"}
FAILS = "receiver failing: connection refused or not reached, 6 attempts"


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"has_ended": False}, "sent when the work has ended"),
        ({"is_wanted": False}, "none: the caller polls"),
        ({}, "none is kept"),
        ({"state": "pending", "next_attempt_at": PAST}, "due: sent as soon as a sender is free"),
        (
            {"state": "pending", "next_attempt_at": LATER},
            f"put off before an attempt, next {THEN}: its receiver may not be asked more now, or "
            "what an attempt needs was lacking here; the log says which",
        ),
        ({"state": "pending", "senders": 0}, "due: no process is alive that sends callbacks"),
        (
            {"state": "pending", "in_flight": True, "attempt": 2, "next_attempt_at": LATER},
            "attempt 2 is under way",
        ),
        (
            {"state": "pending", "in_flight": True, "attempt": 2, "next_attempt_at": PAST},
            "how attempt 2 ended was not recorded in time; it is due again",
        ),
        (
            {"state": "held", "held": PAUSED, "next_attempt_at": PAST},
            f"held: desk.example:443 was paused {AT} by ops: maintenance",
        ),
        # Not marked by a sweep yet: no sender takes it all the same.
        (
            {"state": "pending", "held": PAUSED, "next_attempt_at": PAST},
            f"held: desk.example:443 was paused {AT} by ops: maintenance",
        ),
        (
            {"state": "held", "held": Held("receiver", "desk", PAST, until=LATER)},
            f"held: this receiver was paused {AT} until {THEN}",
        ),
        ({"state": "held", "held": Held("moon", "x", PAST)}, f"held: x was paused {AT}"),
        (
            {"state": "held", "held": Held("adopt", "jira", PAST)},
            "held: the receivers of jira are drafts, and are to be adopted first",
        ),
        ({"state": "held"}, "held; its pause has ended, and the next sweep makes it due"),
        (
            {"state": "delivered", "finished_at": PAST, "attempt": 3, "status": 204},
            f"delivered {AT} by attempt 3, answered 204",
        ),
        (
            {"state": "dead", "finished_at": PAST, "died_of": "gone", "reason": "http_4xx"}
            | {"status": 410},
            f"given up {AT}: the receiver says: gone; the last attempt: it answers 410",
        ),
        ({"state": "dead", "finished_at": PAST}, f"given up {AT}: for a reason that was not kept"),
    ],
)
def test_callback_says_why_it_stands_as_it_does(known: dict[str, Any], sentence: str) -> None:
    assert callback(**known) == sentence


@pytest.mark.parametrize(
    ("due", "breaker", "sentence"),
    [
        (LATER, None, f"{FAILS}, next {THEN}"),
        (PAST, None, f"{FAILS}, the next is due now"),
        (PAST, OpenBreaker(LATER), f"{FAILS}, next {THEN} (the breaker probes then)"),
        (LATER, OpenBreaker(PAST), f"{FAILS}, next {THEN}"),
        (PAST, OpenBreaker(PAST), f"{FAILS}; the breaker lets one attempt through at a time, and"),
        (PAST, OpenBreaker(), f"{FAILS}; nothing is sent before the breaker probes, which it does"),
        (SOON, OpenBreaker(), f"{FAILS}; nothing is sent before the breaker probes, which it"),
        # Its longest pause is over by then.
        (LATER, OpenBreaker(), f"{FAILS}, next {THEN}"),
    ],
)
def test_next_attempt_is_never_said_to_be_past(
    due: datetime, breaker: OpenBreaker | None, sentence: str
) -> None:
    found = callback(**FAILING, next_attempt_at=due, breaker=breaker)
    assert found.startswith(sentence)
    assert AT not in found
    facts = CallbackFacts(now=NOW, **FAILING, next_attempt_at=due, breaker=breaker)
    following = next_attempt(facts)
    assert following is None or following >= NOW


def test_no_next_attempt_is_named_while_a_pause_holds() -> None:
    held = CallbackFacts(now=NOW, **FAILING, next_attempt_at=LATER, held=PAUSED)
    assert next_attempt(held) is None


def test_one_attempt_is_one_attempt() -> None:
    known = FAILING | {"tries": 1, "next_attempt_at": LATER}
    assert ", 1 attempt, next" in callback(**known)


@pytest.mark.parametrize(
    ("reason", "status", "sentence"),
    [
        (None, 200, "it took the callback (200)"),
        ("http_5xx", 503, "it answers 503"),
        ("answer", 200, "its rules count the answer as a failure (200)"),
        ("timeout", None, "no answer in time"),
        ("of_a_newer_one", None, "of_a_newer_one"),
    ],
)
def test_reason_of_an_attempt_is_said_in_words(
    reason: str | None, status: int | None, sentence: str
) -> None:
    assert said(Words("en"), how_attempt_ended(reason, status)) == sentence


def test_every_state_has_a_sentence_in_both_languages() -> None:
    for language in ("en", "zh"):
        for state in OrderState:
            facts = WorkFacts(now=NOW, state=state, run_after=NOW)
            assert said(Words(language), why_work(facts))
        for state in DeliveryState:
            assert said(Words(language), why_callback(CallbackFacts(now=NOW, state=state)))


def test_page_gets_moments_and_orders_as_such() -> None:
    behind = Sentence("why_behind", {"order": BEHIND, "key": "srv\u202e", "place": ""})
    kinds = [(one.kind, one.value) for one in parts(Words("en"), behind)]
    assert ("order", BEHIND) in kinds
    assert ("text", "srv\\u202e") in kinds
    assert [one.kind for one in parts(Words("en"), Sentence("why_later", {"next": NOW}))] == [
        "text",
        "exact",
    ]


def test_texts_have_the_same_places_in_both_languages() -> None:
    for key, texts in TEXTS.items():
        assert set(texts) == {"en", "zh"}, key
