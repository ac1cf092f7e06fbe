"""A node outside its cluster: alive, connected, and answering 1047 to every statement."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from kernel.db.errors import is_outage
from kernel.errors import Unavailable
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.sweep import sweep
from tests.support.factories import ANYBODY, request
from tests.support.servers import MariaDB, find_library, missing

PROVIDER = find_library("galera/libgalera_smm.so")

MakeKernel = Callable[..., Kernel]


class GaleraNode(MariaDB):
    """A cluster of one node, on loopback."""

    def argv(self) -> list[str]:
        cluster = f"gmcast.listen_addr=tcp://127.0.0.1:{self.port + 1}"
        return [
            *super().argv(),
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            "--wsrep-cluster-address=gcomm://",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-provider-options={cluster};gcache.size=8M",
            "--wsrep-sst-method=skip",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
        ]

    def leave_cluster(self) -> None:
        """Answer 1047 from now on, on every connection that there is and every new one."""
        self.execute("SET GLOBAL wsrep_reject_queries = 'ALL'")

    def join_cluster(self) -> None:
        self.execute("SET GLOBAL wsrep_reject_queries = 'NONE'")

    def answers(self) -> bool:
        return super().answers() and self.execute("SHOW STATUS LIKE 'wsrep_ready'")[0][1] == "ON"


@pytest.fixture(scope="module")
def galera() -> Iterator[GaleraNode]:
    if PROVIDER is None:
        missing("galera-4 is not installed: ./run test installs it")
    node = GaleraNode()
    node.start()
    yield node
    node.close()


def number(kernel: Kernel) -> int:
    with kernel.read() as connection:
        return int(connection.scalar(text("SELECT CONNECTION_ID()")) or 0)


def test_node_outside_its_cluster_is_unavailable_and_its_pool_is_renewed(
    galera: GaleraNode, make_kernel: MakeKernel
) -> None:
    kernel = make_kernel(galera.create_database())
    submit(kernel, ANYBODY, request())
    before = number(kernel)
    galera.leave_cluster()
    try:
        with pytest.raises(Unavailable) as refused:
            submit(kernel, ANYBODY, request())
        assert refused.value.data["retry_after"] > 0
        with pytest.raises(Exception) as swept:  # noqa: PT011 - of whichever statement is first
            sweep(kernel, rescue=True)
        assert is_outage(swept.value), swept.value
    finally:
        galera.join_cluster()
    submit(kernel, ANYBODY, request())
    assert number(kernel) != before, "its pool was kept"
    sweep(kernel, rescue=True)
