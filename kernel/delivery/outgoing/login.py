"""How a receiver is logged in to: headers made of its credentials. Nothing here is ever shown."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

from kernel.callers.credentials import Credentials

# What ServiceNow calls its signature.
SN_HMAC = "x-sn-hmac-signature-256"
HIDDEN = "***"
# A shorter value would be found in texts that it has nothing to do with.
_SHORTEST = 4


def login_headers(
    credentials: Credentials, body: bytes, token: SecretStr | None = None
) -> dict[str, str]:
    """Return the headers that log in with a request of this body; ``token``: OAuth's."""
    headers = {name: value.get_secret_value() for name, value in credentials.headers.items()}
    bearer = token or credentials.bearer
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer.get_secret_value()}"
    elif credentials.basic is not None:
        headers["Authorization"] = f"Basic {_basic(credentials)}"
    if credentials.sn_hmac is not None:
        headers[SN_HMAC] = sn_signature(credentials.sn_hmac, body)
    return headers


def sn_signature(secret: SecretStr, body: bytes) -> str:
    """Return ServiceNow's signature of a body: base64 of HMAC-SHA256.

    A secret that is written ``KEYID:SECRET`` names its key, as ServiceNow's own examples do;
    without a key id, the instance takes the default one of its authentication profile.
    """
    key_id, parted, key = secret.get_secret_value().partition(":")
    if not parted:
        key_id, key = "", key_id
    digest = hmac.new(key.encode(), body, hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode("ascii")
    return f"KEYID={key_id},SIGNATURE={signature}" if key_id else signature


def hide(text: str, secrets: Iterable[SecretStr]) -> str:
    """Return ``text`` with the secrets in it replaced, as they are or encoded."""
    for secret in secrets:
        value = secret.get_secret_value()
        forms = (value, json.dumps(value)[1:-1], quote(value, safe=""), quote_plus(value))
        for form in sorted(set(forms), key=len, reverse=True):
            if len(form) >= _SHORTEST:
                text = text.replace(form, HIDDEN)
    return text


def secrets_of(credentials: Credentials) -> Iterator[SecretStr]:
    """Return every secret value of these credentials."""
    yield from credentials.secrets.values()
    yield from credentials.headers.values()
    if credentials.basic is not None:
        yield credentials.basic.password
        yield SecretStr(_basic(credentials))
    if credentials.sn_hmac is not None:
        yield credentials.sn_hmac
        yield SecretStr(credentials.sn_hmac.get_secret_value().partition(":")[2])
    if credentials.bearer is not None:
        yield credentials.bearer
    if credentials.oauth2 is not None:
        yield credentials.oauth2.client_secret
        if credentials.oauth2.password is not None:
            yield credentials.oauth2.password


def _basic(credentials: Credentials) -> str:
    basic = credentials.basic
    pair = "" if basic is None else f"{basic.user}:{basic.password.get_secret_value()}"
    return base64.b64encode(pair.encode()).decode("ascii")
