"""The API as a ticketing system sees it: a Flask test client with a key, and what it gets back."""

from typing import Any

from flask import Flask
from pydantic import BaseModel, Field
from werkzeug.test import TestResponse

from kernel.builtin import CreateProject, ImportProjects, create_project, import_projects
from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.identity import WITHOUT_KEY
from kernel.callers.keys import KeyTerms
from kernel.handlers import Handlers, Run
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_app
from tests.support.factories import CALLBACK
from tests.support.hints import FakeHints

ORDER = {"select_tag": "create_project", "projname": "桥", "callback_url": CALLBACK}

handlers = Handlers()
handlers.register("create_project", CreateProject)(create_project)
handlers.register("import_projects", ImportProjects)(import_projects)


class Anything(BaseModel, extra="allow"):
    """Whatever JSON there is."""


class Item(BaseModel):
    """One of several."""

    count: int = Field(ge=1)


class Nested(BaseModel):
    """A model with depth, a union, and a name that a JSON pointer must escape."""

    items: list[Item] = []
    either: Item | list[int] | None = None
    odd: int = Field(0, alias="a/b~c")


@handlers.register("anything", Anything)
def anything(run: Run, args: Anything) -> dict[str, Any]:
    """Give back what came."""
    return args.model_dump()


@handlers.register("nested", Nested)
def nested(run: Run, args: Nested) -> dict[str, Any]:
    """Do nothing."""
    return {}


class Client:
    """One caller of one application."""

    def __init__(self, app: Flask, key: str | None) -> None:
        self.app = app
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def open(self, method: str, path: str, **options: Any) -> TestResponse:
        """Ask; keyword arguments as werkzeug's test client takes them."""
        headers = self.headers | options.pop("headers", {})
        return self.app.test_client().open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.open("POST", path, **options)

    def submit(self, key: str | None = None, **members: Any) -> TestResponse:
        """Submit ORDER with ``members`` changed, under an idempotency key if one is given."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.post("/v1/orders", json=ORDER | members, headers=headers)

    def submitted(self, **members: Any) -> str:
        """Submit and return the order's id."""
        answer = self.submit(**members)
        assert answer.status_code == 202, answer.text
        return str(answer.json["data"]["order_id"])

    def args(self, order_id: str) -> Any:
        """Return the arguments that an order is said to have."""
        return self.get(f"/v1/orders/{order_id}").json["data"]["args"]


def serve(kernel: Kernel, hints: FakeHints | None = None) -> Flask:
    """Build the application of ``kernel``; its hints go nowhere."""
    return create_app(kernel, hints or FakeHints())


def new_key(kernel: Kernel, name: str, **rules: Any) -> str:
    """Make a caller and return its key, which may read /metrics as well."""
    with kernel.write_session() as session:
        now, terms = kernel.clock.now(), KeyTerms(WITHOUT_KEY)
        key = keys.add(session, name, now, CallerRules(**rules), terms).api_key
    assert key is not None
    return key.get_secret_value()


def client(kernel: Kernel, name: str = "zammad", **rules: Any) -> Client:
    """Make a caller and its client, each time with an application of its own."""
    return Client(serve(kernel), new_key(kernel, name, **rules))


def codes(answer: TestResponse) -> list[tuple[str, str]]:
    """The pointers and codes of a 422."""
    assert answer.status_code == 422, answer.text
    return [(one["pointer"], one["code"]) for one in answer.json["data"]["errors"]]


def is_refusal(answer: TestResponse, status: int, code: str) -> bool:
    """Tell whether this is the envelope of a refusal with this HTTP status and code."""
    body = answer.json
    assert set(body) == {"status", "msg", "data"}, body
    return (answer.status_code, body["status"], body["data"]["code"]) == (status, -1, code)
