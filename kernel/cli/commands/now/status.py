"""`kernel status`: what is wrong, since when, and what to do; the exit code says how bad it is."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from kernel.cli.commands.now.trends import with_span
from kernel.cli.terminal.output import as_json, print_json
from kernel.cli.terminal.screen import Line, Part, drawn
from kernel.config.settings import load
from kernel.db.errors import DATABASE_ERRORS
from kernel.formats.envelope import rfc3339
from kernel.handlers import Handlers
from kernel.insight.conditions.judge import exit_code
from kernel.insight.conditions.now import wrong_now
from kernel.insight.conditions.rules import Condition, Severity
from kernel.insight.conditions.words import mend, sentence
from kernel.insight.trends import changes
from kernel.insight.trends.series import Span, Trend, Trends
from kernel.runtime.kernel import Kernel
from kernel.views.html.wording import Wording
from kernel.worker.broker import Broker

# Columns of a line: longer than any terminal, as a log or a message is not cut.
WIDE = 400
# The last counters are of callbacks.
CALLBACKS = 2
COLOURS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.NOTICE: "cyan"}
words = Wording("en")


@click.command()
@with_span
@as_json
def status(span: str, machine: bool) -> None:
    """Say what is wrong, since when, and what to do; and what was done in the last hour.

    The first page of the dashboard says the same. The exit code is that of monitoring plugins: 0
    when nothing is wrong (notices are not), 1 for a warning, 2 when something is critical.

    \b
    kernel status
    kernel status --json | jq '.conditions[].key'
    kernel status >/dev/null || echo "look at kernel"
    """
    # Without the check of the schema: that is one of the things to be told.
    kernel = Kernel(load(), Handlers(), read_timeout=10)
    try:
        found, facts = wrong_now(kernel, Broker(kernel).backlog)
        trend = _trend(kernel, Span(span)) if facts.database.is_usable else None
    finally:
        kernel.close()
    if machine:
        window = None if trend is None else changes.as_data(trend)
        print_json(as_data(found, facts.now) | {"window": window})
    else:
        for line in (*lines(found, facts.now), *([] if trend is None else window_lines(trend))):
            click.echo(drawn(line, WIDE))
    click.get_current_context().exit(exit_code(found))


def _trend(kernel: Kernel, span: Span) -> Trend | None:
    """Read the series; None when the database is away since it was looked at."""
    try:
        return Trends(kernel).read(span)
    except DATABASE_ERRORS:
        return None


def window_lines(trend: Trend) -> list[Line]:
    """Return the counters of a window as lines of a terminal: of orders, and of callbacks."""
    found = changes.counters(trend)
    told = [changes.in_brief(words, one) for one in found]
    name = words(f"window_{trend.span}")
    kinds = ((name, told[:-CALLBACKS]), ("", told[-CALLBACKS:]))
    return [[Part(f"{first:<12}", dim=True), Part("   ".join(some))] for first, some in kinds]


def as_data(found: Sequence[Condition], now: datetime) -> dict[str, Any]:
    """Return conditions as JSON members; ``status`` is the worst severity, or ``ok``."""
    worst = {2: "critical", 1: "warning"}.get(exit_code(found), "ok")
    return {
        "status": worst,
        "at": rfc3339(now),
        "conditions": [
            {
                "key": one.key,
                "severity": one.severity,
                "subject": one.subject,
                "since": rfc3339(one.since),
                "cause": one.cause,
                "message": sentence(words, one, now),
                "mend": mend(words, one),
                "runbook": one.rule.runbook,
            }
            for one in found
        ],
    }


def lines(found: Sequence[Condition], now: datetime, *, brief: bool = False) -> list[Line]:
    """Return conditions as lines of a terminal; ``brief``: one line each, without the mend."""
    if not found:
        return [[Part("ok", "green", bold=True), Part(f"        {words('all_well')}")]]
    return [line for one in found for line in _lines(one, now, brief)]


def _lines(one: Condition, now: datetime, brief: bool) -> Iterator[Line]:
    since = "" if one.since is None else f"  {words('wrong_since')} {rfc3339(one.since)}"
    ago = "" if one.since is None else f" ({words.ago(one.since, now)})"
    name = Part(f"{one.severity:<10}", COLOURS[one.severity], bold=True)
    yield [name, Part(sentence(words, one, now)), Part((ago if brief else since + ago), dim=True)]
    if not brief:
        yield [Part(f"{'':<10}{mend(words, one)}  ({one.rule.runbook})", dim=True)]
