"""This code on what an older release has left: it migrates, starts, and everything goes on."""

import subprocess
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy import create_engine, text
from standardwebhooks import Webhook
from werkzeug.routing import Rule

from kernel.config.settings import load
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve
from tests.support.people.dashboard import Visitor
from tests.support.people.every_page import NOT_PAGES
from tests.support.stack import BIN, ROOT, Stack
from tests.support.waiting import wait_until
from tests.upgrade.past import FINAL, Ordered, Past, arrived
from tests.upgrade.workshop import handlers

SETTINGS = {
    "handlers": "tests.upgrade.workshop:handlers",
    "callback_schedule": "1",
}
SUGGESTIONS = "/dashboard/suggestions"
# What an older release does not know yet.
NEW = ("secrets_key",)


class Upgraded(Stack):
    """An installation whose database and broker an older release has filled."""

    def __init__(self, folder: Path, database_url: str, redis: Any) -> None:
        super().__init__(folder, database_url, redis, **SETTINGS)
        self.past = Past()

    def __enter__(self) -> Self:
        for number in (1, 2):
            with self.redis.client(number) as client:
                client.flushdb()
        self.receiver.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for child in self.children:
            with suppress(ProcessLookupError):
                child.kill()
        self.receiver.__exit__(None, None, None)
        print(self.log())

    def old_settings(self) -> dict[str, Any]:
        """The settings that the older release is given."""
        given = {name: value for name, value in self.settings.items() if name not in NEW}
        return given | {"handlers": "workshop:handlers"}

    def execute(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement, as an operator would; return its rows."""
        engine = create_engine(self.settings["database_url"])
        with engine.begin() as connection:
            found = connection.execute(text(statement), values)
            rows = list(found.all()) if found.returns_rows else []
        engine.dispose()
        return rows

    def migrate(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run this code's `kernel migrate`."""
        env = {f"KERNEL_{key.upper()}": str(value) for key, value in self.settings.items()}
        return subprocess.run(
            [str(BIN / "kernel"), "migrate", *options],
            env={"PATH": "/usr/bin:/bin", **env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def take_over(self, past: Past) -> None:
        """Know what was ordered, and speak with the key of the first caller."""
        self.past = past
        self.key = past.keys["zammad"]

    def headers(self, name: str) -> dict[str, str]:
        """The headers of a caller, or of the operator."""
        return {"Authorization": f"Bearer {self.past.keys[name]}"}

    def data(self, one: Ordered) -> dict[str, Any]:
        """An order as its caller sees it."""
        answer = self.get(f"/v1/orders/{one.id}", headers=self.headers(one.caller))
        assert answer.ok, (one.name, answer.text)
        found: dict[str, Any] = answer.json()["data"]
        return found

    def everything_goes_on(self) -> None:
        """Wait for the end of all that was ordered; check it against what was written down."""
        for one in self.past.orders:
            if one.name == "approval":
                told = {"name": "approved", "data": {"by": "me"}}
                path = f"/v1/orders/{one.id}/events"
                assert self.post(path, told, headers=self.headers(one.caller)).ok
        for one in self.past.orders:
            self._ends(one)
        due = {one.id for one in self.past.orders if one.end in FINAL}
        wait_until(lambda: due <= set(self.well_told()), 60, "callbacks")
        self._nothing_is_doubled(due)
        self._callbacks_are_signed()
        self._submits_are_known()

    def _ends(self, one: Ordered) -> None:
        wait_until(lambda: self.data(one)["state"] == one.end, 60, f"end of {one.name}")

    def well_told(self) -> Counter[str]:
        """How often each order's callback was answered well: before the upgrade, and since."""
        before = {one.id for one in self.past.orders if one.told}
        return arrived(self.receiver.requests) + Counter(before)

    def _nothing_is_doubled(self, due: set[str]) -> None:
        found = self.execute("SELECT order_id, what, COUNT(*) FROM effects GROUP BY 1, 2")
        left = {(order_id, what): count for order_id, what, count in found}
        for one in self.past.orders:
            for what, count in one.effects.items():
                assert left.pop((one.id, what), 0) == count, (one.name, what)
        assert left == {}
        told = self.well_told()
        often = {one.name: told[one.id] for one in self.past.orders if one.id in due}
        assert 0 not in often.values(), often
        # Of one that the killed worker was sending nobody knows whether it arrived: it comes again.
        assert sum(often.values()) <= len(often) + 1, often

    def _callbacks_are_signed(self) -> None:
        """By the secret that each caller had before."""
        for request in self.receiver.requests:
            caller = request.path.split("/")[1]
            Webhook(self.past.secrets[caller]).verify(request.body, dict(request.headers))

    def _submits_are_known(self) -> None:
        """The same submit again gives the same order, and another caller has none of it."""
        for one in self.past.orders:
            headers = self.headers(one.caller) | {"Idempotency-Key": one.key}
            again = self.post("/v1/orders", one.body, headers=headers)
            assert again.json()["data"].get("order_id") == one.id, (one.name, again.text)
            other = "otrs" if one.caller == "zammad" else "zammad"
            asked = self.get(f"/v1/orders/{one.id}", headers=self.headers(other))
            assert asked.status_code == 404
            page = self.get(f"/o/{one.page}", headers={})
            assert page.status_code == 200, one.name

    def pages_open(self) -> None:
        """The dashboard, with the operator's key of then."""
        given = {name: self.settings[name] for name in ("database_url", *NEW)}
        with closing(Kernel(load(**given, result_backend=""), handlers)) as kernel:
            app = serve(kernel)
            self._visit(Visitor(app, "https://127.0.0.1"), list(app.url_map.iter_rules()))

    def _visit(self, visitor: Visitor, rules: list[Rule]) -> None:
        assert visitor.sign_in(self.past.keys["operator"]).status_code == 303
        pages = [one for one in rules if one.rule.startswith("/dashboard") and "GET" in one.methods]
        paths = [one.rule for one in pages if not (one.arguments or NOT_PAGES.search(one.endpoint))]
        assert len(paths) > 10
        paths += [f"/dashboard/orders/{one.id}" for one in self.past.orders]
        found = {path: visitor.get(path, follow_redirects=True).status_code for path in paths}
        # What a field suggests is no page, and has to be told of which field.
        assert {path for path, status in found.items() if status != 200} <= {SUGGESTIONS}

    def original_still_answers(self) -> None:
        """The original's addresses take an order, and it ends."""
        body = {"select_tag": "create_project", "projname": "桥", "prodesc": "一期"}
        body["callback_url"] = f"{self.receiver.url}zammad/original"
        answer = self.post("/test/add/", body)
        assert answer.json()["status"] == 2, answer.text
        assert self.finished(answer.headers["X-Order-Id"])["state"] == "success"
