"""OAuth 2 tokens of receivers: one per receiver in a process, asked for by one thread at a time.

A token is asked for at the token endpoint (RFC 6749 §4.3 and §4.4), kept in memory alone, and
renewed before it expires, at a moment that differs from process to process. Where that fails, it is
used until its end (§5.1), unless its receiver refuses it. What goes wrong is told in the endpoint's
own error code (§5.2): neither a secret nor the endpoint's text is shown.
"""

import base64
import json
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, urlencode

from pydantic import SecretStr

from kernel.callers.credentials import OAuth2
from kernel.delivery.breakers import OUR_FAILURES
from kernel.errors import TransportError
from kernel.transport.backoff import retry_after_seconds
from kernel.transport.client import Request, Response
from kernel.transport.tls_identity import TlsIdentity

# Of a token endpoint's answer; the answers that were seen have 200 to 8,000 bytes.
ANSWER_BYTES = 16 * 1024
# Seconds that a token is used which says nothing of its life, and the longest.
UNTOLD_LIFE, LONGEST_LIFE = 300.0, 24 * 3600.0
# A token is renewed when between these shares of its life are over.
RENEWED_FROM, RENEWED_TO = 0.75, 0.9
# For this many seconds after an endpoint refused, nothing is asked of it again.
REFUSED_SECONDS = 5.0
# For this many seconds after a new token was refused like the old one, no refusal renews one.
FRUITLESS_SECONDS = 60.0
# Receivers whose tokens are kept, the latest used.
REMEMBERED = 1000
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
_CODE = re.compile(r"[a-z_]{1,64}", re.ASCII)

Ask = Callable[[], Response]


class NoToken(Exception):
    """There is no token: the message says why, and holds nothing secret.

    ``retry_after``: the endpoint's header, as it came.
    """

    def __init__(self, why: str, retry_after: str | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; ``renewed_at`` and ``expires_at`` are in monotonic seconds."""

    value: SecretStr
    renewed_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why an endpoint gave no token, and until when it is not asked again."""

    why: str
    until: float
    retry_after: str | None


class Tokens:
    """The tokens of one process, for any number of threads.

    ``clock``: monotonic seconds. ``rand`` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._rand = rand
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Token | _Refusal] = OrderedDict()
        self._flights: dict[Hashable, Future[Token]] = {}
        self._fruitless: dict[Hashable, float] = {}

    def get(self, key: Hashable, ask: Ask, renew: Ask | None = None) -> Token:
        """Return the token of ``key``, or the one that ``ask`` is given by the endpoint.

        ``renew`` asks in its place while there is an old one that is valid: where that fails, the
        old one is used, and no other asked for at once. One thread asks at a time; the others use
        the old token as long as it is valid, or wait. Raises NoToken, and TransportError for a lack
        of ours.
        """
        with self._lock:
            kept, now = self._kept.get(key), self._clock()
            if isinstance(kept, _Refusal) and now < kept.until:
                raise NoToken(kept.why, kept.retry_after)
            if isinstance(kept, Token) and now < kept.renewed_at:
                self._kept.move_to_end(key)
                return kept
            others = self._flights.get(key)
            if others is None:
                own: Future[Token] = Future()
                self._flights[key] = own
            is_valid = isinstance(kept, Token) and now < kept.expires_at
            if isinstance(kept, Token) and is_valid and others is not None:
                return kept
        if others is not None:
            return others.result()
        return self._ask(key, renew or ask if is_valid else ask, own)

    def refused(self, key: Hashable, token: Token) -> bool:
        """Forget a token that its receiver refused; True when a new one may be tried.

        False for a while after a new one was refused as well: it is not the token then.
        """
        with self._lock:
            if self._clock() < self._fruitless.get(key, 0.0):
                return False
            self._forget(key, token)
            return True

    def refused_anew(self, key: Hashable, token: Token) -> None:
        """Note that a token which was asked for after a refusal was refused too."""
        with self._lock:
            self._forget(key, token)
            self._fruitless[key] = self._clock() + FRUITLESS_SECONDS
            while len(self._fruitless) > REMEMBERED:
                del self._fruitless[next(iter(self._fruitless))]

    def _forget(self, key: Hashable, token: Token) -> None:
        kept = self._kept.get(key)
        if isinstance(kept, Token) and kept.value == token.value:
            del self._kept[key]

    def _ask(self, key: Hashable, ask: Ask, own: "Future[Token]") -> Token:
        try:
            token = _read(_answer(ask), self._clock(), self._rand())
        except BaseException as error:
            old = self._end_without(key, error)
            if old is None:
                own.set_exception(error)
                raise
            token = old
        else:
            with self._lock:
                self._end(key, token)
        own.set_result(token)
        return token

    def _end_without(self, key: Hashable, error: BaseException) -> Token | None:
        """Return the token that is there still, where an endpoint gave no other."""
        with self._lock:
            kept, now = self._kept.get(key), self._clock()
            if not isinstance(error, NoToken):
                self._end(key, None)
                return None
            if not isinstance(kept, Token) or now >= kept.expires_at:
                refusal = _Refusal(str(error), now + REFUSED_SECONDS, error.retry_after)
                self._end(key, refusal)
                return None
            asked = retry_after_seconds(error.retry_after, datetime.now(UTC))
            again = min(now + max(asked, REFUSED_SECONDS), kept.expires_at)
            old = replace(kept, renewed_at=again)
            self._end(key, old)
            return old

    def _end(self, key: Hashable, kept: Token | _Refusal | None) -> None:
        self._flights.pop(key, None)
        if kept is None:
            return
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


def token_request(
    oauth2: OAuth2, identity: TlsIdentity | None = None, timeout: float | None = None
) -> Request:
    """Return the request for a token (RFC 6749 §4.3.2 and §4.4.2).

    The client's id and secret go in Basic (§2.3.1: encoded first), or in the form if ``in_body``.
    """
    form: dict[str, str] = {"grant_type": oauth2.grant}
    if oauth2.grant == "password" and oauth2.user is not None and oauth2.password is not None:
        form |= {"username": oauth2.user, "password": oauth2.password.get_secret_value()}
    if oauth2.scope is not None:
        form["scope"] = oauth2.scope
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    secret = oauth2.client_secret.get_secret_value()
    if oauth2.in_body:
        form |= {"client_id": oauth2.client_id, "client_secret": secret}
    else:
        pair = f"{quote_plus(oauth2.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
    return Request(
        oauth2.token_url,
        headers,
        urlencode(form).encode("ascii"),
        timeout=timeout,
        identity=identity,
        read_bytes=ANSWER_BYTES,
    )


def _answer(ask: Ask) -> Response:
    try:
        return ask()
    except TransportError as error:
        if error.reason in OUR_FAILURES:
            raise
        raise NoToken(f"the token endpoint could not be asked: {error.reason}") from None


def _read(response: Response, now: float, rand: float) -> Token:
    """Return the token of an answer (RFC 6749 §5.1). Raises NoToken."""
    found = _json(response.body)
    value, kind = found.get("access_token"), found.get("token_type", "Bearer")
    said = f"the token endpoint answered {response.status}"
    is_ok = response.status == 200
    if not is_ok or not isinstance(value, str) or not _TOKEN.fullmatch(value):
        code = found.get("error")  # some answer 200 all the same
        known = f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""
        why = f"{said} without a token{known}" if is_ok else f"{said}{known}"
        raise NoToken(why, response.headers.get("retry-after"))
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoToken("the token endpoint gave a token that is no bearer token")
    life = _life(found.get("expires_in"))
    renewed = life * (RENEWED_FROM + (RENEWED_TO - RENEWED_FROM) * rand)
    return Token(SecretStr(value), now + renewed, now + life)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _life(told: object) -> float:
    """Return the seconds of ``expires_in``: a number, which some endpoints write as a text."""
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return UNTOLD_LIFE
    try:
        seconds = float(told)
    except (ValueError, OverflowError):
        return UNTOLD_LIFE
    return min(seconds, LONGEST_LIFE) if seconds > 0 else UNTOLD_LIFE
