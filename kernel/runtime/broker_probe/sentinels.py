"""What Sentinels say: whether they let us in, and which Redis is primary now."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import redis
from redis.exceptions import NoPermissionError

from kernel.config.brokers.clients import budget, once, sentinel_client
from kernel.config.brokers.urls import Address, RedisUrl, shown
from kernel.errors import ConfigurationError
from kernel.runtime.broker_probe.first_bytes import ANSWER_SECONDS, Refusal, expect_redis
from kernel.runtime.broker_probe.servers import Asked, ask_server, context_of, stays

GONE = (OSError, redis.ConnectionError, redis.TimeoutError)


def ask_sentinels(url: RedisUrl, asked: Asked) -> Iterator[str]:
    """Yield a warning for each Sentinel that does not answer, and what the primary says of itself.

    Raises ConfigurationError for what waiting does not mend.
    """
    primary: Address | None = None
    answered = False
    for address in url.addresses:
        try:
            known = _known(address, url, asked)
        except Refusal as refusal:
            raise ConfigurationError(f"{asked.setting}: {shown(address)} {refusal}") from None
        except GONE as error:
            yield f"the Sentinel at {shown(address)} does not answer ({type(error).__name__})"
            continue
        except redis.ResponseError as error:
            yield f"the Sentinel at {shown(address)} takes nothing now ({error})"
            continue
        answered = True
        found = _named(known, address, asked)
        if not found["is_sdown"] and not found["is_odown"]:
            primary = primary or (found["ip"], found["port"])
    if primary is not None:
        direct = replace(url, addresses=(primary,), is_sentinel=False)
        if (said := ask_server(direct, asked)) is not None:
            yield f"{said}; the Sentinels name it as the primary {asked.settings.sentinel_master}"
    elif answered:
        yield (
            f"the Sentinels know no living primary of {asked.settings.sentinel_master} now; orders "
            "wait until there is one"
        )


def _known(address: Address, url: RedisUrl, asked: Asked) -> dict[str, Any]:
    """Return what one Sentinel knows, by name. Raises Refusal, one of `GONE`, or ResponseError."""
    expect_redis(address, context_of(url, asked))
    patience: dict[str, Any] = {**budget(ANSWER_SECONDS), "retry": once()}
    with sentinel_client(address, url, asked.settings, **patience) as client:
        try:
            known: dict[str, Any] = client.sentinel_masters()
        except redis.AuthenticationError:
            raise Refusal(_refused_login(asked)) from None
        except NoPermissionError as error:
            raise Refusal(
                f"refuses us ({error}): its user needs +auth +hello +ping +client +sentinel|masters"
            ) from None
        except redis.ResponseError as error:
            if not stays(error):
                raise
            if "unknown command" not in str(error).lower():
                raise Refusal(f"refuses us: {error}") from None
            tls = "s" if url.is_tls else ""
            raise Refusal(
                f"is a Redis and no Sentinel: write {asked.setting}=redis{tls}://..., or the port "
                "of the Sentinel, which is 26379 by default"
            ) from None
    return known


def _named(known: dict[str, Any], address: Address, asked: Asked) -> dict[str, Any]:
    """Return the state of the primary in our settings. Raises ConfigurationError for no such."""
    name = asked.settings.sentinel_master
    if name in known:
        state: dict[str, Any] = known[name]
        return state
    others = [f"KERNEL_SENTINEL_MASTER={one}" for one in sorted(map(str, known))]
    raise ConfigurationError(
        f"KERNEL_SENTINEL_MASTER: the Sentinel at {shown(address)} watches no {name!r}; "
        + (
            f"write {' or '.join(others)}"
            if others
            else "it watches none at all: see its `monitor`"
        )
    )


def _refused_login(asked: Asked) -> str:
    if asked.settings.sentinel_password.get_secret_value():
        return (
            "refuses the Sentinel's own user or password: correct KERNEL_SENTINEL_USER and "
            "KERNEL_SENTINEL_PASSWORD; those in the URL are of the Redis that it knows"
        )
    return (
        "asks for a password of its own: set KERNEL_SENTINEL_PASSWORD, and for a user that is not "
        "`default` KERNEL_SENTINEL_USER; those in the URL are of the Redis that it knows"
    )
