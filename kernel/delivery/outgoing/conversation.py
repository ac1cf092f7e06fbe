"""The requests of one attempt to one receiver: logged in, within one deadline, one renewal."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from pydantic import SecretStr

from kernel.callers.credentials import Credentials
from kernel.callers.receivers import Receiver
from kernel.delivery.claim import DueDelivery
from kernel.delivery.outgoing.login import hide, login_headers, secrets_of
from kernel.delivery.outgoing.memory import memory_of
from kernel.delivery.outgoing.tokens import Token, token_request
from kernel.errors import AddressRefused, TransportError
from kernel.formats.callback_headers import without_replaced
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import origin_of
from kernel.transport.client import Request, Response
from kernel.transport.steps import Observer

_NOTHING = Credentials()
# What logs in to a token endpoint.
_LOGIN = ("Authorization",)
# The share of a request's time in which an endpoint renews a token: the callback goes out with the
# old one if it does not.
RENEWAL = 1 / 3
Purpose = Literal["token", "lookup", "callback"]
# Whether an answer refuses the token: most systems say 401, and GLPI 400.
Refuses = Callable[[Response], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request goes out; the values of ``secret_headers`` (lower case) are not to be shown."""

    purpose: Purpose
    request: Request = field(repr=False)
    secret_headers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the request before."""

    purpose: Purpose
    response: Response = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why the request before had no usable answer; ``detail``: without secrets."""

    purpose: Purpose
    reason: str
    detail: str


class Conversation:
    """Sends what belongs to one attempt, with the credentials of its receiver.

    ``seconds``: for each request; all of them together have them ``requests`` times.
    ``observer``: is told Asked, the transport's steps, and Answered or Unanswered.
    """

    def __init__(
        self,
        kernel: Kernel,
        due: DueDelivery,
        receiver: Receiver | None,
        seconds: float,
        requests: int = 1,
        observer: Observer | None = None,
    ) -> None:
        self._kernel, self._memory = kernel, memory_of(kernel)
        self._receiver = receiver
        self._policy = kernel.callback_policy.merge(due.profile.grants)
        self._caller_id = due.caller_id
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds * requests
        self._credentials = _NOTHING if receiver is None else receiver.credentials
        self._token: Token | None = None
        self._has_renewed = False
        self._observer = observer

    def send(self, request: Request, refuses: Refuses, purpose: Purpose = "callback") -> Response:
        """Send a request that was checked, logged in; once with a new token if that is refused.

        Raises what `Transport.send` raises, NoToken and UnfitCertificate.
        """
        response = self._send(request, purpose)
        if not refuses(response) or not self._may_renew():
            return response
        response = self._send(request, purpose)
        if refuses(response) and self._token is not None:
            self._memory.tokens.refused_anew(self._key, self._token)
        return response

    def tell(self, step: Callable[..., Any], *told: Any) -> None:
        """Make a step of this, and tell the observer, if there is one."""
        if self._observer is not None:
            self._observer(step(*told))

    def hide(self, text: str, *, is_cut: bool = False) -> str:
        """Return a whole text of the receiver's without the secrets that were sent to it.

        ``is_cut``: its end is missing.
        """
        return hide(text, self._secrets(), is_cut=is_cut)

    def _send(self, request: Request, purpose: Purpose) -> Response:
        token = self._login()
        login = login_headers(self._credentials, request.body, token)
        headers = {**login, **without_replaced(request.headers, login)}
        identity = None
        if self._receiver is not None:
            identity = self._memory.identity(self._receiver)
        request = replace(request, headers=headers, identity=identity)
        return self._transmit(request, purpose, login)

    def _transmit(
        self, request: Request, purpose: Purpose = "token", login: Iterable[str] = _LOGIN
    ) -> Response:
        left = min(self._seconds, self._deadline - time.monotonic())
        if request.timeout is not None:
            left = min(left, request.timeout)
        if left <= 0:
            raise TransportError("timeout", "the time for this callback is over")
        request = replace(request, timeout=left, observer=self._observer)
        self.tell(Asked, purpose, request, frozenset(map(str.lower, login)))
        try:
            response = self._kernel.transport.send(request, self._policy, self._caller_id)
        except TransportError as error:
            self.tell(Unanswered, purpose, error.reason, self.hide(error.detail, is_cut=True))
            raise
        self.tell(Answered, purpose, response)
        return response

    def _login(self) -> SecretStr | None:
        """Return OAuth's token, if the receiver has one to be had."""
        if self._receiver is None or self._credentials.oauth2 is None:
            return None
        renew = partial(self._ask_for_token, RENEWAL * self._seconds)
        self._token = self._memory.tokens.get(self._key, self._ask_for_token, renew)
        return self._token.value

    def _ask_for_token(self, seconds: float | None = None) -> Response:
        oauth2, receiver = self._credentials.oauth2, self._receiver
        if oauth2 is None or receiver is None:
            raise TypeError("there is nothing to ask a token with")
        try:
            is_at_home = origin_of(oauth2.token_url) == receiver.origin
        except AddressRefused as error:
            raise TransportError("refused", error.message) from None
        if is_at_home:
            identity = self._memory.identity(receiver)
            return self._transmit(token_request(oauth2, identity, seconds))
        try:
            return self._transmit(token_request(oauth2, timeout=seconds))
        except TransportError as error:
            # Elsewhere the certificate is not shown; the receiver's authority may have signed.
            if error.reason != "tls" or receiver.ca_pem is None:
                raise
            identity = self._memory.identity(receiver, shows_certificate=False)
            return self._transmit(token_request(oauth2, identity, seconds))

    def _may_renew(self) -> bool:
        """Give up the token that was refused; False when that is done already, or of no use."""
        if self._token is None or self._has_renewed:
            return False
        self._has_renewed = True
        return self._memory.tokens.refused(self._key, self._token)

    @property
    def _key(self) -> tuple[object, ...]:
        """What a token belongs to: new credentials of a receiver get a new one."""
        oauth2 = self._credentials.oauth2
        return None if self._receiver is None else self._receiver.id, oauth2

    def _secrets(self) -> Iterator[SecretStr]:
        yield from secrets_of(self._credentials)
        if self._token is not None:
            yield self._token.value
