"""Receivers of a how-to, set up by the commands of its page, with a simulator as the host."""

import re
from base64 import b64encode
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

from sqlalchemy import select

from kernel.builtin import handlers
from kernel.config.settings import load
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.runtime.kernel import Kernel
from kernel.testing import create_tables, drain
from kernel.transport.client import Transport
from tests.support.clients import Client, serve
from tests.support.howto import EACH, Page
from tests.support.people.terminal import HOSTS, Terminal
from tests.support.simulators.server import Simulator

HOST = re.compile(r"https://[^/\s]+")
FRESH = "Basic " + b64encode(b"fresh-key:X").decode()

#: The page of each receiver, and what its command asks for.
RECEIVERS: dict[str, tuple[str, list[str]]] = {
    "servicenow/tickets": ("servicenow", ["secret"]),
    "servicenow/oauth-tickets": ("servicenow", ["client-secret", "secret"]),
    "servicenow/script": ("servicenow", ["hmac-secret"]),
    "jira/issues": ("jira", ["atlassian-token"]),
    "jira/requests": ("jira", ["atlassian-token"]),
    "jira/transitions": ("jira", ["atlassian-token"]),
    "jira/datacenter": ("jira", ["personal-access-token"]),
    "jira/datacenter-transitions": ("jira", ["personal-access-token"]),
    "jira/rule": ("jira", ["rule-secret"]),
    "zammad/tickets": ("zammad", ["Token token=zammad-token"]),
    "itop/tickets": ("itop", ["kernel", "secret"]),
    "glpi/tickets": ("glpi", ["client-secret", "secret"]),
    "glpi/solutions": ("glpi", ["client-secret", "secret"]),
    "znuny/tickets": ("znuny", ["kernel", "secret"]),
    "redmine/issues": ("redmine", ["redmine-key"]),
    "freshservice/tickets": ("freshservice", [FRESH]),
    "zendesk/tickets": ("zendesk", ["zendesk-token"]),
    "gitlab/issues": ("gitlab", ["gitlab-token"]),
    "gitlab/gitea-issues": ("gitlab", ["token gitea-token"]),
    "chat/slack": ("chat", []),
    "chat/teams": ("chat", []),
    "cloudevents/broker": ("cloudevents", ["events-token"]),
    "cloudevents/structured": ("cloudevents", ["events-token"]),
}


class Setting:
    """A migrated database, a caller with one receiver of a page, and a kernel that sends."""

    def __init__(self, database_url: str, receiver: str, to: Simulator) -> None:
        page, self.secrets = RECEIVERS[receiver]
        self.page: Page = EACH[page]
        self.name = receiver.partition("/")[2]
        self.to = to
        self.terminal = Terminal(database_url)
        self.kernel = self._made()
        create_tables(self.kernel)
        self.key = self._add_caller()
        self._add_receiver()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()
        self.terminal.close()

    def change(self, *options: str) -> None:
        """Run `kernel receivers set` for the receiver."""
        self.terminal.run("receivers", "set", self.name, *options)

    def restart(self, seconds: float) -> None:
        """Go on as another process does, this much later: it knows the rows alone."""
        shift = self.kernel.clock.now() - datetime.now(UTC) + timedelta(seconds=seconds)
        self._close()
        self.kernel = self._made()
        self.kernel.clock.shift(shift.total_seconds())

    def order(self, key: str | None = None) -> str:
        """Submit the page's order; it names this receiver. ``key``: another idempotency key."""
        client, example = Client(serve(self.kernel), None), self.page.example
        if key is not None:
            example.headers["Idempotency-Key"] = key
        answer = example.send(client, self.key, callback_url=f"receiver:{self.name}")
        assert answer.status_code == 202, answer.text
        return str(answer.json["data"]["order_id"])

    def deliver(self, order_id: str, turns: int = 1, seconds: float = 0.0) -> Delivery:
        """Run and send what is due, ``turns`` times, ``seconds`` apart; return the row."""
        for turn in range(turns):
            if turn:
                self.restart(seconds)
            drain(self.kernel)
        with self.kernel.read_session() as session:
            found = session.scalars(select(Delivery).where(Delivery.order_id == order_id)).one()
            session.expunge(found)
        return found

    def attempts(self) -> list[tuple[int | None, str | None, str | None]]:
        """Status, reason and what was judged of every attempt, oldest first."""
        with self.kernel.read_session() as session:
            rows = session.scalars(select(Attempt).order_by(Attempt.id))
            return [(row.status, row.reason, row.judged) for row in rows]

    def _made(self) -> Kernel:
        return Kernel(load(**HOSTS | self.terminal.settings), handlers, Transport(timeout=2.0))

    def _close(self) -> None:
        with closing(self.kernel.transport):
            self.kernel.close()

    def _add_caller(self) -> str:
        command = next(c for c in self.page.commands("callers", "add") if c[2] == self._caller())
        told = self.terminal.json(*command, "--callback-net", "127.0.0.1/32")
        return str(told["api_key"])

    def _caller(self) -> str:
        command = self.page.receivers()[self.name]
        return command[command.index("--caller") + 1]

    def _add_receiver(self) -> None:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.to.url))
        command = [HOST.sub(origin, word) for word in self.page.receivers()[self.name]]
        command = [word.replace("/SITE/RULE", "/site-1/rule-1") for word in command]
        secrets = self.secrets or [self.to.webhook]  # type: ignore[attr-defined]
        self.terminal.run(*command, stdin="".join(f"{secret}\n" for secret in secrets))
