"""Celery as a carrier of hints: what is configured, what is published, what is mirrored."""

import base64
import json
import os
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from celery import Celery, signals
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from kombu.messaging import Producer
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.db.states import OrderState, Outcome
from kernel.handlers import Handlers
from kernel.runtime.hints import MORE
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.worker import broker as broker_module
from kernel.worker import untrusted_messages
from kernel.worker.broker import ASK_EVERY, LONG_QUEUE, Broker, make_celery
from kernel.worker.celery_app import make_worker
from kernel.worker.pool.vitals import IN_ORDER
from tests.support.lossy_proxy import LossyProxy
from tests.support.servers import Redis
from tests.support.stack import stopped
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str, redis: Redis) -> Kernel:
    """A kernel with a broker in Redis database 1 and results in database 2."""
    redis.client(1).flushdb()
    redis.client(2).flushdb()
    return make_kernel(sqlite_url, broker_url=redis.url(1), result_backend=redis.url(2))


def unnamed(_: object) -> str:
    """What asking for the queue's name is while the database is away."""
    raise PoolTimeout


def queued(redis: Redis) -> list[list[str]]:
    """The arguments of the messages in the queue, the oldest first."""
    client = redis.client(1)
    raw = [one for queue in client.keys("orders.*") for one in client.lrange(queue, 0, -1)]
    bodies = [json.loads(one)["body"] for one in reversed(raw)]
    return [json.loads(base64.b64decode(body))[0] for body in bodies]


def test_message_carries_an_id_and_nothing_else_when_hinted(kernel: Kernel, redis: Redis) -> None:
    Broker(kernel).hint(["one", "two"])
    assert wait_until(lambda: len(queued(redis)) == 2 and queued(redis)) == [["one"], ["two"]]


def test_each_hint_is_sent_when_kombu_cannot_send_them_together(
    kernel: Kernel, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Producer, "batch", raising=False)
    broker = Broker(kernel)
    broker.hint(["one", "two"])
    assert broker.flush(5)
    assert queued(redis) == [["one"], ["two"]]


def burst(broker: Broker) -> list[str]:
    """Hint many orders at once; return them."""
    order_ids = [str(number) for number in range(LONG_QUEUE + 1)]
    broker.hint(order_ids)
    assert broker.flush(5)
    return order_ids


def test_rows_are_to_be_looked_at_instead_of_hints_when_the_queue_is_long(
    kernel: Kernel, redis: Redis
) -> None:
    broker = Broker(kernel)
    hinted = burst(broker)
    assert [one for (one,) in queued(redis)][:LONG_QUEUE] == hinted[:LONG_QUEUE]
    burst(broker)
    broker.hint(["alone"])
    assert broker.flush(5)
    # One of the second burst may have come alone, before the others.
    assert queued(redis)[-1] == [MORE]
    assert len(queued(redis)) <= len(hinted) + 3


def test_orders_are_hinted_again_when_the_queue_is_short(kernel: Kernel, redis: Redis) -> None:
    broker = Broker(kernel)
    burst(broker)
    burst(broker)
    redis.client(1).flushdb()
    hinted = burst(broker)
    assert [one for (one,) in queued(redis)][:LONG_QUEUE] == hinted[:LONG_QUEUE]


def test_long_queue_is_noticed_when_orders_come_one_by_one(kernel: Kernel, redis: Redis) -> None:
    broker = Broker(kernel)
    for number in range(LONG_QUEUE + ASK_EVERY):
        broker.hint([str(number)])
        assert broker.flush(5)
    assert queued(redis)[-1] == [MORE]


def test_nothing_is_sent_when_the_queue_is_full(
    kernel: Kernel, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "FULL_QUEUE", LONG_QUEUE + 1)
    broker = Broker(kernel)
    hinted = burst(broker)
    burst(broker)
    assert [MORE] not in queued(redis)[len(hinted) :]
    assert len(queued(redis)) <= len(hinted) + 1


def test_backlog_counts_the_queue_when_the_broker_answers(kernel: Kernel, redis: Redis) -> None:
    broker = Broker(kernel)
    assert broker.backlog() == 0
    broker.hint([str(n) for n in range(7)])
    wait_until(lambda: broker.backlog() == 7)


@pytest.mark.parametrize("is_named", [True, False])
def test_backlog_asks_on_one_connection(
    kernel: Kernel, redis: Redis, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    broker = Broker(kernel)
    if not is_named:  # the database has not told this process yet what its queue is called
        monkeypatch.setattr(Name, "queue", unnamed)
    with redis.client(1) as client:
        broker.backlog()
        before = client.info("stats")["total_connections_received"]
        assert [broker.backlog() for _ in range(3)] == [0, 0, 0]
        assert client.info("stats")["total_connections_received"] == before


def test_backlog_is_known_at_once_when_its_connection_was_lost(
    kernel: Kernel, redis: Redis
) -> None:
    broker = Broker(kernel)
    assert broker.backlog() == 0
    with redis.client(1) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert broker.backlog() == 0


@pytest.mark.parametrize("asked_before", [False, True])
def test_backlog_is_unknown_and_soon_when_the_broker_is_frozen(
    kernel: Kernel, redis: Redis, asked_before: bool
) -> None:
    broker = Broker(kernel)
    if asked_before:
        broker.backlog()
    with stopped(redis.pid):
        started = time.monotonic()
        assert broker.backlog() is None
        assert time.monotonic() - started < 3


def test_hints_arrive_later_when_the_broker_was_down(kernel: Kernel, redis: Redis) -> None:
    broker = Broker(kernel)
    redis.kill()
    try:
        broker.hint(["later"])
    finally:
        redis.start()
    wait_until(lambda: queued(redis) == [["later"]])


def test_worker_finds_a_broker_that_is_back_within_two_seconds(
    kernel: Kernel, redis: Redis
) -> None:
    pauses: list[float] = []
    redis.kill()
    try:
        with (
            make_celery(kernel).connection_for_read() as connection,
            pytest.raises(OperationalError),
        ):
            connection.ensure_connection(lambda _, pause: pauses.append(pause), max_retries=5)
    finally:
        redis.start()
    assert pauses == [0.5, 1.0, 1.5, 2.0, 2.0]


def test_hint_and_result_are_soon_there_when_a_firewall_forgot_the_connections(
    make_kernel: MakeKernel, sqlite_url: str, redis: Redis
) -> None:
    redis.client(1).flushdb()
    with LossyProxy(redis.port) as proxy:
        broker, result = (f"redis://127.0.0.1:{proxy.port}/{number}" for number in (1, 2))
        sender = Broker(make_kernel(sqlite_url, broker_url=broker, result_backend=result))
        outcome = Outcome(OrderState.SUCCESS, "success", "{}")
        for _ in range(2):
            sender.hint(["one"])
            sender.finished("id", outcome)
            started = time.monotonic()
            assert sender.flush(5)
            proxy.forget()
        assert time.monotonic() - started < 2
        assert proxy.vanished, "no forgotten connection was used"
    assert queued(redis) == [["one"], ["one"]]


def test_certificate_is_asked_for_when_the_broker_speaks_tls(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    celery = make_celery(make_kernel(sqlite_url, broker_url="rediss://127.0.0.1:1/1"))
    for connection in (celery.connection_for_read(), celery.connection_for_write()):
        assert connection.ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel", "sentinels"])
def test_messages_are_sifted_however_the_redis_is_reached(
    make_kernel: MakeKernel, sqlite_url: str, scheme: str
) -> None:
    celery = make_celery(make_kernel(sqlite_url, broker_url=f"{scheme}://127.0.0.1:1/1"))
    with celery.connection_for_read() as connection:
        kind = connection.get_transport_cls()
    assert issubclass(kind, untrusted_messages.SiftingTransport)
    assert issubclass(kind.Channel, untrusted_messages.SurvivingChannel)


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_messages_are_sifted_when_the_broker_is_a_rabbitmq(
    make_kernel: MakeKernel, sqlite_url: str, scheme: str
) -> None:
    celery = make_celery(make_kernel(sqlite_url, broker_url=f"{scheme}://127.0.0.1:1//"))
    with celery.connection_for_read() as connection:
        kind = connection.get_transport_cls()
    assert issubclass(kind.Connection, untrusted_messages.AmqpConnection)


def test_worker_has_no_task_but_its_own(kernel: Kernel) -> None:
    assert set(make_worker(kernel).tasks) == {"kernel.execute"}


def test_process_of_the_pool_ends_when_it_gets_no_thread(kernel: Kernel) -> None:
    """It would run orders without renewing their leases. The pool takes its end for no error."""
    make_worker(kernel)
    child = os.fork()
    if child == 0:
        threading.Thread.start = without_threads  # type: ignore[method-assign]
        signals.worker_process_init.send(sender=None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == IN_ORDER


def without_threads(_: threading.Thread) -> None:
    """What starting one does where a limit of processes is reached."""
    raise RuntimeError("no thread")


def test_two_kernels_keep_their_tasks_apart_when_in_one_process(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    first = make_worker(make_kernel(sqlite_url))
    second = make_worker(make_kernel(sqlite_url, Handlers()))
    assert first.tasks["kernel.execute"] is not second.tasks["kernel.execute"]


def test_worker_takes_json_alone_and_no_orders_from_afar_when_configured(kernel: Kernel) -> None:
    conf = make_celery(kernel).conf
    assert conf.accept_content == ["json"]
    assert not conf.worker_enable_remote_control
    assert conf.task_ignore_result
    assert not conf.task_acks_late


@pytest.mark.parametrize(
    ("outcome", "state", "shown"),
    [
        (Outcome(OrderState.SUCCESS, "success", '{"a": 1}'), "SUCCESS", {"a": 1}),
        (Outcome(OrderState.WARNING, "partly", '{"b": 2}'), "SUCCESS", {"b": 2}),
    ],
)
def test_result_is_read_by_celery_clients_when_mirrored(
    kernel: Kernel, redis: Redis, outcome: Outcome, state: str, shown: dict[str, int]
) -> None:
    Broker(kernel).finished("id", outcome)
    with Celery(backend=redis.url(2), set_as_current=False) as client:
        result = AsyncResult("id", app=client)
        wait_until(lambda: result.state == state)
        assert result.result == shown


def test_mirror_expires_when_nobody_reads_it(kernel: Kernel, redis: Redis) -> None:
    Broker(kernel).finished("id", Outcome(OrderState.FAILED, "no", error_code="no"))
    key = "celery-task-meta-id"
    assert (
        0 < wait_until(lambda: redis.client(2).ttl(key) > 0 and redis.client(2).ttl(key)) <= 86_400
    )
