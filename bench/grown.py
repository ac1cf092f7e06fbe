"""The two installations of `bench.growth`: one with empty tables, and one with a million orders."""

from datetime import timedelta

from bench.rows import Size, fill
from bench.systems import Ours
from kernel.builtin import handlers
from kernel.cli.local.processes import Program
from kernel.config.settings import load
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from tests.support.servers import MariaDB

LATER = timedelta(days=3)


class Roomy(MariaDB):
    """A MariaDB whose tables fit into its memory, as a server for a million orders would have."""

    def _options(self) -> list[str]:
        more = ["--innodb-buffer-pool-size=4G", "--innodb-log-file-size=512M"]
        return [*super()._options(), *more]


class Empty(Ours):
    """Tables with about as many rows as a stage takes at once."""

    name = "empty"
    size = Size(1000, 300, 1000, LATER)

    def settings(self) -> dict[str, str]:
        settings = super().settings()
        self.url = settings["database_url"]
        return settings

    def programs(self) -> list[Program]:
        programs = super().programs()
        kernel = self.kernel()
        fill(kernel, self.size)
        kernel.close()
        return programs

    def kernel(self) -> Kernel:
        """Return a kernel of this process on the same rows; its callbacks are not sent."""
        settings = load(database_url=self.url, result_backend="")
        return Kernel(settings, handlers, FakeTransport())


class Full(Empty):
    """Tables with a million orders, or with the number given to ``of``."""

    name = "full"
    size = Size(1_000_000, 100_000, 100_000, LATER)

    @classmethod
    def of(cls, rows: int) -> type["Full"]:
        """Return the class for ``rows`` finished orders."""
        return type("Full", (cls,), {"size": Size(rows, rows // 10, rows // 10, LATER)})
