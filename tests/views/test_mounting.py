"""`init_app` in an application of another: what becomes kernel's there, and what does not."""

import logging
import logging.config
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
from celery import signals
from flask import Flask, session
from flask_limiter import Limiter
from werkzeug.middleware.proxy_fix import ProxyFix

from kernel.config.settings import load
from kernel.runtime.kernel import Kernel
from kernel.views.app import init_app
from tests.support.clients import ORDER, Client, FakeHints, handlers, is_refusal, new_key

HTML = "text/html"
MINE = "<h1>not here</h1>"


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


@pytest.fixture
def host() -> Flask:
    """An application with a word in everything that an extension could touch."""
    app = Flask("host")
    app.config |= {"SECRET_KEY": "theirs", "MAX_CONTENT_LENGTH": 7}
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    limiter = Limiter(lambda: "all", app=app, storage_uri="memory://")
    for code in (404, 413):
        app.register_error_handler(code, lambda error: (MINE, error.code))
    app.before_request(lambda: None)
    app.teardown_request(lambda error: None)
    app.context_processor(lambda: {"theirs": 1})

    @app.get("/seen")
    @limiter.limit("1/day")
    def seen() -> str:
        session["seen"] = True
        return "seen"

    return app


def looks_of(app: Flask) -> dict[str, Any]:
    """What the application has for all of its requests, by name."""
    shared = ("before_request_funcs", "after_request_funcs", "teardown_request_funcs")
    more = ("error_handler_spec", "template_context_processors", "url_value_preprocessors")
    return {
        **{name: repr(getattr(app, name).get(None)) for name in (*shared, *more)},
        "teardown": repr(app.teardown_appcontext_funcs),
        "config": dict(app.config),
        "filters": dict(app.jinja_env.filters),
        "globals": dict(app.jinja_env.globals),
        "objects": (app.json, app.session_interface, app.wsgi_app, app.url_build_error_handlers[:]),
        "shell": repr(app.shell_context_processors),
    }


def loggers_of_others() -> dict[str, Any]:
    known = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    return {
        name: (one.level, one.disabled, one.propagate, list(one.handlers), list(one.filters))
        for name, one in known.items()
        if isinstance(one, logging.Logger) and name.partition(".")[0] != "kernel"
    }


@pytest.fixture
def mounted(host: Flask, kernel: Kernel) -> Flask:
    init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    return host


def test_nothing_of_the_host_is_touched(host: Flask, kernel: Kernel) -> None:
    theirs = celery.Celery("theirs", broker="memory://")
    receivers = len(signals.setup_logging.receivers or ())
    before, heard, tasks = looks_of(host), loggers_of_others(), set(theirs.tasks)
    assert init_app(host, kernel, url_prefix="/kernel") is kernel
    assert (looks_of(host), set(theirs.tasks)) == (before, tasks)
    assert {name: now for name, now in loggers_of_others().items() if name in heard} == heard
    assert celery.current_app.main == "theirs"
    assert len(signals.setup_logging.receivers or ()) == receivers
    assert host.extensions["kernel"] == {"kernel": kernel}


@pytest.mark.parametrize("path", ["/nothing", "/v1/orders", "/healthz", "/metrics", "/kernels/x"])
def test_paths_of_the_host_stay_its_own(mounted: Flask, path: str) -> None:
    answer = mounted.test_client().get(path)
    assert (answer.status_code, answer.mimetype, answer.text) == (404, HTML, MINE)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/kernel/nothing"),
        ("POST", "/kernel/v2/orders"),
        ("DELETE", "/kernel/v1/orders/"),
        ("TRACE", "/kernel/x"),
        ("OPTIONS", "/kernel/x"),
    ],
)
def test_unknown_paths_below_the_prefix_are_answered_in_the_envelope(
    mounted: Flask, method: str, path: str
) -> None:
    assert is_refusal(mounted.test_client().open(path, method=method), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/kernel//v1/orders", 404),
        ("GET", "/kernel//dashboard", 404),
        ("GET", "/kernel/dashboard//", 404),
        ("POST", "/kernel", 404),
        ("GET", "/kernel/a\nb", 404),
        ("PROPFIND", "/kernel/v1/orders", 405),
        ("PROPFIND", "/kernel/x", 404),
        ("PROPFIND", "/kernel", 405),
        ("GET", "/kernel", 308),
        ("GET", "/kernel/dashboard?a=b", 308),
        ("POST", "/kernel/test/add", 308),
    ],
)
def test_strange_method_or_slashes_below_the_prefix_get_an_envelope_that_names_no_host(
    mounted: Flask, method: str, path: str, status: int
) -> None:
    path, _, query = path.partition("?")
    raw = {"PATH_INFO": path, "REQUEST_URI": path, "QUERY_STRING": query}
    visitor, headers = mounted.test_client(), {"Host": "evil.example"}
    answer = visitor.open(method=method, headers=headers, environ_overrides=raw)
    code = "method_not_allowed" if status == 405 else "not_found"
    assert is_refusal(answer, status, code)
    assert "evil.example" not in f"{answer.headers}{answer.text}"
    place = f"{path}/{query and f'?{query}'}"
    assert answer.headers.get("Location") == (place if status == 308 else None)


def test_invented_method_is_told_those_that_are_taken(mounted: Flask) -> None:
    answer = mounted.test_client().open("/kernel/v1/orders", method="PROPFIND")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_address_without_its_last_slash_is_served_where_the_host_takes_it(kernel: Kernel) -> None:
    host = Flask("host")
    host.url_map.strict_slashes = False
    init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    answer = host.test_client().post("/kernel/test/add", json=ORDER)
    assert (answer.status_code, answer.location) == (401, None)


def test_prefix_of_a_slash_is_none(kernel: Kernel) -> None:
    host = Flask("host")
    init_app(host, kernel, url_prefix="/", hints=FakeHints())
    assert host.test_client().get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/a//b", 308), ("PROPFIND", "/a/b", 405), ("GET", "/kernelx", 404)],
)
def test_strange_method_or_slashes_of_the_host_stay_its_own(
    host: Flask, kernel: Kernel, method: str, path: str, status: int
) -> None:
    def asked() -> tuple[int, str | None, str, str | None]:
        raw = {"PATH_INFO": path, "REQUEST_URI": path}
        answer = app.test_client().open(method=method, environ_overrides=raw)
        return answer.status_code, answer.mimetype, answer.text, answer.headers.get("Location")

    app = Flask("plain")
    app.register_error_handler(404, lambda error: (MINE, 404))
    for one in (app, host):
        one.add_url_rule("/a/b", "b", lambda: "seen")
    before = asked()
    app = host
    init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    assert asked() == before
    assert before[0] == status


def test_orders_health_and_metrics_are_below_the_prefix(mounted: Flask, kernel: Kernel) -> None:
    portal = Client(mounted, new_key(kernel, "portal"))
    for _ in range(2):  # larger than the host's bodies may be
        accepted = portal.post("/kernel/v1/orders", json=ORDER)
        assert accepted.status_code == 202
    assert accepted.headers["Location"].startswith("/kernel/v1/orders/")
    assert portal.get(accepted.headers["Location"]).status_code == 202
    anyone = mounted.test_client()
    assert anyone.get("/kernel/healthz").json == {"status": "ok"}
    assert anyone.get("/kernel/readyz").json["checks"]["database"] == "ok"
    assert is_refusal(anyone.get("/kernel/metrics"), 401, "unauthenticated")
    assert b"kernel_orders_accepted_total" in portal.get("/kernel/metrics").data
    assert anyone.get("/kernel/").headers["Location"] == "/kernel/dashboard/"
    assert anyone.get("/kernel/dashboard/").mimetype == HTML


def test_hosts_limit_and_session_go_on(mounted: Flask) -> None:
    visitor = mounted.test_client()
    first = visitor.get("/seen")
    assert first.headers["Set-Cookie"].startswith("session=")
    assert visitor.get("/seen").status_code == 429


def test_without_a_prefix_no_path_is_caught(host: Flask, kernel: Kernel) -> None:
    init_app(host, kernel, hints=FakeHints())
    assert host.test_client().get("/healthz").json == {"status": "ok"}
    for path in ("/nothing", "/v1/nothing", "/"):
        assert host.test_client().get(path).text == MINE


def test_two_kernels_are_mounted_side_by_side(
    host: Flask, kernel: Kernel, make_kernel: Callable[..., Kernel], tmp_path: Any
) -> None:
    other = make_kernel(f"sqlite:///{tmp_path}/other.db", handlers)
    init_app(host, kernel, url_prefix="/one", hints=FakeHints())
    init_app(host, other, url_prefix="/two", name="two", hints=FakeHints())
    portal = Client(host, new_key(other, "portal"))
    assert portal.get("/two/v1/orders").status_code == 200
    assert portal.get("/one/v1/orders").status_code == 401
    assert host.extensions["kernel"] == {"kernel": kernel, "two": other}


# ---- Logging ----------------------------------------------------------------------------------


@pytest.fixture
def restored() -> Iterator[None]:
    """What a configuration changes, for all loggers of this process, is changed back."""
    known = dict(logging.Logger.manager.loggerDict)
    disabled = {n: one.disabled for n, one in known.items() if isinstance(one, logging.Logger)}
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, was in disabled.items():
        logging.getLogger(name).disabled = was


SILENCING = """
import logging.config
from kernel import Handlers

handlers = Handlers()
logging.config.dictConfig({"version": 1})
"""


@pytest.mark.usefixtures("restored")
def test_configuration_in_a_file_of_handlers_silences_no_logger_of_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    (tmp_path / "silencing.py").write_text(SILENCING)
    monkeypatch.syspath_prepend(tmp_path)
    stranger = logging.getLogger("stranger")
    given = load(handlers="silencing:handlers", database_url=sqlite_url, result_backend="")
    Kernel(given).close()
    assert stranger.disabled
    ours = [
        one
        for name, one in logging.Logger.manager.loggerDict.items()
        if name.startswith("kernel.") and isinstance(one, logging.Logger)
    ]
    assert len(ours) > 9
    assert not any(one.disabled for one in ours)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("late", [False, True])
def test_configuration_of_the_host_silences_no_logger_of_kernel(
    host: Flask, kernel: Kernel, late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stranger, ours = logging.getLogger("stranger"), logging.getLogger("kernel.views.http.requests")
    if late:
        init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    if not late:
        init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    assert stranger.disabled, "as the host asked"
    assert not ours.disabled
    with caplog.at_level(logging.INFO):
        Client(host, new_key(kernel, "portal")).post("/kernel/v1/orders", json=ORDER)
    assert "order accepted" in caplog.messages
