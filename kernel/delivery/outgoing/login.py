"""How a receiver is logged in to: headers made of its credentials. Nothing here is ever shown."""

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from html.entities import codepoint2name
from urllib.parse import parse_qsl, quote, quote_plus

from pydantic import SecretStr

from kernel.callers.credentials import Credentials

# What ServiceNow calls its signature.
SN_HMAC = "x-sn-hmac-signature-256"
HIDDEN = "***"
# A shorter value would be found in texts that it has nothing to do with.
_SHORTEST = 4
# The most characters that one is written as: two units of UTF-16, escaped twice.
_LONGEST_FORM = 24
# Characters that nothing encodes.
_AS_IT_IS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._")
# What a receiver may write a text into.
_ENCODINGS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: text.replace("/", "\\/"),  # in PHP's JSON
    html.escape,
    lambda text: quote(text, safe="", errors="replace"),
    lambda text: quote_plus(text, errors="replace"),
)


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


def hide(text: str, secrets: Iterable[SecretStr], *, is_cut: bool = False) -> str:
    """Return ``text`` with the secrets in it replaced, as they are or encoded.

    All of them at once, for one may be a part of another. Give it the whole text: what is cut first
    may end within a secret. ``is_cut``: it was cut, so the beginning of one at its end is hidden.
    """
    values = {one.get_secret_value() for one in secrets}
    known = tuple(sorted((one for one in values if len(one) >= _SHORTEST), key=_by_length))
    if not known:
        return text
    kept, end, finder = [], 0, _finder(known)
    found = finder.search(text)
    while found is not None:
        if found.start() >= end:
            kept += [text[end : found.start()], HIDDEN]
        end = max(end, found.end())
        found = finder.search(text, found.start() + 1)  # another may begin within this one
    if is_cut and (begun := _beginning(known, text, end)) is not None:
        return "".join([*kept, text[end:begun], HIDDEN])
    return "".join([*kept, text[end:]])


def secrets_of(credentials: Credentials) -> Iterator[SecretStr]:
    """Return every secret value of these credentials, and the parts of it that are secret."""
    for one in credentials.secrets.values():
        yield one
        yield from map(SecretStr, _parts_of_url(one.get_secret_value()))
    for one in credentials.headers.values():
        yield one
        yield from map(SecretStr, _parts_of_header(one.get_secret_value()))
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


def _parts_of_header(value: str) -> Iterator[str]:
    """Return what stands behind a scheme and behind each ``=``; of Basic the pair, the password."""
    scheme, _, behind = value.partition(" ")
    yield behind.strip()
    for part in re.split(r"[\s,;]+", value):
        words = part.split("=")
        yield from ("=".join(words[at:]).strip("\"'") for at in range(1, len(words)))
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(behind.strip() + "==").decode()
        except ValueError:
            return
        yield from (pair, pair.partition(":")[2])


def _parts_of_url(value: str) -> Iterator[str]:
    """Return path and query of an address that is a secret: a server repeats it without its host.

    So it does with the last segment, and the values of the query, by themselves.
    """
    place, _, query = value.partition("://")[2].partition("?")
    path = place.partition("/")[2]
    yield from (path, path.rpartition("/")[2], query)
    yield from (one for _, one in parse_qsl(query))


def _by_length(value: str) -> tuple[int, str]:
    return -len(value), value


@lru_cache(maxsize=256)
def _finder(values: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds each of the values, the longest first, however they are encoded."""
    return re.compile("|".join(map(_pattern, values)))


def _pattern(value: str) -> str:
    """Return the pattern of a value of which each character may be encoded by itself."""
    found = []
    for run in re.findall(r"\\+|[^\\]", value, re.DOTALL):
        forms = sorted(set(_forms(run[0])), key=_by_length)
        words = "|".join(re.escape(one * len(run)) for one in forms)
        # Backslashes are told by their number; to try every other one would take for ever.
        opens = "(?>" if run[0] == "\\" else "(?:"
        # Hexadecimal digits may be capitals or not.
        found.append(re.escape(run) if run in _AS_IT_IS else f"{opens}(?i:{words}))")
    # In another charset than the one that it is read by.
    latin = value.encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(found) + ("" if value.isascii() else f"|{re.escape(latin)}")


@lru_cache(maxsize=1024)
def _forms(char: str) -> frozenset[str]:
    """Return what a character may be written as: JSON, HTML, a URL, or one of these in another."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    number = ord(char)
    once = {char, escaped, f"&#{number};", f"&#{number:03};", f"&#x{number:x};"}
    if name := {**codepoint2name, ord("'"): "apos"}.get(number):
        once.add(f"&{name};")
    once |= {encode(char) for encode in _ENCODINGS}
    return frozenset(once | {encode(one) for one in once for encode in _ENCODINGS})


def _beginning(values: tuple[str, ...], text: str, start: int) -> int | None:
    """Return where, near the end of a text that was cut, the first characters of a value stand."""
    reach = max(start, len(text) - _LONGEST_FORM * len(values[0]))
    found = _finder(tuple(dict.fromkeys(one[:_SHORTEST] for one in values))).search(text, reach)
    return None if found is None else found.start()


def _basic(credentials: Credentials) -> str:
    basic = credentials.basic
    pair = "" if basic is None else f"{basic.user}:{basic.password.get_secret_value()}"
    return base64.b64encode(pair.encode()).decode("ascii")
