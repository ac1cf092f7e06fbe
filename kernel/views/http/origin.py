"""Where a browser's request comes from: by which scheme, and from a page of which site."""

from flask import request

from kernel.errors import Forbidden
from kernel.views.http.hosts import is_loopback, name_of


def is_https() -> bool:
    """Tell whether the browser came by HTTPS, to us or to the proxy in front.

    Of several proxies that each add to the header, the first one has seen the browser. A client
    that lies about it gets a stricter cookie, and nothing else.
    """
    first = request.headers.get("X-Forwarded-Proto", "").partition(",")[0]
    return request.is_secure or first.strip().lower() == "https"


def keeps_secrets() -> bool:
    """Tell whether the browser will keep a cookie for us: HTTPS, or this very host."""
    return is_https() or is_loopback(name_of(request.host))


def refuse_other_sites() -> None:
    """Raise Forbidden for a change that a page of another site asked for.

    Browsers say so in Sec-Fetch-Site, which no page can forge, and where they do not (plain HTTP)
    in Origin; that is ``null`` for our own pages, which name no referrer. A client that
    sends neither still has to know the token of the session.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin", "null")
    if site is None and origin in ("null", f"{request.scheme}://{request.host}"):
        return
    if site != "same-origin":
        raise Forbidden("the request comes from a page of another site")


def refuse_kept_credentials() -> None:
    """Raise Forbidden for a change by a page of another site with what a browser keeps for us.

    Once typed in, Basic credentials go with every request, also with those that the page of another
    site makes. Programs send neither Sec-Fetch-Site nor Origin. The scheme of Origin is that of the
    proxy in front.
    """
    if request.method in ("GET", "HEAD"):
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        origin = request.headers.get("Origin", f"http://{request.host}")
        is_ours = origin.partition("://")[2] == request.host
    else:
        is_ours = site in ("same-origin", "none")
    if not is_ours:
        raise Forbidden("the request comes from a page of another site")
