"""The Flask application: every blueprint, put together for one kernel."""

import logging
import re
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import PathConverter, Rule

from kernel import REQUEST_SECONDS
from kernel.errors import ConfigurationError, NotFound, Unavailable
from kernel.formats.texts import Language
from kernel.runtime import startup
from kernel.runtime.fresh_handlers import keep_fresh
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.api import METHODS, api_blueprint
from kernel.views.dashboard.blueprint import dashboard_blueprint
from kernel.views.health import health_blueprint
from kernel.views.http.errors import REFUSES, by_views, install
from kernel.views.http.gate import Gate
from kernel.views.http.hosts import KnownHosts, name_no_host
from kernel.views.http.slashes import leads_to_slash, meant_address, redirected_in_envelope
from kernel.views.http.tracking import track
from kernel.views.openapi.document import document
from kernel.views.openapi.routes import docs_blueprint, document_blueprint
from kernel.views.operating.metrics import metrics_blueprint
from kernel.views.order_page import OrderPage
from kernel.views.orders.links import LinkPages
from kernel.views.original import original_blueprint
from kernel.worker.broker import Broker

log = logging.getLogger(__name__)


class _Address(Rule):
    """A rule that compiles what makes its address at the first address.

    Werkzeug compiles two functions for each of 230 rules at once: a third of the time between
    imports and readiness, and a process makes addresses of a dozen.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., Any]:
        compiled: list[Callable[..., Any]] = []

        def build(rule: Rule, **values: Any) -> Any:
            if not compiled:
                compiled.append(super(_Address, self)._compile_builder(append_unknown))
            return compiled[0](rule, **values)

        return build


class _Application(Flask):
    """A Flask without coroutines, whose rules are light."""

    url_rule_class = _Address

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a view or hook as it is: Flask looks eleven times a request at what each is."""
        return func


def create_app(kernel: Kernel, hints: Hints | None = None) -> Flask:
    """Build the WSGI application for ``kernel``: the API, the original's addresses, health.

    ``hints`` is told of accepted orders; by default it is the broker of the settings.
    Raises ConfigurationError for what would lose data later (see `kernel.runtime.startup`). While
    the database does not answer, requests are answered 503.
    """
    _check(kernel)
    keep_fresh(kernel)
    app = _Application("kernel", static_folder=None)
    # An address with a slash too many gets an envelope that says so, not a redirect in HTML.
    app.url_map.merge_slashes = False
    app.after_request(redirected_in_envelope(kernel.settings.language))
    told = Broker(kernel) if hints is None else hints
    name_no_host(app)
    track(app, kernel)
    app.register_blueprint(_blueprint(kernel, "kernel", told))
    app.register_blueprint(health_blueprint(kernel, told))
    app.register_blueprint(metrics_blueprint(kernel, told))
    if kernel.settings.dashboard != "off":
        app.add_url_rule("/", "root", lambda: redirect(url_for("kernel.dashboard.overview")))
    install(app, kernel.settings.language)
    return app


def init_app(
    app: Flask,
    kernel: Kernel | None = None,
    *,
    url_prefix: str = "",
    name: str = "kernel",
    hints: Hints | None = None,
) -> Kernel:
    """Mount kernel in a Flask application of your own, below ``url_prefix`` such as ``/kernel``.

    As `create_app`, with its checks, /healthz, /readyz and /metrics, for KERNEL_* and kernel.toml
    when no ``kernel`` is given. Below the prefix all answers are envelopes, and nothing else of
    ``app`` is touched: no error handler, hook, setting, logger or Celery app of it. Returns the
    kernel, which is in ``app.extensions["kernel"]`` by its name, too. Raises ConfigurationError.
    """
    url_prefix = url_prefix.rstrip("/")
    _refuse_mount(app, url_prefix)
    made = Kernel.from_env(read_timeout=REQUEST_SECONDS) if kernel is None else kernel
    _check(made)
    told = Broker(made) if hints is None else hints
    beside = Blueprint(f"{name}-beside", __name__)
    track(beside, made)
    beside.register_blueprint(health_blueprint(made, told))
    beside.register_blueprint(metrics_blueprint(made, told))
    if url_prefix:
        _own_all_below(beside, None if made.settings.dashboard == "off" else name)
    install(beside, made.settings.language)
    for one in (create_blueprint(made, name, told), beside):
        app.register_blueprint(one, url_prefix=url_prefix or None)
    _own_slashes(app, name, beside.name, made.settings.language)
    app.extensions.setdefault("kernel", {})[name] = made
    return made


def _refuse_mount(app: object, url_prefix: str) -> None:
    """Raise ConfigurationError for what is no application, or no beginning of its paths."""
    if not isinstance(app, Flask):
        raise ConfigurationError(
            f"init_app takes the Flask application first, not {app!r:.100}: init_app(create_app(), "
            'url_prefix="/kernel")'
        )
    if url_prefix and not re.fullmatch("(/[^/]+)+", url_prefix):
        raise ConfigurationError(
            f"url_prefix={url_prefix!r}: it is the beginning of a path, such as /kernel"
        )


class _Below(Rule):
    """A prefix and every path below it, by any method: also one with slashes too many.

    The application's own map would lead a client on to the tidy path, by the Host that it sent, and
    answer other methods itself.
    """

    def get_converter(self, *_: Any) -> PathConverter:
        found = PathConverter(self.map)
        found.regex = "(?s:(?:/.*)?)"
        return found


def _own_all_below(beside: Blueprint, dashboard_of: str | None) -> None:
    """Answer what nothing else does below the prefix; its root leads to the dashboard, if any."""

    def refuse(**_: str) -> Response:
        if request.method not in METHODS:
            raise by_views()
        raise NotFound(meant_address())

    def own(state: BlueprintSetupState) -> None:
        endpoint, prefix = f"{state.name}.{REFUSES} all below", str(state.url_prefix)
        state.app.view_functions[endpoint] = refuse
        state.app.url_map.add(_Below(f"{prefix}<path:below>", endpoint=endpoint))

    beside.record(own)
    if dashboard_of is not None:
        to = f"{dashboard_of}.dashboard.overview"
        beside.add_url_rule("/", "root", lambda: redirect(url_for(to)))


def _own_slashes(app: Flask, kernel: str, beside: str, language: Language) -> None:
    """Lead on from each address of ours that lacks its last slash; ``app`` would name a host."""
    lead_on = leads_to_slash(language)
    for rule in list(app.url_map.iter_rules()):
        path, is_ours = rule.rule.rstrip("/"), rule.endpoint.partition(".")[0] in (kernel, beside)
        if is_ours and rule.strict_slashes and path and path != rule.rule:
            app.add_url_rule(
                path,
                f"{beside}.lead_on",
                lead_on,
                methods=rule.methods,
                provide_automatic_options=False,
            )


def _check(kernel: Kernel) -> None:
    """Check database and broker. A database that is away is no reason not to start.

    gunicorn ends altogether when a new process of it cannot start: one that is replaced during
    an outage would end the whole API, and nothing would start it again.
    """
    warnings = startup.check_hosts(kernel.settings)
    try:
        warnings += startup.check(kernel)
    except Unavailable as error:
        warnings.append(f"{error.message}; answering 503 until it does")
    for warning in warnings:
        log.warning(warning)


def create_blueprint(kernel: Kernel, name: str = "kernel", hints: Hints | None = None) -> Blueprint:
    """Build a blueprint with the API (``/v1/...``), the original's addresses (``/test/...``) and
    the operators' dashboard (``/dashboard``).

    Mount it in a Flask application of your own, with a name of its own for a second kernel::

        app.register_blueprint(create_blueprint(first))
        app.register_blueprint(create_blueprint(second, "second"), url_prefix="/second")

    It brings its own error answers, body limit and authentication, and touches nothing outside.
    Start a worker for each kernel. Raises ConfigurationError for settings that cannot work.
    """
    blueprint = _blueprint(kernel, name, Broker(kernel) if hints is None else hints)
    track(blueprint, kernel)
    return blueprint


def _blueprint(kernel: Kernel, name: str, told: Hints) -> Blueprint:
    """Build the blueprint of `create_blueprint`, whose requests the application follows."""
    kernel.callback_policy  # noqa: B018 - read now: a malformed rule stops the start, no order
    blueprint = Blueprint(name, __name__)
    Gate(kernel).stand_before(blueprint)
    order_page = OrderPage(kernel)
    parts = [
        api_blueprint(kernel, told, order_page),
        original_blueprint(kernel, told),
        document_blueprint(kernel, document),
        docs_blueprint(kernel, document),
    ]
    if kernel.settings.dashboard != "off":
        parts.append(dashboard_blueprint(kernel, told))
    known = KnownHosts(kernel.settings)
    for part in parts:
        known.stand_before(part)
        blueprint.register_blueprint(part)
    # Links are made where KERNEL_PUBLIC_URL is set, and lead there.
    blueprint.register_blueprint(LinkPages(kernel, told).blueprint)
    # Under any host: no page says where it is, and a link that once was right opens it.
    if order_page.is_on:
        blueprint.register_blueprint(order_page.blueprint)
    install(blueprint, kernel.settings.language)
    return blueprint
