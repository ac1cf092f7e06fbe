"""The list of orders: what a row says, by which filters, page by page."""

import csv
import html
import io
import json
import re
from datetime import UTC, timedelta
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from kernel.callers import identity, keys
from kernel.db.statements.keyset import Budget
from kernel.filters.fields import ORDER_FIELDS
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Limits
from tests.support.clients import Client, serve
from tests.support.factories import make_delivery, make_order
from tests.support.people.dashboard import Visitor, limited, operator, operator_key, words


@pytest.fixture
def visitor(kernel: Kernel) -> Visitor:
    return operator(kernel)


def listed(visitor: Visitor, query: str = "") -> list[str]:
    """The ids on a page of the list."""
    page = visitor.get(f"/dashboard/orders{query}")
    assert page.status_code == 200
    return re.findall(r'<tr data-row id="o-([0-9a-f-]{36})"', page.text)


def test_list_says_that_it_is_empty_when_it_is(visitor: Visitor) -> None:
    assert "No orders yet." in words(visitor.get("/dashboard/orders"))
    assert "No matching orders." in words(visitor.get("/dashboard/orders?state=failed"))


def test_list_shows_every_callers_orders_when_an_operator_looks(
    kernel: Kernel, visitor: Visitor
) -> None:
    with kernel.write_session() as session:
        keys.add(session, "jira", kernel.clock.now())
        other = identity.find(session, "jira").id
    mine, theirs = make_order(kernel), make_order(kernel, caller_id=other, state="failed")
    assert set(listed(visitor)) == {mine, theirs}
    assert listed(visitor, "?state=failed") == [theirs]
    assert listed(visitor, "?caller=jira&state=failed") == [theirs]
    assert listed(visitor, f"?q={mine}") == [mine]
    assert listed(visitor, "?tag=none") == []


def test_tabs_count_their_states_when_nothing_is_filtered(kernel: Kernel, visitor: Visitor) -> None:
    for state in ("success", "success", "failed"):
        make_order(kernel, state=state)
    page = visitor.get("/dashboard/orders")
    assert "success 2 warning 0 failed 1" in words(page)
    assert "success 2" not in words(visitor.get("/dashboard/orders?tag=create_project"))


def test_list_is_paged_by_links_when_there_are_many(kernel: Kernel, visitor: Visitor) -> None:
    made = [make_order(kernel) for _ in range(30)]
    page = visitor.get("/dashboard/orders?tag=create_project")
    older = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert older is not None
    address = older[1].replace("&amp;", "&").removeprefix("/dashboard/orders")
    assert "tag=create_project" in address
    first, second = listed(visitor, "?tag=create_project"), listed(visitor, address)
    assert sorted([*first, *second]) == sorted(made)
    assert 'rel="prev"' in visitor.get(f"/dashboard/orders{address}").text


@pytest.mark.parametrize(
    "query",
    [
        *("state=none", "caller=nobody", "since=yesterday", "q=a%00b", "host=a%20b", "tag=é"),
        *("batch=x", "callback=lost", "since=14:00&zone=Mars"),
    ],
)
def test_nothing_is_shown_when_a_filter_makes_no_sense(
    kernel: Kernel, visitor: Visitor, query: str
) -> None:
    make_order(kernel)
    assert listed(visitor, f"?{query}") == []
    assert "Not understood:" in words(visitor.get(f"/dashboard/orders?{query}"))


def test_times_are_those_of_the_zone_that_the_address_names(
    kernel: Kernel, visitor: Visitor
) -> None:
    order_id = make_order(kernel)
    before, after = (kernel.clock.now() + timedelta(minutes=m) for m in (-5, 5))
    here, there = "%Y-%m-%d %H:%M", ZoneInfo("Asia/Shanghai")
    for zone, query in ((UTC, ""), (there, "&zone=Asia/Shanghai")):
        since, until = (at.astimezone(zone).strftime(here) for at in (before, after))
        assert listed(visitor, f"?since={since}&until={until}{query}") == [order_id]
        assert listed(visitor, f"?since={until}{query}") == []
    assert listed(visitor, "?since=5m&until=10m&zone=Asia/Shanghai") == []


def test_address_says_nothing_that_is_empty(visitor: Visitor) -> None:
    sent = visitor.get("/dashboard/orders?q=&tag=a&zone=Asia/Shanghai&since=&before=")
    assert (sent.status_code, sent.headers["Location"]) == (303, "/dashboard/orders?tag=a")
    kept = visitor.get("/dashboard/orders?since=14:00&zone=Asia/Shanghai")
    assert kept.status_code == 200
    assert visitor.live("/dashboard/orders?q=").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        *("error=timed_out", "callback=dead", "reference_prefix=INC", "ended_since=1h"),
        *("text=INC1", "select_tag=import_projects", "since=1h&callback=dead&error=timed_out"),
    ],
)
def test_orders_are_found_by_the_filters_of_the_api(
    kernel: Kernel, visitor: Visitor, query: str
) -> None:
    now = kernel.clock.now()
    bad = {"state": "failed", "error_code": "timed_out", "reference": "INC1"}
    failed = make_order(kernel, **bad, finished_at=now, select_tag="import_projects")
    make_delivery(kernel, failed, state="dead", died_of="deadline", finished_at=now)
    make_order(kernel)
    assert listed(visitor, f"?{query}") == [failed]
    client = Client(serve(kernel), operator_key(kernel, "robot"))
    found = client.get(f"/v1/orders?{query}").json["data"]["orders"]
    assert [one["order_id"] for one in found] == [failed]


def test_every_field_of_the_filter_is_on_the_page_with_its_label(visitor: Visitor) -> None:
    page = visitor.get("/dashboard/orders?state=failed").text
    assert set(ORDER_FIELDS) - set(re.findall(r'name="(\w+)"', page)) == set()
    labelled = re.findall(r"<label[^>]*>([^<]+)<", page)
    assert [one for one in labelled if not one.strip()] == []
    assert len(labelled) == len(ORDER_FIELDS) - 1  # the state is chosen by tabs


def test_row_says_how_work_and_callback_stand(kernel: Kernel, visitor: Visitor) -> None:
    now = kernel.clock.now()
    due, begun = now - timedelta(seconds=80), now - timedelta(seconds=60)
    times = {"created_at": due, "run_after": due, "started_at": begun, "finished_at": now}
    bad = {"state": "failed", "error_code": "ad_gone", "reference": "INC0012345", "run": 1}
    bad["runner"] = "a process"
    failed = make_order(kernel, **bad, **times, progress_current=2, progress_total=600)
    make_delivery(kernel, failed, state="dead", died_of="gone", finished_at=now)
    plain = make_order(kernel)
    said = words(visitor.get("/dashboard/orders"))
    row = said[said.index("INC0012345") :]
    assert failed not in said, "the reference stands for the id"
    assert plain in said
    assert row.startswith(
        "INC0012345 create_project failed ad_gone dead the receiver says: gone anonymous"
    )
    assert "20 s 60 s 2/600" in row


def test_rows_stay_the_same_while_an_order_runs_on(kernel: Kernel, visitor: Visitor) -> None:
    begun = kernel.clock.now() - timedelta(seconds=60)
    make_order(kernel, state="running", run=1, started_at=begun, run_after=begun)
    make_order(kernel, run_after=begun)
    first = visitor.live("/dashboard/orders")
    assert first.text.count('data-when="span"') == 2
    kernel.clock.shift(7)
    again = visitor.get(
        "/dashboard/orders",
        headers={"HX-Request": "true", "If-None-Match": first.headers["ETag"]},
    )
    assert again.status_code == 304


# ---- Counts, files, acts -------------------------------------------------------------------------


def counted(visitor: Visitor, query: str = "") -> dict[str, str]:
    """The links of the counts, by what they say."""
    text = visitor.get(f"/dashboard/orders{query}").text
    counts = text[text.index('id="counts"') : text.index("</dl>")]
    found = re.findall(r'<a href="([^"]+)">([^<]+)</a> <small>([^<]+)<', counts)
    return {f"{name} {n}": html.unescape(link) for link, name, n in found}


def test_counts_lead_to_what_they_count(kernel: Kernel, visitor: Visitor) -> None:
    now = kernel.clock.now()
    ended = {"state": "failed", "finished_at": now}
    gone = [make_order(kernel, **ended, error_code="ad_gone") for _ in range(2)]
    late = make_order(kernel, **ended, error_code="timed_out", callback_url="receiver:desk")
    make_order(kernel, select_tag="other", callback_url="")
    links = counted(visitor)
    assert {"ad_gone 2", "timed_out 1", "create_project 3", "anonymous 4"} <= set(links)
    follow = [listed(visitor, links[name].partition("orders")[2]) for name in ("ad_gone 2",)]
    assert follow == [gone[::-1]]
    for name, number in (("https://receiver.example:443 2", 2), ("no callback 1", 1)):
        assert len(listed(visitor, links[name].partition("orders")[2])) == number
    assert listed(visitor, links["desk 1"].partition("orders")[2]) == [late]
    narrowed = counted(visitor, "?error=ad_gone&state=failed")
    assert "ad_gone 2" not in narrowed, "it is chosen already"
    assert "error=ad_gone" in narrowed["create_project 2"]


def test_counts_say_that_there_are_more_when_they_stop(kernel: Kernel) -> None:
    budget = Budget(first=2, largest=2, seconds=1000.0, rows=2)
    visitor = limited(kernel, Limits(counting=budget))
    for _ in range(5):
        make_order(kernel)
    assert "2+ orders counted among the newest" in words(visitor.get("/dashboard/orders"))
    assert "2+" not in words(visitor.live("/dashboard/orders")), "it is not counted at every poll"


def test_file_has_what_the_list_has(kernel: Kernel, visitor: Visitor) -> None:
    make_order(kernel)
    failed = make_order(kernel, state="failed", finished_at=kernel.clock.now(), reference="Ü1")
    page = visitor.get("/dashboard/orders?state=failed").text
    links = [html.unescape(one) for one in re.findall(r'href="([^"]+)" download', page)]
    sheet, array = (visitor.get(one).data for one in links)
    (row,) = csv.DictReader(io.StringIO(sheet.decode("utf-8-sig")))
    assert (row["order_id"], row["reference"]) == (failed, "Ü1")
    assert sheet.startswith(b"\xef\xbb\xbf"), "Excel would take it for Latin-1"
    assert [one["order_id"] for one in json.loads(array)] == [failed]
    for query, why in (("since=soon", "since: 'soon' is no time"), ("format=xls", "one of csv")):
        refused = visitor.get(f"/dashboard/orders/export?{query}")
        assert (refused.status_code, why in words(refused)) == (400, True)


def test_bulk_acts_are_offered_for_what_is_listed(kernel: Kernel, visitor: Visitor) -> None:
    query = "state=failed&error=ad_gone&since=14:00&zone=Asia/Shanghai"
    page = visitor.get(f"/dashboard/orders?{query}").text
    (link,) = re.findall(r'href="([^"]*/bulk/new\?kind=rerun[^"]*)"', page)
    asked = dict(parse_qsl(urlsplit(html.unescape(link)).query))
    assert asked == dict(parse_qsl(query)) | {"kind": "rerun"}
    assert "Not understood" not in words(visitor.get(html.unescape(link)))


def test_chosen_filters_are_taken_away_by_their_links(kernel: Kernel, visitor: Visitor) -> None:
    page = visitor.get("/dashboard/orders?tag=a&since=14:00&zone=Asia/Shanghai&state=failed").text
    chosen = page[page.index('<ul class="chosen"') :].partition("</ul>")[0]
    links = [html.unescape(one) for one in re.findall(r'href="([^"]+)"', chosen)]
    asked = [dict(parse_qsl(urlsplit(one).query)) for one in links]
    window = {"since": "14:00", "zone": "Asia/Shanghai"}
    failed = {"state": "failed"}
    assert asked == [failed | window, failed | {"tag": "a"}, failed]


def test_fields_offer_what_orders_have(kernel: Kernel, visitor: Visitor) -> None:
    make_order(kernel, reference="INC1")
    make_order(kernel, state="failed", error_code="<b>", finished_at=kernel.clock.now())
    address = "/dashboard/suggestions?of=reference_prefix&reference_prefix=IN"
    assert visitor.live(address).text.strip() == '<option value="INC1">'
    offered = visitor.live("/dashboard/suggestions?of=error&error=").text
    assert "&lt;b&gt;" in offered
    assert visitor.get(address).status_code == 404, "it is no page"
    assert visitor.live("/dashboard/suggestions?of=args").status_code == 404


def test_search_says_how_far_it_looked_when_it_stopped(kernel: Kernel) -> None:
    budget = Budget(first=2, largest=2, seconds=1000.0, rows=2)
    visitor = limited(kernel, Limits(search=budget))
    for _ in range(5):
        make_order(kernel)
    page = visitor.get("/dashboard/orders?q=nowhere")
    assert "Looked through 2 orders, back to" in words(page)
    assert "Look further back" in words(page)


def test_live_part_is_the_list_alone_when_a_script_asks(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel)
    part = visitor.live("/dashboard/orders?state=pending")
    assert order_id in part.text
    assert "<html" not in part.text
    assert "<form" not in part.text
    whole = visitor.get("/dashboard/orders?state=pending")
    assert 'hx-get="/dashboard/orders?state=pending"' in whole.text
