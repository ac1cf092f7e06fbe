"""What commands print as JSON, of texts that others have sent: no terminal obeys or hides it."""

import json

import pytest

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from tests.support.factories import make_order
from tests.support.people.terminal import Terminal

# Obeyed by terminals, turned around by them, not shown at all; and what is to stay as it is.
HOSTILE = "\x9b2J \x7f \u202e \u200b \U000e0041"
PLAIN = "Brücke 桥 😀"
SAID = f"{PLAIN} {HOSTILE}"


@pytest.mark.parametrize(
    "command",
    [
        ("orders", "show", "{}", "--json"),
        ("orders", "watch", "{}", "--json"),
        ("orders", "export", "--format", "json"),
        ("audit", "list", "--json"),
        ("audit", "export"),
    ],
)
def test_json_that_a_command_prints_steers_no_terminal(
    terminal: Terminal, command: tuple[str, ...]
) -> None:
    order_id = make_order(
        terminal.kernel,
        args=json.dumps({"projname": SAID}, ensure_ascii=False),
        finished_at=terminal.kernel.clock.now(),
        callback_url="",
        state="warning",
        message=SAID,
    )
    with terminal.kernel.write() as connection:
        after = {"said": SAID}
        By(Actor("ann", "page")).record(connection, "order.cancel", "order x", after=after)
    printed = terminal.run(*(one.format(order_id) for one in command)).stdout
    assert PLAIN in printed
    assert all(one.isprintable() or one == "\n" for one in printed)
    assert HOSTILE in "".join(texts(printed))


def texts(printed: str) -> list[str]:
    """All texts of one JSON text, or of several in a line each."""
    try:
        found = [json.loads(printed)]
    except ValueError:
        found = [json.loads(line) for line in printed.splitlines()]
    said: list[str] = []
    while found:
        one = found.pop()
        if isinstance(one, str):
            said.append(one)
        elif isinstance(one, dict | list):
            found += one.values() if isinstance(one, dict) else one
    return said
