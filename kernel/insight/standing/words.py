"""Sentences about one order, as parts for pages and as plain text for terminals and programs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from string import Formatter
from typing import Any, ClassVar, NamedTuple

from kernel.formats import durations
from kernel.formats.durations import Spans, plain
from kernel.insight.conditions.texts import TEXTS as CONDITIONS
from kernel.insight.standing.facts import Named
from kernel.insight.standing.sentences import Sentence
from kernel.insight.standing.texts import TEXTS

# Places of moments that are shown to the second; of the others it is said how far away they are.
EXACT = frozenset({"opens", "next", "until"})


class Words(Spans):
    """The texts of these sentences alone, for a process without pages."""

    texts: ClassVar = {**durations.TEXTS, **CONDITIONS, **TEXTS}


class Part(NamedTuple):
    """A piece of a sentence. ``kind``: text, ago or exact (a moment), order."""

    kind: str
    value: Any


def parts(t: Spans, one: Sentence) -> Iterator[Part]:
    """Yield the pieces of a sentence, in the language of ``t``. Hostile text is escaped."""
    if not t.has(one.key):  # a reason of a newer release: its own name says most of it
        yield Part("text", plain(one.key.partition("_")[2]))
        return
    for text, place, _, _ in Formatter().parse(t.texts[one.key][t.language]):
        if text:
            yield Part("text", text)
        if place:
            yield from _placed(t, place, one.values[place])


def said(t: Spans, one: Sentence) -> str:
    """Return a sentence as text, moments in UTC."""
    return "".join(_text(piece) for piece in parts(t, one))


def _placed(t: Spans, place: str, value: Any) -> Iterator[Part]:
    if isinstance(value, Sentence):
        yield from parts(t, value)
    elif isinstance(value, datetime):
        yield Part("exact" if place in EXACT else "ago", value)
    elif isinstance(value, Named):
        yield Part("order", value)
    elif value != "":
        yield Part("text", plain(value))


def _text(piece: Part) -> str:
    if isinstance(piece.value, datetime):
        return f"{piece.value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(piece.value, Named):
        found: Named = piece.value
        return plain(found.reference or found.order_id)
    return str(piece.value)
