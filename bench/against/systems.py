"""What `./run bench peers` measures, and kernel as it does: four times.

Each system has two processes for the API and two for the work. The others: `bench.against.engines`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from sqlalchemy import make_url

from bench.systems import Ours, System
from bench.wire import make_request
from kernel.cli.local.processes import Child, Program

ROWS = "SELECT projname, count(*) FROM project_tb_project GROUP BY projname"
# A caller without a secret is called back without a signature.
UNSIGNED = "DELETE FROM kernel_signing_secrets"


class Measured(System):
    """A system whose every process is counted, and of which one may be killed."""

    title: ClassVar[str]
    path = "/v1/orders"
    url = ""

    def pids(self) -> list[int]:
        """Return the roots of all its processes: API, workers, and a server of its own."""
        return [child.pid for child in self.children]

    def check(self) -> None:
        """Fail when the API has ended; of the workers one may just have been killed."""
        assert self.children[0].returncode is None, self.log()

    def request(self, number: int, callback_url: str, **more: str) -> bytes:
        """Return an order for a project, whose name is the path of its callback."""
        order = {
            "select_tag": self.tag_of(more),
            "projname": urlsplit(callback_url).path,
            "prodesc": "over the river, with two lanes and a pavement",
            "callback_url": callback_url,
            **more,
        }
        return make_request(self.path, json.dumps(order).encode(), dict(self.headers))

    def tag_of(self, more: Mapping[str, str]) -> str:
        """Return the select_tag of an order with these members beside a project's."""
        return "create_project"

    def restart_ended(self) -> bool:
        """Start programs again that have ended, as a service manager does; tell if any had."""
        ended = [number for number, one in enumerate(self.children) if one.returncode is not None]
        for number in ended:
            self.children[number].kill()  # what it has left would compete with its successor
            program = self.children[number].program
            self.children[number] = Child(program, self.log_file(program))
        return bool(ended)

    def log_file(self, program: Program) -> Path:
        """Return the file with the output of a program."""
        return self.folder / f"{self.name}-{program.name}.log"

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each project by its name."""
        return {str(name): int(number) for name, number in self.execute(ROWS)}

    def execute(self, statement: str) -> Any:
        """Run a statement in its database; return the rows."""
        url = make_url(self.url)
        if url.get_backend_name() == "mysql":
            return self.servers.mariadb.execute(f"USE {url.database}", statement)
        return self.servers.postgresql.execute(statement, database=str(url.database))


class Kernel(Measured, Ours):
    """kernel on MariaDB and Redis with its defaults: API keys, signed callbacks."""

    name = "kernel"
    title = "kernel, MariaDB"
    secure = True

    def database_url(self) -> str:
        """Return the URL of a new database."""
        return self.servers.mariadb.create_database()

    def settings(self) -> dict[str, str]:
        broker, results = self.servers.redis_urls()
        self.url = self.database_url()
        said = {"database_url": self.url, "broker_url": broker, "result_backend": results}
        said["handlers"] = "bench.peers.ours:handlers"
        return said if self.secure else said | {"auth": "off"}

    def tag_of(self, more: Mapping[str, str]) -> str:
        return "call_and_create_project" if "work_url" in more else super().tag_of(more)

    def programs(self) -> list[Program]:
        programs = super().programs()
        if not self.secure:
            self.headers = {}
            self.execute(UNSIGNED)
        return programs


class KernelPlain(Kernel):
    """kernel without keys and signatures, as the other engines are."""

    name = "kernel-plain"
    title = "the same, no keys or signatures"
    secure = False


class KernelPostgreSQL(Kernel):
    """kernel on PostgreSQL and Redis."""

    name = "kernel-pg"
    title = "kernel, PostgreSQL"

    def database_url(self) -> str:
        return self.servers.postgresql.create_database()


class KernelPostgreSQLPlain(KernelPostgreSQL):
    """kernel on PostgreSQL without keys and signatures."""

    name = "kernel-pg-plain"
    title = "the same, no keys or signatures"
    secure = False
