"""What an answer's head says of its connection: interim answers, and where the answer ends.

http.client reads the bytes. It skips 100 alone of the interim answers, and drops what came after
the end of an answer without a word; both are put right here.
"""

from email.message import Message
from http import HTTPStatus
from http.client import CONTINUE, SWITCHING_PROTOCOLS, HTTPResponse
from typing import Any

HTTP_1_1 = 11  # as http.client writes it

for _name in ("_read_status", "_close_conn"):
    if not hasattr(HTTPResponse, _name):
        raise ImportError(f"HTTPResponse.{_name} is gone: interim answers would not be skipped")


class FramedResponse(HTTPResponse):
    """An answer that skips every interim answer before it, and tells whether it ended cleanly.

    Interim answers (RFC 9110 §15.2) count against the bytes and seconds of the exchange. 101 is
    not one of them: no other protocol was asked for. ``sock`` belongs to an exchange, which hears
    of the end.
    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        self._exchange = sock.exchange
        self._exchange.over = self._exchange.ended_cleanly = False
        super().__init__(sock, *args, **kwargs)

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if CONTINUE < status < HTTPStatus.OK and status != SWITCHING_PROTOCOLS:
            status = CONTINUE  # whose headers http.client reads, to go on to the next answer
        return version, status, reason

    def _close_conn(self) -> None:
        """Look at what was received beyond the end, before http.client drops it."""
        self._exchange.over = True  # the socket gives no more bytes: only those that are buffered
        try:
            has_leftovers = bool(self.fp.peek(1))
            self._exchange.ended_cleanly = not has_leftovers and self._is_framed_plainly()
        finally:
            super()._close_conn()  # type: ignore[misc]

    def _is_framed_plainly(self) -> bool:
        """Say whether every program would see the end of this answer where it was seen here.

        Two programs may differ (RFC 9112 §6.3) about a length beside a coding, a coding other than
        chunked, several lengths, and a body that a 204 announces.
        """
        headers: Message | None = self.headers
        if headers is None:  # closed before its head was read
            return False
        lengths = headers.get_all("content-length") or []
        codings = headers.get_all("transfer-encoding") or []
        if self.status == HTTPStatus.NO_CONTENT:
            return not codings and lengths in ([], ["0"])
        if codings:
            is_chunked = [one.lower() for one in codings] == ["chunked"]
            return is_chunked and not lengths and self.version == HTTP_1_1
        return len(lengths) == 1 and lengths[0].isascii() and lengths[0].isdecimal()
