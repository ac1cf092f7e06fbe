"""The docs do what they say: code blocks run, links lead somewhere, commands exist."""

import argparse
import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any, get_args

import click
import pytest
from pydantic_core.core_schema import ErrorType
from sqlalchemy import select

from kernel.builtin import projects
from kernel.cli.main import main
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import Delivery
from kernel.formats.order_request import order_request
from kernel.handlers import load_handlers
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from kernel.views.http.errors import HTTP_CODES, STATUS
from tests.support.clients import FakeHints, new_key, serve
from tests.support.factories import ANYBODY, CALLBACK, make_order, order, request
from tests.support.people.dashboard import operator_key
from tests.support.sealing import signing_secrets

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CURL = argparse.ArgumentParser()
CURL.add_argument("url")
CURL.add_argument("-X", dest="method")
CURL.add_argument("-d", dest="data")
CURL.add_argument("-H", dest="headers", action="append", default=[])
CURL.add_argument("-i", action="store_true")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in this language."""
    return [code for name, code in FENCE.findall(page.read_text()) if name == language]


def block(page: str, language: str, holding: str) -> str:
    """The one code block that holds these words."""
    (found,) = [code for code in blocks(ROOT / page, language) if holding in code]
    return found


def rows(page: str) -> list[list[str]]:
    """The cells of all table rows of a page, without their marks of code."""
    lines = (ROOT / page).read_text().splitlines()
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines if "|" in line]


@pytest.fixture
def in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules may be written to and imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("myhandlers", None)


def test_handler_of_the_readme_succeeds_when_its_order_is_run(
    in_path: Path, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    (in_path / "myhandlers.py").write_text(block("README.md", "python", "open_rollout"))
    members = json.loads(block("README.md", "json", "open_rollout")) | {"callback_url": CALLBACK}
    kernel = make_kernel(sqlite_url, load_handlers("myhandlers:handlers"))
    accepted = submit(kernel, ANYBODY, order_request(members, kernel.handlers))
    drain(kernel)
    assert order(kernel, accepted.order_id).state == "success"


def test_handlers_page_passes_its_own_test_when_pasted(tmp_path: Path) -> None:
    page = "docs/handlers.md"
    (tmp_path / "myhandlers.py").write_text(block(page, "python", "Rollout(BaseModel)"))
    (tmp_path / "test_myhandlers.py").write_text(block(page, "python", "FakeTransport"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_handler_of_the_handlers_page_goes_on_after_its_checkpoint_when_a_run_died(
    in_path: Path, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    code = block("docs/handlers.md", "python", "Rollout(BaseModel)")
    (in_path / "myhandlers.py").write_text(code)
    kernel = make_kernel(sqlite_url, load_handlers("myhandlers:handlers"))
    args = '{"customer": "ACME", "sites": ["a", "", "b", "c", ""]}'
    left = {"run": 1, "checkpoint": 1, "crashes": 1, "progress_current": 2, "run_state": "1"}
    order_id = make_order(kernel, select_tag="open_rollout", args=args, **left)
    drain(kernel)
    assert json.loads(order(kernel, order_id).result or "") == {"opened": 3, "skipped": 2}
    with kernel.read_session() as session:
        assert set(session.scalars(select(projects.c.projname))) == {"ACME: b", "ACME: c"}


def test_verification_of_the_api_page_takes_genuine_callbacks_only(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    names: dict[str, Any] = {}
    exec(block("docs/api.md", "python", "standardwebhooks"), names)
    kernel = make_kernel(sqlite_url, transport=(transport := FakeTransport()))
    submit(kernel, ANYBODY, request())
    drain(kernel)
    with kernel.read_session() as session:
        (secret,) = signing_secrets(session)
    sent = transport.sent[0]
    assert names["envelope_of"](dict(sent.headers), sent.body, secret)["status"] == 0
    assert names["envelope_of"](dict(sent.headers), sent.body + b" ", secret) is None


def curls(page: Path) -> Iterator[str]:
    """The curl lines of a page, without what only fills a shell variable."""
    for code in blocks(page, "sh"):
        plain = re.sub(r"^\w+=\$\(.*?'\)$", "", code, flags=re.MULTILINE | re.DOTALL)
        yield from re.findall(r"^curl .*?(?=^curl |\Z)", plain, re.MULTILINE | re.DOTALL)


def ask(client: Any, line: str, names: dict[str, str]) -> int:
    """Do what a curl line does; return the HTTP status."""
    filled = Template(line.replace("\\\n", " ")).substitute(names)
    words = shlex.split(filled.partition(" > ")[0])  # a file that the answer is written to
    asked = CURL.parse_args(words[1:])
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if asked.data else {}
    headers |= dict(header.split(": ", 1) for header in asked.headers)
    method = asked.method or ("POST" if asked.data else "GET")
    answer = client.open(asked.url, method=method, headers=headers, data=asked.data)
    return int(answer.status_code)


def test_curl_lines_of_the_api_page_are_answered_as_it_says(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    client = serve(kernel, FakeHints()).test_client()
    names = {"API": "", "KEY": new_key(kernel, "docs"), "CALLBACK": CALLBACK}
    names["OPERATOR_KEY"] = operator_key(kernel)
    submitted, *others = curls(ROOT / "docs/api.md")
    assert ask(client, submitted, names) == 202
    drain(kernel)
    with kernel.read_session() as session:
        delivery = session.scalars(select(Delivery)).one()
    names |= {"ORDER": delivery.order_id, "DELIVERY": delivery.id}
    statuses = [ask(client, line, names) for line in others]
    assert statuses == [
        202,
        200,
        202,
        200,
        200,
        200,
        409,
        409,
        200,
        202,
        *5 * [200],
        201,
        *5 * [200],
    ]


def test_api_page_tells_every_error_with_its_http_status() -> None:
    told = {cells[0]: cells[1] for cells in rows("docs/api.md") if len(cells) == 3}
    codes = {error.code: str(status) for error, status in STATUS.items()}
    codes |= {code: str(status) for status, code in HTTP_CODES.items()}
    assert {code: told.get(code) for code in codes} == codes


@pytest.mark.parametrize("page", ["docs/api.md", "docs/architecture.md"])
def test_every_state_stands_on_the_page_about_it(page: str) -> None:
    states = {*OrderState, *DeliveryState}
    text = (ROOT / page).read_text()
    assert [state for state in states if not re.search(rf"\b{state}\b", text)] == []


def listing() -> str:
    """The page's list of what is in kernel/."""
    return block("docs/architecture.md", "text", "kernel/\n  __init__.py")


def tracked() -> list[Path]:
    """What is in kernel/, as far as git knows it: who adds a module adds its line."""
    command = ["git", "ls-files", "-z", "kernel"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return [Path(name).relative_to("kernel") for name in done.stdout.split("\0") if name]


def test_picture_of_the_readme_is_told_in_words_and_light() -> None:
    (said, path) = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", (ROOT / "README.md").read_text())[0]
    assert len(said.split()) > 10
    assert (ROOT / path).stat().st_size <= 200_000


def codes_of(file: Path) -> Iterator[str]:
    """The codes that a file gives to entries of `errors`, as far as they stand there as texts."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "problem" and node.args:
            texts = [one.value for one in node.args[1:2] if isinstance(one, ast.Constant)]
            yield from (one for one in texts if isinstance(one, str))


def test_api_page_tells_every_code_of_an_entry_of_errors() -> None:
    _, _, errors = (ROOT / "docs/api.md").read_text().partition("\n## Errors\n")
    told = {*re.findall(r"`(\w+)`", errors.partition("\n## ")[0]), *get_args(ErrorType)}
    rooms = ("views", "orders", "pauses", "bulk", "formats")
    files = [file for room in rooms for file in (ROOT / "kernel" / room).rglob("*.py")]
    given = {code for file in files for code in codes_of(file)}
    assert len(given) > 20
    assert given - told == set()


def test_architecture_lists_the_folder_as_it_is() -> None:
    listed = set(re.findall(r"^  (\S+)", listing(), re.MULTILINE))
    there = {path.parts[0] + "/" * (len(path.parts) > 1) for path in tracked()}
    assert there - listed == set(), "modules without a line"
    assert [name for name in listed if not (ROOT / "kernel" / name).exists()] == []


def test_architecture_names_every_file_of_every_room() -> None:
    for room in {path.parts[0] for path in tracked() if len(path.parts) > 1}:
        (told,) = re.findall(rf"^  {room}/(.*(?:\n {{10,}}.*)*)", listing(), re.MULTILINE)
        files = {path.stem for path in tracked() if path.parts[0] == room and path.suffix == ".py"}
        words = set(re.findall(r"\w+", told))
        assert files - {"__init__"} - words == set(), room


def anchors(page: Path) -> set[str]:
    """What may stand behind # in a link to this page."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@each_page
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and not (
            target.exists() and (not anchor or anchor in anchors(target))
        ):
            broken.append(link)
    assert broken == []


def typed(page: Path) -> Iterator[list[str]]:
    """What a page tells to type: in blocks of shell, and as code within the text."""
    text = page.read_text()
    told = [*blocks(page, "sh"), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]
    for line in (line for code in told for line in code.splitlines()):
        words = line.partition(" #")[0].split()
        starts = [number for number, word in enumerate(words) if word in ("./run", "kernel")]
        yield from (words[start:] for start in starts if words[start + 1 :])


def is_command(words: list[str], command: click.Command) -> bool:
    """Whether these words lead to a command that has these options."""
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        known = command.get_command(click.Context(command), words[0])
        return known is not None and is_command(words[1:], known)
    options = {name for param in command.params for name in param.opts} | {"--help"}
    return options.issuperset(word for word in words if word.startswith("--"))


@each_page
def test_commands_that_pages_mention_exist_with_their_options(page: Path) -> None:
    runs = set(re.findall(r"^    ([a-z]+)\) # ", (ROOT / "run").read_text(), re.MULTILINE))
    unknown = []
    for program, *words in typed(page):
        known = words[0] in runs if program == "./run" else is_command(words, main)
        if not known:
            unknown.append(words)
    assert unknown == []
