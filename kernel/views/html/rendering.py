"""HTML for people: templates, files beside them, language and theme, and the headers that guard.

Everything a page loads comes from this process; scripts and styles are files, never inline. An
environment of our own renders, so an application that mounts us can change nothing in it. All
kernels of a process share it: a template is compiled once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, request, url_for
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import NotFound

from kernel.db.states import DeliveryState, OrderState
from kernel.formats.texts import Language
from kernel.runtime.kernel import Kernel
from kernel.views.html import wording
from kernel.views.http.origin import is_https, refuse_other_sites
from kernel.views.http.requests import limit_body

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
GUARDED = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LANGUAGE_COOKIE, THEME_COOKIE = "kernel-language", "kernel-theme"
LANGUAGES: dict[str, Language] = {"en": "en", "zh": "zh"}
THEMES = ("auto", "light", "dark")
YEAR = 365 * 86_400
FORM_BYTES = 65_536
# Where orders are submitted, by the path below which kernel is mounted.
SUBMIT = "/v1/orders"


class Html:
    """Renders pages for one blueprint, and serves what they need beside the HTML."""

    def __init__(self, blueprint: Blueprint, kernel: Kernel) -> None:
        self._kernel = kernel
        blueprint.after_request(_guard)
        blueprint.add_url_rule(
            "/static/<version>/<path:name>", "asset", _serve, provide_automatic_options=False
        )
        blueprint.add_url_rule(
            "/preferences",
            "preferences",
            _remember,
            methods=["POST"],
            provide_automatic_options=False,
        )

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """Render ``template`` in the visitor's language; a polled fragment of it when asked."""
        chosen = language(self._kernel.settings.language)
        fragment = is_fragment()
        context |= {
            "lang": chosen,
            "theme": request.cookies.get(THEME_COOKIE, "auto"),
            "t": wording.Wording(chosen),
            "now": self.now(),
            "fragment": fragment,
        }
        body = ENVIRONMENT.get_template(template).render(context)
        return Response(body, status, mimetype="text/html")

    def now(self) -> datetime:
        """The database's time, or this host's while the database cannot be asked."""
        try:
            return self._kernel.clock.now()
        except Exception:  # noqa: BLE001 - a page about the outage needs a time, not the time
            return wording.host_time()


def language(default: Language) -> Language:
    """Return the language to answer in: the one chosen, else the browser's, else the setting's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE) or request.accept_languages.best_match(
        ["en", "zh"]
    )
    return LANGUAGES.get(chosen or "", default)


def is_fragment() -> bool:
    """Tell whether a script asks for the live part of a page alone."""
    return request.headers.get("HX-Request") == "true"


def here(**changed: Any) -> str:
    """Return the address of this page with some of its query changed; None leaves one out."""
    values = dict(request.view_args or {})
    # What begins with _ would be an order to url_for: another scheme, another host.
    query = {n: v for n, v in request.args.items() if n[:1] != "_" and n not in values} | changed
    kept = {name: value for name, value in query.items() if value not in (None, "")}
    kept.pop("endpoint", None)
    return url_for(str(request.endpoint), **(values | kept))


def here_if_page() -> str:
    """Return the address of this page; nothing for the answer to a form."""
    return here() if request.method == "GET" and request.endpoint else ""


def beside(endpoint: str, **values: Any) -> str:
    """Return the address of an endpoint in the blueprint that the one of this request stands in."""
    around = (request.blueprint or "").rpartition(".")[0]
    return url_for(f"{around}.{endpoint}".removeprefix("."), **values)


def published(public_url: str, path: str) -> str:
    """Return the address of ``path``, one of ours, under ``public_url``: KERNEL_PUBLIC_URL.

    That is where people reach kernel, so it may end with what each path begins with: where kernel
    is mounted.
    """
    root = beside("api.submit_order").removesuffix(SUBMIT)
    base = public_url.rstrip("/")
    return base + (path.removeprefix(root) if urlsplit(base).path.endswith(root) else path)


def asset(name: str) -> str:
    """Return the address of a file in `STATIC`, which changes with its bytes."""
    return url_for(".asset", version=ASSETS[name].version, name=name)


def go_to(address: str) -> Response:
    """Answer a form: go on to a page of ours."""
    return Response(status=303, headers={"Location": address})


def safe_next(target: str | None, default: str) -> str:
    """Return ``target`` if it is a path on this host, else ``default``."""
    if not target or not target.startswith("/") or target[1:2] in ("/", "\\"):
        return default
    if not target.isascii() or not target.isprintable() or "\\" in target:
        return default
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else default


@dataclass(frozen=True, slots=True)
class Asset:
    """A file beside the pages. ``version`` changes with its bytes."""

    content: bytes = field(repr=False)
    mimetype: str
    version: str


def list_assets(folder: Path) -> dict[str, Asset]:
    """Read every file in ``folder`` and below it, by its name as addresses have it."""
    found = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        content = path.read_bytes()
        mimetype = guess_type(path.name)[0] or "text/plain"
        version = hashlib.sha256(content).hexdigest()[:12]
        found[path.relative_to(folder).as_posix()] = Asset(content, mimetype, version)
    return found


# Listed once: a name in an address is looked up here, and no other path is ever opened.
ASSETS: Mapping[str, Asset] = list_assets(STATIC)


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals.update(
    url=url_for,
    asset=asset,
    here=here,
    here_if_page=here_if_page,
    order_state=OrderState,
    delivery_state=DeliveryState,
)
ENVIRONMENT.filters.update(wording.FILTERS)


def _serve(version: str, name: str) -> Response:
    """GET a static file; browsers keep its present version for a year, and ask for others again."""
    found = ASSETS.get(name)
    if found is None:
        raise NotFound
    answer = Response(found.content, mimetype=found.mimetype)
    if version == found.version:
        answer.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
    return answer


def _remember() -> Response:
    """POST the visitor's language or theme. Harmless, so a visitor need not be signed in."""
    refuse_other_sites()
    limit_body(FORM_BYTES)
    answer = go_to(safe_next(request.form.get("next"), request.script_root + "/"))
    wanted = {LANGUAGE_COOKIE: ("language", tuple(LANGUAGES)), THEME_COOKIE: ("theme", THEMES)}
    for cookie, (name, known) in wanted.items():
        if (value := request.form.get(name)) in known:
            answer.set_cookie(
                cookie, str(value), YEAR, httponly=True, samesite="Lax", secure=is_https()
            )
    return answer


def _guard(response: Response) -> Response:
    for name, value in GUARDED.items():
        response.headers.setdefault(name, value)
    return response
