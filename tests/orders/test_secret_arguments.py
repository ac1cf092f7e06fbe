"""Secret arguments: sealed in the row, given to the handler alone, quoted nowhere."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr, field_validator
from sqlalchemy import select, update

from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.orders import ORDERS
from kernel.errors import ConfigurationError, IdempotencyKeyReused, InvalidOrder
from kernel.formats.envelope import encode
from kernel.formats.order_request import OrderRequest, fingerprint, order_request
from kernel.handlers import Handlers, Run
from kernel.orders.pages import get_order
from kernel.orders.secrets.arguments import MARK, SecretsGone, as_submitted, forget_secrets
from kernel.orders.secrets.erase import Whose, count_erasable, erase
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.runtime.rotation import count_sealed, rotate
from kernel.runtime.startup import check_handlers
from kernel.testing import drain
from kernel.views.openapi.document import document
from kernel.worker.maintenance.prune import BEGINNING
from tests.support.factories import ANYBODY, CALLBACK
from tests.support.sealing import SECRETS_KEY

PASSWORD, PIN, TOKEN = "correct-horse-battery", "7319", "tok-Ä\"'x"
OTHER_KEY = "YSBzZWNvbmQga2V5LCAzMiBieXRlcyBpbiBhbGwgISE="
DAY = 86_400.0


class Login(BaseModel):
    """A part of the arguments that has a secret of its own."""

    user: str
    pin: SecretStr | None = None


class Account(BaseModel):
    """Arguments with secrets at several depths."""

    name: str
    password: SecretStr = Field(min_length=4)
    logins: list[Login] = []
    token: SecretBytes | int = 0

    @field_validator("name")
    @classmethod
    def _is_no_quote(cls, name: str) -> str:
        if name == "quoting":
            raise ValueError(f"not {PASSWORD}")
        return name


ARGUMENTS: dict[str, Any] = {
    "name": "bridge",
    "password": PASSWORD,
    "logins": [{"user": "u", "pin": PIN}, {"user": "v"}],
    "token": TOKEN,
}


class Desk:
    """A kernel with a handler that takes secrets, what it was given, and how it ends."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str, key: str) -> None:
        self.given: list[Account] = []
        self.ending: Callable[[Account], dict[str, Any]] = lambda _: {}
        handlers = Handlers()

        @handlers.register("open_account", Account)
        def open_account(run: Run, args: Account) -> dict[str, Any]:
            self.given.append(args)
            return self.ending(args)

        self.kernel = make_kernel(url, handlers=handlers, secrets_key=key)

    def request(self, **members: Any) -> OrderRequest:
        """An order with secrets, checked."""
        return order_request(self.members(**members), self.kernel.handlers)

    def members(self, **members: Any) -> dict[str, Any]:
        """The members of an order with secrets."""
        return {"select_tag": "open_account", "callback_url": CALLBACK} | ARGUMENTS | members

    def submit(self, key: str | None = None, **members: Any) -> str:
        """Accept an order with secrets."""
        return submit(self.kernel, ANYBODY, self.request(**members), key).order_id

    def row(self, order_id: str) -> Any:
        """The order's row."""
        with self.kernel.read() as connection:
            return connection.execute(select(ORDERS).where(ORDERS.c.id == order_id)).one()

    def dump(self) -> str:
        """Every text of orders, deliveries and attempts."""
        with self.kernel.read() as connection:
            tables = (ORDERS, Delivery.__table__, Attempt.__table__)
            return repr([tuple(row) for one in tables for row in connection.execute(select(one))])

    def fail(self) -> None:
        """Have the handler raise, with a secret in the error's text."""

        def raising(args: Account) -> dict[str, Any]:
            raise RuntimeError(f"no luck with {args.password.get_secret_value()}")

        self.ending = raising


@pytest.fixture
def desk(make_kernel: Callable[..., Kernel], database_url: str) -> Desk:
    """A desk on each kind of database."""
    return Desk(make_kernel, database_url, SECRETS_KEY)


def test_row_holds_masks_and_the_handler_gets_the_secrets(desk: Desk) -> None:
    order_id = desk.submit()
    row = desk.row(order_id)
    assert json.loads(row.args) == {
        "name": "bridge",
        "password": "•••",
        "logins": [{"user": "u", "pin": "•••"}, {"user": "v"}],
        "token": "•••",
    }
    assert row.secret_args.startswith("sealed:")
    assert row.fingerprint.startswith(MARK)
    for secret in (PASSWORD, PIN, "tok-"):
        assert secret not in desk.dump()
    drain(desk.kernel)
    (given,) = desk.given
    assert given == Account.model_validate_json(json.dumps(ARGUMENTS))
    assert given.password.get_secret_value() == PASSWORD


def test_secrets_are_gone_with_success(desk: Desk) -> None:
    order_id = desk.submit()
    drain(desk.kernel)
    row = desk.row(order_id)
    assert (row.state, row.secret_args) == ("success", None)


def test_result_with_a_secret_is_masked(desk: Desk) -> None:
    desk.ending = lambda args: {"password": args.password, "token": args.token}
    order_id = desk.submit()
    drain(desk.kernel)
    assert json.loads(desk.row(order_id).result) == {"password": "•••", "token": "•••"}
    assert PASSWORD not in desk.dump()


def test_secrets_of_a_failure_are_kept_for_some_days(desk: Desk) -> None:
    desk.fail()
    order_id = desk.submit()
    drain(desk.kernel, raise_bugs=False)
    desk.kernel.clock.shift(6 * DAY)
    forget_secrets(desk.kernel, BEGINNING)
    assert desk.row(order_id).secret_args is not None
    desk.kernel.clock.shift(2 * DAY)
    assert forget_secrets(desk.kernel, BEGINNING) == desk.row(order_id).finished_at
    assert desk.row(order_id).secret_args is None


def test_order_fails_in_words_when_it_is_run_without_its_secrets(desk: Desk) -> None:
    order_id = desk.submit()
    with desk.kernel.write() as connection:
        connection.execute(update(ORDERS).values(secret_args=None))
    drain(desk.kernel)
    row = desk.row(order_id)
    assert (row.state, row.error_code) == ("failed", "secrets_gone")
    assert "submit a new order" in row.message
    assert desk.given == []


def test_same_order_again_has_its_secrets_until_they_are_gone(desk: Desk) -> None:
    desk.fail()
    order_id = desk.submit()
    drain(desk.kernel, raise_bugs=False)
    with desk.kernel.read_session() as session:
        found = get_order(session, None, order_id)
        assert json.loads(as_submitted(desk.kernel, found)) == ARGUMENTS
        found.secret_args = None
        with pytest.raises(SecretsGone) as refused:
            as_submitted(desk.kernel, found)
        session.expunge(found)
    assert refused.value.data == {"page": "secrets_gone"}


def test_log_of_a_bug_masks_the_secrets(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.fail()
    with caplog.at_level(logging.DEBUG):
        desk.submit()
        drain(desk.kernel, raise_bugs=False)
    assert "no luck with •••" in caplog.text
    assert PASSWORD not in caplog.text + desk.dump()


def test_repeat_is_found_by_its_keyed_fingerprint(desk: Desk) -> None:
    first = desk.submit("key")
    assert desk.submit("key") == first
    with pytest.raises(IdempotencyKeyReused) as refused:
        desk.submit("key", password="another-one")
    assert "another-one" not in str(refused.value) + repr(refused.value.data)


def test_repeat_is_found_when_the_first_was_accepted_before_its_arguments_were_secret(
    desk: Desk,
) -> None:
    first = desk.submit("key")
    plain = fingerprint(desk.members())
    with desk.kernel.write() as connection:
        connection.execute(update(ORDERS).values(fingerprint=plain))
    assert desk.submit("key") == first


@pytest.mark.parametrize("wrong", [{"logins": 5}, {"password": "abc"}, {"name": "quoting"}])
def test_refusal_quotes_no_secret(desk: Desk, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOrder) as refused:
        desk.request(**wrong)
    said = repr(refused.value.data)
    assert PASSWORD not in said
    assert "abc" not in said


def test_start_is_refused_when_there_is_no_key(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    desk = Desk(make_kernel, database_url, "")
    with pytest.raises(ConfigurationError, match="Account has secret arguments"):
        check_handlers(desk.kernel)
    with pytest.raises(ConfigurationError, match="KERNEL_SECRETS_KEY"):
        desk.submit()


def test_rotation_seals_the_secrets_again(desk: Desk) -> None:
    order_id = desk.submit()
    both = desk.kernel.settings.model_copy(
        update={"secrets_key": SecretStr(f"{OTHER_KEY},{SECRETS_KEY}")}
    )
    other = Kernel(both, desk.kernel.handlers, desk.kernel.transport)
    before = desk.row(order_id).secret_args
    rotate(other, lambda _: None)
    after = desk.row(order_id).secret_args
    assert after.split(":")[1] == other.keyring.ids[0] != before.split(":")[1]
    assert {one.key for one in count_sealed(other, 1000)} == {other.keyring.ids[0]}
    drain(other)
    assert desk.given[0].password.get_secret_value() == PASSWORD
    other.close()


def test_names_that_are_secret_are_refused() -> None:
    class Keyed(BaseModel):
        by_pin: dict[SecretStr, int]

    with pytest.raises(ConfigurationError, match="keys of a secret type"):
        Handlers().register("keyed", Keyed)


def test_erase_leaves_the_skeleton(desk: Desk) -> None:
    desk.ending = lambda _: {"city": "Chengdu"}
    done, live = desk.submit(reference="T-1"), desk.submit(reference="T-2")
    with desk.kernel.write() as connection:
        later = desk.row(live).run_after.replace(year=2200)
        connection.execute(update(ORDERS).where(ORDERS.c.id == live).values(run_after=later))
    drain(desk.kernel)
    before = desk.row(done)
    everybody = Whose(caller_id=ANYBODY.caller_id)
    assert count_erasable(desk.kernel, everybody) == (1, 1)
    assert list(erase(desk.kernel, everybody)) == [1]
    after = desk.row(done)
    assert (after.args, after.result, after.message) == ("{}", None, None)
    for name in ("id", "state", "reference", "created_at", "finished_at", "callback_url"):
        assert getattr(after, name) == getattr(before, name)
    assert "Chengdu" not in desk.dump()
    assert json.loads(desk.row(live).args)["name"] == "bridge"
    assert list(erase(desk.kernel, everybody)) == []


def test_erase_finds_orders_by_their_reference(desk: Desk) -> None:
    done, other = desk.submit(reference="T-1"), desk.submit(reference="T-2")
    drain(desk.kernel)
    assert list(erase(desk.kernel, Whose(reference="T-1"))) == [1]
    assert desk.row(done).args == "{}"
    assert desk.row(other).args != "{}"


def test_erase_refuses_to_be_told_nothing(desk: Desk) -> None:
    with pytest.raises(InvalidOrder):
        count_erasable(desk.kernel, Whose())


def test_api_document_says_that_secrets_are_written_only(desk: Desk) -> None:
    found = desk.kernel.handlers["open_account"].model.model_json_schema()
    assert found["properties"]["password"]["writeOnly"]
    assert '"writeOnly":true' in encode(document(desk.kernel.handlers)).decode()
