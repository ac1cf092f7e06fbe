"""The page of one order: what it shows, and what its buttons do."""

import html
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select

from kernel.callers import identity, keys, receiver_changes
from kernel.callers.callback_rules import CallerRules
from kernel.callers.receiver_changes import Ground, ReceiverPatch
from kernel.db.states import OrderState
from kernel.db.tables.deliveries import ATTEMPTS
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.runtime.kernel import Kernel
from tests.support.clients import FakeHints
from tests.support.factories import CALLBACK, delivery, make_delivery, make_order, order, rows
from tests.support.people.dashboard import HOSTILE, Visitor, operator, words

MakeKernel = Callable[..., Kernel]
SEEN = HOSTILE.replace("\u202e", "\\u202e")


@pytest.fixture
def hints() -> FakeHints:
    return FakeHints()


@pytest.fixture
def visitor(kernel: Kernel, hints: FakeHints) -> Visitor:
    return operator(kernel, hints)


def make_attempt(kernel: Kernel, delivery_id: str, **values: Any) -> None:
    row = {
        "delivery_id": delivery_id,
        "number": 1,
        "started_at": kernel.clock.now(),
        "duration_ms": 40,
        "status": 503,
        "reason": "http_5xx",
        "phases": '{"dns":1.5,"wait":31.0}',
        "excerpt": "busy",
    }
    with kernel.write_session() as session:
        session.execute(insert(ATTEMPTS).values(row | values))


# ---- The page of one --------------------------------------------------------------------------


def test_page_shows_what_happened_when_an_order_has_failed(
    kernel: Kernel, visitor: Visitor
) -> None:
    now = kernel.clock.now()
    ended = {"state": "failed", "finished_at": now, "message": "no budget", "error_code": "budget"}
    order_id = make_order(kernel, run=2, started_at=now, idempotency_key="zammad-1", **ended)
    given_up = {"state": "dead", "died_of": "gone", "attempt": 1, "finished_at": now}
    dead = make_delivery(kernel, order_id, **given_up)
    make_attempt(kernel, dead)
    said = words(visitor.get(f"/dashboard/orders/{order_id}"))
    for part in ("failed", "run 2", "budget no budget", "zammad-1", "Accepted", "Finished"):
        assert part in said
    for part in (
        "dead the receiver says: gone",
        "Callback, attempt 1",
        "503 5xx answer",
        "dns 1.5 ms",
        "wait 31.0 ms",
    ):
        assert part in said
    for part in (f"webhook-id: {dead}", "webhook-signature: •••", "busy", '"projname": "Bridge"'):
        assert part in said


def test_page_shows_no_secret_when_the_receiver_has_headers(
    kernel: Kernel, visitor: Visitor
) -> None:
    patch = ReceiverPatch(url=CALLBACK, credentials={"headers": {"x-token": "hush-hush"}})
    with kernel.write_session() as session:
        made = keys.add(session, "jira", kernel.clock.now())
        ground = Ground(kernel.callback_policy, kernel.retry_policy, kernel.clock.now())
        receiver_changes.add(session, "jira", "own", patch, ground)
        caller_id = identity.find(session, "jira").id
    now = kernel.clock.now()
    order_id = make_order(kernel, caller_id=caller_id, state="success", finished_at=now)
    make_attempt(kernel, make_delivery(kernel, order_id, caller_id=caller_id))
    page = visitor.get(f"/dashboard/orders/{order_id}").text
    assert "x-token: •••" in page
    for secret in ("hush-hush", made.api_key.get_secret_value(), made.signing_secret):
        assert str(secret) not in page


def test_progress_is_a_bar_with_a_text_when_an_order_runs(kernel: Kernel, visitor: Visitor) -> None:
    told = {"progress_current": 1200, "progress_total": 4800, "progress_note": "chunk 3"}
    order_id = make_order(kernel, state="running", checkpoint=3, **told)
    part = visitor.live(f"/dashboard/orders/{order_id}")
    assert re.search(r'<progress value="1200" max="4800" aria-label="Progress"', part.text)
    assert "1,200 of 4,800 · 25 % · chunk 3" in words(part)
    assert 'aria-live="polite"' in part.text


def test_page_is_not_asked_for_again_when_everything_is_over(
    kernel: Kernel, visitor: Visitor
) -> None:
    now = kernel.clock.now()
    over = make_order(kernel, state="success", finished_at=now, result="{}", message="success")
    make_delivery(kernel, over, state="delivered", finished_at=now)
    assert "hx-get" not in visitor.get(f"/dashboard/orders/{over}").text
    assert "hx-get" in visitor.get(f"/dashboard/orders/{make_order(kernel)}").text


def test_page_shows_text_as_text_when_all_of_it_is_hostile(
    kernel: Kernel, visitor: Visitor
) -> None:
    now = kernel.clock.now()
    order_id = make_order(
        kernel,
        state="warning",
        args=json.dumps({"projname": HOSTILE, HOSTILE: [HOSTILE]}, ensure_ascii=False),
        result=json.dumps({"a": HOSTILE}, ensure_ascii=False),
        callback_url="javascript:alert(1)//<script>alert(1)</script>",
        message=HOSTILE,
        progress_current=1,
        progress_note=HOSTILE,
        finished_at=now,
        started_at=now,
    )
    url = "javascript:alert(1)"
    dead = make_delivery(kernel, order_id, url=url, state="dead", finished_at=now)
    make_attempt(kernel, dead, excerpt=HOSTILE, phases='{"<script>":1}')
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "<img" not in page.text
    assert "\u202e" not in page.text
    assert re.findall(r'(?:href|src|action)="[^"]*javascript:', page.text) == []
    assert words(page).count(SEEN) >= 4  # the note, the message twice, the excerpt
    assert words(page).count(SEEN.replace('"', '\\"')) >= 4  # arguments, result
    assert "😀𠜎" in page.text


def test_long_text_is_cut_and_found_whole_beside_the_page(kernel: Kernel, visitor: Visitor) -> None:
    args = json.dumps({"prodesc": "<b>" + "x" * 30_000})
    order_id = make_order(kernel, args=args)
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert len(page.text) < 40_000
    assert "Only the first 20,000" in words(page)
    whole = visitor.get(f"/dashboard/orders/{order_id}/arguments")
    assert (whole.text, whole.mimetype) == (args, "text/plain")
    assert whole.headers["X-Content-Type-Options"] == "nosniff"


def test_curl_submits_the_same_order_when_pasted(kernel: Kernel, visitor: Visitor) -> None:
    odd = {"projname": 'it\'s $(reboot) `x` \\ "q" 桥', "prodesc": "a\nb"}
    order_id = make_order(kernel, args=json.dumps(odd, ensure_ascii=False))
    found = re.search(
        r'<pre id="curl"[^>]*>(.*?)</pre>',
        visitor.get(f"/dashboard/orders/{order_id}").text,
        re.DOTALL,
    )
    assert found is not None

    argv = shlex.split(html.unescape(found[1]))
    assert argv[:4] == [
        "curl",
        "https://kernel.example/v1/orders",
        "-H",
        "Authorization: Bearer YOUR_KEY",
    ]
    stored = order(kernel, order_id)
    body = {"select_tag": stored.select_tag, "callback_url": stored.callback_url, **odd}
    assert json.loads(argv[-1]) == body


# ---- Buttons ----------------------------------------------------------------------------------


def test_order_is_cancelled_and_said_to_be_when_the_button_is_pressed(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    order_id = make_order(kernel)
    answer = visitor.post(f"/dashboard/orders/{order_id}/cancel")
    assert answer.status_code == 303
    assert order(kernel, order_id).state == "cancelled"
    assert [(one, outcome.state) for one, outcome in hints.ended] == [(order_id, "cancelled")]
    page = visitor.get(answer.location)
    assert "The order is cancelled." in words(page)
    assert f"{order_id}/cancel" not in page.text


def test_cancelling_is_asked_for_when_the_order_runs(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    order_id = make_order(kernel, state="running")
    answer = visitor.post(f"/dashboard/orders/{order_id}/cancel")
    assert "at its next checkpoint" in words(visitor.get(answer.location))
    assert order(kernel, order_id).cancel_requested_at is not None
    assert hints.ended == []


def test_page_says_409_when_the_order_has_ended_meanwhile(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel, state="success", finished_at=kernel.clock.now())
    answer = visitor.post(f"/dashboard/orders/{order_id}/cancel")
    assert (answer.status_code, answer.mimetype) == (409, "text/html")


def test_new_order_of_the_same_caller_is_hinted_after_its_commit_when_submitted_again(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    with kernel.write_session() as session:
        keys.add(session, "jira", kernel.clock.now(), CallerRules(hosts=["receiver.example"]))
        caller_id = identity.find(session, "jira").id
    args = '{"projname":"桥"}'
    first = make_order(
        kernel, caller_id=caller_id, state="failed", args=args, idempotency_key="once"
    )
    answer = visitor.post(f"/dashboard/orders/{first}/again")
    assert answer.status_code == 303
    (second,) = hints.hinted
    assert answer.location == f"/dashboard/orders/{second}"
    with kernel.read_session() as session:
        row = session.execute(select(ORDERS).where(ORDERS.c.id == second)).one()
    assert (row.caller_id, row.state, row.idempotency_key) == (caller_id, "pending", None)
    assert json.loads(row.args) == json.loads(args)


def test_two_orders_come_of_it_when_submitted_again_twice(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    order_id = make_order(kernel, state="success", idempotency_key="once")
    for _ in range(2):
        assert visitor.post(f"/dashboard/orders/{order_id}/again").status_code == 303
    assert len({order_id, *hints.hinted}) == 3


def test_page_says_so_when_the_order_would_be_refused_today(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    order_id = make_order(kernel, select_tag="gone_since")
    answer = visitor.post(f"/dashboard/orders/{order_id}/again")
    assert (answer.status_code, "would be refused today" in words(answer)) == (422, True)
    assert hints.hinted == []


def test_callback_is_due_when_redelivered(kernel: Kernel, visitor: Visitor) -> None:
    now = kernel.clock.now()
    order_id = make_order(kernel, state="success", finished_at=now)
    dead = make_delivery(kernel, order_id, state="dead", attempt=9, finished_at=now)
    answer = visitor.post(f"/dashboard/orders/{order_id}/deliveries/{dead}/redeliver")
    assert "The callback is due now." in words(visitor.get(answer.location))
    assert delivery(kernel, dead).state == "pending"


def test_nothing_is_changed_when_the_callback_is_in_flight(
    kernel: Kernel, visitor: Visitor
) -> None:
    order_id = make_order(kernel, state="success", finished_at=kernel.clock.now())
    flying = make_delivery(kernel, order_id, claim_token="x", attempt=1, tries=1)
    answer = visitor.post(f"/dashboard/orders/{order_id}/deliveries/{flying}/redeliver")
    assert "in flight" in words(visitor.get(answer.location))
    assert delivery(kernel, flying).tries == 1


@pytest.mark.parametrize(
    "path", ["{}/cancel", "{}/again", "{}/deliveries/{}/redeliver"], ids=["cancel", "again", "re"]
)
def test_page_says_404_when_what_a_button_means_is_gone(visitor: Visitor, path: str) -> None:
    gone = "0199aaaa-0000-7000-8000-000000000000"
    answer = visitor.post(f"/dashboard/orders/{path.format(gone, gone)}")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_page_says_503_when_too_many_orders_wait(make_kernel: MakeKernel, sqlite_url: str) -> None:
    kernel = make_kernel(sqlite_url, max_pending=2)
    orders = [make_order(kernel) for _ in range(3)]
    answer = operator(kernel).post(f"/dashboard/orders/{orders[0]}/again")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_every_state_has_a_page_when_opened(kernel: Kernel, visitor: Visitor) -> None:
    for state in OrderState:
        order_id = make_order(kernel, state=state)
        assert visitor.get(f"/dashboard/orders/{order_id}").status_code == 200


def test_reference_is_shown_wherever_the_order_is_and_kept_when_submitted_again(
    kernel: Kernel, visitor: Visitor
) -> None:
    order_id = make_order(kernel, reference="INC1 <b>")
    make_delivery(kernel, order_id)
    for path in (f"/orders/{order_id}", "/orders", "/deliveries"):
        assert "<bdi>INC1 &lt;b&gt;</bdi>" in visitor.get("/dashboard" + path).text
    visitor.post(f"/dashboard/orders/{order_id}/again")
    assert [one.reference for one in rows(kernel, REFERENCES)] == ["INC1 <b>"] * 2
