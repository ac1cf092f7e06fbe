"""The blueprint in an application of somebody else's; health; what `kernel:app` is."""

import ast
import logging
import subprocess
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest
from flask import Flask, abort, url_for
from sqlalchemy import text

import kernel as package
from kernel.cli.local.supervisor import free_port
from kernel.config.settings import load
from kernel.errors import ConfigurationError
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from kernel.views.app import create_app, create_blueprint
from tests.support.clients import Client, FakeHints, handlers, is_refusal, new_key, serve
from tests.support.sealing import SECRETS_KEY
from tests.support.stack import ROOT


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


@pytest.fixture
def host(kernel: Kernel) -> Flask:
    """An application of somebody's own, with our blueprint in it."""
    app = Flask("host")
    app.add_url_rule("/own/gone", view_func=lambda: abort(410), endpoint="gone")
    app.add_url_rule("/own/bug", view_func=lambda: 1 // 0, endpoint="bug")
    app.add_url_rule("/v1/own", view_func=lambda: "own", endpoint="own")
    app.register_blueprint(create_blueprint(kernel, hints=FakeHints()))
    return app


@pytest.mark.parametrize(
    ("path", "status"), [("/own/gone", 410), ("/own/bug", 500), ("/nothing", 404), ("/v1/no", 404)]
)
def test_errors_of_the_host_stay_its_own_when_the_blueprint_is_mounted(
    host: Flask, path: str, status: int
) -> None:
    host.config["PROPAGATE_EXCEPTIONS"] = False
    answer = host.test_client().get(path)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")


def test_addresses_of_the_host_stay_its_own_when_they_begin_like_ours(host: Flask) -> None:
    assert host.test_client().get("/v1/own").text == "own"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/orders/x", 404, "not_found"),
        ("GET", "/v1/orders/x/y/z", 404, "not_found"),
        ("PATCH", "/v1/deliveries/x", 404, "not_found"),
        ("DELETE", "/v1/orders", 405, "method_not_allowed"),
        ("POST", "/v1/orders", 415, "not_json"),
    ],
)
def test_errors_of_the_blueprint_are_in_the_envelope_when_it_is_mounted(
    host: Flask, kernel: Kernel, method: str, path: str, status: int, code: str
) -> None:
    zammad = Client(host, new_key(kernel, "zammad"))
    assert is_refusal(zammad.open(method, path), status, code)


def test_bugs_of_the_blueprint_are_in_the_envelope_when_it_is_mounted(
    host: Flask, kernel: Kernel
) -> None:
    zammad = Client(host, new_key(kernel, "zammad"))
    kernel.handlers = None  # type: ignore[assignment]
    assert is_refusal(zammad.submit(), 500, "internal_error")


def test_body_limit_is_ours_when_the_host_has_a_smaller_one(host: Flask, kernel: Kernel) -> None:
    host.config["MAX_CONTENT_LENGTH"] = 10
    assert Client(host, new_key(kernel, "zammad")).submit().status_code == 202


def test_two_kernels_stand_side_by_side_when_mounted_apart(
    make_kernel: Callable[..., Kernel], tmp_path: Any
) -> None:
    one, two = (make_kernel(f"sqlite:///{tmp_path}/{n}.db", handlers) for n in "12")
    app = Flask("host")
    app.register_blueprint(create_blueprint(one, hints=FakeHints()))
    app.register_blueprint(create_blueprint(two, "second", FakeHints()), url_prefix="/second")
    second = Client(app, new_key(two, "zammad"))
    order = {"select_tag": "anything", "callback_url": "https://receiver.example/"}
    answer = second.post("/second/v1/orders", json=order)
    assert answer.headers["Location"].startswith("/second/v1/orders/")
    assert second.get(answer.headers["Location"]).status_code == 202
    assert second.get("/v1/orders").status_code == 401
    assert (drain(one), drain(two)) == (0, 2)


def test_application_is_refused_when_the_database_is_not_migrated(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.execute(text("UPDATE kernel_alembic_version SET version_num = '0001'"))
    with pytest.raises(ConfigurationError, match="kernel migrate"):
        create_app(kernel)


def test_application_is_refused_when_a_callback_rule_is_malformed(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, callback_allow_hosts=["a b/c"])
    with pytest.raises(ConfigurationError, match="KERNEL_CALLBACK_ALLOW"):
        create_app(kernel)


def test_logging_of_the_host_stays_its_own_when_an_application_is_made(kernel: Kernel) -> None:
    before = list(logging.getLogger().handlers)
    serve(kernel)
    assert logging.getLogger().handlers == before


def test_answers_are_not_kept_by_anybody_in_between(kernel: Kernel) -> None:
    answer = Client(serve(kernel), new_key(kernel, "zammad")).get("/v1/orders")
    assert answer.headers["Cache-Control"] == "no-store"


def test_package_makes_its_application_on_first_use(kernel: Kernel) -> None:
    url = kernel.settings.database_url.get_secret_value()
    code = (
        "import flask, kernel; print(kernel.app is kernel.app, isinstance(kernel.app, flask.Flask))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "KERNEL_DATABASE_URL": url,
            "KERNEL_SECRETS_KEY": SECRETS_KEY,
            "PYTHONPATH": ".",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True True\n", done.stderr


def test_package_has_no_other_names_than_it_says() -> None:
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018


def test_application_answers_503_when_the_database_is_away_at_its_start() -> None:
    nowhere = f"mysql+pymysql://root@127.0.0.1:{free_port()}/kernel"
    kernel = Kernel(load(database_url=nowhere, result_backend=""), handlers, FakeTransport())
    client = create_app(kernel, FakeHints()).test_client()
    answer = client.get("/v1/orders", headers={"Authorization": "Bearer some-key"})
    assert (answer.status_code, answer.json["status"]) == (503, -1)
    kernel.close()


def test_garbage_collector_leaves_alone_what_was_loaded_when_gunicorn_starts_a_process() -> None:
    code = """
import gc, runpy
from kernel.views.app import create_app
runpy.run_path("gunicorn.conf.py")["post_worker_init"](None)
print(gc.get_freeze_count(), len(gc.get_objects()))
"""
    argv = [sys.executable, "-c", code]
    frozen, left = map(int, subprocess.check_output(argv, text=True, cwd=ROOT).split())
    assert frozen > 50 * left


def test_start_compiles_no_maker_of_an_address_before_its_first_address(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    def counted(tree: ast.Module, name: str, mode: str) -> CodeType:
        compiled.append(name)
        return compile(tree, name, mode)

    monkeypatch.setattr("werkzeug.routing.rules.compile", counted, raising=False)
    app = create_app(kernel, FakeHints())
    assert compiled == []
    with app.test_request_context():
        made = [url_for("kernel.api.show_order", order_id="1", wait=number) for number in (1, 2)]
    assert made == ["/v1/orders/1?wait=1", "/v1/orders/1?wait=2"]
    assert len(compiled) == 1
