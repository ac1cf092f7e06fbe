"""Every secret of an installation is minted, everything goes wrong, and no log line tells one."""

import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from kernel.builtin import handlers as builtin_handlers
from kernel.callers import identity, keys, receiver_changes
from kernel.callers.credentials import Credentials
from kernel.callers.identity import Scope
from kernel.callers.profile import CallbackProfile
from kernel.callers.receiver_changes import Ground, ReceiverPatch
from kernel.callers.receivers import Receiver, SealedCredentials
from kernel.config.settings import load
from kernel.db.tables.sealed import Sealed
from kernel.delivery.claim import DueDelivery
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import CallbackPolicy
from tests.support.clients import client
from tests.support.receiver import Answer
from tests.support.sealing import signing_secrets
from tests.support.servers import MariaDB, Redis
from tests.support.stack import Stack
from tests.support.waiting import wait_until

WORD = "s3cr3t-"


def minted() -> str:
    return WORD + secrets.token_hex(16)


@pytest.fixture
def guarded(tmp_path: Path, mariadb: MariaDB, mariadb_url: str, redis: Redis) -> Any:
    """A stack whose database and broker have users with passwords."""
    user, broker = minted(), minted()
    database = make_url(mariadb_url).database
    mariadb.execute(f"CREATE USER leak@'127.0.0.1' IDENTIFIED BY '{user}'")
    mariadb.execute(f"GRANT ALL ON {database}.* TO leak@'127.0.0.1'")
    with redis.client() as admin:
        admin.acl_setuser("leak", True, passwords=[f"+{broker}"], keys="*", commands=["+@all"])
        admin.acl_setuser("leak", enabled=True, channels="*")
    url = mariadb_url.replace("root@", f"leak:{user}@")
    urls = {"broker_url": redis.url(1), "result_backend": redis.url(2)}
    urls = {name: one.replace("://", f"://leak:{broker}@") for name, one in urls.items()}
    settings = {
        "handlers": "tests.support.handlers.misbehaving:handlers",
        "rate_limit": "500/minute",
        **urls,
    }
    with Stack(tmp_path, url, redis, **settings) as stack:
        yield stack, [user, broker]
    mariadb.execute("DROP USER leak@'127.0.0.1'")
    with redis.client() as admin:
        admin.acl_deluser("leak")


def mint(stack: Stack) -> list[str]:
    """Give the caller a header, a second key and a second secret; return all there are."""
    header = minted()
    with stack.kernel.write_session() as session:
        now = stack.kernel.clock.now()
        patch = ReceiverPatch(url=stack.receiver.url, credentials={"headers": {"X-Token": header}})
        policy = CallbackPolicy.from_strings(["127.0.0.1/32"])  # as the stack's processes have it
        ground = Ground(policy, stack.kernel.retry_policy, now)
        receiver_changes.add(session, "tests", "own", patch, ground)
        second = keys.add_key(session, "tests", now, keys.KeyTerms(frozenset({Scope.READ})))
        fresh = keys.rotate_secret(session, "tests", now)
    found = [second.api_key, fresh.signing_secret]
    return [stack.key, stack.secret, header, *(one.get_secret_value() for one in found)]


def provoke(stack: Stack, second_key: str) -> None:
    """Whatever makes somebody write a log line."""
    url = f"http://leak:{WORD}x@127.0.0.1:{stack.port}/v1/orders"
    for headers in ({}, {"Authorization": f"Bearer {WORD}wrong"}, {"Authorization": "Basic !"}):
        stack.get("/v1/orders", headers=headers)
    requests.post(url, data=b'{"a": 1, "a": 2}', timeout=10)
    stack.post("/v1/orders", {"x": "y"}, headers={"Authorization": f"Bearer {second_key}"})
    stack.post("/v1/orders", {"select_tag": "write", "callback_url": f"http://10.0.0.1/{WORD}u"})
    stack.post("/test/callback/", {"hello": "there\nforged line"})
    for tag in ("bug", "reject", "nan", "commit", "ddl", "exit"):
        assert stack.finished(stack.submit(tag))["state"] == "failed"


@pytest.mark.slow
def test_no_log_line_tells_a_secret_when_everything_goes_wrong(
    guarded: tuple[Stack, list[str]], mariadb: MariaDB
) -> None:
    stack, known = guarded
    known += mint(stack)
    stack.api()
    stack.worker()
    stack.start("dispatcher", "kernel", "dispatcher")
    stack.receiver.script(Answer(500, body=b"Traceback (most recent call last)"))
    provoke(stack, known[-2])
    mariadb.kill()
    stack.get("/v1/orders")
    stack.redis.kill()
    stack.get("/v1/orders")
    wait_until(lambda: "database:" in stack.log())
    mariadb.start()
    stack.redis.start()
    wait_until(lambda: stack.get("/v1/orders").status_code == 200)
    log = stack.log()
    assert [one for one in [*known, WORD] if one in log] == []
    assert "secret detail" in log, "the bug's traceback is for the operator"


def lines(stack: Stack) -> list[str]:
    """What gunicorn's application, worker and dispatcher wrote, without the headings of `log`."""
    return [one for one in stack.log().splitlines() if one and not one.startswith("====")]


@pytest.mark.parametrize(
    "stack", [{"handlers": "tests.support.handlers.misbehaving:handlers"}], indirect=True
)
def test_log_is_one_json_object_per_line_when_there_are_tracebacks(stack: Stack) -> None:
    stack.api()
    worker = stack.worker()
    stack.start("dispatcher", "kernel", "dispatcher")
    order_id = stack.submit("bug")
    callback = stack.callback(order_id)
    assert b"secret detail" not in callback.body
    assert "Traceback" not in json.dumps(stack.show(order_id))
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: worker.returncode is not None, 30)
    own = [one for one in lines(stack) if "order_id" in one]
    assert any("secret detail" in json.loads(one)["traceback"] for one in own)
    assert {json.loads(one)["order_id"] for one in own} == {order_id}


def test_parameters_are_hidden_when_a_statement_fails(make_kernel: Any, sqlite_url: str) -> None:
    kernel = make_kernel(sqlite_url)
    word = minted()
    with pytest.raises(OperationalError) as failed, kernel.write_session() as session:
        session.execute(text("SELECT * FROM nowhere WHERE x = :word"), {"word": word})
    assert word not in str(failed.value)


def test_nothing_secret_is_shown_when_objects_are_printed() -> None:
    word = minted()
    urls = {
        "database_url": f"mysql+pymysql://user:{word}@127.0.0.1/x",
        "broker_url": f"redis://:{word}@127.0.0.1/1",
        "result_backend": f"redis://:{word}@127.0.0.1/2",
    }
    kernel = Kernel(load(**urls), builtin_handlers)
    credentials = Credentials(headers={"X-Token": SecretStr(word)})
    sealed = SealedCredentials.of(credentials)
    receiver = Receiver(id=1, caller_id=1, name="a", url="", origin="", sealed=sealed)
    profile = CallbackProfile((Sealed.of(SecretStr(word)),), receivers=(receiver,))
    patch = ReceiverPatch(credentials={"headers": {"X-Token": word}}, ca_pem=word)
    shown = [kernel.settings, kernel, kernel.engine, kernel.engine.url, profile, patch]
    assert word not in repr(shown) + str(kernel.settings) + str(kernel.engine)


def test_nothing_secret_is_shown_when_a_delivery_is_printed(
    make_kernel: Any, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    zammad = client(kernel)
    word = zammad.headers["Authorization"].split()[1]
    with kernel.read_session() as session:
        who = identity.identify(session, word, kernel.clock.now())
        secret = signing_secrets(session)[-1]
    assert secret
    assert word not in repr(who)
    fields = dict.fromkeys(DueDelivery.__dataclass_fields__) | {
        "profile": CallbackProfile((Sealed.of(SecretStr(secret)),)),
    }
    assert secret not in repr(DueDelivery(**fields))
