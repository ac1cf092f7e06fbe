"""Celery as an untrusted carrier of hints: JSON ids only, no results kept, short timeouts.

Due times live in rows, so Celery has no eta, countdown, retry or result; the sweep replaces a
lost message. The settings were tested together on Celery 5.7.
"""

from typing import Any

from kernel.config.brokers.clients import ALIVE, budget, kombu_url, sentinel_options
from kernel.config.brokers.urls import redis_urls
from kernel.config.checks import is_redis
from kernel.config.settings import Settings

TASK = "kernel.execute"
# A dispatcher's loop asks for the queue's length, and meanwhile renews no lease and records no
# attempt: each step of it takes this long at the most, and is tried once. Left to itself, the
# client of RabbitMQ tries for six seconds to reach one that is down, and waits ten for an answer.
ASKING_SECONDS = 0.5
ASKING = {
    **{"read_timeout": ASKING_SECONDS, "write_timeout": ASKING_SECONDS},
    **{"max_retries": 0, "interval_start": 0},
}


def celery_config(settings: Settings, *, publishing: bool) -> dict[str, Any]:
    """Return Celery's configuration, with ``publishing`` for a process that only sends hints."""
    return {
        "broker_url": broker_url(settings),
        "broker_transport_options": transport_options(settings, publishing=publishing),
        "broker_use_ssl": None,  # each URL says for itself
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 0.5,
        "broker_heartbeat": 10,
        # No results by Celery: a duplicate task, whose claim fails, would overwrite the result
        # of the task that ran the order.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_publish_retry": False,
        # Early acknowledgement: with acks_late the consumer stopped for good in tests after the
        # broker flapped. The rescue needs no message: it finds a killed worker's order by its row.
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": 10_000,
        "worker_concurrency": settings.worker_processes,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_proc_alive_timeout": 30.0,
        "task_track_started": False,
        "enable_utc": True,
    }


def broker_url(settings: Settings) -> str:
    """Return the URLs as kombu takes them, with what settings say of TLS in each of a Redis."""
    given = settings.broker_url.get_secret_value()
    if not is_redis(given):
        return given
    return ";".join(kombu_url(url, settings) for url in redis_urls(given))


def transport_options(settings: Settings, *, publishing: bool) -> dict[str, Any]:
    """Return the transport's options: timeouts of half a second when publishing, else seconds."""
    given = settings.broker_url.get_secret_value()
    if not is_redis(given):
        return {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10}
    options: dict[str, Any] = {
        # Without kombu's acknowledgement emulation a message costs a third of the CPU and one
        # Redis command.
        "ack_emulation": False,
        "priority_steps": [0],
        "max_connections": 400,
        **ALIVE,
    }
    if publishing:
        options |= {"max_retries": 0, "interval_start": 0}
        options |= budget(0.5)
    else:  # without a timeout a consumer never notices a half-open connection
        options |= {**budget(5), "health_check_interval": 10}
    url = redis_urls(given)[0]
    if url.is_sentinel:
        options["master_name"] = settings.sentinel_master
        asked = sentinel_options(url, settings, **budget(0.5 if publishing else 2))
        options["sentinel_kwargs"] = asked
    return options
