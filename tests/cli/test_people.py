"""`kernel people`: added, changed, removed; their sessions listed and ended."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kernel.cli.main import main
from kernel.config.settings import load
from kernel.runtime.kernel import Kernel
from kernel.testing import create_tables
from tests.support.people.dashboard import Visitor, stranger


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    url = f"sqlite:///{tmp_path}/kernel.db"
    monkeypatch.setenv("KERNEL_DATABASE_URL", url)
    made = Kernel(load(database_url=url, result_backend="", hosts=["kernel.example"]))
    create_tables(made)
    yield made
    made.close()


def kernel_people(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["people", *words])
    assert result.exit_code == code, result.output
    return result


def told(*words: str) -> Any:
    return json.loads(kernel_people(*words, "--json").stdout)


def signed_in(kernel: Kernel, name: str, role: str = "viewer") -> Visitor:
    visitor = stranger(kernel)
    answer = visitor.sign_in(told("add", name, "--role", role)["api_key"])
    assert answer.status_code == 303
    return visitor


def status(visitor: Visitor) -> int:
    return visitor.get("/dashboard/orders").status_code


def test_person_is_added_listed_and_removed(kernel: Kernel) -> None:
    visitor = signed_in(kernel, "Ada 林")
    (one,) = told("list")
    assert (one["name"], one["role"], one["disabled"]) == ("Ada 林", "viewer", False)
    assert "api_key" not in one
    kernel_people("remove", "Ada 林")
    assert (told("list"), status(visitor)) == ([], 401)


@pytest.mark.parametrize("name", ["", " Ada", "a\nb", "x" * 101, "\u202eAda"])
def test_person_is_refused_when_the_name_cannot_be_one(kernel: Kernel, name: str) -> None:
    kernel_people("add", name, "--role", "admin", code=1)


def test_person_is_refused_when_the_name_is_taken(kernel: Kernel) -> None:
    signed_in(kernel, "Ada")
    assert "already" in kernel_people("add", "Ada", "--role", "admin", code=1).output
    assert "no person named Bob" in kernel_people("remove", "Bob", code=1).output


def test_person_is_out_when_disabled_and_in_with_a_new_key_when_enabled(kernel: Kernel) -> None:
    visitor = signed_in(kernel, "Ada")
    kernel_people("set", "Ada", "--disable")
    assert status(visitor) == 401
    assert "is disabled" in kernel_people("set", "Ada", "--new-key", code=1).output
    key = told("set", "Ada", "--enable", "--new-key", "--role", "admin")["api_key"]
    assert visitor.sign_in(key).status_code == 303
    assert visitor.get("/dashboard/people").status_code == 200


def test_old_key_and_its_sessions_end_when_there_is_a_new_one(kernel: Kernel) -> None:
    visitor = signed_in(kernel, "Ada")
    told("set", "Ada", "--new-key")
    assert status(visitor) == 401


def test_session_is_listed_and_ended(kernel: Kernel) -> None:
    visitor = signed_in(kernel, "Ada", "operator")
    (one,) = told("sessions")
    assert (one["name"], one["role"], one["address"]) == ("Ada", "operator", "127.0.0.1")
    kernel_people("sessions", "--end", str(one["id"]))
    assert (told("sessions"), status(visitor)) == ([], 401)
    assert "no session" in kernel_people("sessions", "--end", "99", code=1).output
