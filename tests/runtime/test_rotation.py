"""Secrets in the database: sealed as they are written, and rotated beside a service that runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import MetaData, event, func, insert, select, text, update

from kernel.callers import keys
from kernel.callers.credentials import Basic, ClientCertificate, Credentials, OAuth2
from kernel.callers.receiver_changes import ReceiverPatch, add, change
from kernel.callers.receivers import list_receivers
from kernel.config.keyring import new_key
from kernel.db.tables.callers import SigningSecret
from kernel.db.tables.sealed import sealed_columns
from kernel.errors import ConfigurationError, SecretsLocked
from kernel.pauses.adoption import ground_of
from kernel.runtime import rotation
from kernel.runtime.kernel import Kernel
from kernel.runtime.rotation import check_secrets, count_sealed, rotate
from kernel.runtime.service_key import ServiceKeys
from tests.support.sealing import SECRETS_KEY, signing_secrets, with_keys
from tests.support.ticketing import make_receiver
from tests.support.waiting import wait_until

OTHER = new_key().get_secret_value()
HIDDEN = [f"hidden-{number}-hidden" for number in range(8)]
EVERY_KIND = Credentials(
    basic=Basic("user", SecretStr(HIDDEN[0])),
    headers={"X-Token": SecretStr(HIDDEN[1])},
    oauth2=OAuth2(
        token_url="https://login.example/token",
        grant="password",
        client_id="kernel",
        client_secret=SecretStr(HIDDEN[2]),
        user="user",
        password=SecretStr(HIDDEN[3]),
    ),
    client_certificate=ClientCertificate("-----BEGIN CERTIFICATE-----", SecretStr(HIDDEN[4])),
    sn_hmac=SecretStr(HIDDEN[5]),
    secrets={"url": SecretStr(HIDDEN[6])},
)


def silent(_line: str) -> None:
    """Take a line of progress."""


def use_everything(kernel: Kernel) -> list[str]:
    """Write every secret that a database can hold; return them in clear."""
    now = kernel.clock.now()
    with kernel.write_session() as session:
        made = [keys.add(session, "desk", now), keys.rotate_secret(session, "desk", now)]
        patch = ReceiverPatch(url="https://desk.example/in", credentials={"bearer": "before"})
        add(session, "desk", "one", patch, ground_of(kernel))
        patch = ReceiverPatch(credentials={"bearer": HIDDEN[7]})
        change(session, "desk", "one", patch, ground_of(kernel))
    make_receiver(kernel, "every", "https://every.example/", EVERY_KIND)
    ServiceKeys(kernel).for_purpose("sessions")
    with kernel.read_session() as session:
        secrets = signing_secrets(session)
    shown = [one.signing_secret.get_secret_value() for one in made if one.signing_secret]
    assert set(shown) <= set(secrets)
    with kernel.read() as connection:
        stored = connection.scalar(text("SELECT secret FROM kernel_service_keys"))
    return [*secrets, *HIDDEN, kernel.keyring.open(str(stored)).get_secret_value()]


def dump(kernel: Kernel) -> bytes:
    """Everything that a thief of the database has: all rows of all tables, and a file's bytes."""
    found, parts, names = MetaData(), [], []
    found.reflect(kernel.engine)
    with kernel.read() as connection:
        for table in found.sorted_tables:
            rows = connection.execute(select(table))
            parts += [repr(tuple(row)).encode() for row in rows]  # a Row's own repr cuts texts
            names.append(table.name)
    assert len(names) > 15
    file = kernel.dialect.file_of(kernel.engine.url)
    if file is not None:
        parts += [path.read_bytes() for path in file.parent.glob(file.name + "*")]
    return b"\n".join(parts)


def in_clear(kernel: Kernel, secrets: list[str]) -> list[str]:
    """Which of the secrets a dump shows, in themselves or as JSON and bytes write them."""
    found = dump(kernel)
    return [one for one in secrets if one.encode() in found or one.encode().hex().encode() in found]


def opens(kernel: Kernel, secrets: list[str]) -> None:
    """Assert that everything that `use_everything` has written is there and can be used."""
    with kernel.read_session() as session:
        assert set(signing_secrets(session)) <= set(secrets)
        found = {one.name: one.credentials for _, one in list_receivers(session)}
    assert found["every"] == EVERY_KIND
    assert found["one"].bearer == SecretStr(HIDDEN[7])
    assert len(ServiceKeys(kernel).for_purpose("sessions")) == 32


def test_stolen_dump_shows_no_secret_when_there_is_a_key(kernel: Kernel) -> None:
    secrets = use_everything(kernel)
    assert len(secrets) > 10
    assert in_clear(kernel, secrets) == []
    opens(kernel, secrets)
    assert SECRETS_KEY.encode() not in dump(kernel)


def test_secrets_in_clear_work_until_they_are_sealed_and_leave_nothing_behind(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    bare = make_kernel(database_url, secrets_key="")
    secrets = use_everything(bare)
    assert in_clear(bare, secrets) == secrets
    kernel = make_kernel(database_url)
    opens(kernel, secrets)
    before = ServiceKeys(kernel).for_purpose("sessions")
    assert rotate(kernel, silent) == 6
    assert ServiceKeys(kernel).for_purpose("sessions") == before
    if kernel.dialect.is_remote:
        assert in_clear(kernel, secrets) == []
    opens(kernel, secrets)
    assert rotate(kernel, silent) == 0


def test_bytes_of_a_file_hold_no_secret_that_was_sealed_late(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    """SQLite leaves replaced texts in its file and its log, if nothing is done about it."""
    bare = make_kernel(sqlite_url, secrets_key="")
    with bare.write_session() as session:
        keys.add(session, "desk", bare.clock.now())
        secrets = signing_secrets(session)
    make_receiver(bare, "every", "https://every.example/", EVERY_KIND)
    assert in_clear(bare, secrets + HIDDEN[:7]) == secrets + HIDDEN[:7]
    bare.close()
    kernel = make_kernel(sqlite_url)
    rotate(kernel, silent)
    assert in_clear(kernel, secrets + HIDDEN[:7]) == []


def test_rotation_ends_the_need_for_the_key_before(kernel: Kernel) -> None:
    secrets = use_everything(kernel)
    with with_keys(kernel, OTHER, SECRETS_KEY) as both:
        assert rotate(both, silent) == 6
        assert {one.key for one in count_sealed(both)} == {both.keyring.ids[0]}
    with with_keys(kernel, OTHER) as new:
        opens(new, secrets)
        assert check_secrets(new) == []
    with kernel.read_session() as session, pytest.raises(SecretsLocked):
        signing_secrets(session)


def test_rotation_to_clear_undoes_it_all(kernel: Kernel) -> None:
    secrets = use_everything(kernel)
    assert rotate(kernel, silent, to_clear=True) == 6
    with with_keys(kernel) as bare:
        opens(bare, secrets)
        assert {one.key for one in count_sealed(bare)} == {None}
        with pytest.raises(ConfigurationError, match="no key to seal with"):
            rotate(bare, silent)


def test_row_that_is_changed_meanwhile_is_not_overwritten(kernel: Kernel) -> None:
    use_everything(kernel)
    fresh = kernel.keyring.seal(SecretStr("set by a person meanwhile"))
    done: list[str] = []
    with kernel.read_session() as session:
        first = session.scalar(select(func.min(SigningSecret.id)))

    def meddle(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "kernel_signing_secrets" not in statement or "ORDER BY" not in statement:
            return
        done.append(statement)
        if len(done) == 2:  # they have been counted, and are now read to be sealed again
            with kernel.write() as writing:
                changed = update(SigningSecret).where(SigningSecret.id == first)
                writing.execute(changed.values(secret=fresh))

    with with_keys(kernel, OTHER, SECRETS_KEY) as both:
        event.listen(both.engines.single, "after_cursor_execute", meddle)
        assert rotate(both, silent) == 5
        with both.read_session() as session:
            assert session.get_one(SigningSecret, first).secret == fresh
        assert rotate(both, silent) == 1
        with both.read_session() as session:
            assert signing_secrets(session)[0] == "set by a person meanwhile"


def test_rows_that_no_key_opens_are_named_and_the_others_are_sealed(kernel: Kernel) -> None:
    with with_keys(kernel, OTHER) as other, other.write_session() as session:
        keys.rotate_secret(session, "anonymous", kernel.clock.now())
    with with_keys(kernel, new_key().get_secret_value(), SECRETS_KEY) as new:
        with pytest.raises(SecretsLocked, match=r"^kernel_signing_secrets.secret: a secret is"):
            rotate(new, silent)
        left = {one.key: one.rows for one in count_sealed(new)}
        assert left[new.keyring.ids[0]] == 1
        assert len(left) == 2


def test_pages_are_walked_to_their_end(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "PAGE", 2)
    told: list[str] = []
    add_rows(kernel, 6)
    with with_keys(kernel, OTHER, SECRETS_KEY) as both:
        assert rotate(both, told.append) == 7
    assert any("kernel_signing_secrets.secret: 7 of 7 rows" in line for line in told)


def add_rows(kernel: Kernel, count: int) -> None:
    """Give the anonymous caller so many more signing secrets."""
    sealed, now = kernel.keyring.seal(SecretStr("whsec_")), kernel.clock.now()
    row = {"caller_id": 1, "secret": sealed, "created_at": now, "expires_at": now}
    with kernel.write() as connection:
        connection.execute(insert(SigningSecret), [row] * count)


@pytest.mark.slow
def test_rotation_goes_on_when_it_was_killed(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel, rows = make_kernel(sqlite_url), 3000
    add_rows(kernel, rows)
    env = {
        "KERNEL_DATABASE_URL": sqlite_url,
        "KERNEL_SECRETS_KEY": f"{OTHER},{SECRETS_KEY}",
        "PATH": os.environ["PATH"],
    }
    argv = [str(Path(sys.executable).with_name("kernel")), "secrets", "rotate"]

    with with_keys(kernel, OTHER, SECRETS_KEY) as both:

        def done() -> int:
            new = both.keyring.ids[0]
            return sum(one.rows for one in count_sealed(both) if one.key == new)

        with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE) as first:
            wait_until(lambda: done() > 0, 60.0)
            first.send_signal(signal.SIGKILL)
            first.communicate()
        assert 0 < (before := done()) < rows
        second = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        assert second.stdout.startswith(f"{rows + 1 - before} secrets changed; all are sealed with")
        assert done() == rows + 1


# ---- The start ----------------------------------------------------------------------------------


def test_start_names_the_key_that_is_missing(kernel: Kernel) -> None:
    needed = kernel.keyring.ids[0]
    with with_keys(kernel, OTHER) as other:
        with pytest.raises(ConfigurationError) as caught:
            check_secrets(other)
        assert caught.value.message == (
            f"secrets in kernel_signing_secrets.secret are sealed with the key {needed}, and "
            f"KERNEL_SECRETS_KEY has {other.keyring.ids[0]}: add that key behind the others"
        )
    with (
        with_keys(kernel) as bare,
        pytest.raises(ConfigurationError, match=rf"{needed}, and KERNEL_SECRETS_KEY is not set"),
    ):
        check_secrets(bare)


def test_start_warns_of_secrets_in_clear(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    (said,) = check_secrets(make_kernel(sqlite_url, secrets_key=""))
    assert said.startswith("KERNEL_SECRETS_KEY is not set: secrets are in the database in clear")
    kernel = make_kernel(sqlite_url)
    (said,) = check_secrets(kernel)
    assert said == "1 secrets are in the database in clear: run `kernel secrets rotate`"
    rotate(kernel, silent)
    assert check_secrets(kernel) == []


def test_every_column_of_a_secret_is_marked() -> None:
    assert {str(one) for one in sealed_columns()} >= {
        "kernel_service_keys.secret",
        "kernel_receivers.credentials",
        "kernel_signing_secrets.secret",
    }


@pytest.fixture(autouse=True)
def no_own_key(tmp_path: Path) -> Iterator[None]:
    """No test leaves a key beside its database."""
    yield
    assert list(tmp_path.glob("*.key")) == []
