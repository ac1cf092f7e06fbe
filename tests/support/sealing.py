"""The key with which tests' databases are sealed, and what stands sealed in them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.db.tables.callers import SigningSecret
from kernel.db.tables.sealed import sealed
from kernel.runtime.kernel import Kernel

# The same in every process of a test, so that programs open what the test has written.
SECRETS_KEY = "dGVzdHMgc2VhbCB3aXRoIHRoaXMga2V5OiBubyBzZWM="


def signing_secrets(session: Session) -> list[str]:
    """Every signing secret, the oldest first, opened."""
    rows = session.scalars(select(SigningSecret.secret).order_by(SigningSecret.id))
    return [sealed(session, row).open().get_secret_value() for row in rows]


@contextmanager
def with_keys(kernel: Kernel, *keys: str) -> Iterator[Kernel]:
    """A second kernel on the same database and transport, which has these keys."""
    told = SecretStr(",".join(keys))
    settings = kernel.settings.model_copy(update={"secrets_key": told})
    with closing(Kernel(settings, kernel.handlers, kernel.transport)) as other:
        yield other
