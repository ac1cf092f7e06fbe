"""No part of a receiver's secret is in what is stored or told of its answer, however it is echoed.

Excerpts and judgements are read with the caller's own API key, the login is the operator's.
"""

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from kernel.callers.credentials import Basic, Credentials
from kernel.delivery.outgoing.heard import shown
from kernel.delivery.outgoing.login import HIDDEN, hide, secrets_of
from kernel.runtime.kernel import Kernel
from tests.support.receiver import Answer, Receiver
from tests.support.ticketing import attempts, make_receiver, owe, send_due

# As few characters of a secret in a row tell nothing of it.
FEW = 4
SECRET = "S3cr3t/with+slash0123456789abcdefghijklm"
GO = {ord(one): f"\\u{ord(one):04x}" for one in "&<>"}
ENCODINGS: list[Callable[[str], str]] = [
    str,
    lambda text: json.dumps(text)[1:-1],
    lambda text: re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda one: one[0].upper(), json.dumps(text)[1:-1]),
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),  # PHP's
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1].replace("/", "\\/"),
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1].translate(GO),
    lambda text: json.dumps(html.escape(text))[1:-1],
    lambda text: json.dumps(json.dumps(text))[3:-3],
    html.escape,
    lambda text: html.escape(text, quote=False),
    lambda text: html.escape(text).replace("&#x27;", "&#039;"),
    lambda text: html.escape(json.dumps(text)[1:-1]),
    lambda text: quote(text, safe=""),
    quote,
    quote_plus,
    lambda text: quote(quote(text, safe=""), safe=""),
]
# What stands around a secret has no character of it.
SPECIAL = "/\\\"'&<>+%= -_.~äß\U0001f511"
SECRETS = st.text("0123456789abcdef" + SPECIAL, min_size=FEW, max_size=80)
AROUND = st.text("XYZ\n", max_size=1200)


def leaked(secret: str, encoded: str, text: str) -> list[str]:
    """Every run of more than FEW characters of a secret, as it is or encoded, that is in a text."""
    runs = [one[at : at + FEW + 1] for one in (secret, encoded) for at in range(len(one) - FEW)]
    return [one for one in runs if one in text]


@example("abc/def", "", ENCODINGS[4], "")
@example(SECRET, "X" * 980, str, "")
@given(SECRETS, AROUND, st.sampled_from(ENCODINGS), AROUND)
def test_no_run_of_a_secret_is_in_an_excerpt(
    secret: str, before: str, encoding: Callable[[str], str], after: str
) -> None:
    encoded = encoding(secret)
    body = (before + encoded + after).encode()
    assert leaked(secret, encoded, shown(body, lambda text: hide(text, [SecretStr(secret)]))) == []


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_no_run_of_a_secret_is_in_an_excerpt_of_another_charset(charset: str) -> None:
    told = shown(
        f'{{"you": "{SECRET}"}}'.encode(charset), lambda text: hide(text, [SecretStr(SECRET)])
    )
    assert told == f'{{"you": "{HIDDEN}"}}'


@given(st.lists(SECRETS, min_size=1, max_size=3), st.data())
def test_no_run_of_secrets_that_overlap_is_left(secrets: list[str], data: st.DataObject) -> None:
    whole = "".join(secrets)
    part = whole[data.draw(st.integers(0, len(whole) - FEW)) :]
    secrets = data.draw(st.permutations([*secrets, part, whole]))
    kept = hide(f"X{whole}Y{part}Z", map(SecretStr, secrets))
    assert set(kept) <= set("XYZ*")


@given(SECRETS, st.sampled_from(ENCODINGS), st.data())
def test_beginning_of_a_secret_is_hidden_where_the_text_was_cut(
    secret: str, encoding: Callable[[str], str], data: st.DataObject
) -> None:
    encoded = encoding(secret)
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    text = hide(f"X{encoded}XX{cut}", [SecretStr(secret)], is_cut=True)
    assert leaked(secret, "", text) == []
    assert text.startswith(f"X{HIDDEN}XX")


@pytest.mark.parametrize(
    "value", ["Token token=abcd/1234", "token abcd/1234", "PVE=u!id=abcd/1234"]
)
def test_token_is_hidden_without_its_scheme(value: str) -> None:
    kept = Credentials(headers={"Authorization": SecretStr(value)})
    assert hide("this is wrong: abcd/1234", secrets_of(kept)) == f"this is wrong: {HIDDEN}"
    assert hide('"abcd\\/1234"', secrets_of(kept)) == f'"{HIDDEN}"'


@pytest.mark.parametrize("is_header", [False, True])
def test_basic_login_is_hidden_in_all_its_forms(is_header: bool) -> None:
    word = base64.b64encode(b"bot:p:ss wd").decode()
    kept = Credentials(basic=Basic("bot", SecretStr("p:ss wd")))
    if is_header:
        kept = Credentials(headers={"Authorization": SecretStr(f"Basic {word}")})
    assert hide(f"{word} is p:ss wd", secrets_of(kept)) == "*** is ***"


def test_address_that_is_a_secret_is_hidden_without_its_host() -> None:
    url = "https://hooks.example/services/T0/B0/abcd1234?sv=1&sig=a%2Bbcd"
    kept = Credentials(secrets={"url": SecretStr(url)})
    said = "cannot POST /services/T0/B0/abcd1234?sv=1&sig=a%2Bbcd or abcd1234 with a+bcd"
    assert hide(said, secrets_of(kept)) == "cannot POST /***?*** or *** with ***"


@pytest.mark.parametrize("at", [40, 90, 110, 130, 180, 245])
@pytest.mark.parametrize("has_rules", [False, True])
def test_secret_at_any_place_of_an_answer_is_not_stored(
    sender: Kernel, tickets: Receiver, at: int, has_rules: bool
) -> None:
    rules = [{"is": "retry", "status": "403", "says": "message"}]
    shape = {"answer": rules if has_rules else [{"is": "delivered", "status": "200"}]}
    login = Credentials(bearer=SecretStr(SECRET))
    make_receiver(sender, "itsm", tickets.url, login, shape=shape)
    body = json.dumps({"message": "x" * at + SECRET}).replace("/", "\\/").encode()
    tickets.script(Answer(403, {"Content-Type": "application/json"}, body))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    stored = repr([finished.excerpt, finished.judged, attempts(sender)])
    assert leaked(SECRET, SECRET.replace("/", "\\/"), stored) == []
    assert "xxx" in stored


def test_secret_is_not_stored_of_a_lookup_that_fails(sender: Kernel, tickets: Receiver) -> None:
    asked = {"url": tickets.url + "table", "equals": "INC1", "match": "number", "value": "sys_id"}
    login = Credentials(bearer=SecretStr(SECRET))
    make_receiver(sender, "itsm", tickets.url, login, shape={"lookup": asked})
    tickets.script(Answer(403, body=("x" * 90 + SECRET).encode()))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert finished.judged is not None
    assert leaked(SECRET, "", repr([finished, attempts(sender)])) == []


def test_beginning_of_a_secret_is_not_stored_of_an_answer_that_breaks_off(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, Credentials(bearer=SecretStr(SECRET)))
    body = f"you sent {SECRET[:20]}".encode()
    head = f"HTTP/1.1 500 Oops\r\nContent-Length: {len(body) + 20}\r\n\r\n".encode()
    tickets.script(lambda exchange: exchange.sock.sendall(head + body))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert finished.excerpt == f"you sent {HIDDEN}"
