"""What a receiver is logged in to with: typed, and never printed.

``repr``, ``str`` and ``format`` of everything here show kinds and names; pickling is refused, and
``json`` does not know these types. `Credentials.to_json` alone shows values: it is for the row.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Self, cast

from pydantic import SecretStr

from kernel.config.near import did_you_mean
from kernel.errors import AddressRefused
from kernel.formats.callback_headers import is_callback_header
from kernel.transport.addresses import origin_of
from kernel.transport.headers import is_transport_header

Grant = Literal["client_credentials", "password"]
GRANTS: tuple[Grant, ...] = ("client_credentials", "password")

# RFC 9110, section 5.6.2 (token) and 5.5 (field values: visible characters and inner spaces).
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")
SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MAX_SECRET = 4096


class Unprintable:
    """Shows its class alone, and refuses to be pickled: a pickle would hold the values."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(**********)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not pickled: it holds secrets")


@dataclass(frozen=True, slots=True, repr=False)
class Basic(Unprintable):
    """A user and a password (RFC 7617)."""

    user: str
    password: SecretStr


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class OAuth2(Unprintable):
    """How a token is had. ``in_body``: the client's id and secret go in the form (RFC 6749 2.3.1).

    ``user`` and ``password`` are those of the password grant.
    """

    token_url: str
    grant: Grant
    client_id: str
    client_secret: SecretStr
    user: str | None = None
    password: SecretStr | None = None
    scope: str | None = None
    in_body: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class ClientCertificate(Unprintable):
    """A certificate, with those that it hangs on, and its key: PEM texts."""

    certificate: str
    key: SecretStr


# The kinds of credentials that are objects with members of their own.
_WITH_MEMBERS: Mapping[str, Any] = {
    **{"basic": Basic, "oauth2": OAuth2},
    "client_certificate": ClientCertificate,
}


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Credentials(Unprintable):
    """Everything secret that a receiver gets. ``secrets`` are values that its templates place."""

    basic: Basic | None = None
    bearer: SecretStr | None = None
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    oauth2: OAuth2 | None = None
    client_certificate: ClientCertificate | None = None
    sn_hmac: SecretStr | None = None
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ValueError without any of the text in it."""
        try:
            found = json.loads(text)
            return cls(
                basic=_made(found.get("basic"), _basic),
                bearer=_made(found.get("bearer"), _secret),
                headers=_secrets(found.get("headers", {})),
                oauth2=_made(found.get("oauth2"), _oauth2),
                client_certificate=_made(found.get("client_certificate"), _certificate),
                sn_hmac=_made(found.get("sn_hmac"), _secret),
                secrets=_secrets(found.get("secrets", {})),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError("these are no credentials") from None

    def changed(self, given: Mapping[str, Any], merged: Any) -> Self:
        """Return what becomes of these by what a person has given; ``merged``: both, as JSON.

        Raises ValueError in words: for members that are not known, of which rows alone may have
        some, and for secrets of OAuth that stay while the origin that they are sent to changes.
        """
        _refuse_unknown(self, given)
        after = self.from_json(json.dumps(merged))
        _refuse_moved(self.oauth2, after.oauth2, given.get("oauth2"))
        return after

    def to_json(self) -> str:
        """Return all of it, with the values: what the receiver's row holds."""
        return json.dumps(_plain(self), sort_keys=True)

    def describe(self) -> dict[str, Any]:
        """Return which kinds there are, by name, and the names of headers and secrets."""
        kinds = ("basic", "bearer", "oauth2", "client_certificate", "sn_hmac")
        found: dict[str, Any] = {kind: True for kind in kinds if getattr(self, kind) is not None}
        if self.headers:
            found["headers"] = sorted(self.headers)
        if self.secrets:
            found["secrets"] = sorted(self.secrets)
        return found

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing secret."""
        return not self.describe()

    def check(self) -> None:
        """Refuse what would not arrive or could forge a request. Raises ValueError in words."""
        for name, value in self.headers.items():
            check_header(name, value.get_secret_value())
        for name, value in self.secrets.items():
            if not SECRET_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a secret: letters, digits and _")
            _check_word(f"the secret {name}", value)
        logins = [one for one in ("basic", "bearer", "oauth2") if getattr(self, one) is not None]
        logins += [name for name in self.headers if name.lower() == "authorization"]
        if len(logins) > 1:
            raise ValueError(f"{' and '.join(logins)} would both be the header Authorization")
        if self.basic is not None:
            _check_basic(self.basic)
        if self.bearer is not None and not HEADER_VALUE.fullmatch(self.bearer.get_secret_value()):
            raise ValueError("the bearer token must be visible ASCII on one line")
        if self.sn_hmac is not None:
            _check_word("the HMAC key", self.sn_hmac)
        if self.oauth2 is not None:
            _check_oauth2(self.oauth2)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self.describe()) or 'none'})"


def check_header(name: str, value: str) -> None:
    """Refuse a header that would not arrive, or could break or forge a request.

    Raises ValueError that says why, without the value.
    """
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if is_transport_header(name) or is_callback_header(name):
        raise ValueError(f"{name} is set by kernel itself, or never sent")
    if not HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} must be visible ASCII on one line")


def _check_word(what: str, value: SecretStr) -> None:
    if not 0 < len(value.get_secret_value()) <= MAX_SECRET:
        raise ValueError(f"{what} must have 1 to {MAX_SECRET} characters")


def _check_basic(basic: Basic) -> None:
    _check_word("the password", basic.password)
    both = basic.user + basic.password.get_secret_value()
    if not basic.user or ":" in basic.user or re.search(r"[\x00-\x1f\x7f]", both):
        raise ValueError("a user has no colon, and neither it nor the password control characters")


def _check_oauth2(oauth2: OAuth2) -> None:
    if not oauth2.client_id:
        raise ValueError("OAuth needs the client's id")
    _check_word("the client's secret", oauth2.client_secret)
    if (oauth2.grant == "password") != (oauth2.user is not None and oauth2.password is not None):
        raise ValueError("the password grant, and no other, needs a user and a password")


def _refuse_unknown(credentials: Credentials, given: Mapping[str, Any]) -> None:
    """Refuse members that would be left out: a misspelt login is none, and nothing would say so."""
    parts: dict[str, tuple[Any, Any]] = {"credentials": (credentials, given)}
    parts |= {
        f"credentials.{name}": (kind, given.get(name)) for name, kind in _WITH_MEMBERS.items()
    }
    for place, (kind, members) in parts.items():
        if not isinstance(members, Mapping):
            continue
        known = kind.__dataclass_fields__
        if unknown := sorted(name[:100] for name in members if name not in known):
            meant = did_you_mean(unknown[0], known)
            raise ValueError(f"in {place} there is no {', '.join(unknown[:10])}{meant}")
    oauth2 = given.get("oauth2")
    if isinstance(oauth2, Mapping) and not isinstance(oauth2.get("in_body"), bool | None):
        raise ValueError("in_body is true or false")


def _refuse_moved(before: OAuth2 | None, after: OAuth2 | None, given: Any) -> None:
    """Refuse to send secrets to an origin that they were not made for: they are never read, and
    a change of the address alone would have them told there."""
    if before is None or after is None or not isinstance(given, Mapping):
        return
    origin = _origin(before.token_url)
    kept = [one for one in ("client_secret", "password") if getattr(after, one) is not None]
    missing = [one for one in kept if one not in given]
    if missing and _origin(after.token_url) != origin:
        raise ValueError(
            f"oauth2 is for {origin}, and so are its secrets: "
            f"give {' and '.join(missing)} with the new token_url"
        )


def _origin(url: str) -> str:
    """Return a URL's origin; for one that has none, which is refused with words of its own, it."""
    try:
        return origin_of(url)
    except AddressRefused:
        return url


def _made(value: Any, make: Any) -> Any:
    return None if value is None else make(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _secret(value: Any) -> SecretStr:
    return SecretStr(_text(value))


def _secrets(found: Mapping[str, Any]) -> dict[str, SecretStr]:
    return {name: _secret(value) for name, value in found.items()}


def _basic(found: Mapping[str, Any]) -> Basic:
    return Basic(_text(found["user"]), _secret(found["password"]))


def _certificate(found: Mapping[str, Any]) -> ClientCertificate:
    return ClientCertificate(_text(found["certificate"]), _secret(found["key"]))


def _oauth2(found: Mapping[str, Any]) -> OAuth2:
    if found["grant"] not in GRANTS:
        raise ValueError
    return OAuth2(
        token_url=_text(found["token_url"]),
        grant=cast(Grant, found["grant"]),
        client_id=_text(found["client_id"]),
        client_secret=_secret(found["client_secret"]),
        user=_made(found.get("user"), _text),
        password=_made(found.get("password"), _secret),
        scope=_made(found.get("scope"), _text),
        in_body=bool(found.get("in_body", False)),
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, secrets shown; what is not set is left out."""
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Mapping():
            return {name: _plain(one) for name, one in value.items()}
        case Unprintable():
            pairs = ((name, getattr(value, name)) for name in value.__dataclass_fields__)  # type: ignore[attr-defined]
            return {name: _plain(one) for name, one in pairs if one not in (None, {})}
        case _:
            return value
