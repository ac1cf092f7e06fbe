"""The page of callers: their keys and secrets, made, rotated and revoked; shown once."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from kernel.callers.identity import Scope
from kernel.callers.key_usage import KeyUses
from kernel.callers.profile import profiles_of
from kernel.db.tables.callers import ApiKey, Caller
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.views.http.tracking import track
from kernel.views.operating.metrics import metrics_blueprint
from tests.support.clients import Client, FakeHints, new_key, serve
from tests.support.people.dashboard import operator, words
from tests.support.sealing import signing_secrets
from tests.support.waiting import wait_until

PATH = "/dashboard/callers"
NEW_KEY = re.compile(r'<code id="new-key">(kwo_[\w-]+)</code>')
NEW_SECRET = re.compile(r'<code id="new-secret">(whsec_[\w+/=]+)</code>')


def key_of(kernel: Kernel, name: str) -> ApiKey:
    """The newest key of a caller."""
    with kernel.read_session() as session:
        found = session.scalars(
            select(ApiKey).join(Caller).where(Caller.name == name).order_by(ApiKey.id.desc())
        ).first()
        assert found is not None
        session.expunge(found)
    return found


def is_let_in(kernel: Kernel, key: str) -> bool:
    """Whether the API knows the key."""
    return Client(serve(kernel), key).get("/v1/orders").status_code == 200


def test_callers_are_shown_with_their_keys_and_rules_but_no_secret(kernel: Kernel) -> None:
    rules = {"nets": ["10.0.0.0/8"], "hosts": ["in.example"]}
    key = new_key(kernel, "zammad", **rules)
    with kernel.read_session() as session:
        secrets = signing_secrets(session)
    page = operator(kernel).get(PATH)
    said = words(page)
    assert f"{key[:12]}… metrics orders:read orders:write" in said
    for expected in ("10.0.0.0/8", "in.example", "anonymous", "It has no key."):
        assert expected in said
    for hidden in (key, key[:20], *secrets):
        assert hidden not in page.text


def test_caller_is_added_and_its_credentials_shown_once(kernel: Kernel) -> None:
    visitor = operator(kernel)
    page = visitor.post(PATH, name="jira", scope=Scope.READ, days="30")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert "Keep this now" in words(page)
    key = NEW_KEY.search(page.text)
    assert key is not None
    assert NEW_SECRET.search(page.text)
    assert is_let_in(kernel, key[1])
    made = key_of(kernel, "jira")
    assert made.scopes == Scope.READ
    assert made.expires_at is not None
    assert timedelta(days=29) < made.expires_at - made.created_at <= timedelta(days=30)
    assert key[1] not in visitor.get(PATH).text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"name": "ops"}, 409),
        ({"name": "a b"}, 409),
        ({"name": "<b>"}, 409),
        ({"name": ""}, 409),
        ({"name": "new", "scope": "everything"}, 400),
        ({"name": "new", "scope": ""}, 400),
        ({"name": "new", "days": "-1"}, 400),
        ({"name": "new", "days": "x"}, 400),
    ],
)
def test_caller_is_not_added_when_the_form_makes_no_sense(
    kernel: Kernel, form: dict[str, str], status: int
) -> None:
    answer = operator(kernel).post(PATH, **{"scope": "orders:read", "days": "0", **form})
    assert answer.status_code == status
    assert "not valid HTTP" not in words(answer)
    assert "<b>" not in answer.text
    with kernel.read_session() as session:
        assert set(session.scalars(select(Caller.name))) == {"anonymous", "ops"}


def test_key_is_made_beside_the_others_when_asked_for(kernel: Kernel) -> None:
    old = new_key(kernel, "zammad")
    caller_id = key_of(kernel, "zammad").caller_id
    page = operator(kernel).post(f"{PATH}/{caller_id}/keys", scope="orders:read", days="0")
    key = NEW_KEY.search(page.text)
    assert key is not None
    assert is_let_in(kernel, old)
    assert is_let_in(kernel, key[1])


def test_key_is_replaced_on_the_same_terms_when_it_is_rotated(kernel: Kernel) -> None:
    old = new_key(kernel, "zammad")
    before = key_of(kernel, "zammad")
    visitor = operator(kernel)
    page = visitor.post(f"/dashboard/keys/{before.id}/rotate")
    key = NEW_KEY.search(page.text)
    assert key is not None
    assert (is_let_in(kernel, old), is_let_in(kernel, key[1])) == (False, True)
    assert key_of(kernel, "zammad").scopes == before.scopes
    assert visitor.post(f"/dashboard/keys/{before.id}/rotate").status_code == 409
    assert visitor.post("/dashboard/keys/999/rotate").status_code == 404


def test_key_is_limited_as_the_form_says_and_ends_by_the_setting(kernel: Kernel) -> None:
    visitor = operator(kernel)
    limits = {"tags": "create_project, nested", "networks": "10.20.0.0/16 2001:db8::/32"}
    assert visitor.post(PATH, name="jira", scope=Scope.READ, **limits).status_code == 200
    made = key_of(kernel, "jira")
    assert (made.tags, made.networks) == ("create_project nested", "10.20.0.0/16 2001:db8::/32")
    assert made.expires_at is not None
    assert made.expires_at - made.created_at == timedelta(days=kernel.settings.key_days)
    said = words(visitor.get(PATH))
    assert "Only these select_tags: create_project nested" in said
    assert "Only from these networks: 10.20.0.0/16 2001:db8::/32" in said
    for wrong in ({"networks": "10.20.0.1/16"}, {"tags": "<b>"}):
        answer = visitor.post(PATH, name="other", scope=Scope.READ, **wrong)
        assert answer.status_code == 409
        assert "<b>" not in answer.text


def test_old_key_works_along_and_is_marked_when_it_is_rotated_with_an_overlap(
    kernel: Kernel,
) -> None:
    old = new_key(kernel, "zammad")
    before = key_of(kernel, "zammad").id
    visitor = operator(kernel)
    assert visitor.post(f"/dashboard/keys/{before}/rotate", overlap="5").status_code == 400
    page = visitor.post(f"/dashboard/keys/{before}/rotate", overlap="24")
    key = NEW_KEY.search(page.text)
    assert key is not None
    assert is_let_in(kernel, old)
    assert is_let_in(kernel, key[1])
    assert f"{old[:12]}… expires soon" in words(visitor.get(PATH))
    kernel.clock.shift(86_401)
    assert (is_let_in(kernel, old), is_let_in(kernel, key[1])) == (False, True)


def test_key_stops_working_at_once_when_it_is_revoked(kernel: Kernel) -> None:
    key = new_key(kernel, "zammad")
    visitor = operator(kernel)
    answer = visitor.post(f"/dashboard/keys/{key_of(kernel, 'zammad').id}/revoke")
    assert answer.status_code == 303
    assert not is_let_in(kernel, key)
    said = words(visitor.get(answer.headers["Location"]))
    assert "The key is revoked." in said
    assert f"{key[:12]}… revoked" in said


def test_session_ends_when_its_own_key_is_revoked(kernel: Kernel) -> None:
    visitor = operator(kernel)
    visitor.post(f"/dashboard/keys/{key_of(kernel, 'ops').id}/revoke")
    assert visitor.get(PATH).status_code == 401


def test_old_secret_signs_along_when_the_signing_secret_is_rotated(kernel: Kernel) -> None:
    new_key(kernel, "zammad")
    caller_id = key_of(kernel, "zammad").caller_id
    visitor = operator(kernel)
    page = visitor.post(f"{PATH}/{caller_id}/secret")
    secret = NEW_SECRET.search(page.text)
    assert secret is not None
    with kernel.read_session() as session:
        found = profiles_of(session.connection(), {caller_id}, kernel.clock.now())[
            caller_id
        ].secrets
    assert (len(found), found[0].get_secret_value()) == (2, secret[1])
    said = words(visitor.get(PATH))
    assert re.search(r"in force since \S+ \S+ UTC ; in force since \S+ \S+ UTC until", said)
    assert secret[1] not in said
    assert visitor.post(f"{PATH}/999/secret").status_code == 404


def test_new_secrets_are_nowhere_in_the_log_when_they_are_made(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    visitor = operator(kernel)
    page = visitor.post(PATH, name="jira", scope="orders:read", days="0")
    found = [*NEW_KEY.findall(page.text), *NEW_SECRET.findall(page.text)]
    assert len(found) == 2
    assert not [one for one in found if one in caplog.text]


def test_caller_is_shown_as_paused_when_nothing_is_sent_for_it(kernel: Kernel) -> None:
    pause(kernel, Subject(caller_id=1))
    assert "anonymous paused" in words(operator(kernel).get(PATH))


@pytest.mark.parametrize(
    "path", [PATH, f"{PATH}/1/keys", f"{PATH}/1/secret", "/dashboard/keys/1/rotate"]
)
def test_no_secret_is_made_when_a_form_has_no_token_or_all_is_read_only(
    make_kernel: Callable[..., Kernel], sqlite_url: str, path: str
) -> None:
    form = {"name": "jira", "scope": "orders:read", "days": "0"}
    open_to_all = operator(make_kernel(sqlite_url))
    assert open_to_all.post(path, add_token=False, **form).status_code == 403
    visitor = operator(make_kernel(sqlite_url, dashboard="read-only"), name="viewer")
    page = visitor.get(PATH).text
    assert 'name="scope"' not in page
    answer = visitor.post(path, **form)
    assert answer.status_code == 403
    assert not NEW_KEY.search(answer.text)


# ---- When a key was used ---------------------------------------------------------------------


def test_use_of_a_key_is_written_behind_the_request(kernel: Kernel) -> None:
    app = Flask("counting")
    track(app, kernel, write_seconds=0.05)
    app.register_blueprint(metrics_blueprint(kernel, FakeHints()))
    zammad = Client(app, new_key(kernel, "zammad"))
    before = kernel.clock.now()
    assert zammad.get("/metrics").status_code == 200
    wait_until(lambda: key_of(kernel, "zammad").used_at is not None)
    used_at: Any = key_of(kernel, "zammad").used_at
    assert abs(used_at - before) < timedelta(seconds=10)


def test_use_of_a_key_is_written_once_a_minute_when_it_is_busy(kernel: Kernel) -> None:
    new_key(kernel, "zammad")
    key_id, now, uses = key_of(kernel, "zammad").id, kernel.clock.now(), KeyUses()

    def write() -> None:
        with kernel.write() as connection:
            uses.write(connection)

    uses.note(key_id, now)
    write()
    for second in range(1, 60):
        uses.note(key_id, now + timedelta(seconds=second))
    assert not uses.waiting
    uses.note(None, now)
    assert not uses.waiting
    uses.note(key_id, now + timedelta(seconds=61))
    write()
    assert key_of(kernel, "zammad").used_at == now + timedelta(seconds=61)


def test_use_of_a_key_stays_when_another_process_wrote_it_just_now(kernel: Kernel) -> None:
    new_key(kernel, "zammad")
    key_id, now = key_of(kernel, "zammad").id, kernel.clock.now()
    with kernel.write_session() as session:
        session.execute(update(ApiKey).values(used_at=now))
    uses = KeyUses()
    uses.note(key_id, now + timedelta(seconds=30))
    with kernel.write() as connection:
        uses.write(connection)
    assert key_of(kernel, "zammad").used_at == now
