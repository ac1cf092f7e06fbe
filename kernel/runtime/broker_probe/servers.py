"""What a Redis says of itself and of us: its mode, its role, our rights, our queue."""

import ssl
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.exceptions import MovedError, NoPermissionError

from kernel.config.brokers.clients import budget, once, redis_client, tls_context, tls_options
from kernel.config.brokers.urls import RedisUrl
from kernel.config.settings import Settings
from kernel.errors import ConfigurationError
from kernel.runtime.broker_probe.first_bytes import ANSWER_SECONDS, Refusal, expect_redis

NO_CLUSTER = (
    "is a Redis Cluster, for which Celery has no transport (the queue is one key, so a cluster has "
    "nothing to share out): use a Redis with `cluster-enabled no`, such as "
    "KERNEL_BROKER_URL=redis://kernel:PASSWORD@HOST:6379/1; for failover Sentinels: "
    "KERNEL_BROKER_URL=sentinel://kernel:PASSWORD@HOST1:26379,HOST2:26379/1"
)
# In the words of every release of Redis, and of Valkey.
STAYING = (
    "db index",  # no such database
    "unknown command",
    "not allowed in cluster mode",
    "protected mode",  # it takes no connection from another machine
)


@dataclass(frozen=True)
class Asked:
    """What is asked: ``setting`` is the one to correct, ``queue`` one that has to be usable."""

    setting: str
    settings: Settings
    queue: str | None = None


def ask_server(url: RedisUrl, asked: Asked) -> str | None:
    """Return a warning when no server answers, or it takes no writes; None when all is well.

    Raises ConfigurationError for what waiting does not mend.
    """
    try:
        expect_redis(url.addresses[0], context_of(url, asked))
        return _modes(url, asked) or _use(url, asked)
    except Refusal as refusal:
        raise ConfigurationError(f"{asked.setting}: {url.place} {refusal}") from None
    except (OSError, redis.ConnectionError, redis.TimeoutError) as error:
        return f"the broker at {url.place} does not answer ({type(error).__name__})"


def stays(error: redis.ResponseError) -> bool:
    """Tell whether waiting does not mend what a server answers.

    Every other error is of the moment: a full disk (MISCONF, to a PING, too), a long script (BUSY),
    memory, a proxy without its server, a key in the queue's place, which any client can make.
    Orders are accepted meanwhile.
    """
    said = str(error).lower()
    return isinstance(error, MovedError) or any(one in said for one in STAYING)


def context_of(url: RedisUrl, asked: Asked) -> ssl.SSLContext | None:
    """Return the context of a URL that speaks TLS. Raises ConfigurationError for a bad file."""
    options = tls_options(url, asked.settings)
    if not options:
        return None
    try:
        return tls_context(options)
    except OSError as error:
        files = {
            "KERNEL_BROKER_CA_FILE": options.get("ssl_ca_certs"),
            "KERNEL_BROKER_CERT_FILE": options.get("ssl_certfile"),
            "KERNEL_BROKER_KEY_FILE": options.get("ssl_keyfile"),
        }
        named = ", ".join(f"{name} ({file})" for name, file in files.items() if file)
        raise ConfigurationError(
            f"{named}: cannot be used ({getattr(error, 'reason', None) or error}). Each is a PEM "
            "file, with -----BEGIN CERTIFICATE----- in it; the key belongs to the certificate and "
            "has no passphrase; of a DER file make one with: "
            "openssl x509 -inform der -in FILE -out FILE.pem"
        ) from None


def _modes(url: RedisUrl, asked: Asked) -> str | None:
    """Look at the mode and the role, which every user may ask for. Raises Refusal.

    In database 0: a Cluster has no other, and a Sentinel none.
    """
    with _client(replace(url, database=0), asked) as client:
        try:
            told = _hello(client)
        except redis.BusyLoadingError:  # a Redis that loads its data: the right server
            return None
        except redis.AuthenticationError:
            raise Refusal(_refused_login(url, asked)) from None
        except redis.ResponseError:  # older than HELLO
            return None
    if told.get("mode") == "cluster":
        raise Refusal(NO_CLUSTER)
    if told.get("mode") == "sentinel":
        tls = "s" if url.is_tls else ""
        raise Refusal(
            f"is a Sentinel: write {asked.setting}=sentinel{tls}://kernel:PASSWORD@{url.place}/1, "
            "with user and password of the Redis that it knows, and KERNEL_SENTINEL_MASTER"
        )
    if told.get("role") == "replica":
        return (
            f"the Redis at {url.place} is a replica and takes no writes, so no hint gets through. "
            f"Name its primary in {asked.setting} (`redis-cli ROLE` there says which it is), or "
            "the Sentinels that know it: sentinel://kernel:PASSWORD@HOST:26379/1"
        )
    return None


def _hello(client: redis.Redis) -> dict[str, str]:
    answer: Any = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    if not isinstance(answer, dict):
        answer = dict(zip(answer[::2], answer[1::2], strict=False))
    return {_text(key): _text(value) for key, value in answer.items()}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _use(url: RedisUrl, asked: Asked) -> str | None:
    """Use the database and the queue; return a warning when that is not possible now.

    Raises Refusal or ConfigurationError when it is refused for good.
    """
    with _client(url, asked) as client:
        try:
            client.ping()
            if asked.queue is not None:
                client.llen(asked.queue)
        except redis.BusyLoadingError:
            return None
        except redis.AuthenticationError:
            raise Refusal(_refused_login(url, asked)) from None
        except NoPermissionError as error:
            if asked.queue is None:
                raise Refusal(f"refuses us: {error}; correct the URL") from None
            raise ConfigurationError(
                f"{asked.setting}: {url.place} refuses its user the queue {asked.queue} ({error}); "
                "give it the rights that deploy/redis.conf does, with the keys ~orders.*"
            ) from None
        except redis.ResponseError as error:
            if stays(error):
                raise Refusal(f"refuses us: {error}; correct the URL") from None
            return f"the Redis at {url.place} takes nothing now ({error})"
    return None


def _client(url: RedisUrl, asked: Asked) -> redis.Redis:
    return redis_client(url, asked.settings, **budget(ANSWER_SECONDS), retry=once())


def _refused_login(url: RedisUrl, asked: Asked) -> str:
    who = "default" if url.user is None else url.user
    if url.password is None:
        return (
            "asks for a password, and the URL has none: write "
            f"{asked.setting}=redis{'s' if url.is_tls else ''}://USER:PASSWORD@{url.place}/"
            f"{url.database}; correct the URL"
        )
    return (
        f"refuses the user or the password ({who}, and what follows the colon); there, "
        "`redis-cli ACL LIST` shows an administrator the users, and deploy/redis.conf makes the "
        "one that kernel needs; correct the URL"
    )
