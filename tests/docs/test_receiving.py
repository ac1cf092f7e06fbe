"""The receivers of docs/receiving.md, as real processes, and the page's own code."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from sqlalchemy import select

from kernel.callers import keys
from kernel.cli.local.supervisor import free_port, tethered
from kernel.db.tables.deliveries import Delivery
from kernel.delivery.redeliver import list_attempts, redeliver
from kernel.formats.signing import headers, new_secret
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.transport.client import Transport
from tests.support.factories import ANYBODY, request
from tests.support.sealing import signing_secrets
from tests.support.servers import missing
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "receiving.md").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BODY = b'{"status":0,"msg":"success","data":{"order_id":"o-1","state":"success"}}'


class Example:
    """One of the two receivers, run as the page tells to, its files in ``folder``."""

    def __init__(self, folder: Path, script: str, secret: str) -> None:
        self.folder, self.script, self.secret = folder, script, secret
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/callback"

    def __enter__(self) -> Self:
        program = sys.executable if self.script.endswith(".py") else "node"
        env = {**os.environ, "PORT": str(self.port), "WEBHOOK_SECRET": self.secret}
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                tethered([program, str(EXAMPLES / self.script)]),
                cwd=self.folder,
                env=env,
                stdout=out,
                stderr=out,
            )
        wait_until(self._answers, 30, self.out)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        print(self.out)  # shown when the test fails

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.out
        with suppress(requests.ConnectionError):
            return requests.get(self.url, timeout=10).ok is False
        return False

    @property
    def out(self) -> str:
        """What it printed."""
        return (self.folder / "out").read_text()

    def post(self, named: Mapping[str, str], body: bytes) -> int:
        """POST to it, and return the HTTP status."""
        return requests.post(self.url, data=body, headers=dict(named), timeout=10).status_code


@pytest.fixture(params=["receiver.py", "receiver.mjs"])
def script(request: pytest.FixtureRequest) -> str:
    """Each receiver, if what it needs is there."""
    name: str = request.param
    if name.endswith(".mjs"):
        if shutil.which("node") is None:
            missing("node is not installed")
        if not (EXAMPLES / "node_modules" / "standardwebhooks").exists():
            missing("standardwebhooks is not installed: ./run test installs it")
    return name


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    """A kernel that may send to this host, and really does."""
    return make_kernel(sqlite_url, transport=Transport(), callback_allow_nets="127.0.0.1/32")


def secret_of(kernel: Kernel) -> str:
    """The newest signing secret of the caller."""
    with kernel.read_session() as session:
        return signing_secrets(session)[-1]


@pytest.fixture
def receiver(script: str, kernel: Kernel, tmp_path: Path) -> Iterator[Example]:
    """A receiver that knows the caller's secret."""
    with Example(tmp_path, script, secret_of(kernel)) as example:
        yield example


def deliver(kernel: Kernel, url: str) -> str:
    """Submit an order, carry it out and deliver its callback; return the order's id."""
    order_id = submit(kernel, ANYBODY, request(projname="Bridge", callback_url=url)).order_id
    drain(kernel)
    return order_id


def delivery_of(kernel: Kernel, order_id: str) -> tuple[str, str, list[Any]]:
    """The id and state of an order's delivery, and the status of each attempt."""
    with kernel.read_session() as session:
        found = session.scalars(select(Delivery).where(Delivery.order_id == order_id)).one()
        attempts = list_attempts(session, [found.id])[found.id]
        return found.id, found.state, [one.status for one in attempts]


def test_receiver_accepts_a_callback_when_it_is_genuine(kernel: Kernel, receiver: Example) -> None:
    order_id = deliver(kernel, receiver.url)
    assert delivery_of(kernel, order_id)[1:] == ("delivered", [204])
    assert receiver.out.count(f"order {order_id}: success\n") == 1


def test_receiver_does_nothing_again_when_a_callback_is_redelivered(
    kernel: Kernel, receiver: Example
) -> None:
    order_id = deliver(kernel, receiver.url)
    redeliver(kernel, None, delivery_of(kernel, order_id)[0])
    drain(kernel)
    assert delivery_of(kernel, order_id)[1:] == ("delivered", [204, 204])
    assert receiver.out.count(f"order {order_id}: success\n") == 1
    assert receiver.out.count(f"order {order_id}: success, seen before\n") == 1


def test_receiver_knows_what_it_has_seen_when_it_was_started_again(
    script: str, tmp_path: Path
) -> None:
    secret = new_secret()
    for _ in range(2):
        with Example(tmp_path, script, secret) as example:
            assert example.post(headers([secret], "m-1", int(time.time()), BODY), BODY) == 204
    assert example.out.count("order o-1: success\n") == 1
    assert example.out.count("order o-1: success, seen before\n") == 1


FORGED: dict[str, Callable[[str, int], tuple[Mapping[str, str], bytes]]] = {
    "tampered": lambda secret, now: (headers([secret], "m-1", now, BODY), BODY + b" "),
    "another's": lambda secret, now: (headers([new_secret()], "m-1", now, BODY), BODY),
    "unsigned": lambda secret, now: (headers([], "m-1", now, BODY), BODY),
    "replayed": lambda secret, now: (headers([secret], "m-1", now - 400, BODY), BODY),
    "malformed": lambda secret, now: (
        headers([secret], "m-1", now, BODY) | {"webhook-signature": "v1 , v1,***, ,"},
        BODY,
    ),
    "bare": lambda secret, now: ({}, b""),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_receiver_refuses_a_callback_when_it_is_not_genuine(
    receiver: Example, forge: Callable[[str, int], tuple[Mapping[str, str], bytes]]
) -> None:
    assert receiver.post(*forge(receiver.secret, int(time.time()))) == 401
    assert "order" not in receiver.out


@pytest.mark.parametrize("knows", ["old", "new"])
def test_receiver_accepts_either_secret_when_they_are_rotated(
    script: str, kernel: Kernel, tmp_path: Path, knows: str
) -> None:
    secrets = {"old": secret_of(kernel)}
    with kernel.write_session() as session:
        keys.rotate_secret(session, "anonymous", kernel.clock.now())
    secrets["new"] = secret_of(kernel)
    with Example(tmp_path, script, secrets[knows]) as example:
        order_id = deliver(kernel, example.url)
    assert secrets["old"] != secrets["new"]
    assert delivery_of(kernel, order_id)[1:] == ("delivered", [204])


def test_receiver_refuses_the_old_secret_when_its_time_is_over(
    script: str, kernel: Kernel, tmp_path: Path
) -> None:
    old = secret_of(kernel)
    with kernel.write_session() as session:
        keys.rotate_secret(session, "anonymous", kernel.clock.now() - keys.OVERLAP)
    with Example(tmp_path, script, old) as example:
        assert delivery_of(kernel, deliver(kernel, example.url))[1:] == ("pending", [401])


def code(language: str) -> list[str]:
    return [text for name, text in FENCE.findall(PAGE) if name == language]


@pytest.mark.parametrize(("language", "name"), [("python", "py"), ("javascript", "mjs")])
def test_page_shows_the_receivers_as_they_are(language: str, name: str) -> None:
    assert code(language)[0] == (EXAMPLES / f"receiver.{name}").read_text()


def test_pages_show_one_callback() -> None:
    """That of the API's page has the same id and time, so it can have no other signature."""
    shown = code("http")[0].partition("\n")[2]
    assert f"```text\n{shown}```" in (EXAMPLES.parent / "docs" / "api.md").read_text()


def test_page_verifies_its_own_callback_by_hand() -> None:
    names: dict[str, Any] = {}
    exec(code("python")[1], names)
    head, _, body = code("http")[0].rstrip("\n").partition("\n\n")
    named = dict(line.split(": ", 1) for line in head.split("\n")[1:])
    (secret,) = re.findall(r"`(whsec_[\w+/=]{32,})`", PAGE)
    now = int(named["webhook-timestamp"])
    assert named == named | headers([secret], named["webhook-id"], now, body.encode())
    assert names["is_genuine"](named, body.encode(), secret, now=lambda: now)
    assert not names["is_genuine"](named, body.encode() + b" ", secret, now=lambda: now)
    assert not names["is_genuine"](named, body.encode(), secret)
    assert not names["is_genuine"]({}, body.encode(), secret)
    for stamp in ("9" * 4301, "²", "٣", str(now) + "\n", "\udc80"):
        strange = named | {"webhook-timestamp": stamp, "webhook-signature": "v1,\udc80"}
        assert not names["is_genuine"](strange, body.encode(), secret, now=lambda: now)


def test_packages_are_pinned_without_naming_a_registry() -> None:
    lock = (EXAMPLES / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock
