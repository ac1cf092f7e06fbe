"""How a receiver is logged in to, and how its secrets are kept out of what people see. Pure."""

import base64
import hashlib
import hmac

from pydantic import SecretStr

from kernel.callers.credentials import Basic, Credentials, OAuth2
from kernel.delivery.outgoing.login import (
    HIDDEN,
    hide,
    login_headers,
    secrets_of,
    sn_signature,
)

BODY = b'{"work_notes":"done"}'
SIGNED = base64.b64encode(hmac.new(b"key", BODY, hashlib.sha256).digest()).decode()


def test_credentials_become_headers() -> None:
    basic = Credentials(basic=Basic("bot", SecretStr("pä")), headers={"X-Key": SecretStr("k")})
    login = base64.b64encode("bot:pä".encode()).decode()
    assert login_headers(basic, BODY) == {"X-Key": "k", "Authorization": f"Basic {login}"}
    bearer = Credentials(bearer=SecretStr("t"))
    assert login_headers(bearer, BODY) == {"Authorization": "Bearer t"}


def test_servicenow_gets_its_signature_of_the_body_and_the_key_that_it_is_made_with() -> None:
    assert sn_signature(SecretStr("key"), BODY) == SIGNED
    assert sn_signature(SecretStr("abc:key"), BODY) == f"KEYID=abc,SIGNATURE={SIGNED}"
    made = login_headers(Credentials(sn_hmac=SecretStr("key")), BODY)
    assert made == {"x-sn-hmac-signature-256": SIGNED}


def test_secrets_are_hidden_in_a_text_as_they_are_and_encoded() -> None:
    secret = [SecretStr('pa"ss w/rd')]
    for shown in ('pa"ss w/rd', 'pa\\"ss w/rd', "pa%22ss%20w%2Frd", "pa%22ss+w%2Frd"):
        assert hide(f"you sent {shown}!", secret) == f"you sent {HIDDEN}!"
    assert hide("an a stays", [SecretStr("a")]) == "an a stays"


def test_every_kind_of_credentials_is_hidden() -> None:
    client = {"token_url": "https://t.example/", "client_id": "id", "user": "bot"}
    everything = Credentials(
        basic=Basic("bot", SecretStr("secret-1")),
        bearer=SecretStr("secret-2"),
        headers={"X-Key": SecretStr("secret-3")},
        oauth2=OAuth2(
            grant="password",
            client_secret=SecretStr("secret-4"),
            password=SecretStr("secret-5"),
            **client,
        ),
        sn_hmac=SecretStr("id:secret-6"),
        secrets={"url": SecretStr("secret-7")},
    )
    text = " ".join(f"secret-{number}" for number in range(1, 8))
    text += " " + base64.b64encode(b"bot:secret-1").decode()
    assert hide(text, secrets_of(everything)) == " ".join([HIDDEN] * 8)
