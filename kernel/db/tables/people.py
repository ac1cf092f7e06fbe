"""People who look after the installation, and their sessions on the dashboard."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, name, short_text, table, token


class Person(Base):
    """A named person with a role. An operator's key of no person works as before."""

    __tablename__ = "kernel_people"

    id: Mapped[int] = mapped_column(primary_key=True)
    # What every page and log calls the person.
    name: Mapped[str] = mapped_column(name(100), unique=True)
    # viewer, operator or admin: see `kernel.callers.people.roles`.
    role: Mapped[str] = mapped_column(token(16))
    # Who vouches for the person, and by which id there; null for a person added on the command
    # line, who signs in with a key.
    issuer: Mapped[str | None] = mapped_column(token(255))
    subject: Mapped[str | None] = mapped_column(token(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Set: no key and no provider lets the person in.
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = table(UniqueConstraint("issuer", "subject"))


class DashboardSession(Base):
    """A browser that has signed in. The row is deleted when the session ends.

    Only the SHA-256 of the cookie is stored: 256 random bits need no slow hash.
    """

    __tablename__ = "kernel_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(token(64), unique=True)
    # Whose it is: a person, the key that was shown, or both for a key of a person.
    person_id: Mapped[int | None] = mapped_column(ForeignKey("kernel_people.id"), index=True)
    key_id: Mapped[int | None] = mapped_column(ForeignKey("kernel_api_keys.id"), index=True)
    # Where the browser was at the sign-in, and what it called itself.
    address: Mapped[str] = mapped_column(short_text(64))
    agent: Mapped[str] = mapped_column(short_text(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The last request for a page or an act, to the minute; what a page loads by itself is none.
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)


PEOPLE: Any = Person.__table__


SESSIONS: Any = DashboardSession.__table__
