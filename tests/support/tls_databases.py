"""A MariaDB and a PostgreSQL that speak TLS, with a certificate for 127.0.0.1 or another name."""

import os

import trustme

from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB, Server

HERE, ELSEWHERE = "127.0.0.1", "db.example"


def certify(server: Server, ca: trustme.CA, name: str) -> None:
    """Write a certificate of this name, and its key, into the folder of a server."""
    made = ca.issue_cert(name)
    chain = b"".join(one.bytes() for one in made.cert_chain_pems)
    owner = server.folder.stat()
    for file, content in (("cert.pem", chain), ("key.pem", made.private_key_pem.bytes())):
        path = server.folder / file
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)


class TlsMariaDB(MariaDB):
    """Speaks TLS with clients that ask for it; takes others, too."""

    def __init__(self, ca: trustme.CA, name: str = HERE) -> None:
        super().__init__()
        certify(self, ca, name)

    def argv(self) -> list[str]:
        """With the files of the certificate."""
        files = f"--ssl-cert={self.folder}/cert.pem --ssl-key={self.folder}/key.pem"
        return [*super().argv(), *files.split()]


class TlsPostgreSQL(PostgreSQL):
    """Speaks TLS with clients that ask for it; takes others, too."""

    def __init__(self, ca: trustme.CA, name: str = HERE) -> None:
        super().__init__()
        self._ca, self._name = ca, name

    def argv(self) -> list[str]:
        """With the files of the certificate, which belong to the user that the folder is given."""
        certify(self, self._ca, self._name)
        files = f"-c ssl_cert_file={self.folder}/cert.pem -c ssl_key_file={self.folder}/key.pem"
        return [*super().argv(), "-c", "ssl=on", *files.split()]
