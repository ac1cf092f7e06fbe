"""A Redis that speaks TLS alone, Sentinels over replicated ones, and a Redis of a Cluster."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import redis
import trustme

from kernel.config.brokers.clients import once
from tests.support.acl_redis import PASSWORD, AclRedis
from tests.support.servers import Redis, require
from tests.support.tls_databases import HERE, certify
from tests.support.waiting import wait_until

SENTINELS_PASSWORD = "of-the-sentinels"
GROUP = "orders-redis"


class TlsRedis(AclRedis):
    """deploy/redis.conf behind TLS: no port takes plain connections.

    ``clients``: the authority of the certificates that clients have to show.
    """

    def __init__(self, ca: trustme.CA, name: str = HERE, clients: trustme.CA | None = None) -> None:
        super().__init__()
        self.ca_file = self.folder / "ca.pem"
        ca.cert_pem.write_to_path(self.ca_file)
        certify(self, ca, name)
        trusted = self.folder / "clients.pem"
        (clients or ca).cert_pem.write_to_path(trusted)
        asks = "no" if clients is None else "yes"
        self.tls = [*tls_argv(self.folder), "--tls-auth-clients", asks]
        self.admin: dict[str, Any] = {"ssl_ca_certs": self.ca_file, "ssl_check_hostname": False}

    def argv(self) -> list[str]:
        """With `tls-port` in place of `port`."""
        given = super().argv()
        at = given.index("--port")
        return [
            *given[:at],
            "--port",
            "0",
            "--tls-port",
            str(self.port),
            *given[at + 2 :],
            *self.tls,
        ]

    def client(self, db: int = 0) -> redis.Redis:
        """Return the administrator's client."""
        url = self.url(db)
        return redis.Redis.from_url(url, socket_timeout=5, retry=once(), **self.admin)

    def url(self, db: int = 0) -> str:
        return super().url(db).replace("redis://", "rediss://")

    def url_of(self, user: str, db: int = 0) -> str:
        return super().url_of(user, db).replace("redis://", "rediss://")


def tls_argv(folder: Path) -> list[str]:
    """Return the options that name the files of `certify` and of those who may connect."""
    files = ("cert.pem", "key.pem", "clients.pem")
    options = ("--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file")
    pairs = zip(options, files, strict=True)
    return [text for option, file in pairs for text in (option, str(folder / file))]


class ClusterRedis(Redis):
    """A node that is all of a cluster."""

    def argv(self) -> list[str]:
        return [*super().argv(), "--cluster-enabled", "yes"]


class Replicated(AclRedis):
    """One of several: a replica of ``primary``, or the first primary."""

    def __init__(self, primary: "Replicated | None" = None) -> None:
        super().__init__()
        self.primary = primary
        with (self.folder / "redis.conf").open("a") as config:
            config.write("masteruser admin\nmasterauth of-the-admin\nrepl-diskless-sync-delay 0\n")
            config.write("repl-diskless-sync yes\n")

    def argv(self) -> list[str]:
        follows = [] if self.primary is None else ["--replicaof", HERE, str(self.primary.port)]
        return [*super().argv(), *follows]

    def is_in_step(self) -> bool:
        """Tell whether a replica has all that its primary had."""
        with self.client() as admin:
            return admin.info("replication").get("master_link_status") == "up"


class Sentinel(Redis):
    """Watches a primary, and with the others has a replica take its place within seconds."""

    def __init__(self, primary: Replicated) -> None:
        super().__init__()
        self.password = SENTINELS_PASSWORD
        (self.folder / "sentinel.conf").write_text(
            f"requirepass {self.password}\nsentinel sentinel-pass {self.password}\n"
            f"sentinel monitor {GROUP} {HERE} {primary.port} 2\n"
            f"sentinel auth-user {GROUP} admin\nsentinel auth-pass {GROUP} of-the-admin\n"
            f"sentinel down-after-milliseconds {GROUP} 600\n"
            f"sentinel failover-timeout {GROUP} 4000\n"
        )

    def argv(self) -> list[str]:
        binary = require("redis-server", "valkey-server")
        options = f"--sentinel --port {self.port} --bind {HERE} --dir {self.folder}"
        return [binary, str(self.folder / "sentinel.conf"), *options.split()]

    def client(self, db: int = 0) -> redis.Redis:
        return redis.Redis(HERE, self.port, password=self.password, socket_timeout=5)

    def knows(self) -> tuple[int, int]:
        """Return how many replicas and other Sentinels it has found."""
        with self.client() as client:
            state = client.sentinel_masters()[GROUP]
        return state["num-slaves"], state["num-other-sentinels"]

    def sees_its_primary_down(self) -> bool:
        """Tell whether it has noticed."""
        with self.client() as client:
            return bool(client.sentinel_masters()[GROUP]["is_sdown"])

    def primary(self) -> int:
        """Return the port of the primary."""
        with self.client() as client:
            return int(client.sentinel_get_master_addr_by_name(GROUP)[1])


class Sentinels:
    """Two Redis, one of them a replica, and three Sentinels, which know each other."""

    def __enter__(self) -> Self:
        self._open = ExitStack()
        first = Replicated()
        self.servers = [first, Replicated(first)]
        for one in self.servers:
            self._open.callback(one.close)
            one.start()
        wait_until(self.servers[1].is_in_step)
        self.sentinels = [Sentinel(first) for _ in range(3)]
        for watcher in self.sentinels:
            self._open.callback(watcher.close)
            watcher.start()
        wait_until(lambda: all(one.knows() == (1, 2) for one in self.sentinels), 30)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def primary(self) -> Replicated:
        """Return the Redis that the last Sentinel names."""
        port = self.sentinels[-1].primary()
        return next(one for one in self.servers if one.port == port)

    def url(self, db: int = 0, hosts: str = "") -> str:
        """Return what an operator writes: user and password of Redis, all Sentinels."""
        places = hosts or ",".join(f"{HERE}:{one.port}" for one in self.sentinels)
        return f"sentinel://kernel:{PASSWORD}@{places}/{db}"
