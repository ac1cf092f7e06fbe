"""What people changed, the seals over it, and which keys were refused.

Rows of `kernel_acts` and `kernel_act_seals` are inserted and read, never changed or deleted: the
database's user needs no more than INSERT and SELECT there (docs/deployment.md).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, serial, short_text, table, token


class Act(Base):
    """One change by a person or a program, written in the transaction of the change."""

    __tablename__ = "kernel_acts"

    # In the order of the inserts, not of the commits; a rolled back change leaves a gap.
    id: Mapped[int] = mapped_column(serial(), primary_key=True, autoincrement=True)
    # The database's time at the insert.
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    # A caller's or a person's name; on the command line the account on the host.
    actor: Mapped[str] = mapped_column(short_text(200))
    # page, api, cli or system.
    via: Mapped[str] = mapped_column(token(16))
    # The client's address, or the host's name; null where there is none.
    address: Mapped[str | None] = mapped_column(short_text(255))
    # The first characters of the API key.
    key_prefix: Mapped[str | None] = mapped_column(token(16))
    # noun.verb, such as order.cancel.
    verb: Mapped[str] = mapped_column(token(40))
    # What was changed: `order ID`, `caller NAME`.
    target: Mapped[str] = mapped_column(short_text(255))
    # JSON objects of what changed; nothing secret is in them.
    before: Mapped[str | None] = mapped_column(long_text())
    after: Mapped[str | None] = mapped_column(long_text())
    # Why, in the actor's words.
    reason: Mapped[str | None] = mapped_column(short_text(500))

    __table_args__ = table(
        Index(None, "at"), Index(None, "actor"), Index(None, "verb"), Index(None, "target")
    )


class ActSeal(Base):
    """A seal over some acts, and over the seal before it: what was altered no longer fits."""

    __tablename__ = "kernel_act_seals"

    # Counted up from 1 without a gap: two processes that seal at once cannot both insert one.
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    sealed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The highest id that this seal or one before it covers.
    last_id: Mapped[int] = mapped_column(BigInteger)
    # A line for each act: its id, and the SHA-256 of its row. Acts that were committed after their
    # neighbours were sealed stand in a later seal, so ids may be lower than in the one before.
    digests: Mapped[str] = mapped_column(long_text())
    # The hash of the seal before; 64 zeros in the first.
    previous: Mapped[str] = mapped_column(token(64))
    # SHA-256 over all of the above.
    hash: Mapped[str] = mapped_column(token(64))


class RefusedKey(Base):
    """How often keys were refused in one minute, by network and by the beginning of the key."""

    __tablename__ = "kernel_refused_keys"

    minute: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    # IPv4 /24 or IPv6 /64; empty: no address, or `many` of them.
    network: Mapped[str] = mapped_column(token(64), primary_key=True)
    # The first characters of what looks like a key of kernel's; else empty.
    prefix: Mapped[str] = mapped_column(token(16), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


ACTS: Any = Act.__table__
SEALS: Any = ActSeal.__table__
REFUSED_KEYS: Any = RefusedKey.__table__
# The service adds rows to these, and never changes one.
ADDED_TO = (ACTS, SEALS)
