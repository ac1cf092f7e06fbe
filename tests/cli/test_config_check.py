"""`kernel config check` fails for what the start would refuse."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kernel.runtime.installation import Name
from tests.support.acl_redis import AclRedis
from tests.support.people.terminal import Terminal
from tests.support.servers import Redis

HANDLERS = """
from pydantic import BaseModel, SecretStr
from kernel import Handlers

guarded, late = Handlers(), Handlers()

class Guarded(BaseModel):
    password: SecretStr

class Nothing(BaseModel):
    pass

guarded.register("guarded", Guarded)(lambda run, args: {})
late.register("late", Nothing, soft_limit=50)(lambda run, args: {})
"""


def failed(terminal: Terminal) -> dict[str, str]:
    """What each check says that fails."""
    done = terminal.json("config", "check", exit_code=1)
    return {one["check"]: one["detail"] for one in done if not one["ok"]}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of handlers that fit most settings."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "strict_ones.py").write_text(HANDLERS)
    yield
    sys.modules.pop("strict_ones", None)


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("handlers", "setting", "value", "said"),
    [
        ("guarded", "secrets_key", "", "make a key with `kernel secrets new-key`"),
        ("late", "time_limit_seconds", "40", "KERNEL_TIME_LIMIT_SECONDS"),
    ],
)
def test_handlers_fail_when_the_settings_do_not_fit_them(
    terminal: Terminal, redis: Redis, handlers: str, setting: str, value: str, said: str
) -> None:
    terminal.settings |= {"broker_url": redis.url(1), "handlers": f"strict_ones:{handlers}"}
    assert all(one["ok"] for one in terminal.json("config", "check"))
    terminal.settings[setting] = value
    found = failed(terminal)
    assert list(found) == ["handlers"]
    assert said in found["handlers"]


def test_broker_fails_when_its_user_may_not_use_the_queue(terminal: Terminal) -> None:
    with closing(AclRedis()) as server:
        server.start()
        terminal.settings["broker_url"] = server.url_of("kernel", 1)
        with server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "kernel", "resetkeys", "~orders")
        # No process has made the queue's name yet, and this one makes none.
        assert all(one["ok"] for one in terminal.json("config", "check"))
        assert terminal.kernel.one(Name).made_queue() is None
        terminal.kernel.one(Name).read()
        found = failed(terminal)
    assert list(found) == ["broker"]
    assert "with the keys ~orders.*" in found["broker"]


def test_database_fails_when_the_application_of_the_handlers_cannot_be_made(
    terminal: Terminal, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop_without_url.py").write_text(
        "from kernel import Handlers, InApp\n"
        "def create_app():\n"
        "    raise KeyError('SHOP_URL')\n"
        "handlers = Handlers(within=InApp(create_app))\n"
    )
    terminal.settings |= {"broker_url": redis.url(1), "handlers": "shop_without_url:handlers"}
    assert all(one["ok"] for one in terminal.json("config", "check"))
    terminal.kernel.one(Name).read()  # as the first process does
    found = failed(terminal)
    assert list(found) == ["database"]
    assert "KeyError: 'SHOP_URL'" in found["database"]
    assert "shop_without_url.py, line 3: raise KeyError" in found["database"]
