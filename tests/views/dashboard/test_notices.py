"""The page of who is told: rules are added, tried and removed, as `kernel notify` does."""

import pytest
from sqlalchemy import select

from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.conditions import NOTICES
from kernel.insight.conditions.notices import rows as notices
from kernel.runtime.kernel import Kernel
from tests.support.factories import order, rows
from tests.support.people.dashboard import operator, said, words
from tests.support.ticketing import make_receiver

PATH = "/dashboard/notifications"


def test_rule_is_added_tried_and_removed(kernel: Kernel) -> None:
    visitor = operator(kernel)
    assert "No rules yet" in words(visitor.get(PATH))
    added = visitor.post(PATH, name="night", receiver="chat", condition="new_error", recovers="on")
    assert said(added) == "done_notice_added"
    (row,) = rows(kernel, NOTICES)
    assert (row.name, row.receiver, row.conditions, row.recovers) == (
        *("night", "chat", "new_error", True),
    )
    assert "no such receiver" in words(visitor.get(PATH))
    with kernel.read_session() as session:
        caller = session.scalar(select(Caller.id).where(Caller.name == notices.CALLER))
    make_receiver(kernel, "chat", "https://chat.example/hook", caller_id=caller)
    assert "https://chat.example" in words(visitor.get(PATH))
    tried = visitor.post(f"{PATH}/night/test")
    assert said(tried) == "done_notice_tested"
    order_id = tried.headers["Location"].rpartition("/")[2]
    assert order(kernel, order_id).select_tag == "notify"
    assert said(visitor.post(f"{PATH}/night/remove")) == "done_notice_removed"
    assert rows(kernel, NOTICES) == []


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"name": "a b", "receiver": "chat"}, "use letters"),
        ({"name": "night", "receiver": "chat"}, "there is a rule named night already"),
        ({"name": "x", "receiver": "chat", "condition": "rain"}, "there is no condition rain"),
    ],
)
def test_rule_that_makes_no_sense_is_refused_in_words(
    kernel: Kernel, form: dict[str, str], why: str
) -> None:
    notices.add(kernel, "night", "chat")
    answer = operator(kernel).post(PATH, **form)
    assert answer.status_code == 422
    assert why in words(answer)
    assert len(rows(kernel, NOTICES)) == 1
