"""What a page of docs/howto tells to run and to send, read from the page itself."""

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from tests.support.clients import Client

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "howto"
# Those of ticketing systems: each makes a receiver.
PAGES = [one for one in sorted(FOLDER.glob("*.md")) if "kernel receivers add" in one.read_text()]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Page:
    """One page: its commands, and the request that it says kernel gets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.text = path.read_text()

    def blocks(self, language: str) -> list[str]:
        """Return the page's code in a language, block by block."""
        return [code for name, code in BLOCK.findall(self.text) if name == language]

    def commands(self, *words: str) -> list[list[str]]:
        """Return the commands that begin with ``kernel`` and these words, as arguments."""
        lines = "".join(self.blocks("sh")).replace("\\\n", " ").splitlines()
        found = [shlex.split(line, comments=True) for line in lines]
        wanted = ["kernel", *words]
        return [command[1:] for command in found if command[: len(wanted)] == wanted]

    def receivers(self) -> dict[str, list[str]]:
        """Return the commands that add receivers, by the receiver's name."""
        return {command[2]: command for command in self.commands("receivers", "add")}

    @property
    def caller(self) -> str:
        """The name of the page's first caller."""
        return self.commands("callers", "add")[0][2]

    @property
    def example(self) -> "Example":
        """The request that the page shows."""
        (text,) = self.blocks("http")
        return Example(text)


class Example:
    """A request as a page shows it, with ``API_KEY`` where a key belongs."""

    def __init__(self, text: str) -> None:
        head, _, self.body = text.partition("\n\n")
        first, *lines = head.splitlines()
        self.method, self.path, _ = first.split()
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.members: dict[str, Any] = json.loads(self.body)

    def headers_with(self, key: str) -> dict[str, str]:
        """Return its headers with a real key where the page has a placeholder."""
        scheme, _, given = self.headers["Authorization"].partition(" ")
        if scheme == "Basic":
            user, _, placeholder = base64.b64decode(given).decode().partition(":")
            given = base64.b64encode(f"{user}:{key}".encode()).decode()
        else:
            placeholder, given = given, key
        assert placeholder == "API_KEY"
        return self.headers | {"Authorization": f"{scheme} {given}"}

    def send(self, client: Client, key: str, **changed: Any) -> TestResponse:
        """Send it as the ticketing system would, with these members changed."""
        body = json.dumps(self.members | changed) if changed else self.body
        return client.open(
            self.method, self.path, data=body.encode(), headers=self.headers_with(key)
        )


EACH = {path.stem: Page(path) for path in PAGES}
