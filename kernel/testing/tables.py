"""The tables of a throw-away database."""

from pydantic import SecretStr
from sqlalchemy import inspect, select, text

from kernel.db.columns import Base
from kernel.db.schema.version import SCHEMA, VERSION_TABLE
from kernel.db.tables.callers import ANONYMOUS, Caller, SigningSecret
from kernel.db.tables.sealed import seal
from kernel.formats.signing import new_secret
from kernel.runtime.kernel import Kernel


def create_tables(kernel: Kernel) -> None:
    """Create the tables as the newest migration does, and add the anonymous caller.

    For throw-away databases of tests; ``kernel migrate`` makes real ones.
    """
    # Asked for all at once, not one by one: most tests share a database that has them.
    if not set(Base.metadata.tables) <= set(inspect(kernel.engine).get_table_names()):
        Base.metadata.create_all(kernel.engine)
    now = kernel.clock.now()
    with kernel.write_session() as session:
        version = VERSION_TABLE
        session.execute(text(f"CREATE TABLE IF NOT EXISTS {version} (version_num VARCHAR(32))"))
        session.execute(text(f"DELETE FROM {version}"))  # noqa: S608 - a constant  # nosec B608
        number = text(f"INSERT INTO {version} VALUES ('{SCHEMA}')")  # noqa: S608  # nosec B608
        session.execute(number)
        if session.scalar(select(Caller.id).where(Caller.name == ANONYMOUS)) is None:
            session.add(Caller(id=1, name=ANONYMOUS, created_at=now))
            session.flush()
            secret = seal(session, SecretStr(new_secret()))
            session.add(SigningSecret(caller_id=1, secret=secret, created_at=now))
