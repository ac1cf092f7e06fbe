"""An answer's head, read here: interim answers, fields, where the answer ends; and its coding.

http.client reads the status line and the body. Its own way with fields takes a quarter of the
processor's time of an attempt (it asks the parser of e-mail), skips 100 alone of the interim
answers, and drops what came after the end of an answer without a word.
"""

import codecs
import re
import zlib
from http import HTTPStatus
from http.client import (
    SWITCHING_PROTOCOLS,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    LineTooLong,
    UnknownProtocol,
)
from typing import IO, Any

HTTP_1_0, HTTP_1_1 = 10, 11  # as http.client writes them
MAX_LINE, MAX_FIELDS = 65536, 100
# These end with their head, also if it announces a body (RFC 9112 §6.3).
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, SWITCHING_PROTOCOLS)
# Content codings (RFC 9110 §8.4.1) that are read, and how zlib is told: gzip, and both that are
# called deflate, its format and the bare stream.
_CODINGS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
_UNTEXTUAL = re.compile(r"[\x00-\x08\x0e-\x1f]")
# An answer may be packed more than once, but not without an end.
MAX_CODINGS = 3
# RFC 9110 §5.6.2, and what else is printed: receivers invent names. No space before the colon.
_NAME = re.compile(r"[!-9;-~]+")
_END_OF_HEAD = (b"\r\n", b"\n", b"")

for _name in ("_read_status", "_close_conn", "_check_close"):
    if not hasattr(HTTPResponse, _name):
        raise ImportError(f"HTTPResponse.{_name} is gone: answers would not be read")


class FramedResponse(HTTPResponse):
    """An answer that skips every interim answer before it, and tells whether it ended cleanly.

    Interim answers (RFC 9110 §15.2) count against the bytes and seconds of the exchange. 101 is
    not one of them: no other protocol was asked for. ``sock`` belongs to an exchange, which hears
    of the end.
    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        self._exchange = sock.exchange
        self._exchange.over = self._exchange.ended_cleanly = False
        self._is_readable = True
        super().__init__(sock, *args, **kwargs)

    def begin(self) -> None:
        """Read the head. Raises HTTPException for what is no head of HTTP/1."""
        read_before: HTTPMessage | None = self.headers
        if read_before is not None:
            return
        version, status, reason = self._read_status()  # type: ignore[attr-defined]
        while HTTPStatus.CONTINUE <= status < HTTPStatus.OK and status != SWITCHING_PROTOCOLS:
            _read_fields(self.fp)
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
        if version in ("HTTP/1.0", "HTTP/0.9"):
            self.version = HTTP_1_0
        elif version.startswith("HTTP/1."):
            self.version = HTTP_1_1
        else:
            raise UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.headers, self._is_readable = _read_fields(self.fp)
        self.msg = self.headers
        self._find_end()

    def _find_end(self) -> None:
        """Say where the body ends (RFC 9112 §6.3): at its length, its last chunk, or the close."""
        coding, said = self.headers.get("transfer-encoding", ""), self.headers.get("content-length")
        is_empty = self.status in _WITHOUT_BODY
        self.chunked = coding.lower() == "chunked" and not is_empty
        self.chunk_left, self.length = None, None
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        if is_empty:
            self.length = 0
        elif said and not self.chunked:
            self.length = _as_length(said)
        if self.length is None and not self.chunked:
            self.will_close = True

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
        chunked, several lengths, a body that a 204 announces, and a line that is no field.
        """
        headers: HTTPMessage | None = self.headers
        if headers is None or not self._is_readable:  # None: closed before its head was read
            return False
        lengths = headers.get_all("content-length") or []
        codings = headers.get_all("transfer-encoding") or []
        if self.status == HTTPStatus.NO_CONTENT:
            return not codings and lengths in ([], ["0"])
        if codings:
            is_chunked = [one.lower() for one in codings] == ["chunked"]
            return is_chunked and not lengths and self.version == HTTP_1_1
        return len(lengths) == 1 and lengths[0].isascii() and lengths[0].isdecimal()


def _as_length(said: str) -> int | None:
    try:
        length = int(said)
    except ValueError:
        return None
    return length if length >= 0 else None


def _read_fields(stream: IO[bytes]) -> tuple[HTTPMessage, bool]:
    """Read fields up to the empty line; tell whether every line was one.

    A line that is none is left out. One that goes on with a space belongs to the field before it
    (RFC 9112 §5.2). Raises HTTPException for more than `MAX_FIELDS` lines, or longer ones than
    `MAX_LINE`.
    """
    found: list[list[str]] = []
    is_readable, lines = True, 0
    while (line := stream.readline(MAX_LINE + 1)) not in _END_OF_HEAD:
        lines += 1
        if len(line) > MAX_LINE:
            raise LineTooLong("header line")
        if lines > MAX_FIELDS:
            raise HTTPException(f"got more than {MAX_FIELDS} headers")
        name, colon, value = line.decode("latin-1").partition(":")
        if line[:1].isspace() and found:
            found[-1][1] += f" {line.decode('latin-1').strip()}"
        elif colon and _NAME.fullmatch(name):
            found.append([name, value.strip(" \t\r\n")])
        else:
            is_readable = False
    fields = HTTPMessage()
    for name, value in found:
        fields[name] = value
    return fields, is_readable


def unpacked(body: bytes, codings: str, most: int) -> tuple[bytes, bool] | None:
    """Return at most ``most`` bytes of a body without its content codings, and whether it ended.

    None was asked for, but proxies and PHP pack all the same. None when a coding is not known here,
    or the body is not of it.
    """
    names = [name for one in codings.lower().split(",") if (name := one.strip())]
    names = [name for name in names if name != "identity"]
    if len(names) > MAX_CODINGS or not all(name in _CODINGS for name in names):
        return None
    has_ended = True
    for name in reversed(names):
        found = next(filter(None, (_inflated(body, kind, most) for kind in _CODINGS[name])), None)
        if found is None:
            return None
        body, has_ended = found[0], has_ended and found[1]
    return body, has_ended


def is_text(body: bytes) -> bool:
    """Tell whether bytes, or the beginning of them, are a text in UTF-8 or nothing: not packed.

    Some proxies unpack an answer and leave its header, others name a charset there.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return False
    return _UNTEXTUAL.search(text) is None


def _inflated(body: bytes, kind: int, most: int) -> tuple[bytes, bool] | None:
    inflater = zlib.decompressobj(kind)
    try:
        found = inflater.decompress(body, most)
    except zlib.error:
        return None
    # A bare stream has neither a head nor a sum: plain text often begins like one.
    is_one = kind > 0 or inflater.eof or len(found) >= most
    return (found, inflater.eof) if is_one else None
