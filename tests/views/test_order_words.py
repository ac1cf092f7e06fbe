"""The page for the person who ordered, in the words of the handler."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.handlers import Handlers, Run
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, client
from tests.views.test_order_page import CHINESE, HOSTILE, shown

TITLE = {"en": "New project {name}", "zh": "新建项目 {name}"}
SAYS = {"en": "It has the number {number}.", "zh": "编号 {number}。"}


class Project(BaseModel):
    """What is ordered; ``note`` has a default."""

    name: str
    note: str = "none"


@pytest.fixture
def worded(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    """A kernel whose handler has words of its own."""
    handlers = Handlers()

    @handlers.register("project", Project, title=TITLE, says=SAYS)
    def project(run: Run, args: Project) -> dict[str, Any]:
        return {"number": 7}

    return make_kernel(sqlite_url, handlers)


PROJECT = {"select_tag": "project", "args": '{"name": "Bridge"}'}
DONE = {"state": "success", "message": "success", "result": '{"number": 7, "dn": "cn=x"}'}


def test_page_has_the_handlers_words_in_the_readers_language(worded: Kernel) -> None:
    person = Client(client(worded).app, None)
    said = shown(person, worded, **PROJECT, **DONE)
    assert "<h1><bdi>New project Bridge</bdi></h1>" in said
    assert "It has the number 7." in said
    assert all(one not in said for one in ("cn=x", "<dt>", "project</bdi>")), "no internals"
    said = shown(person, worded, CHINESE, **PROJECT, **DONE, reference="INC1")
    assert "<h1><bdi>INC1</bdi> · <bdi>新建项目 Bridge</bdi></h1>" in said
    assert "编号 7。" in said


def test_page_tells_tag_and_result_when_the_handlers_words_cannot_be_filled(
    worded: Kernel,
) -> None:
    person = Client(client(worded).app, None)
    erased = PROJECT | {"args": "{}"}
    said = shown(person, worded, **erased, **DONE | {"result": '{"number": [7]}'})
    assert "<h1><bdi>project</bdi></h1>" in said
    assert "<dt>" in said


def test_handlers_words_show_hostile_values_as_text(worded: Kernel) -> None:
    person = Client(client(worded).app, None)
    named = {"select_tag": "project", "args": json.dumps({"name": HOSTILE + "{note}"})}
    said = shown(person, worded, **named, state="running")
    assert "<script>alert" not in said
    assert "\\u202e" in said
    assert "{note}" in said, "a value is no template"
