"""docs/commands.md, docs/howto/ansible.md and docs/howto/http-api.md, followed to the letter."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from kernel.handlers import Handlers
from kernel.handlers.commands.file import load_commands
from kernel.handlers.commands.tables import KEYS, Command
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support import factories

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Says how it was called, as the end of its output.
ANSIBLE = """#!/usr/bin/env python3
import json, os, sys
files = [open(one).read() for one in sys.argv if one.startswith("/dev/fd/")]
print(json.dumps([sys.argv[1:], files, os.path.basename(os.getcwd())]))
sys.exit(int(os.environ.get("CODE", 0)))
"""


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)


@pytest.fixture
def playbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with playbooks, and a stand-in for Ansible in PATH."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ansible-playbook"
    program.write_text(ANSIBLE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(kernel: Kernel, tag: str, **args: Any) -> tuple[str, Any]:
    """Run an order; return its state, and its result or its error's code."""
    order_id = order(kernel, tag, **args)
    drain(kernel)
    found = factories.order(kernel, order_id)
    return found.state, found.error_code or json.loads(found.result or "null")


def commands(tmp_path: Path, text: str) -> Handlers:
    """The commands of this text, in a file."""
    (tmp_path / "commands.toml").write_text(text)
    return load_commands(str(tmp_path / "commands.toml"))


def test_file_of_the_page_is_read_and_each_key_is_told(tmp_path: Path) -> None:
    (text,) = blocks("commands.md", "toml")
    assert list(commands(tmp_path, text)) == ["restart_service"]
    page = (DOCS / "commands.md").read_text()
    keys = {*Command.model_fields, *(key for one in KEYS.values() for key in one)}
    assert [one for one in keys if one not in page] == []


def test_playbook_is_played_by_the_command_as_the_page_has_it(
    playbooks: Path, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, commands(playbooks, blocks("howto/ansible.md", "toml")[0]))
    given = {"hosts": ["web-1", "web-2"], "version": "1.4.0", "vault_password": "sesame"}
    state, told = ended(kernel, "rollout", **given)
    argv, files, folder = json.loads(told["output"])
    assert (state, files, folder) == ("success", ["•••"], "playbooks")
    assert argv[:4] == ["--limit", "web-1,web-2", "--extra-vars", "version=1.4.0"]
    assert argv[-1] == "site.yml"


@pytest.mark.parametrize(("code", "ends"), [("0", "success"), ("2", "failed")])
def test_playbook_is_played_by_the_handler_as_the_page_has_it(
    playbooks: Path,
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    ends: str,
) -> None:
    monkeypatch.setenv("CODE", code)
    names: dict[str, Any] = {"__name__": "rollout"}
    exec(blocks("howto/ansible.md", "python")[0], names)
    state, told = ended(make_kernel(sqlite_url, names["handlers"]), "rollout", version="1.4.0")
    assert state == ends
    assert told == "playbook_failed" or json.loads(told["said"])[0][-1] == "site.yml"


def test_ticket_of_the_page_is_closed_when_its_test_is_run(tmp_path: Path) -> None:
    for name, text in zip(
        ("phones.py", "test_phones.py"), blocks("howto/http-api.md", "python"), strict=True
    ):
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "test_phones.py", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Phones(BaseHTTPRequestHandler):
    """Refuses the first call, and takes the second."""

    heard: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append((self.headers["Idempotency-Key"], body))
        self.send_response(503 if len(self.heard) == 1 else 201)
        self.end_headers()
        self.wfile.write(b'{"number": "1"}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve; yield the address."""
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_api_is_called_again_by_the_command_of_the_page(
    tmp_path: Path, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    Phones.heard = []
    (text,) = blocks("howto/http-api.md", "toml")
    with serving(Phones) as address:
        changed = text.replace("https://phones.example.net", address)
        kernel = make_kernel(sqlite_url, commands(tmp_path, changed))
        order_id = order(kernel, "order_phone", person="Ada")
        drain(kernel)
        kernel.clock.shift(60)
        drain(kernel)
    assert Phones.heard == 2 * [(order_id, {"person": "Ada"})]
    assert factories.order(kernel, order_id).result == '{"output":"{\\"number\\": \\"1\\"}"}'
