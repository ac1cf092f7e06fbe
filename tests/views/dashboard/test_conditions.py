"""Conditions on the overview: each kind says what to do, and where."""

import re
from dataclasses import replace
from typing import Any

import pytest

from kernel.callers.people.roles import Role
from kernel.insight.conditions.facts import Facts, Pause
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.words import mend, sentence
from kernel.runtime.kernel import Kernel
from kernel.views.html.rendering import ENVIRONMENT
from kernel.views.html.wording import Wording
from kernel.views.http.sessions import Visitor
from tests.insight.conditions.test_judge import NOW, TABLE, WELL
from tests.support.clients import serve

ACT = re.compile(r'<form method="post" action="/dashboard/|<a href="(/dashboard/|#)')
# What is mended beside kernel: by a server, or by a command on a host.
ELSEWHERE = {
    *("database_gone", "database_read_only", "database_unfit", "schema_behind", "schema_ahead"),
    "broker_gone",
}

RESUMES = (("what", "caller"), ("of", "zammad"))
PAUSED = replace(WELL, pauses=[Pause("caller", "zammad", NOW, resumes=RESUMES)])


def shown(kernel: Kernel, facts: Facts, language: Any) -> dict[str, str]:
    """The HTML of each condition, by its key."""
    found = judge(facts)
    visitor = Visitor("Ada", "0" * 64, Role.ADMIN)
    said = {"t": Wording(language), "visitor": visitor, "sentence": sentence, "mend": mend}
    with serve(kernel).test_request_context("/dashboard/"):
        part = ENVIRONMENT.get_template("dashboard/conditions.html").make_module(said)
        html = str(part.listed(found, NOW))  # type: ignore[attr-defined]
    rows = html.split("<li ")[1:]
    return {re.findall(r'data-condition="(\w+)"', row)[0]: row for row in rows}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_condition_has_its_mend_its_runbook_and_a_place_to_act(
    kernel: Kernel, language: Any
) -> None:
    rows: dict[str, str] = {}
    everything = [*(facts for facts, _ in TABLE), PAUSED]
    for facts in everything:
        rows |= shown(kernel, facts, language)
    by_key = {one.key: one for facts in everything for one in judge(facts)}
    assert rows.keys() == by_key.keys()
    for key, row in rows.items():
        assert str(mend(Wording(language), by_key[key])).replace("'", "&#39;") in row, key
        assert f"<code>{by_key[key].rule.runbook}</code>" in row, key
    assert {key for key, row in rows.items() if not ACT.search(row)} == ELSEWHERE
