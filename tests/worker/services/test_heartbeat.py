"""The row of a process, from its first heartbeat to its end."""

from kernel.delivery.first_attempt import Desk
from kernel.insight.workers import processes
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.services.heartbeat import HeartbeatKeeper
from tests.support.hints import FakeHints


def desk(kernel: Kernel) -> Desk:
    return Dispatcher(kernel, FakeHints()).desk


def test_process_is_there_from_its_first_heartbeat_until_it_leaves(kernel: Kernel) -> None:
    keeper = HeartbeatKeeper(kernel, "dispatcher", desk(kernel))
    keeper.leave()
    assert processes(kernel) == []
    keeper.run()
    keeper.run()
    assert [one.kind for one in processes(kernel)] == ["dispatcher"]
    keeper.leave()
    assert processes(kernel) == []
