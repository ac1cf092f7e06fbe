"""An operator in front of the dashboard: a signed-in test client, and what its pages say."""

import html
import re
from typing import Any

from flask import Blueprint, Flask
from werkzeug.test import TestResponse

from kernel.callers import keys
from kernel.callers.identity import Scope
from kernel.callers.keys import KeyTerms
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.blueprint import dashboard_blueprint
from kernel.views.dashboard.frame import Limits
from tests.support.clients import FakeHints, serve

# As a browser says it of a form of our own page.
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
# What a page must show as text: markup, a link, characters of four bytes, one that turns text.
HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)> javascript:alert(1) 😀𠜎 \u202egnp'
)
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')
TAG = re.compile(r"<[^>]*>")


def operator_key(kernel: Kernel, name: str = "ops", scope: str = Scope.OPERATOR) -> str:
    """Make a caller and return its key, an operator's unless told otherwise."""
    terms = KeyTerms(frozenset({scope}))
    with kernel.write_session() as session:
        key = keys.add(session, name, kernel.clock.now(), terms=terms).api_key
    assert key is not None
    return key.get_secret_value()


class Visitor:
    """A browser with cookies, on https unless told otherwise."""

    def __init__(self, app: Flask, base: str = "https://kernel.example") -> None:
        self.client = app.test_client()
        self.base = base

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET a page."""
        return self.client.get(path, base_url=self.base, **options)

    def live(self, path: str) -> TestResponse:
        """GET the live part of a page, as the script on it does."""
        return self.get(path, headers={"HX-Request": "true"})

    def post(self, path: str, add_token: bool = True, **form: str) -> TestResponse:
        """POST a form with the session's token in it."""
        if add_token:
            form["token"] = self.token()
        return self.client.post(path, base_url=self.base, data=form, headers=SAME_ORIGIN)

    def token(self) -> str:
        """The session's token, as every form has it."""
        found = TOKEN.search(self.get("/dashboard/orders").text)
        assert found is not None, "no form on the page: not signed in?"
        return found[1]

    def sign_in(self, key: str) -> TestResponse:
        """Show a key at the door."""
        return self.post("/dashboard/sign-in", add_token=False, key=key)


def stranger(kernel: Kernel, base: str = "https://kernel.example") -> Visitor:
    """Make a visitor of an application of ``kernel`` who has not signed in."""
    return Visitor(serve(kernel), base)


def limited(kernel: Kernel, limits: Limits) -> Visitor:
    """Make an operator of an application that has the dashboard alone, with other limits."""
    app, blueprint = Flask("limited"), Blueprint("kernel", "kernel")
    blueprint.register_blueprint(dashboard_blueprint(kernel, FakeHints(), limits))
    app.register_blueprint(blueprint)
    visitor = Visitor(app)
    assert visitor.sign_in(operator_key(kernel)).status_code == 303
    return visitor


def operator(kernel: Kernel, hints: FakeHints | None = None, name: str = "ops") -> Visitor:
    """Make an operator who has signed in to an application of ``kernel``."""
    visitor = Visitor(serve(kernel, hints))
    assert visitor.sign_in(operator_key(kernel, name)).status_code == 303
    return visitor


def said(answer: TestResponse) -> str:
    """What the next page of this visitor will say, by the key of its text."""
    return "".join(re.findall(r"__Host-kernel-said=(done_\w+)\.", str(answer.headers)))


def words(answer: TestResponse) -> str:
    """What a page says, without its tags; spaces made one."""
    return " ".join(html.unescape(TAG.sub(" ", answer.text)).split())
