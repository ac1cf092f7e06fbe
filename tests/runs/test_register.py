"""What `Handlers.register` refuses at import, and in which words."""

import asyncio
import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field, SecretStr, create_model

from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from tests.support.handlers.misbehaving import Named


class Reserved(BaseModel):
    """A model with a member that every order has."""

    callback_url: str


def work(run: Any, args: Any) -> dict[str, Any]:
    """Do nothing, as it should be."""
    return {}


async def awaits(run: Any, args: Any) -> dict[str, Any]:
    """Do nothing, later."""
    return {}


async def yields_later(run: Any, args: Any) -> Any:
    """Yield, later."""
    yield {}


def yields(run: Any, args: Any) -> Any:
    """Yield."""
    yield {}


def takes_one(args: Any) -> dict[str, Any]:
    """Take no run."""
    return {}


def takes_three(run: Any, args: Any, more: Any) -> dict[str, Any]:
    """Take too much."""
    return {}


def takes_names(*, run: Any, args: Any) -> dict[str, Any]:
    """Take its arguments by name alone."""
    return {}


class Called:
    """A callable object whose call is asynchronous."""

    async def __call__(self, run: Any, args: Any) -> dict[str, Any]:
        return {}


FUNCTIONS: list[tuple[Any, str]] = [
    (awaits, r"def awaits_order\(run, args\):\n +return asyncio\.run\(awaits\(run, args\)\)"),
    (functools.partial(awaits), "is async"),
    (Called(), "is async"),
    (yields_later, "is async"),
    (yields, "yields; a handler returns"),
    (takes_one, "too many positional"),
    (takes_three, "missing a required argument: 'more'"),
    (takes_names, "too many positional"),
    (None, "None is no function"),
    (Named, "is no function"),
]


@pytest.mark.parametrize(("function", "words"), FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_function_that_cannot_be_called_is_refused(function: Any, words: str) -> None:
    registry = Handlers()
    with pytest.raises(ConfigurationError, match=words):
        registry.register("do", Named)(function)
    assert "do" not in registry


LIMITS: list[tuple[dict[str, Any], str]] = [
    ({"time_limit": 0}, "time_limit is in seconds, more than 0"),
    ({"time_limit": -1.5}, "time_limit is in seconds"),
    ({"time_limit": float("nan")}, "time_limit is in seconds"),
    ({"time_limit": float("inf")}, "time_limit is in seconds"),
    ({"time_limit": "60"}, "time_limit is in seconds"),
    ({"time_limit": True}, "time_limit is in seconds"),
    ({"soft_limit": 0}, "soft_limit is in seconds, more than 0"),
    ({"soft_limit": "60"}, "soft_limit is in seconds"),
    ({"soft_limit": 60, "time_limit": 60}, "soft_limit=60 must be smaller than time_limit"),
    ({"soft_limit": 61.5, "time_limit": 60}, "which is 60 s: the process is ended then"),
    ({"guarded": "yes"}, "guarded is True or False, not 'yes'"),
    ({"softlimit": 5}, "there is no softlimit; there are concurrency, guarded, max_runs"),
    ({"results": dict}, "there is no results; there are .*, result, "),
    ({"max_runs": 0}, "max_runs is an int and at least 1, not 0"),
    ({"max_runs": 2.5}, "max_runs is an int"),
    ({"max_runs": None}, "max_runs is an int"),
]


@pytest.mark.parametrize(("limits", "words"), LIMITS, ids=range(len(LIMITS)))
def test_limit_that_allows_no_run_is_refused(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Handlers().register("do", Named, **limits)


class Site(BaseModel):
    """What words may name, and what they may not."""

    name: str
    number: int = 1
    hosts: list[str] = []
    password: SecretStr = SecretStr("")


WORDS: list[tuple[dict[str, Any], str]] = [
    ({"title": "New {nane}"}, "title='nane' is no argument of Site; there are name, number"),
    ({"title": "New {hosts}"}, "title: {hosts} is an argument of text or a number"),
    ({"title": "New {password}"}, "title: {password} is an argument of text"),
    ({"title": "New {name.__class__}"}, "braces hold a name and nothing else"),
    ({"title": "New {name[0]}"}, "braces hold a name and nothing else"),
    ({"title": "New {name!r}"}, "braces hold a name and nothing else"),
    ({"title": "New {}"}, "braces hold a name and nothing else"),
    ({"title": "New {name"}, "stand for braces"),
    ({"title": {"en": "New {name}"}}, 'one for each of "en" and "zh"'),
    ({"title": " "}, "title: it is a text such as"),
    ({"title": 7}, "title: it is a text such as"),
    ({"says": "Number {number:>9}"}, "says: braces hold a name and nothing else"),
    ({"says": {"en": "ok", "zh": ""}}, "says: it is a text such as"),
]


@pytest.mark.parametrize(("words", "said"), WORDS, ids=range(len(WORDS)))
def test_words_that_cannot_be_filled_are_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        Handlers().register("do", Site, **words)


def test_words_are_filled_with_texts_and_numbers_alone() -> None:
    registry = Handlers()
    words = {"title": "{{{name}}} is {number}", "says": {"en": "{n} %", "zh": "{n}%"}}
    registry.register("do", Site, **words)(lambda _run, _args: {})  # type: ignore[arg-type]
    site = registry["do"]
    assert site.title_of('{"name": "a"}', "en") == "{a} is 1", "the model's own default"
    assert site.title_of("{}", "en") is None
    assert site.title_of(json.dumps({"name": "x" * 300}), "zh") == f"{{{'x' * 200}…}} is 1"
    assert [site.said_of({"n": one}, "zh") for one in (1.5, "x", True, None, [1])] == [
        *("1.5%", "x%"),
        *(None, None, None),
    ]
    assert site.said_of({}, "en") is None


@pytest.mark.parametrize("model", [dict, None, Named(), "Named", BaseModel | None])
def test_model_that_is_none_of_pydantics_is_refused(model: Any) -> None:
    with pytest.raises(ConfigurationError, match="a subclass of pydantic"):
        Handlers().register("do", model)


def test_model_with_a_member_of_every_order_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Reserved\.callback_url"):
        Handlers().register("do", Reserved)


@pytest.mark.parametrize(
    "alias", ["select_tag", AliasPath("callback_url", 0), AliasChoices("select_tag")]
)
def test_model_that_reads_a_member_of_every_order_is_refused(alias: Any) -> None:
    model = create_model("Aliased", tag=(str, Field(validation_alias=alias)))
    with pytest.raises(ConfigurationError, match=r"Aliased\.tag is read from .*: choose another"):
        Handlers().register("do", model)


def test_model_may_have_a_member_of_every_order_as_one_alias_of_several() -> None:
    alias = AliasChoices("tag", "select_tag")
    model = create_model("Aliased", tag=(str, Field(validation_alias=alias)))
    Handlers().register("do", model)


class Method:
    """A plain callable object, and a plain method."""

    def __call__(self, run: Any, args: Any) -> dict[str, Any]:
        return {}

    def do(self, run: Any, args: Any, more: int = 1) -> dict[str, Any]:
        return {}


@functools.wraps(awaits)
def awaited(run: Any, args: Any) -> Any:
    """Run what awaits."""
    return asyncio.run(awaits(run, args))


@functools.wraps(takes_three)
def given_more(run: Any, args: Any) -> Any:
    """Add the third argument."""
    return takes_three(run, args, None)


PLAIN: list[Callable[..., Any]] = [
    work,
    awaited,
    given_more,
    lambda run, args: {},
    lambda *given: {},
    functools.partial(work),
    functools.lru_cache(work),
    Method(),
    Method().do,
]


@pytest.mark.parametrize("function", PLAIN, ids=range(len(PLAIN)))
def test_plain_function_is_registered_as_it_is(function: Callable[..., Any]) -> None:
    registry = Handlers()
    assert registry.register("do", Named, time_limit=0.5, max_runs=1)(function) is function
    assert registry["do"].function is function
