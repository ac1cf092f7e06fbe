"""What URLs of Redis and Sentinels say, how kombu gets it, and what is refused."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from kernel.config.brokers.celeryconfig import broker_url, transport_options
from kernel.config.brokers.clients import redis_client, tls_context, tls_options
from kernel.config.brokers.urls import redis_urls
from kernel.config.settings import load
from kernel.errors import ConfigurationError

SECRET = "s3cr3t"
# What each URL says itself: clients of some versions check no name unless they are told to.
CHECKED = "ssl_cert_reqs=required&ssl_check_hostname=true"
PLACES = (("a.example", 26379), ("b.example", 26380))


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    file = tmp_path / "ca file.pem"
    file.write_text("")
    return file


def test_sentinels_are_one_server_however_they_are_written() -> None:
    with_commas = "sentinel://u:p%40@a.example,b.example:26380/3"
    as_kombu_writes_it = "sentinel://u:p%40@a.example/3;sentinel://u:p%40@b.example:26380/3"
    told_once = "sentinel://u:p%40@a.example/3;sentinel://b.example:26380/3"
    for text in (with_commas, as_kombu_writes_it, told_once):
        (found,) = redis_urls(text)
        assert (found.addresses, found.user, found.password) == (PLACES, "u", "p@")
        assert (found.database, found.is_sentinel, found.is_tls) == (3, True, False)
        assert "p@" not in repr(found)


def test_servers_are_tried_in_turn() -> None:
    first, second = redis_urls("redis://a;rediss://u:p@[::1]:7/2?ssl_cert_reqs=none")
    assert (first.addresses, first.place, first.is_tls) == ((("a", 6379),), "a:6379", False)
    assert (second.place, second.database) == ("[::1]:7", 2)
    assert second.options == {"ssl_cert_reqs": "none"}


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("broker_url", f"redis://:{SECRET}@h/1;sentinel://h/1", "Sentinels or servers, not both"),
        ("broker_url", f"redis://:{SECRET}@h/1;amqp://h//", "Redis or of RabbitMQ, not both"),
        ("broker_url", f"redis://:{SECRET}@h,i/1", "several servers are written as URLs with ;"),
        ("broker_url", f"redis://:{SECRET}@h/1?ssl_cert_reqs=none", "is for rediss://"),
        ("broker_url", f"rediss://:{SECRET}@h/1?ssl_cert_reqs=maybe", "required, optional, none"),
        ("broker_url", f"rediss://:{SECRET}@h/1?ssl_ca_certs=", "the path of a file"),
        ("broker_url", f"rediss://:{SECRET}@h/1?password={SECRET}", "there are ssl_cert_reqs"),
        ("broker_url", f"sentinel://:{SECRET}@h/1;sentinel://:{SECRET}2@i/1", "differ in more"),
        ("broker_url", f"sentinel://:{SECRET}@h/1;sentinel://i/2", "differ in more"),
        ("broker_url", f"sentinel://:{SECRET}@h:70000/1", "HOST or HOST:PORT"),
        ("result_backend", f"redis://:{SECRET}@h/1;redis://i/1", "results go to one Redis"),
    ],
)
def test_url_is_refused_in_words_that_do_not_quote_it(name: str, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        load(**{name: url})
    assert SECRET not in refusal.value.message


def test_files_of_tls_are_refused_where_nothing_speaks_it(pem: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing is encrypted by it: write rediss://"):
        load(broker_ca_file=pem)
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        load(broker_url="amqps://h//", broker_ca_file=pem)
    with pytest.raises(ConfigurationError, match="KERNEL_BROKER_CERT_FILE is not"):
        load(broker_url="rediss://h/1", broker_key_file=pem)
    load(result_backend="sentinels://h/1", broker_ca_file=pem)


def test_each_url_has_its_own_tls_when_kombu_gets_it(pem: Path) -> None:
    given = "redis://u:p@a/1;rediss://:x%2Fy@b:7/2;rediss://c/3?ssl_ca_certs=own.pem"
    assert broker_url(load(broker_url=given, broker_ca_file=pem)).split(";") == [
        "redis://u:p@a:6379/1",
        f"rediss://:x%2Fy@b:7/2?{CHECKED}&ssl_ca_certs={quoted(pem)}",
        f"rediss://c:6379/3?{CHECKED}&ssl_ca_certs=own.pem",
    ]


def quoted(file: Path) -> str:
    return str(file).replace("/", "%2F").replace(" ", "+")


def test_kombu_gets_sentinels_one_by_one_and_their_own_login() -> None:
    own: dict[str, Any] = {"sentinel_user": "watch", "sentinel_password": SECRET}
    settings = load(
        broker_url="sentinels://u:p@a.example,b.example:26380/3", sentinel_master="one", **own
    )
    assert broker_url(settings).split(";") == [
        f"sentinel://u:p@a.example:26379/3?{CHECKED}",
        f"sentinel://u:p@b.example:26380/3?{CHECKED}",
    ]
    options = transport_options(settings, publishing=True)
    assert options["master_name"] == "one"
    asked = options["sentinel_kwargs"]
    assert (asked["username"], asked["password"], asked["ssl"]) == ("watch", SECRET, True)
    assert asked["ssl_check_hostname"] is True


@pytest.mark.parametrize(
    ("options", "checks_name", "mode"),
    [
        ("", True, 2),
        ("?ssl_check_hostname=false", False, 2),
        ("?ssl_cert_reqs=optional", True, 1),
        ("?ssl_cert_reqs=none", False, 0),
    ],
)
def test_check_at_the_start_asks_for_what_the_client_asks_for(
    options: str, checks_name: bool, mode: int
) -> None:
    settings = load(broker_url=f"rediss://h/1{options}")
    (url,) = redis_urls(settings.broker_url.get_secret_value())
    context = tls_context(tls_options(url, settings))
    assert (context.check_hostname, context.verify_mode) == (checks_name, mode)
    with redis_client(url, settings) as client:
        made = client.connection_pool.make_connection()
        assert (made.check_hostname, made.cert_reqs) == (checks_name, mode)
    with Connection(broker_url(settings)) as kombu:
        assert kombu.ssl["ssl_check_hostname"] is checks_name
        assert kombu.ssl["ssl_cert_reqs"] is ssl.VerifyMode(mode)
