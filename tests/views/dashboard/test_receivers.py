"""The pages of receivers: what they show, what they never show, and what their buttons do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select, update

from kernel.callers.credentials import Basic, ClientCertificate, Credentials, OAuth2
from kernel.callers.identity import Scope
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.operating.pauses import Pause
from kernel.db.tables.receivers import RECEIVERS, SHAPES
from kernel.runtime.kernel import Kernel
from tests.support.certificates import pair
from tests.support.factories import delivery, make_delivery
from tests.support.people.dashboard import HOSTILE, operator, operator_key, said, stranger, words
from tests.support.ticketing import make_receiver, owe, set_shape

PATH = "/dashboard/receivers"
URL = "https://desk.example/api"
HUSH = SecretStr("hush-hush")
DAY = timedelta(days=1)
TERMS = {"schedule": [5, 60, 7200], "give_up": 172800, "timeout": 20.5, "rate": 60}


def tried(kernel: Kernel, delivery_id: str, **values: Any) -> None:
    """Insert an attempt of a delivery."""
    row = {"delivery_id": delivery_id, "number": 1, "started_at": kernel.clock.now()}
    row |= {"duration_ms": 5, "phases": "{}", "status": 200} | values
    with kernel.write_session() as session:
        session.execute(insert(ATTEMPTS).values(row))


def hold(kernel: Kernel, caller_id: int = 1) -> None:
    """Hold a caller's callbacks as the migration does."""
    row = {"caller_id": caller_id, "created_at": kernel.clock.now(), "reason": "adopt"}
    with kernel.write_session() as session:
        session.execute(insert(Pause).values(row))


def make_draft(kernel: Kernel, name: str = "draft-1", url: str = URL) -> None:
    """Make a draft as the migration does: without a version; with an empty URL if it knew none."""
    login = Credentials(headers={"x-token": HUSH})
    made = make_receiver(kernel, name, url or URL, login, is_draft=True)
    with kernel.write_session() as session:
        session.execute(SHAPES.delete().where(SHAPES.c.receiver_id == made))
        if not url:
            session.execute(
                update(RECEIVERS).where(RECEIVERS.c.id == made).values(url="", origin="")
            )


def names(kernel: Kernel) -> dict[str, bool]:
    """The receivers there are, and whether each is a draft."""
    with kernel.read_session() as session:
        asked = select(RECEIVERS.c.name, RECEIVERS.c.is_draft)
        return {row.name: row.is_draft for row in session.execute(asked)}


def shapes(kernel: Kernel) -> list[int]:
    """The ids of the versions of shapes, the oldest first."""
    with kernel.read_session() as session:
        return list(session.scalars(select(SHAPES.c.id).order_by(SHAPES.c.id)))


# ---- What is shown -------------------------------------------------------------------------------


def test_receivers_are_told_in_words_when_there_are_some(kernel: Kernel) -> None:
    make_receiver(kernel, "desk", URL, Credentials(basic=Basic("svc", HUSH)), **TERMS)
    visitor, version = operator(kernel), shapes(kernel)[-1]
    for page in (PATH, f"{PATH}/anonymous/desk"):
        said = words(visitor.get(page))
        for part in (
            *("desk", "anonymous", URL, "user and password", f"default version {version} · since"),
            *("5 s, 1 min, 2 h", "2 d", "20.5 s", "60"),
        ):
            assert part in said, part
    assert "5 秒, 1 分钟, 2 小时" in words(visitor.get(PATH, headers={"Accept-Language": "zh"}))
    assert "kernel receivers set desk --caller anonymous" in words(visitor.get(page))


def test_receivers_say_so_when_there_are_none(kernel: Kernel) -> None:
    said = words(operator(kernel).get(PATH))
    assert "No receivers." in said
    assert "kernel receivers add NAME" in said


def test_pages_hold_nothing_secret_when_receivers_have_every_kind(kernel: Kernel) -> None:
    certificate, key = pair("kernel")
    oauth2 = OAuth2(
        token_url="https://desk.example/token",
        grant="password",
        client_id="client-hush-hush",
        client_secret=HUSH,
        user="user-hush-hush",
        password=HUSH,
    )
    kinds: dict[str, Any] = {
        "basic": Basic("user-hush-hush", HUSH),
        "bearer": HUSH,
        "headers": {"x-token": HUSH},
        "oauth2": oauth2,
        "client_certificate": ClientCertificate(certificate, key),
        "sn_hmac": HUSH,
        "secrets": {"url": HUSH},
    }
    for name, value in kinds.items():
        login = Credentials(**{name: value})
        made = make_receiver(kernel, name, f"{URL}/{name}", login, ca_pem="hush-hush")
        tried(kernel, owe(kernel, f"{URL}/{name}"))
        set_shape(kernel, made, {"body": {"note": "{{ secret.url }}"}})
    visitor = operator(kernel)
    with kernel.read_session() as session:
        orders = session.scalars(select(DELIVERIES.c.order_id)).all()
    pages = [PATH, "/dashboard/", *(f"{PATH}/anonymous/{name}" for name in kinds)]
    for page in pages + [f"/dashboard/orders/{order_id}" for order_id in orders]:
        answer = visitor.get(page)
        assert answer.status_code == 200
        for secret in ("hush-hush", "BEGIN", key.get_secret_value()[60:100]):
            assert secret not in answer.text, page
    assert "x-token" in words(visitor.get(PATH))


def test_url_is_its_origin_alone_when_it_is_a_secret(kernel: Kernel) -> None:
    url = "https://hooks.example/services/hush-hush"
    login = Credentials(secrets={"url": SecretStr(url)})
    made = make_receiver(kernel, "chat", url, login)
    set_shape(kernel, made, {"url": "{{ secret.url }}"})
    visitor = operator(kernel)
    for page in (PATH, f"{PATH}/anonymous/chat"):
        text = visitor.get(page).text
        assert "https://hooks.example:443" in text
        assert "hush-hush" not in text


@pytest.mark.parametrize(
    ("ends", "said"), [(29 * DAY, "ends soon"), (31 * DAY, ""), (-DAY / 2, "has ended")]
)
def test_client_certificate_is_warned_of_when_it_ends_soon(
    kernel: Kernel, ends: timedelta, said: str
) -> None:
    login = Credentials(client_certificate=ClientCertificate(*pair("kernel", ends=ends)))
    make_receiver(kernel, "desk", URL, login)
    visitor = operator(kernel)
    for page in (PATH, f"{PATH}/anonymous/desk"):
        shown = words(visitor.get(page))
        assert "client certificate until 20" in shown
        assert [one for one in ("ends soon", "has ended") if one in shown] == [said] * bool(said)


def test_versions_are_shown_newest_first_when_a_shape_has_changed(kernel: Kernel) -> None:
    made = make_receiver(kernel, "desk", URL)
    make_receiver(kernel, "other", f"{URL}/other", shape={"method": "PATCH"})
    set_shape(kernel, made, {"method": "PUT", "body": {"note": HOSTILE}})
    oldest, _, newest = shapes(kernel)
    page = operator(kernel).get(f"{PATH}/anonymous/desk")
    said = words(page)
    assert f"own version {newest} · since" in said
    assert said.index(f"version {newest} · since") < said.index(f"version {oldest} · since")
    assert '"method": "PUT"' in said
    assert "PATCH" not in said
    assert "<script>alert" not in page.text


def test_last_attempts_are_those_of_this_receiver_when_others_are_at_its_origin(
    kernel: Kernel,
) -> None:
    make_receiver(kernel, "desk", URL)
    make_receiver(kernel, "deeper", f"{URL}/deeper")
    by_url, other = owe(kernel, f"{URL}/INC1"), owe(kernel, f"{URL}/deeper/INC2")
    by_name = owe(kernel, "receiver:desk", origin="https://desk.example:443")
    tried(kernel, by_url, reason="answer", judged=f"code = 100: {HOSTILE}")
    tried(kernel, by_name, status=None, reason="timeout", number=3)
    tried(kernel, other)
    page = operator(kernel).get(f"{PATH}/anonymous/desk")
    assert [one in page.text for one in (by_url, by_name, other)] == [True, True, False]
    assert "200 answer not accepted no. 1 code = 100" in words(page)
    assert "timed out no. 3" in words(page)
    assert "<script>alert" not in page.text


def test_order_names_receiver_and_version_and_sends_again_with_the_shape_of_now(
    kernel: Kernel,
) -> None:
    visitor, made = operator(kernel), make_receiver(kernel, "desk", URL)
    first = shapes(kernel)[-1]
    sent = owe(kernel, f"{URL}/INC1", state="dead")
    tried(kernel, sent, status=200, reason="answer", judged="code = 100: wrong")
    path = f"/dashboard/orders/{delivery(kernel, sent).order_id}"
    said = words(visitor.get(path))
    assert f"Receiver desk · shape version {first}, in force at the outcome" in said
    assert "code = 100: wrong" in said
    assert "Send again with the current shape" not in said
    newest = set_shape(kernel, made, {"method": "PUT"})
    page = visitor.get(path)
    assert 'href="/dashboard/receivers/anonymous/desk"' in page.text
    assert f"shape version {first}, in force" in words(page)
    assert "Send again with the current shape" in words(page)
    assert visitor.post(f"{path}/deliveries/{sent}/redeliver").status_code == 303
    assert delivery(kernel, sent).shapes_until == first
    assert visitor.post(f"{path}/deliveries/{sent}/redeliver?current_shape=1").status_code == 303
    assert (delivery(kernel, sent).shapes_until, delivery(kernel, sent).state) == (
        newest,
        "pending",
    )


# ---- What is done --------------------------------------------------------------------------------


def test_callbacks_go_on_when_the_last_draft_is_adopted(kernel: Kernel) -> None:
    make_draft(kernel)
    make_draft(kernel, "draft-2", "https://other.example")
    hold(kernel)
    held = make_delivery(kernel, state="held")
    visitor = operator(kernel)
    overview = visitor.get("/dashboard/")
    assert "Callbacks of anonymous are held until its drafts are" in words(overview)
    assert f'removed: <a href="{PATH}">' in overview.text
    first = visitor.post(f"{PATH}/anonymous/draft-1/adopt")
    assert first.headers["Location"] == f"{PATH}/anonymous/draft-1"
    assert "Adopted" in words(visitor.get(first.headers["Location"]))
    assert (names(kernel), delivery(kernel, held).state) == (
        {"draft-1": False, "draft-2": True},
        "held",
    )
    assert visitor.post(f"{PATH}/anonymous/draft-2/remove").status_code == 303
    assert (names(kernel), delivery(kernel, held).state) == ({"draft-1": False}, "pending")
    assert "are held until" not in words(visitor.get("/dashboard/"))


def test_draft_is_not_offered_for_adoption_when_it_has_no_url(kernel: Kernel) -> None:
    make_draft(kernel, url="")
    visitor = operator(kernel)
    page = visitor.get(f"{PATH}/anonymous/draft-1")
    assert "/adopt" not in page.text
    assert "kernel receivers set draft-1 --caller anonymous --url URL" in words(page)
    answer = visitor.post(f"{PATH}/anonymous/draft-1/adopt")
    assert (answer.status_code, "has no URL" in words(answer)) == (409, True)
    assert names(kernel) == {"draft-1": True}


def test_adopting_says_so_when_it_is_no_draft(kernel: Kernel) -> None:
    make_receiver(kernel, "desk", URL)
    visitor = operator(kernel)
    assert "/adopt" not in visitor.get(f"{PATH}/anonymous/desk").text
    answer = visitor.post(f"{PATH}/anonymous/desk/adopt")
    assert said(answer) == "done_no_draft"


def test_removing_writes_a_last_version_and_forgets_the_secrets(kernel: Kernel) -> None:
    make_receiver(kernel, "desk", URL, Credentials(bearer=HUSH))
    visitor = operator(kernel)
    answer = visitor.post(f"{PATH}/anonymous/desk/remove")
    assert (answer.headers["Location"], said(answer)) == (PATH, "done_receiver_removed")
    assert names(kernel) == {}
    with kernel.read_session() as session:
        assert session.scalars(select(SHAPES.c.shape).order_by(SHAPES.c.id)).all() == ["{}", None]
    assert visitor.get(f"{PATH}/anonymous/desk").status_code == 404


@pytest.mark.parametrize("path", ["nobody/desk", "anonymous/other"])
@pytest.mark.parametrize("act", ["", "/adopt", "/remove"])
def test_receiver_is_not_found_when_there_is_none(kernel: Kernel, path: str, act: str) -> None:
    make_receiver(kernel, "desk", URL)
    visitor = operator(kernel)
    ask = visitor.post if act else visitor.get
    assert ask(f"{PATH}/{path}{act}").status_code == 404


@pytest.mark.parametrize("act", ["adopt", "remove"])
def test_receivers_stay_when_a_form_has_no_token_or_all_is_read_only(
    make_kernel: Callable[..., Kernel], sqlite_url: str, act: str
) -> None:
    kernel, closed = make_kernel(sqlite_url), make_kernel(sqlite_url, dashboard="read-only")
    make_draft(kernel)
    address = f"{PATH}/anonymous/draft-1"
    assert operator(kernel).post(f"{address}/{act}", add_token=False).status_code == 403
    visitor = operator(closed, name="viewer")
    assert f"draft-1/{act}" not in visitor.get(address).text
    assert visitor.post(f"{address}/{act}").status_code == 403
    assert names(kernel) == {"draft-1": True}


def test_caller_sees_none_of_it_with_a_key_that_is_not_an_operators(kernel: Kernel) -> None:
    make_receiver(kernel, "desk", URL)
    key = operator_key(kernel, "jira", Scope.READ)
    visitor = stranger(kernel)
    assert visitor.sign_in(key).status_code == 403
    for page in (PATH, f"{PATH}/anonymous/desk"):
        answer = visitor.get(page, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 401
        assert "desk" not in words(answer)
