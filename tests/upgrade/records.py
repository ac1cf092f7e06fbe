"""Records of what each older release left: its database, its messages, and what was ordered.

They are in `kept/`, so that the upgrade is tested where neither the history nor the time for wheels
is. ``python -m tests.upgrade.records`` makes them anew by running the releases.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from tests.support.servers import MariaDB, Redis, require
from tests.upgrade.older import Older
from tests.upgrade.past import Past, live
from tests.upgrade.releases import RELEASES, Release, install
from tests.upgrade.upgraded import Upgraded
from tests.upgrade.workshop import EFFECTS

KEPT = Path(__file__).parent / "kept"
PORT, HOST = "@PORT@", "old-host"
# So long ago the release has ended: its processes were not seen in the last minute.
AGO = 120.0


def keep(release: Release, upgraded: Upgraded, past: Past) -> None:
    """Write down what the release has left."""
    url = make_url(upgraded.settings["database_url"])
    argv = [require("mariadb-dump", "mysqldump"), "--skip-comments", "--skip-extended-insert"]
    argv += ["--host=127.0.0.1", f"--port={url.port}", "--user=root", "--hex-blob"]
    done = subprocess.run([*argv, str(url.database)], capture_output=True, text=True, check=True)
    (KEPT / f"{release.name}.sql").write_text(_anonymous(done.stdout, past))
    messages = json.dumps(_messages(upgraded.redis), indent=1, ensure_ascii=False)
    (KEPT / f"{release.name}.messages.json").write_text(_anonymous(messages, past) + "\n")
    (KEPT / f"{release.name}.orders.json").write_text(past.dumps())


def restore(release: Release, upgraded: Upgraded) -> Past:
    """Put back what the release left, as if it had ended two minutes ago."""
    port = upgraded.receiver.port
    url = make_url(upgraded.settings["database_url"])
    past = Past.loads((KEPT / f"{release.name}.orders.json").read_text())
    argv = [require("mariadb", "mysql"), "--host=127.0.0.1", f"--port={url.port}", "--user=root"]
    dump = (KEPT / f"{release.name}.sql").read_text()
    subprocess.run([*argv, str(url.database)], input=_at(dump, port), text=True, check=True)
    _shift(upgraded, time.time() - AGO - past.ended)
    messages = (KEPT / f"{release.name}.messages.json").read_text()
    with upgraded.redis.client(1) as client:
        for name, told in json.loads(_at(messages, port)).items():
            client.rpush(name, *told)
    return past


def _messages(redis: Redis) -> dict[str, list[str]]:
    """The hints that wait, by queue. The bindings are made by who comes."""
    with redis.client(1) as client:
        lists = [key.decode() for key in client.scan_iter() if client.type(key) == b"list"]
        return {name: [one.decode() for one in client.lrange(name, 0, -1)] for name in lists}


def _anonymous(text: str, past: Past) -> str:
    """Without the port of that receiver, nor the name and folders of that machine."""
    text = text.replace(f"127.0.0.1:{past.port}", f"127.0.0.1:{PORT}")
    text = re.sub(rf"\b{re.escape(socket.gethostname())}\b", HOST, text)
    return text.replace(str(Path(__file__).resolve().parents[2]), "/srv/kernel")


def _at(text: str, port: int) -> str:
    return text.replace(PORT, str(port))


def _shift(upgraded: Upgraded, seconds: float) -> None:
    """Move all times that the database has."""
    found = upgraded.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND data_type = 'datetime'"
    )
    for table, column in found:
        moved = f"{column} = {column} + INTERVAL :seconds SECOND"
        upgraded.execute(f"UPDATE {table} SET {moved}", seconds=seconds)


def _make(release: Release, mariadb: MariaDB, redis: Redis, folder: Path) -> None:
    with Upgraded(folder, mariadb.create_database(), redis) as upgraded:
        bin = install(release, folder / release.name)
        with closing(Older(bin, folder, upgraded.old_settings())) as older:
            older.run("migrate")
            upgraded.execute(EFFECTS)
            keep(release, upgraded, live(older, release, upgraded.receiver))


def main(*names: str) -> None:
    """Make the records of these releases, or of all."""
    with (
        tempfile.TemporaryDirectory() as root,
        closing(MariaDB()) as mariadb,
        closing(Redis()) as redis,
    ):
        for server in (mariadb, redis):
            server.start()
        for release in RELEASES:
            if not names or release.name in names:
                folder = Path(root) / release.name
                folder.mkdir()
                _make(release, mariadb, redis, folder)
                print(f"kept what {release.name} has left")


if __name__ == "__main__":
    main(*sys.argv[1:])
