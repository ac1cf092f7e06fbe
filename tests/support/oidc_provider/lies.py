"""What the provider says when it lies: an id_token with one thing wrong."""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.support.oidc_provider import CLIENT, SECRET

Claims = dict[str, Any]


def new_key(kid: str | None = None) -> RSAKey:
    """Return a fresh key for signatures, of this id or a new one."""
    kid = kid or secrets.token_hex(4)
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


def changed_claims(lie: str, claims: Claims) -> Claims:
    """Return the claims with what this lie changes; one that is None is left out."""
    now = int(time.time())
    changed: dict[str, Claims] = {
        "issuer": {"iss": "https://evil.example"},
        "issuers": {"iss": [claims["iss"]]},
        "audience": {"aud": ["another-client"]},
        "audience_and_azp": {"aud": ["another-client"], "azp": CLIENT},
        "audiences": {"aud": [CLIENT, "another-client"]},
        "azp": {"azp": "another-client"},
        "nonce": {"nonce": "of-another-attempt"},
        "no_nonce": {"nonce": None},
        "expired": {"exp": now - 65, "iat": now - 400},
        "just_expired": {"exp": now - 30, "iat": now - 400},
        "from_the_future": {"iat": now + 600, "exp": now + 900},
        "not_yet": {"nbf": now + 600},
        "endless": {"exp": float("inf")},
        "no_exp": {"exp": None},
        "no_subject": {"sub": ""},
        "odd_subject": {"sub": ["sub-alice"]},
        "long_subject": {"sub": "x" * 256},
        "at_hash": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    }
    claims = claims | changed.get(lie, {})
    return {name: value for name, value in claims.items() if value is not None}


def changed_token(lie: str, claims: Claims, key: RSAKey) -> str:
    """Return the id_token of these claims, signed with ``key`` unless the lie is about that."""
    header = {"alg": "RS256", "kid": key.kid}
    true = jwt.encode(header, claims, key)
    head, body, seal = true.split(".")
    strange = new_key()
    shared = OctKey.import_key(SECRET)
    hs256 = header | {"alg": "HS256"}
    made: dict[str, Callable[[], str]] = {
        "none": lambda: jwt.encode({"alg": "none"}, claims, shared, ["none"]),
        "hs256": lambda: jwt.encode(hs256, claims, shared, ["HS256"]),
        "hs256_of_the_public_key": lambda: by_hand(hs256, claims, key.as_pem(private=False)),
        "strange_key": lambda: jwt.encode(header, claims, new_key(key.kid)),
        "unknown_key": lambda: jwt.encode(header | {"kid": strange.kid}, claims, strange),
        "changed": lambda: f"{head}.{body[:-4]}AAAA.{seal}",
        "unsigned": lambda: f"{head}.{body}.",
        "nonsense": lambda: "not.a.token",
        "huge": lambda: f"{head}.{body}.{'A' * 70_000}",
    }
    return made.get(lie, lambda: true)()


def by_hand(header: dict[str, Any], claims: Claims, secret: bytes) -> str:
    """Sign with HMAC and the bytes of a public key, which joserfc refuses to do."""
    said = [json.dumps(one).encode() for one in (header, claims)]
    text = b".".join(map(_encoded, said))
    return b".".join((text, _encoded(hmac.digest(secret, text, "sha256")))).decode()


def _encoded(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")
