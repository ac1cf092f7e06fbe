"""What a handler's annotations may say: refused at import, and by mypy before that."""

import functools
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from kernel.errors import ConfigurationError
from kernel.handlers import Handlers, Partial, Run, Wait

if TYPE_CHECKING:
    from tests.nowhere import Unknown  # type: ignore[import-not-found]


class Order(BaseModel):
    """The model of the orders."""


class Other(BaseModel):
    """Another one."""


class Result(TypedDict):
    """A result."""


class Bill(BaseModel):
    """A result as a model."""


def swapped(args: Order, run: Run) -> dict[str, Any]:
    raise NotImplementedError


def other(run: Run, args: Other) -> dict[str, Any]:
    raise NotImplementedError


def either_wrong(run: Run, args: Other | dict[str, Any]) -> dict[str, Any]:
    raise NotImplementedError


def nothing(run: Run, args: Order) -> None:
    raise NotImplementedError


def perhaps(run: Run, args: Order) -> dict[str, Any] | None:
    raise NotImplementedError


def words(run: Run, args: Order) -> "str":
    raise NotImplementedError


def several(run: Run, args: Order) -> Annotated[list[dict[str, Any]], "said"]:
    raise NotImplementedError


def bill(run: Run, args: Order) -> Bill:
    raise NotImplementedError


WRONG: list[tuple[Any, Any, str]] = [
    (swapped, None, "swapped is called as swapped(run, args): its first argument is a Run, not Or"),
    (other, None, "other takes Other, and its orders are validated as Order: write args: Order"),
    (either_wrong, None, "and its orders are validated as Order: write args: Order"),
    (
        nothing,
        None,
        "nothing may return None, which is no result; where there is nothing to say, r",
    ),
    (perhaps, None, "perhaps may return None"),
    (
        words,
        None,
        "words returns str, which is no result; a handler returns a dict, Partial or Wait",
    ),
    (several, None, "several returns list[dict[str, typing.Any]], which is no result"),
    (bill, None, "bill returns Bill: register it with result=Bill"),
    (
        bill,
        Other,
        "bill returns Bill, which is no result; a handler returns Other, a dict, Partial",
    ),
]


@pytest.mark.parametrize(("function", "result", "said"), WRONG, ids=range(len(WRONG)))
def test_annotation_that_cannot_fit_is_refused(function: Any, result: Any, said: str) -> None:
    registry = Handlers()
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        registry.register("do", Order, result=result)(function)
    assert "do" not in registry


def base(run: Run, args: BaseModel) -> Mapping[str, Any]:
    raise NotImplementedError


def either(run: Any, args: Other | Order) -> dict[str, Any] | Partial | Wait:
    raise NotImplementedError


def unknown(run: "Unknown", args: "Unknown") -> "Unknown":
    raise NotImplementedError


def typed(run: object, args: Any) -> Result:
    raise NotImplementedError


def bare(run, args):  # type: ignore[no-untyped-def]
    raise NotImplementedError


@functools.wraps(other)
def wrapped(run: Run, args: Order) -> dict[str, Any]:
    raise NotImplementedError


RIGHT: list[tuple[Any, Any]] = [
    *((base, None), (either, None), (unknown, None), (typed, None), (bare, None), (wrapped, None)),
    *((typed, Result), (bill, Bill), (bill, BaseModel), (functools.partial(base), None)),
]


@pytest.mark.parametrize(("function", "result"), RIGHT, ids=range(len(RIGHT)))
def test_annotation_that_may_fit_is_registered(function: Any, result: Any) -> None:
    registry = Handlers()
    registry.register("do", Order, result=result)(function)
    assert registry["do"].function is function


# ---- mypy, strict -----------------------------------------------------------------------------

BEGIN = """
from typing import Any
from typing_extensions import TypedDict
from dataclasses import dataclass
from pydantic import BaseModel
from kernel import Handlers, Partial, Run, Wait

class Order(BaseModel):
    name: str
class Other(BaseModel):
    name: str
class Bill(BaseModel):
    price: int
class Said(TypedDict):
    said: str
@dataclass
class Spoken:
    said: str
handlers = Handlers()
more = Handlers()
"""


def snippet(returns: str, gives: str = "{}", terms: str = "", takes: str = "args: Order") -> str:
    """Return the code that registers a function."""
    return (
        f'@handlers.register("do", Order{terms})\n'
        f"def do(run: Run, {takes}) -> {returns}:\n return {gives}\n"
    )


PLAIN = "dict[str, Any]"
# Snippets, and the line behind BEGIN that is wrong; None: none is.
TYPED: list[tuple[str, int | None]] = [
    (snippet(PLAIN), None),
    (snippet("dict[str, str] | Partial"), None),
    (snippet("Said | Wait", '{"said": ""}'), None),
    (snippet(PLAIN, takes="args: BaseModel"), None),
    (snippet("Bill", "Bill(price=1)", ", result=Bill"), None),
    (snippet("Said", '{"said": ""}', ", result=Said"), None),
    (snippet("Spoken | Partial[Spoken]", 'Spoken("")', ", result=Spoken"), None),
    ('handlers.include(more, prefix="more.")', None),
    (snippet(PLAIN) + "x: int = do(run=7)", 4),
    (snippet(PLAIN, takes="args: Other"), 1),
    (snippet(PLAIN, takes="args: dict[str, Any]"), 1),
    (snippet("str", '""'), 1),
    (snippet("dict[str, Any] | None"), 1),
    (snippet(PLAIN).replace("run: Run, args: Order", "args: Order, run: Run"), 1),
    (snippet(PLAIN).replace("def do", "async def do"), 1),
    (snippet("Other", 'Other(name="")', ", result=Bill"), 1),
    (snippet(PLAIN, terms=", time_limits=5"), 1),
    (snippet(PLAIN).replace("Order)\n", "dict)\n"), 1),
    ("handlers.include(7)", 1),
]


def test_mypy_strict_sees_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    for number, (code, _) in enumerate(TYPED):
        (tmp_path / f"snippet{number}.py").write_text(BEGIN + code + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="]
    files = [f"snippet{number}.py" for number in range(len(TYPED))]
    done = subprocess.run(
        [*command, f"--cache-dir={tmp_path}/cache", *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(Path(__file__).parents[2])},
    )
    found = re.findall(r"snippet(\d+)\.py:(\d+): error", done.stdout)
    before = BEGIN.count("\n")
    wrong = {int(number): int(line) - before for number, line in found}
    assert wrong == {n: line for n, (_, line) in enumerate(TYPED) if line is not None}, done.stdout
