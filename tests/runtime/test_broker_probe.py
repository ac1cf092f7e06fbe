"""What the start says of a Redis behind TLS, of Sentinels, replicas and a Cluster; all are real."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme

from kernel.config.settings import load
from kernel.errors import ConfigurationError
from kernel.runtime.broker_probe.asking import ask, ask_results
from tests.support.acl_redis import PASSWORD
from tests.support.servers import Redis, Server
from tests.support.tls_databases import ELSEWHERE, HERE
from tests.support.tls_redis import (
    GROUP,
    SENTINELS_PASSWORD,
    ClusterRedis,
    Sentinels,
    TlsRedis,
)
from tests.support.waiting import wait_until

QUEUE = "orders.tests"
Made = TypeVar("Made", bound=Server)
Start = Callable[[Made], Made]


@pytest.fixture(scope="module")
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def start(started: ExitStack) -> Start[Any]:
    """Start a server that runs as long as the tests of this file."""

    def begin(server: Made) -> Made:
        started.enter_context(closing(server))
        server.start()
        return server

    return begin


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(start: Start[Any], ca: trustme.CA) -> TlsRedis:
    found: TlsRedis = start(TlsRedis(ca))
    return found


@pytest.fixture(scope="module")
def sentinels(started: ExitStack) -> Sentinels:
    return started.enter_context(Sentinels())


def told(url: str, **settings: Any) -> list[str]:
    return list(ask(load(broker_url=url, result_backend="", **settings), QUEUE))


def refused(url: str, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        told(url, **settings)
    assert PASSWORD not in caught.value.message
    assert SENTINELS_PASSWORD not in caught.value.message
    return caught.value.message


def pem(ca: trustme.CA, file: Path) -> Path:
    ca.cert_pem.write_to_path(file)
    return file


# ---- TLS --------------------------------------------------------------------------------------


def test_nothing_is_said_when_the_authority_is_named(tls: TlsRedis) -> None:
    assert told(tls.url_of("kernel", 1), broker_ca_file=tls.ca_file) == []


def test_start_is_refused_when_the_authority_is_not_known(tls: TlsRedis, tmp_path: Path) -> None:
    other = pem(trustme.CA(), tmp_path / "other.pem")
    for settings in ({}, {"broker_ca_file": other}):
        said = refused(tls.url_of("kernel", 1), **settings)
        assert f"KERNEL_BROKER_URL: {HERE}:{tls.port} shows a certificate of an authority" in said
        assert "KERNEL_BROKER_CA_FILE=/path/to/ca.pem" in said


def test_url_may_do_without_a_check_of_the_certificate(tls: TlsRedis) -> None:
    assert told(f"{tls.url_of('kernel', 1)}?ssl_cert_reqs=none") == []
    assert told(f"{tls.url_of('kernel', 1)}?ssl_cert_reqs=CERT_NONE") == []


def test_authority_in_the_url_goes_before_the_setting(tls: TlsRedis, tmp_path: Path) -> None:
    other = pem(trustme.CA(), tmp_path / "other.pem")
    url = f"{tls.url_of('kernel', 1)}?ssl_ca_certs={tls.ca_file}"
    assert told(url, broker_ca_file=other) == []


def test_start_is_refused_when_the_certificate_has_another_name(
    start: Start[Any], ca: trustme.CA
) -> None:
    server: TlsRedis = start(TlsRedis(ca, ELSEWHERE))
    url = server.url_of("kernel", 1)
    assert f"not for {HERE}" in refused(url, broker_ca_file=server.ca_file)
    assert told(f"{url}?ssl_check_hostname=false", broker_ca_file=server.ca_file) == []


def test_start_is_refused_when_the_certificate_has_expired(
    start: Start[Any], ca: trustme.CA
) -> None:
    server: TlsRedis = TlsRedis(ca)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    made = ca.issue_cert(HERE, not_before=long_ago, not_after=long_ago + timedelta(days=1))
    chain = b"".join(one.bytes() for one in made.cert_chain_pems)
    (server.folder / "cert.pem").write_bytes(chain)
    (server.folder / "key.pem").write_bytes(made.private_key_pem.bytes())
    server.admin["ssl_cert_reqs"] = "none"
    start(server)
    said = refused(server.url_of("kernel", 1), broker_ca_file=server.ca_file)
    assert "has expired" in said
    assert "renew it there" in said


def test_client_shows_its_certificate_when_the_server_asks_for_one(
    start: Start[Any], ca: trustme.CA, tmp_path: Path
) -> None:
    clients = trustme.CA()
    server: TlsRedis = TlsRedis(ca, clients=clients)
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    own = clients.issue_cert("kernel.example")
    cert.write_bytes(b"".join(one.bytes() for one in own.cert_chain_pems))
    key.write_bytes(own.private_key_pem.bytes())
    server.admin |= {"ssl_certfile": cert, "ssl_keyfile": key}
    start(server)
    url, trusting = server.url_of("kernel", 1), {"broker_ca_file": server.ca_file}
    shown = {"broker_cert_file": cert, "broker_key_file": key}
    assert told(url, **trusting, **shown) == []
    assert "set KERNEL_BROKER_CERT_FILE and KERNEL_BROKER_KEY_FILE" in refused(url, **trusting)
    stranger = trustme.CA().issue_cert("kernel.example")
    cert.write_bytes(stranger.cert_chain_pems[0].bytes())
    key.write_bytes(stranger.private_key_pem.bytes())
    assert "does not accept our certificate" in refused(url, **trusting, **shown)
    key.write_bytes(own.private_key_pem.bytes())
    assert "KERNEL_BROKER_KEY_FILE" in refused(url, **trusting, **shown)


def test_start_is_refused_when_the_authoritys_file_holds_none(
    tls: TlsRedis, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    said = refused(tls.url_of("kernel", 1), broker_ca_file=tmp_path / "ca.pem")
    assert "KERNEL_BROKER_CA_FILE" in said
    assert "openssl x509 -inform der" in said


def test_start_is_refused_when_only_the_server_speaks_tls(tls: TlsRedis) -> None:
    plain = tls.url_of("kernel", 1).replace("rediss://", "redis://")
    assert "speaks TLS there: write rediss://" in refused(plain)


def test_start_is_refused_when_only_we_speak_tls(redis: Redis) -> None:
    assert "speaks no TLS there: write redis://" in refused(f"rediss://{HERE}:{redis.port}/1")


def test_start_is_refused_when_the_login_is_wrong_behind_tls(tls: TlsRedis) -> None:
    url, trusting = tls.url_of("kernel", 1), {"broker_ca_file": tls.ca_file}
    wrong = url.replace(PASSWORD, "wr0ng")
    assert "refuses the user or the password" in (said := refused(wrong, **trusting))
    assert "wr0ng" not in said
    assert "refuses the user" in refused(url.replace("kernel", "stranger"), **trusting)
    assert "the URL has none" in refused(f"rediss://{HERE}:{tls.port}/1", **trusting)


# ---- Sentinels --------------------------------------------------------------------------------


def group(**settings: Any) -> dict[str, Any]:
    own = {"sentinel_master": GROUP, "sentinel_password": SENTINELS_PASSWORD}
    return own | settings


def test_nothing_is_said_when_sentinels_name_the_primary(sentinels: Sentinels) -> None:
    assert told(sentinels.url(1), **group()) == []
    as_kombu_writes_it = ";".join(
        sentinels.url(1, f"{HERE}:{one.port}") for one in sentinels.sentinels
    )
    assert told(as_kombu_writes_it, **group()) == []


def test_start_warns_of_a_sentinel_that_does_not_answer(sentinels: Sentinels) -> None:
    living = f"{HERE}:{sentinels.sentinels[0].port}"
    (said,) = told(sentinels.url(1, f"{HERE}:1,{living}"), **group())
    assert said == f"the Sentinel at {HERE}:1 does not answer (ConnectionRefusedError)"


def test_start_is_refused_when_the_sentinels_watch_no_such_group(sentinels: Sentinels) -> None:
    said = refused(sentinels.url(1), **group(sentinel_master="misspelt"))
    assert said.startswith("KERNEL_SENTINEL_MASTER: the Sentinel at ")
    assert said.endswith(f"watches no 'misspelt'; write KERNEL_SENTINEL_MASTER={GROUP}")


def test_start_is_refused_when_a_sentinel_refuses_the_password(sentinels: Sentinels) -> None:
    wrong = refused(sentinels.url(1), **group(sentinel_password="wr0ng"))
    assert "correct KERNEL_SENTINEL_USER and KERNEL_SENTINEL_PASSWORD" in wrong
    assert "wr0ng" not in wrong
    assert "set KERNEL_SENTINEL_PASSWORD" in refused(
        sentinels.url(1), **group(sentinel_password="")
    )


def test_start_is_refused_when_the_primary_refuses_the_login(sentinels: Sentinels) -> None:
    wrong = sentinels.url(1).replace(PASSWORD, "wr0ng")
    said = refused(wrong, **group())
    assert f"{HERE}:{sentinels.primary().port} refuses the user or the password" in said


def test_start_is_refused_when_redis_and_sentinel_are_mistaken(
    sentinels: Sentinels, redis: Redis
) -> None:
    place = f"{HERE}:{sentinels.sentinels[0].port}"
    said = refused(f"redis://:{SENTINELS_PASSWORD}@{place}/1")
    assert f"is a Sentinel: write KERNEL_BROKER_URL=sentinel://kernel:PASSWORD@{place}/1" in said
    said = refused(f"sentinel://{HERE}:{redis.port}/1")
    assert "is a Redis and no Sentinel: write KERNEL_BROKER_URL=redis://" in said


def test_start_warns_when_the_redis_is_a_replica(sentinels: Sentinels) -> None:
    primary = sentinels.primary()
    (replica,) = (one for one in sentinels.servers if one is not primary)
    (said,) = told(replica.url_of("kernel", 1))
    assert f"the Redis at {HERE}:{replica.port} is a replica and takes no writes" in said
    assert "sentinel://kernel:PASSWORD@HOST:26379/1" in said


def test_start_warns_while_no_primary_lives(start: Start[Any]) -> None:
    with Sentinels() as alone:
        for one in alone.servers:
            one.stop()
        wait_until(alone.sentinels[0].sees_its_primary_down)
        (said,) = told(alone.url(1, f"{HERE}:{alone.sentinels[0].port}"), **group())
        assert f"no living primary of {GROUP}" in said


# ---- Cluster ----------------------------------------------------------------------------------


@pytest.mark.parametrize("database", [0, 1])
def test_start_is_refused_when_the_redis_is_a_cluster(start: Start[Any], database: int) -> None:
    server: ClusterRedis = start(ClusterRedis())
    said = refused(server.url(database))
    assert f"KERNEL_BROKER_URL: {HERE}:{server.port} is a Redis Cluster" in said
    assert "cluster-enabled no" in said
    assert "KERNEL_BROKER_URL=sentinel://" in said


# ---- Results ----------------------------------------------------------------------------------


def test_start_warns_of_results_that_cannot_be_copied(tls: TlsRedis, redis: Redis) -> None:
    def said(results: str, broker: str = redis.url(1)) -> list[str]:
        settings = load(broker_url=broker, result_backend=results, broker_ca_file=tls.ca_file)
        return list(ask_results(settings))

    wrong = tls.url_of("kernel", 2).replace(PASSWORD, "wr0ng")
    (warning,) = said(wrong)
    assert warning.startswith(f"KERNEL_RESULT_BACKEND: {HERE}:{tls.port} refuses the user")
    assert said(tls.url_of("kernel", 2)) == []
    assert said(wrong, broker=wrong) == [], "the broker's server is asked already"
