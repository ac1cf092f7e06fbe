"""Text that the terminal cannot show, and arguments that are no text: words, never a traceback."""

import json

import pytest

from tests.support.factories import make_order
from tests.support.people.terminal import Terminal

NO_TEXT = "\udcff"
SCHEDULE = "schedules add nightly --caller anonymous --cron @daily --tag create_project"


@pytest.mark.parametrize(
    "command",
    [
        f"orders find {NO_TEXT}",
        f"orders list --reference {NO_TEXT}",
        f"audit list --actor {NO_TEXT}",
        f"people remove {NO_TEXT}",
        f"workers drain {NO_TEXT}",
        f'{SCHEDULE} --callback-url none --args "{NO_TEXT}"',
        f"orders submit --tag create_project --no-callback --arg projname={NO_TEXT}",
        f"callers revoke {NO_TEXT}",
        f"errors resolve {NO_TEXT}",
    ],
)
def test_argument_that_is_no_text_is_told_in_words(terminal: Terminal, command: str) -> None:
    done = terminal.run(*command.split(" "), exit_code=None)
    assert done.exit_code in (1, 2), done.output
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.stderr.startswith(("Error: ", "Usage: ")), done.stderr


def test_what_was_read_is_not_told_where_it_is_no_text(terminal: Terminal) -> None:
    done = terminal.run("copy", "--to", "-", stdin=b"mysql://u:secret\xff@h/d", exit_code=2)
    assert "holds bytes that are no UTF-8: b'\\xff'" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("charset", ["latin-1", "gbk"])
def test_what_a_terminal_cannot_show_is_escaped(terminal: Terminal, charset: str) -> None:
    make_order(terminal.kernel, reference="é 中 😀 −")
    assert terminal.run("status", charset=charset, exit_code=2).stdout
    listed = terminal.run("orders", "list", charset=charset).stdout
    assert "\\U0001f600" in listed
    machine = terminal.run("orders", "list", "--json", charset=charset).stdout
    assert json.loads(machine)["orders"][0]["reference"] == "é 中 😀 −"
