"""Sign-in by OpenID Connect: what is sent to a provider, and what its answer proves. Pure.

The authorization code flow with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636, RFC 9700). authlib
makes the challenge and checks the claims of an id_token, joserfc its signature; what talks to the
provider is `kernel.runtime.oidc_provider`.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet

from kernel.callers.people.roles import Role
from kernel.callers.people.signed_in import SignedIn
from kernel.config.settings import Settings

# Signatures by a key that only the provider has: neither `none`, nor HMAC with a shared secret.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("EdDSA", "Ed25519"),
)
ASYMMETRIC = ("RSA", "EC", "OKP")
# Seconds by which the provider's clock may differ from ours.
LEEWAY = 60
# The longest name and subject that a row holds.
MAX_NAME, MAX_SUBJECT = 100, 255
# Which claim names a person, the best one first.
NAMES = ("preferred_username", "email", "name", "sub")


class SignInRefused(Exception):
    """The sign-in is refused. ``said``: the key of the page's text; the message is for the log."""

    def __init__(self, said: str, why: str) -> None:
        self.said = said
        super().__init__(why)


class UnknownKey(Exception):
    """An id_token is signed with a key that is not in the set: the provider may have a new one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has set of the provider. ``roles``: which group gives which role."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    groups_claim: str
    roles: tuple[tuple[str, Role], ...]

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """Return the rules of these settings, which are complete."""
        pairs = [one.rpartition("=") for one in settings.oidc_roles]
        return cls(
            settings.oidc_issuer,
            settings.oidc_client_id,
            settings.oidc_scopes,
            settings.oidc_groups_claim,
            tuple((group.strip(), Role(role.strip())) for group, _, role in pairs),
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in on its way: what its browser keeps until the provider sends it back.

    ``state`` binds the answer to this browser, ``nonce`` the id_token to this attempt, and
    ``verifier`` the code to us. ``back``: the page that was asked for.
    """

    state: str
    nonce: str
    verifier: str
    back: str

    @classmethod
    def begin(cls, back: str) -> "Attempt":
        """Return a new attempt, of 256 random bits for each purpose."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, back)

    def dump(self) -> bytes:
        """Return the attempt as bytes, to be sealed."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def load(cls, dumped: bytes) -> "Attempt":
        """Return the attempt of bytes that `dump` made, unchanged."""
        return cls(**json.loads(dumped))


def authorization_url(endpoint: str, rules: Rules, attempt: Attempt, redirect_uri: str) -> str:
    """Return where the browser is sent to sign in."""
    address: str = prepare_grant_uri(
        endpoint,
        rules.client_id,
        "code",
        redirect_uri,
        list(rules.scopes),
        attempt.state,
        nonce=attempt.nonce,
        code_challenge=create_s256_code_challenge(attempt.verifier),
        code_challenge_method="S256",
    )
    return address


def signing_keys(jwks: Mapping[str, Any]) -> KeySet:
    """Return the keys of a JWKS that can sign an id_token; those that cannot be read are left out.

    A secret key (``oct``) is none: each of its holders could sign.
    """
    found = []
    listed = jwks.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or one.get("kty") not in ASYMMETRIC:
            continue
        try:
            found.append(JWKRegistry.import_key(one))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(found)


def algorithms_of(supported: object) -> list[str]:
    """Return the algorithms to accept: ours, of which the provider says it uses them.

    ``supported``: its ``id_token_signing_alg_values_supported``.
    """
    if not isinstance(supported, list):
        return list(ALGORITHMS)
    return [one for one in ALGORITHMS if one in supported]


def checked_claims(
    tokens: Mapping[str, Any],
    keys: KeySet,
    algorithms: list[str],
    rules: Rules,
    attempt: Attempt,
    now: float,
) -> dict[str, Any]:
    """Return the claims of an id_token that this provider made for us and for this attempt.

    ``tokens``: the token endpoint's answer. ``now``: seconds since 1970. Raises UnknownKey, and
    SignInRefused for everything else that is not as it should be.
    """
    try:
        token = jwt.decode(str(tokens.get("id_token", "")), keys, algorithms=algorithms)
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": rules.issuer},
                "aud": {"essential": True, "value": rules.client_id},
                "sub": {"essential": True},
            },
            {
                "client_id": rules.client_id,
                "nonce": attempt.nonce,
                "access_token": tokens.get("access_token"),
            },
        )
        claims.validate(int(now), LEEWAY)
    except InvalidKeyIdError as error:
        raise UnknownKey(str(error)) from None
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        why = f"the id_token: {type(error).__name__}: {error}"
        raise SignInRefused("oidc_untrusted", why[:500]) from None
    subject: str = claims["sub"]  # Core 1.0 §2: at most 255 ASCII characters
    if len(subject) > MAX_SUBJECT or not (subject.isascii() and subject.isprintable()):
        raise SignInRefused("oidc_untrusted", "the id_token: sub is no id of a person")
    return dict(claims)


def has_groups(claims: Mapping[str, Any], rules: Rules) -> bool:
    """Tell whether the claim with the groups is there at all; else the userinfo may have it."""
    return _claim(claims, rules.groups_claim) is not None


def person_of_claims(claims: Mapping[str, Any], rules: Rules) -> SignedIn:
    """Return who has signed in, with the highest role that one of their groups gives.

    Raises SignInRefused for a person in no group that has a role.
    """
    groups = groups_of(claims, rules.groups_claim)
    given = {role for group, role in rules.roles if group in groups}
    names = (claims.get(name) for name in NAMES)
    name = next(one for one in names if isinstance(one, str) and one.strip() and one.isprintable())
    if not given:
        raise SignInRefused(
            "oidc_no_role", f"{name[:MAX_NAME]} is in no group that KERNEL_OIDC_ROLES names"
        )
    role = next(one for one in reversed(Role) if one in given)
    return SignedIn(rules.issuer, claims["sub"], name.strip()[:MAX_NAME], role)


def groups_of(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """Return the values of a claim: a list of texts, or one text.

    An address of mail counts only if the provider has verified that it is this person's.
    """
    if claim == "email" and claims.get("email_verified") not in (True, "true"):
        return frozenset()
    found = _claim(claims, claim)
    values = found if isinstance(found, list) else [found]
    return frozenset(one for one in values if isinstance(one, str))


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or below others: Keycloak has ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
