"""What a command's program is given, and what an order may give it. Real programs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kernel.db.tables.orders import Order
from kernel.errors import InvalidOrder
from kernel.testing import order
from kernel.views.openapi.document import document
from tests.support import factories
from tests.support.commanding import Make, result

ARGUMENTS = """
[given]
program = "./given"
argv = [
  "{word}", "--n={number}", "{many}", "--all={joined}", { if = "flag", then = ["-f", "x"] },
  { if = "maybe", then = ["--maybe", "{maybe}"] }, "{{}}",
]
[given.arguments]
word = {}
number = { type = "int", minimum = 1, maximum = 9, default = 3 }
flag = { type = "bool", default = false }
many = { type = "list", items = "int", default = [] }
joined = { type = "list", join = ",", default = ["a"] }
maybe = { required = false }
"""


def test_argument_stays_one_entry_of_argv_whatever_is_in_it(make: Make) -> None:
    kernel = make(ARGUMENTS)
    hostile = "a b'\"; $(id) `id` {number} * \n-x --"
    given = {"many": [1, 2], "joined": ["b", "c d"], "flag": True, "maybe": "-m"}
    assert result(kernel, "given", word=hostile)["argv"] == [hostile, "--n=3", "--all=a", "{}"]
    assert result(kernel, "given", word="", **given | {"maybe": "m"})["argv"] == [
        *("", "--n=3", "1", "2", "--all=b,c d", "-f", "x", "--maybe", "m", "{}"),
    ]


ONLY_IF = """
[conditions]
program = "./given"
argv = [
  { if = "whole", then = ["--whole={whole}"] },
  { if = "text", then = ["--text={text}"] }, { if = "many", then = ["--many", "{many}"] },
  { if = "flag", then = ["--flag"] },
]
[conditions.arguments]
whole = { type = "int", required = false }
text = { required = false }
many = { type = "list", items = "int", default = [] }
flag = { type = "bool", default = false }
"""


def test_number_nought_is_given_and_what_is_false_or_empty_is_not(make: Make) -> None:
    kernel = make(ONLY_IF)
    noughts: dict[str, Any] = {"whole": 0, "text": "0", "many": [0]}
    assert result(kernel, "conditions", **noughts)["argv"] == [
        *("--whole=0", "--text=0", "--many", "0")
    ]
    nothing: dict[str, Any] = {"text": "", "many": [], "flag": False}
    assert result(kernel, "conditions", **nothing)["argv"] == []


@pytest.mark.parametrize(
    "args",
    [
        {"word": "--help"},
        {"word": "a\0b"},
        {"word": "a" * 1001},
        {"word": 1},
        {"word": "a", "number": 10},
        {"word": "a", "number": True},
        {"word": "a", "flag": "yes"},
        {"word": "a", "many": [-1]},
        {"word": "a", "joined": ["b,c"]},
        {"word": "a", "maybe": "-m"},
        {"word": "a", "other": 1},
        {},
    ],
)
def test_order_is_refused_at_submit_when_an_argument_does_not_fit(
    make: Make, args: dict[str, Any]
) -> None:
    kernel = make(ARGUMENTS)
    with pytest.raises(InvalidOrder):
        order(kernel, "given", **args)


def test_pattern_fits_the_whole_value_or_it_is_refused(make: Make) -> None:
    text = '[say]\nprogram = "echo"\nargv = ["{word}"]\n[say.arguments.word]\npattern = "[a-z]+|x"'
    kernel = make(text)
    assert result(kernel, "say", word="abc") == {"output": "abc"}
    for word in ("abc;", "x\n", "xy z"):
        with pytest.raises(InvalidOrder):
            order(kernel, "say", word=word)


def test_value_with_a_dash_in_front_is_given_when_the_file_says_that_it_may(make: Make) -> None:
    kernel = make(
        '[say]\nprogram = "echo"\nargv = ["--", "{word}"]\n[say.arguments.word]\ndash = true'
    )
    assert result(kernel, "say", word="-n") == {"output": "-- -n"}


def test_api_document_shows_types_bounds_and_examples(make: Make) -> None:
    text = """
[say]
description = "Says a word."
program = "echo"
argv = ["{word}", "{number}", "{colour}", "{password_file}"]
files = { password_file = "{password}" }
[say.arguments]
word = { pattern = "[a-z]+", max_length = 20, examples = ["hello"], description = "what to say" }
number = { type = "int", minimum = -5, maximum = 9, dash = true }
colour = { choices = ["red", "green"] }
password = { type = "secret" }
"""
    shown = document(make(text).handlers)["components"]["schemas"]["order.say"]
    assert (shown["description"], shown["additionalProperties"]) == ("Says a word.", False)
    named = shown["properties"]
    word = {"pattern": "^(?:[a-z]+)$", "maxLength": 20, "examples": ["hello"], "type": "string"}
    assert word.items() <= named["word"].items()
    assert named["word"]["description"] == "what to say"
    assert named["word"]["not"] == {"pattern": "^-"}
    assert (named["number"]["minimum"], named["number"]["maximum"]) == (-5, 9)
    assert named["colour"]["enum"] == ["red", "green"]
    assert named["password"]["writeOnly"] is True


SECRETS = """
[given]
program = "./given"
argv = ["{vault}"]
stdin = "stdin {password}"
files = { vault = "file {password}" }
environment = { PASSWORD = "env {password}", UNSET = "{maybe}", PATH = "/usr/bin:/bin" }
keep = ["KEPT"]
[given.arguments]
password = { type = "secret" }
maybe = { required = false }
"""


def test_secret_goes_by_stdin_environment_or_file_and_nothing_else_is_there(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.setenv("KERNEL_DATABASE_URL", "sqlite:///not-for-you")
    kernel = make(SECRETS)
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        found = result(kernel, "given", password="sesame", reference="INC1")
    assert found["files"] == ["file sesame"]
    assert found["stdin"] == "stdin sesame"
    assert found["cwd"] == str(tmp_path)
    (path,) = found["argv"]
    # The three streams, the file, and the folder that the program lists.
    assert len(found["open"]) == 5
    assert int(path.removeprefix("/dev/fd/")) in found["open"]
    (row,) = factories.rows(kernel, Order.__table__)
    assert found["env"] | {"LC_CTYPE": ""} == {
        "PASSWORD": "env sesame",
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "KEPT": "yes",
        "KERNEL_ORDER_ID": row.id,
        "KERNEL_ORDER_RUN": "1",
        "KERNEL_ORDER_TAG": "given",
        "KERNEL_ORDER_REFERENCE": "INC1",
        "LC_CTYPE": "",
    }


def test_arguments_come_as_json_when_the_file_says_so(make: Make) -> None:
    kernel = make(
        '[given]\nprogram = "./given"\nstdin_json = true\n[given.arguments]\n'
        'a = { type = "list", items = "int" }\nb = { type = "secret" }'
    )
    assert json.loads(result(kernel, "given", a=[1], b="s")["stdin"]) == {"a": [1], "b": "s"}
