"""An outcome's text as each kind of ticket system wants it: escaped, and cut where it is too long.

Each format turns single characters into texts of their own, so that cost and length are linear and
a cut never parts an escape. Nothing that an order says becomes a macro, a mention, a command or a
tag.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_PARAGRAPHS = 1000
_BLANK_LINES = re.compile(r"\n{3,}")
# It has no width. Behind an @ it keeps GitLab, Gitea and Redmine from seeing a name.
_ZERO_WIDTH = "\u200b"
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\n": "<br>\n"}
# Jira's wiki markup: macros, links, mentions, images, tables. A backslash is a line break there.
_WIKI = {character: f"\\{character}" for character in "{}[]!|"} | {"\\": "&#92;"}
# CommonMark §2.4: a backslash may stand before any ASCII punctuation. A line that begins with a
# slash is a command to GitLab, so each slash gets one.
_MARKDOWN = {character: f"\\{character}" for character in "\\`*_{}[]<>()#+-.!|~/$^%"} | {
    "@": "@" + _ZERO_WIDTH,
    "&": "&amp;",
}
# Textile, as Redmine reads it: its macros, links and mentions.
_TEXTILE = {"{": "&#123;", "}": "&#125;", "[": "&#91;", "]": "&#93;", "<": "&lt;", ">": "&gt;",
            "@": "@" + _ZERO_WIDTH, "&": "&amp;", "!": "&#33;", '"': "&quot;"}  # fmt: skip
# ServiceNow shows what stands between [code] and [/code] in a journal as HTML, in any case.
_JOURNAL = {"[": "[" + _ZERO_WIDTH}
# Adaptive Cards know Markdown's links; parted from what follows, brackets make none.
_CARD = {character: character + _ZERO_WIDTH for character in "]<"}
# Slack, "Formatting text": these three and no more.
_MRKDWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

FORMATS: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "html": _HTML,
    "journal": _JOURNAL,
    "wiki": _WIKI,
    "textile": _TEXTILE,
    "markdown": _MARKDOWN,
    "mrkdwn": _MRKDWN,
    "card": _CARD,
    # A tree of nodes, in which text needs no escaping.
    "adf": {},
}


def shaper(format_: str) -> Callable[[str], str]:
    """Return what escapes a text for a format of `FORMATS`."""
    table = _by_code(FORMATS[format_])

    def shaped(text: str) -> str:
        return _printable(text).translate(table)

    return shaped


def shape_text(text: str, format_: str, limit: int | None) -> str:
    """Escape a text, and cut it so that it has ``limit`` characters at the most when escaped."""
    text, table = _printable(text), FORMATS[format_]
    if limit is None:
        return text.translate(_by_code(table))
    shaped = [table.get(character, character) for character in text]
    if sum(map(len, shaped)) <= limit:
        return "".join(shaped)
    mark = f" ... (cut: the text has {len(text)} characters)"
    mark = "".join(table.get(character, character) for character in mark)
    room, kept = max(0, limit - len(mark)), 0
    for count, piece in enumerate(shaped):
        kept += len(piece)
        if kept > room:
            return ("".join(shaped[:count]) + mark)[:limit]
    return ("".join(shaped) + mark)[:limit]


def _by_code(table: Mapping[str, str]) -> dict[int, str]:
    return {ord(character): text for character, text in table.items()}


def adf(text: str) -> dict[str, Any]:
    """Return a text as a document of Atlassian's format: a paragraph for each line.

    Blank lines behind one another are one. Past `MAX_PARAGRAPHS`, lines are joined, except the
    last.
    """
    lines = _BLANK_LINES.sub("\n\n", text).split("\n")
    if len(lines) > MAX_PARAGRAPHS:
        kept = MAX_PARAGRAPHS - 2
        lines = [*lines[:kept], " ".join(lines[kept:-1]), lines[-1]]
    return {"type": "doc", "version": 1, "content": [_paragraph(line) for line in lines]}


def _paragraph(line: str) -> dict[str, Any]:
    # A text node without text is not valid there.
    content = [{"type": "text", "text": line}] if line else []
    return {"type": "paragraph", "content": content}


def _printable(text: str) -> str:
    """Replace what no ticket system takes: controls, and halves of surrogate pairs."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode().translate(_CONTROLS)


# With them those that turn the direction of writing, so that a text reads as it is.
_TURNS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160), *_TURNS)
             if chr(code) not in "\n\t"}  # fmt: skip
