"""The name by which an installation's queue is told from others': made once, and kept."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from sqlalchemy import delete, func, select

from kernel.config.settings import load
from kernel.db.tables.service import Installation
from kernel.errors import ConfigurationError
from kernel.runtime.broker_probe.asking import ask
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from tests.support.acl_redis import AclRedis

pytestmark = pytest.mark.rows


def test_name_is_one_for_all_processes_when_they_ask_at_once(kernel: Kernel) -> None:
    everyone = Barrier(8)

    def ask_for_it() -> str:
        name = Name(kernel)
        everyone.wait()
        return name.read()

    with ThreadPoolExecutor(8) as processes:
        found = {one.result() for one in [processes.submit(ask_for_it) for _ in range(8)]}
    assert len(found) == 1
    with kernel.read() as connection:
        assert connection.scalar(select(func.count()).select_from(Installation)) == 1


def test_queue_has_the_name_when_another_process_has_made_it(kernel: Kernel) -> None:
    name = Name(kernel).read()
    assert len(name) == 8
    assert Name(kernel).queue() == f"orders.{name}"


def test_process_keeps_the_name_when_the_row_goes(kernel: Kernel) -> None:
    name = kernel.one(Name)
    found = name.read()
    with kernel.write() as connection:
        connection.execute(delete(Installation))
    assert name.read() == found


def test_start_is_refused_when_redis_does_not_give_its_user_the_queue(
    kernel: Kernel,
) -> None:
    queue = kernel.one(Name).queue()
    with closing(AclRedis()) as server:
        server.start()
        settings = load(broker_url=server.url_of("kernel", 1), result_backend="")
        assert list(ask(settings, queue)) == []
        # As an earlier release shipped it.
        with server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "kernel", "resetkeys", "~orders")
        with pytest.raises(ConfigurationError, match=r"with the keys ~orders\.\*"):
            list(ask(settings, queue))
