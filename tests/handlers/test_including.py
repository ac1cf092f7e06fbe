"""Registries that include others: tags with prefixes, tables, and what is refused, and where."""

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from pydantic import BaseModel
from sqlalchemy import MetaData, Table
from sqlalchemy.orm import DeclarativeBase

from kernel.errors import ConfigurationError
from kernel.handlers import Handlers, Run
from kernel.handlers.hosted import InApp


class Nothing(BaseModel):
    """No arguments."""


def work(run: Run, args: Nothing) -> dict[str, Any]:
    return {}


def registry(*tags: str, metadata: tuple[MetaData, ...] = ()) -> Handlers:
    made = Handlers(*metadata)
    for tag in tags:
        made.register(tag, Nothing, time_limit=7)(work)
    return made


def test_prefix_stands_before_each_tag_and_the_rest_stays() -> None:
    whole, part = registry("order"), registry("open", "close")
    whole.include(part, prefix="gitlab.")
    assert list(whole) == ["order", "gitlab.open", "gitlab.close"]
    taken_in, own = whole["gitlab.open"], part["open"]
    assert (taken_in.tag, own.tag) == ("gitlab.open", "open")
    assert (taken_in.function, taken_in.time_limit, taken_in.where) == (work, 7, own.where)


def test_registry_is_included_under_two_prefixes_and_without_one() -> None:
    whole, part = registry(), registry("open")
    for prefix in ("", "a:", "b-"):
        whole.include(part, prefix=prefix)
    assert list(whole) == ["open", "a:open", "b-open"]


def test_tables_of_all_parts_are_known_each_once() -> None:
    one, two = MetaData(), MetaData()
    inner = registry("c", metadata=(two, one))
    middle = registry("b", metadata=(two,))
    middle.include(inner)
    whole = registry("a", metadata=(one,))
    whole.include(middle, "x.")
    whole.include(inner, "y.")
    assert whole.metadata == (one, two)
    assert [*map(id, whole.parts)] == [id(whole), id(middle), id(inner)]


class Base(DeclarativeBase):
    """What classes of tables are made from."""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Base, "not Base: give it its metadata, as in Handlers(Base.metadata)"),
        (SQLAlchemy(), "not SQLAlchemy: give it its metadata"),
        (Table("places", MetaData()), "not Table: give it its metadata"),
        ([MetaData()], "the MetaData of your tables, each by itself, not list"),
        ("sites", "each by itself, not str"),
    ],
)
def test_what_is_no_metadata_is_refused_with_what_to_write(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Handlers(given)
    assert words in refused.value.message


@pytest.mark.parametrize("given", [lambda: None, InApp, Flask("shop")])
def test_what_no_handler_runs_in_is_refused_with_what_to_write(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"write within=InApp\(create_app, db\)"):
        Handlers(within=given)


# As pydantic.v1 makes it, which Python 3.14 does not import.
OldModel = type("OldModel", (), {"__module__": "pydantic.v1.main"})


class Old(OldModel):  # type: ignore[misc, valid-type]
    """A model of the first pydantic."""


@dataclass
class Plain:
    """No model."""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Plain, "not Plain: write class Plain(BaseModel)"),
        (Old, "not Old of pydantic.v1: write `from pydantic import BaseModel`"),
        (Nothing(), "not an instance of one: write Nothing, without brackets"),
        ({"name": str}, "not {'name': <class 'str'>}"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_write(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Handlers().register("open", given)
    assert words in refused.value.message


def test_tag_that_both_have_is_refused_with_both_places() -> None:
    whole, part = registry("open"), registry("open")
    with pytest.raises(ConfigurationError) as refused:
        whole.include(part)
    assert "select_tag 'open' is registered twice" in refused.value.message
    assert refused.value.message.count(f"{__file__}, line ") == 2
    with pytest.raises(ConfigurationError, match="registered twice") as refused:
        whole.register("open", Nothing)
    first, second = refused.value.message.split(" and in ")
    assert first.endswith(whole["open"].where)
    assert second != whole["open"].where


def test_nothing_is_taken_in_when_one_tag_is_refused() -> None:
    whole, part = registry("open"), registry("close", "open")
    with pytest.raises(ConfigurationError):
        whole.include(part)
    assert list(whole) == ["open"]
    part.register("still_open", Nothing)(work)


def test_tag_of_two_parts_under_one_prefix_is_refused() -> None:
    whole = registry()
    whole.include(registry("b"), "a.")
    with pytest.raises(ConfigurationError, match=r"'a\.b' is registered twice"):
        whole.include(registry("b"), "a.")
    with pytest.raises(ConfigurationError, match=r"'a\.b' is registered twice"):
        whole.include(registry("a.b"))


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("gitlab", r"end it with what parts it from the tag, as in 'gitlab\.'"),
        ("Gitlab.", "use lower-case letters"),
        (".", "use lower-case letters"),
        ("git lab.", "use lower-case letters"),
        (None, "use lower-case letters"),
        (7, "use lower-case letters"),
        ("kernel.", "is that of batches"),
        ("x" * 95 + ".", "at most 100"),
    ],
)
def test_prefix_of_no_tag_is_refused(prefix: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        registry().include(registry("batch", "more"), prefix)


def test_registry_cannot_include_itself_nor_one_that_includes_it() -> None:
    inner, middle, outer = registry(), registry(), registry()
    with pytest.raises(ConfigurationError, match="a registry cannot include itself"):
        inner.include(inner)
    middle.include(inner)
    outer.include(middle)
    with pytest.raises(ConfigurationError, match="cannot include one that includes it"):
        inner.include(outer)


def test_registry_that_was_included_takes_no_more() -> None:
    whole, part = registry(), registry()
    whole.include(part)
    late = rf"{__file__}, line \d+; import the module that registers in it before that line"
    with pytest.raises(ConfigurationError, match=f"select_tag 'late': .*{late}"):
        part.register("late", Nothing)
    with pytest.raises(ConfigurationError, match=f"include: .*{late}"):
        part.include(registry("late"))


def test_only_registries_are_included() -> None:
    with pytest.raises(ConfigurationError, match=r"not <module .*; write pytest\.handlers"):
        registry().include(pytest)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="include takes a Handlers object, not 7"):
        registry().include(7)  # type: ignore[arg-type]
