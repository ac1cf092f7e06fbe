"""The provider of sign-in by OpenID Connect, as one process knows it: its metadata and its keys.

Every request to it goes through the transport of callbacks, so that addresses are vetted and
pinned, answers bounded, and no redirect followed. The host of `KERNEL_OIDC_ISSUER` may be private:
the operator has named it. Nothing that a provider says is shown on a page.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from authlib.oidc.discovery import get_well_known_url
from joserfc.jwk import KeySet

from kernel.callers.people.oidc import (
    Attempt,
    Rules,
    SignInRefused,
    UnknownKey,
    algorithms_of,
    authorization_url,
    checked_claims,
    has_groups,
    person_of_claims,
    signing_keys,
)
from kernel.callers.people.signed_in import SignedIn
from kernel.config.oidc import is_this_host
from kernel.errors import TransportError
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.transport.addresses import DEFAULT_PORTS, CallbackPolicy, join
from kernel.transport.client import Request

# Seconds for one request, and bytes of one answer.
SECONDS, ANSWER_BYTES = 5.0, 60_000
# Seconds for which metadata and keys are kept. A key that is not among them is looked for at once,
# yet not more often than every `RENEW_SECONDS`.
METADATA_SECONDS, KEYS_SECONDS, RENEW_SECONDS = 3600.0, 600.0, 10.0
# After a provider did not answer, its metadata is not asked for during these seconds.
AWAY_SECONDS = 5.0
# How many threads of a process may wait for the provider: a slow one leaves the others free. And
# the seconds that one more waits for its turn.
TURNS, TURN_SECONDS = 3, 1.0
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")

Metadata = Mapping[str, Any]


class OidcProvider:
    """What this process knows of the provider; make one with `Kernel.one`.

    ``clock``: monotonic seconds. Every method raises SignInRefused.
    """

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = Rules.of(kernel.settings)
        self._kernel = kernel
        self._clock = clock
        self._secret = kernel.settings.oidc_client_secret
        self._policy = kernel.callback_policy.merge(policy_of(self.rules.issuer))
        self._turns = threading.BoundedSemaphore(TURNS)
        self._metadata = SingleFlightCache[Metadata](
            METADATA_SECONDS, survives=(SignInRefused,), clock=clock
        )
        self._keys = SingleFlightCache[KeySet](KEYS_SECONDS, serves_old=False, clock=clock)
        self._away_until = self._renewed_at = float("-inf")

    def start(self, attempt: Attempt, redirect_uri: str) -> str:
        """Return where the browser is sent to sign in."""
        with self._turn():
            endpoint = self.metadata()["authorization_endpoint"]
        return authorization_url(endpoint, self.rules, attempt, redirect_uri)

    def finish(self, code: str, attempt: Attempt, redirect_uri: str, now: float) -> SignedIn:
        """Return who has signed in, for the code that the browser brought back.

        ``now``: seconds since 1970.
        """
        with self._turn():
            metadata = self.metadata()
            tokens = self._tokens(metadata, code, attempt, redirect_uri)
            claims = self._verified(metadata, tokens, attempt, now)
            if not has_groups(claims, self.rules):
                claims = (
                    self._userinfo(metadata, tokens.get("access_token"), claims["sub"]) | claims
                )
        return person_of_claims(claims, self.rules)

    def metadata(self) -> Metadata:
        """Return what the provider says of itself (OpenID Connect Discovery 1.0 §4)."""
        return self._metadata.get(self._discover)

    def _discover(self) -> Metadata:
        if self._clock() < self._away_until:
            raise SignInRefused("oidc_away", "the provider did not answer a moment ago")
        issuer = self.rules.issuer
        try:
            found = self._json(_get(get_well_known_url(issuer, external=True)), "its metadata")
        except SignInRefused:
            self._away_until = self._clock() + AWAY_SECONDS
            raise
        if found.get("issuer") != issuer:
            raise SignInRefused(
                "oidc_untrusted",
                f"the provider calls itself {found.get('issuer')!r:.300}: "
                "KERNEL_OIDC_ISSUER must be the same, to the last /",
            )
        for name in ENDPOINTS:
            self._check_endpoint(name, found.get(name))
        return found

    def _check_endpoint(self, name: str, url: object) -> None:
        """Refuse an address without TLS, except of a provider on this host."""
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        here = self.rules.issuer.startswith("http://") and is_this_host(parts.hostname or "")
        if not (parts.scheme == "https" or (parts.scheme == "http" and here)):
            raise SignInRefused("oidc_untrusted", f"the provider's {name} is no https address")

    def _tokens(
        self, metadata: Metadata, code: str, attempt: Attempt, redirect_uri: str
    ) -> dict[str, Any]:
        """Return the answer of the token endpoint (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        client_id, secret = self.rules.client_id, self._secret.get_secret_value()
        methods = metadata.get("token_endpoint_auth_methods_supported")
        if isinstance(methods, list) and "client_secret_basic" not in methods:
            form |= {"client_id": client_id, "client_secret": secret}
        else:  # RFC 6749 §2.3.1: encoded first; a space as %20, which every reader understands
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
        body = urlencode(form).encode("ascii")
        return self._json(_request(metadata["token_endpoint"], headers, body), "the code's tokens")

    def _verified(
        self, metadata: Metadata, tokens: dict[str, Any], attempt: Attempt, now: float
    ) -> dict[str, Any]:
        algorithms = algorithms_of(metadata.get("id_token_signing_alg_values_supported"))
        url = metadata["jwks_uri"]

        def claims() -> dict[str, Any]:
            keys = self._keys.get(lambda: signing_keys(self._json(_get(url), "its keys")))
            return checked_claims(tokens, keys, algorithms, self.rules, attempt, now)

        try:
            return claims()
        except UnknownKey:
            self._renew_keys()
        try:
            return claims()
        except UnknownKey as error:
            raise SignInRefused("oidc_untrusted", f"the id_token: {error}") from None

    def _renew_keys(self) -> None:
        if self._clock() >= self._renewed_at + RENEW_SECONDS:
            self._renewed_at = self._clock()
            self._keys.forget()

    def _userinfo(self, metadata: Metadata, token: object, subject: str) -> dict[str, Any]:
        """Return what the provider tells of this person beside the id_token (Core 1.0 §5.3)."""
        url = metadata.get("userinfo_endpoint")
        if url is None or not isinstance(token, str):
            return {}
        self._check_endpoint("userinfo_endpoint", url)
        found = self._json(_get(url, {"Authorization": f"Bearer {token}"}), "the userinfo")
        if found.get("sub") != subject:
            raise SignInRefused("oidc_untrusted", "the userinfo is another person's")
        return found

    def _json(self, request: Request, what: str) -> dict[str, Any]:
        """Return the JSON object that the provider answers with."""
        try:
            answer = self._kernel.transport.send(request, self._policy, "oidc")
        except TransportError as error:
            why = f"{what} could not be asked for: {error.reason}: {error.detail}"
            raise SignInRefused("oidc_away", why) from None
        found = _parsed(answer.body) if answer.cut is None else {}
        if answer.status >= 500 or answer.status == 429:
            raise SignInRefused("oidc_away", f"asked for {what}, it answered {answer.status}")
        if answer.status != 200 or not found:
            code = found.get("error", answer.cut or "no JSON object")
            why = f"asked for {what}, it answered {answer.status}: {code!r:.100}"
            raise SignInRefused("oidc_untrusted", why)
        return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise SignInRefused("oidc_away", "too many wait for the provider already")
        try:
            yield
        finally:
            self._turns.release()


def policy_of(issuer: str) -> CallbackPolicy:
    """Return what opens the issuer's own host, even a private one, and no other."""
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    named = join(host, parts.port or DEFAULT_PORTS[parts.scheme])
    if host == "localhost":
        return CallbackPolicy.from_strings(["127.0.0.1/32", "::1/128"], [host, named])
    try:
        return CallbackPolicy.from_strings([host], [named])
    except ValueError:  # a name, which no network is
        return CallbackPolicy.from_strings(hosts=[host, named])


def _get(url: str, headers: Mapping[str, str] = {}) -> Request:
    return _request(url, headers, method="GET")


def _request(
    url: str, headers: Mapping[str, str], body: bytes = b"", method: str = "POST"
) -> Request:
    asked = {"Accept": "application/json", **headers}
    return Request(url, asked, body, method, timeout=SECONDS, read_bytes=ANSWER_BYTES)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
