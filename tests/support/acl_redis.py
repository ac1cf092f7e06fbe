"""A Redis with deploy/redis.conf, its passwords set, and an administrator for the test itself."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.deployment import DEPLOY
from tests.support.servers import Redis, require

PASSWORD = "of-the-broker"
ADMIN = "user admin on >of-the-admin ~* &* +@all\n"


class AclRedis(Redis):
    """`client` and `url` are the administrator's; `client_of` and `url_of` those of other users."""

    def __init__(self) -> None:
        super().__init__()
        text = (DEPLOY / "redis.conf").read_text().replace("# user results", "user results")
        for placeholder in ("PASSWORD_OF_RESULTS", "PASSWORD"):
            assert text.count(f">{placeholder} ") == 1
            text = text.replace(f">{placeholder} ", f">{PASSWORD} ")
        (self.folder / "redis.conf").write_text(text + ADMIN)

    def argv(self) -> list[str]:
        """As the service of Debian, on loopback."""
        binary = require("redis-server", "valkey-server")
        options = f"--port {self.port} --bind 127.0.0.1 --dir {self.folder}"
        return [binary, str(self.folder / "redis.conf"), *options.split()]

    def client(self, db: int = 0) -> redis.Redis:
        """Return the administrator's client."""
        return redis.Redis.from_url(self.url(db), socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def url(self, db: int = 0) -> str:
        return f"redis://admin:of-the-admin@127.0.0.1:{self.port}/{db}"

    def client_of(self, user: str, db: int = 0) -> redis.Redis:
        """Return a client of one of the file's users."""
        url, once = self.url_of(user, db), Retry(NoBackoff(), 0)
        return redis.Redis.from_url(url, socket_timeout=5, retry=once)

    def url_of(self, user: str, db: int = 0) -> str:
        """Return the URL that an operator gives to a program."""
        return f"redis://{user}:{PASSWORD}@127.0.0.1:{self.port}/{db}"
