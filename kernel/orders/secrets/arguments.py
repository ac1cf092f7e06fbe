"""Secret arguments of orders: sealed in `kernel_orders.secret_args`, and given to handlers alone.

The fingerprint of such an order is an HMAC under a key that is sealed as well: of a SHA-256 in a
stolen dump, a PIN of four digits is found by trying them all. A fingerprint of the other kind, of
an order accepted before its arguments were secret, goes on to be compared as what it is.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import Connection, select, update

from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import ORDERS, Order
from kernel.db.tables.steps import STEPS
from kernel.errors import ConfigurationError, Conflict
from kernel.handlers import Handler
from kernel.handlers.registering.secret_fields import MASK as SECRET
from kernel.handlers.registering.secret_fields import restored
from kernel.orders.secrets.erase import ERASED
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import FINGERPRINTS, stored_key


class SecretsGone(Conflict, code="secrets_gone"):
    """The order's secret arguments were deleted; it cannot be run again."""


MARK = "hmac:"
# Orders that have ended and that one turn looks at.
LOOKED_AT = 2000


def seal_secrets(kernel: Kernel, secrets: SecretStr) -> str:
    """Return secret arguments as their column is to have them.

    Raises ConfigurationError without a key: secret arguments are never stored in clear.
    """
    if kernel.keyring.is_empty:
        raise ConfigurationError("an order with secret arguments needs KERNEL_SECRETS_KEY")
    return kernel.keyring.seal(secrets)


def prepare_secrets(kernel: Kernel) -> None:
    """Make sure that a secret of an order can be stored, and is looked for when it is to go.

    Raises ConfigurationError without a key, and SecretsLocked when no key opens that of
    fingerprints, which says that there are orders with secrets.
    """
    if kernel.keyring.is_empty:
        raise ConfigurationError("a secret of an order needs KERNEL_SECRETS_KEY")
    stored_key(kernel, FINGERPRINTS)


def keyed_fingerprint(kernel: Kernel, fingerprint: str) -> str:
    """Return the fingerprint that an order with secrets is stored with; ``fingerprint``: SHA-256.

    Raises SecretsLocked when no key opens the key of fingerprints.
    """
    key = stored_key(kernel, FINGERPRINTS).get_secret_value()
    return MARK + hmac.new(key.encode(), fingerprint.encode(), hashlib.sha256).hexdigest()[:56]


def is_same(kernel: Kernel, stored: str, fingerprint: str) -> bool:
    """Tell whether a stored fingerprint of either kind is that of an order; see above."""
    if stored.startswith(MARK):
        fingerprint = keyed_fingerprint(kernel, fingerprint)
    return hmac.compare_digest(stored.encode(), fingerprint.encode())


def are_gone(handler: Handler, args: str) -> bool:
    """Tell whether arguments whose secrets are in no column have a mask at the place of one."""
    if SECRET not in args:
        return False
    return handler.secrets.are_masked(json.loads(args), lambda: handler.parse(args))


def as_submitted(kernel: Kernel, order: Order) -> str:
    """Return the JSON text of an order's arguments with its secrets, for the same order again.

    Raises Conflict for an order that was erased and has no arguments: a handler that needs none
    would run on nothing. Raises SecretsGone when secrets were deleted, SecretsLocked when no key
    opens them.
    """
    if order.fingerprint == ERASED:
        raise Conflict("the order was erased", page="order_erased")
    if order.secret_args is not None:
        return restored(order.args, kernel.keyring.open(order.secret_args))
    if SECRET in order.args and order.fingerprint.startswith(MARK):
        raise SecretsGone(page="secrets_gone")
    return order.args


def forget_secrets(kernel: Kernel, after: datetime) -> datetime:
    """Delete the secrets of some orders that ended KERNEL_SECRET_DAYS ago and later than ``after``.

    Looks at `LOOKED_AT` orders in one transaction; returns the end of the last, to go on with.
    """
    before = kernel.clock.sql(-timedelta(days=kernel.settings.secret_days))
    with kernel.read_session() as session:
        window = session.execute(
            select(
                ORDERS.c.id,
                ORDERS.c.finished_at,
                ORDERS.c.gates,
                ORDERS.c.secret_args.is_not(None).label("has"),
            )
            .where(ORDERS.c.finished_at > after, ORDERS.c.finished_at < before)
            .order_by(ORDERS.c.finished_at)
            .limit(LOOKED_AT)
        ).all()
    ids = [row.id for row in window if row.has]
    stepped = [row.id for row in window if (row.gates or 0) & Has.STEPS]
    if ids or stepped:
        with kernel.write() as connection:
            kernel.dialect.overwrite_deleted(connection)
            _forget(connection, ids, stepped)
    if not window:
        return after
    # Others may have ended in the same microsecond.
    tie = timedelta(microseconds=1 if len(window) == LOOKED_AT else 0)
    ended: datetime = window[-1].finished_at - tie
    return ended


def _forget(connection: Connection, ids: Sequence[str], stepped: Sequence[str]) -> None:
    """Delete the secret arguments of orders that have some, and the secret results of steps."""
    if ids:
        gone = update(ORDERS).where(ORDERS.c.id.in_(ids), ORDERS.c.finished_at.is_not(None))
        connection.execute(gone.values(secret_args=None))
    if stepped:
        theirs = (STEPS.c.order_id.in_(stepped), STEPS.c.secret_result.is_not(None))
        connection.execute(update(STEPS).where(*theirs).values(secret_result=None))


def live_with_secrets(kernel: Kernel, most: int) -> list[str]:
    """Return ids of orders that have not ended and have secret arguments, ``most`` at the most.

    A release that does not know these would run them with the mask in the secret's place.
    """
    live = [state for state in OrderState if not state.is_final]
    asked = select(ORDERS.c.id).where(ORDERS.c.state.in_(live), ORDERS.c.secret_args.is_not(None))
    with kernel.read() as connection:
        return list(connection.scalars(asked.limit(most)))
