"""What `kernel listen` prints of a callback: a line of JSON, or lines for people."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from kernel.cli.local.listener import Heard, Signature
from kernel.cli.local.preview import FOUND, Preview
from kernel.cli.terminal.output import cell
from kernel.formats.envelope import rfc3339

_SHOWN = 200
WORDS = {
    Signature.VALID: "signature valid",
    Signature.WRONG: "wrong signature",
    Signature.TOO_OLD: "too old",
    Signature.TOO_NEW: "too new",
    Signature.MISSING: "not signed",
    Signature.UNCHECKED: "signature not checked",
}
_COLOURS = {Signature.VALID: "green", Signature.UNCHECKED: None}


def printed(heard: Heard, machine: bool, preview: Preview | None = None) -> str:
    """Return what is printed of a callback: one line of JSON, or lines for people."""
    form = _json if machine else _text
    try:
        return form(heard, preview)
    except (RecursionError, ValueError):  # the JSON could be read, but is too deep to write
        return form(replace(heard, envelope={}), preview)


def _json(heard: Heard, preview: Preview | None) -> str:
    """Return a callback as a line of JSON; ASCII, so that its text cannot steer a terminal."""
    line = {
        "time": rfc3339(datetime.fromtimestamp(heard.at, UTC)),
        "webhook_id": heard.webhook_id,
        "order_id": heard.data.get("order_id"),
        "reference": heard.data.get("reference"),
        "state": heard.data.get("state"),
        "status": heard.envelope.get("status"),
        "msg": heard.envelope.get("msg"),
        **{name: heard.data[name] for name in ("result", "error") if name in heard.data},
        **({} if heard.envelope else {"body": heard.excerpt}),
        "signature": heard.signature,
        "reason": heard.reason or None,
        "age_seconds": heard.age,
        "duplicate": heard.is_duplicate,
        "answer": heard.answer,
        **({} if preview is None else {"request": _members(heard, preview)}),
    }
    return json.dumps(line, allow_nan=False).replace("\x7f", "\\u007f")


def _text(heard: Heard, preview: Preview | None) -> str:
    """Return a callback as two lines for people, and what the profile makes of it."""
    clock = datetime.fromtimestamp(heard.at).strftime("%H:%M:%S")
    parts = [f"webhook-id {_short(heard.webhook_id or '-')}", _signature(heard), _age(heard.age)]
    if heard.is_duplicate:
        parts.append(click.style(f"seen before, {heard.times} times by now", fg="yellow"))
    lines = [f"{clock}  {_content(heard)}", f"          {', '.join(parts)}, answers {heard.answer}"]
    return "\n".join(lines + ([] if preview is None else _request(heard, preview)))


def _members(heard: Heard, preview: Preview) -> dict[str, Any]:
    try:
        return preview.made(heard.post).members()
    except (ValueError, RecursionError) as error:
        return {"nothing": str(error)}


def _request(heard: Heard, preview: Preview) -> list[str]:
    """Return what the profile makes of a callback as lines: its body is one of them, uncut."""
    try:
        made = preview.made(heard.post)
    except (ValueError, RecursionError) as error:
        return [click.style(f"  {preview.name} makes nothing of it: {cell(str(error))}", fg="red")]
    asked = [] if made.lookup is None else [f"GET {made.lookup}   (finds {FOUND})"]
    headers = (f"{name}: {value}" for name, value in made.headers.items())
    lines = [*asked, f"{made.method} {made.url}", *headers, made.body]
    return [
        click.style(f"  {preview.name} makes of it", bold=True),
        *map("    {}".format, map(cell, lines)),
    ]


def _content(heard: Heard) -> str:
    """Return the envelope on one line, or how the body begins if it holds no JSON object."""
    if not heard.envelope:
        return f"no JSON object: {_short(heard.excerpt)}"
    data = heard.data
    order, state = _short(data.get("order_id")), _short(data.get("state"))
    if "reference" in data:
        order += f"  {_short(data['reference'])}"
    told = data.get("error", data.get("result"))
    return f"order {order}  {state}  {_short(heard.envelope.get('msg'))}  {_short(told)}"


def _signature(heard: Heard) -> str:
    shown = click.style(WORDS[heard.signature], fg=_COLOURS.get(heard.signature, "red"))
    return f"{shown} ({heard.reason})" if heard.reason else shown


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "no timestamp"
    return f"{seconds} s old" if seconds >= 0 else f"from {-seconds} s ahead"


def _short(value: Any) -> str:
    """Return a received value as text without control characters, cut to 200 characters."""
    text = cell(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
