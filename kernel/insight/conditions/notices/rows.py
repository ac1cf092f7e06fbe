"""The rules of who is told: added, removed and listed, each change with its act."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.identity import NAME
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.conditions import NOTICES, TOLD
from kernel.db.tables.receivers import RECEIVERS
from kernel.errors import Conflict, NotFound
from kernel.insight.conditions.rules import BY_KEY
from kernel.runtime.kernel import Kernel

# The caller whose orders notifications are, and whose receivers they go to. It has no key.
CALLER = "kernel-notify"
MOST = 50


def add(
    kernel: Kernel,
    name: str,
    receiver: str,
    conditions: Sequence[str] = (),
    *,
    recovers: bool = True,
    by: By = BY_SYSTEM,
) -> None:
    """Add a rule; makes the caller of notifications where it is missing.

    ``conditions``: keys of rules, none for all that are no notices. ``receiver``: by its name; it
    may be made later. Raises Conflict for a name that is taken or malformed, for more than `MOST`
    rules, and NotFound for a condition that is none.
    """
    for one in (name, receiver):
        if not NAME.fullmatch(one):
            raise Conflict(f"{one!r}: use letters, digits and _ . - (at most 100)")
    for key in conditions:
        if key not in BY_KEY:
            raise NotFound(f"there is no condition {key}: {', '.join(BY_KEY)}")
    keys = " ".join(dict.fromkeys(conditions))
    row = {"name": name, "receiver": receiver, "conditions": keys, "recovers": recovers}
    try:
        with kernel.write_session() as session:
            if len(list_notices(session)) >= MOST:
                raise Conflict(f"there are {MOST} rules already")
            _make_caller(kernel, session)
            session.execute(insert(NOTICES).values(row | {"created_at": kernel.clock.sql()}))
            by.record(session, "notice.add", f"notice {name}", after=row)
    except IntegrityError:
        raise Conflict(f"there is a rule named {name} already") from None


def _make_caller(kernel: Kernel, session: Session) -> None:
    if session.scalar(select(Caller.id).where(Caller.name == CALLER)) is None:
        session.add(Caller(name=CALLER, created_at=kernel.clock.now(), is_listed=True))


def remove(kernel: Kernel, name: str, by: By = BY_SYSTEM) -> None:
    """Delete a rule; what was sent stays. Raises NotFound."""
    with kernel.write_session() as session:
        row = find(session, name)
        session.execute(delete(TOLD).where(TOLD.c.notice_id == row.id))
        session.execute(delete(NOTICES).where(NOTICES.c.id == row.id))
        by.record(session, "notice.remove", f"notice {name}", before=notice_data(row))


def list_notices(session: Session) -> Sequence[Row[Any]]:
    """Return the rules by name; ``origin``: of the receiver, None while there is none."""
    return session.execute(_ROWS.order_by(NOTICES.c.name)).all()


def find(session: Session, name: str) -> Row[Any]:
    """Return the rule of that name. Raises NotFound."""
    row = session.execute(_ROWS.where(NOTICES.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no rule named {name}")
    return row


_OF_CALLER = select(Caller.id).where(Caller.name == CALLER).scalar_subquery()
_ROWS = select(NOTICES, RECEIVERS.c.origin.label("origin")).outerjoin_from(
    NOTICES,
    RECEIVERS,
    and_(
        RECEIVERS.c.caller_id == _OF_CALLER,
        RECEIVERS.c.name == NOTICES.c.receiver,
        RECEIVERS.c.is_draft.is_(False),
    ),
)


def notice_data(row: Row[Any]) -> dict[str, Any]:
    """Describe a rule."""
    return {
        "name": row.name,
        "conditions": row.conditions.split() or "all",
        "receiver": row.receiver,
        "origin": row.origin,
        "recovers": bool(row.recovers),
    }
