"""The parts of pages that are asked for every two seconds: 304 while they stay the same, else gzip.

Pages themselves are never compressed. They hold the session's token beside what an address can put
there, and the length of such a page, asked for by another site's link, would give the token away
letter by letter (BREACH). Another site cannot ask for a part: a request with the header
`HX-Request` needs this site's consent (CORS), which it never gives.
"""

import gzip
import hashlib

from flask import Response, request

# Below this many bytes compressing saves nothing.
WORTH = 1024


def as_part(answer: Response) -> Response:
    """Make ``answer``, a whole part, conditional on what the script has (RFC 9110 §13.1.2)."""
    body = answer.get_data()
    answer.headers["Vary"] = "Accept-Encoding, HX-Request"
    tag = hashlib.sha256(body).hexdigest()[:20]
    answer.set_etag(tag, weak=True)
    if request.if_none_match.contains_weak(tag):
        answer.status_code = 304
        answer.set_data(b"")
    elif len(body) >= WORTH and request.accept_encodings.quality("gzip") > 0:
        answer.set_data(gzip.compress(body, compresslevel=6, mtime=0))
        answer.headers["Content-Encoding"] = "gzip"
    return answer
