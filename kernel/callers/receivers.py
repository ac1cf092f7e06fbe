"""Receivers as their rows have them, and which shape a callback to a URL has.

What a receiver is sent with (credentials, terms, authority) is that of the receiver that matches at
each attempt. What it is sent is a pure function of the callback's URL and of the versions of shapes
up to the outcome, so that every attempt has the same bytes.
"""

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import SecretStr
from sqlalchemy import Connection, Row, exists, select
from sqlalchemy.orm import Session

from kernel.callers import identity
from kernel.callers.credentials import Credentials
from kernel.callers.matching import NAMED, Prefix, is_named, nearest
from kernel.callers.terms import Terms
from kernel.config.near import did_you_mean
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.receivers import RECEIVERS, SHAPES
from kernel.db.tables.sealed import Sealed, sealed
from kernel.errors import NotFound, SecretsLocked
from kernel.formats.shapes.reading import InvalidShape
from kernel.formats.shapes.render import full_urls, names_of, secret_names
from kernel.formats.shapes.shape import Shape, parse_shape

__all__ = ["Receiver", "ShapeVersion", "Terms"]

log = logging.getLogger(__name__)


class SealedCredentials:
    """A receiver's credentials as its row has them; opened at their first use, and kept.

    Matching an order to its receiver needs none of them.
    """

    __slots__ = ("_found", "_text")

    def __init__(self, text: Sealed) -> None:
        self._text = text
        self._found: Credentials | None = None

    @classmethod
    def of(cls, credentials: Credentials) -> Self:
        """Return credentials that are in no row yet."""
        return cls(Sealed.of(SecretStr(credentials.to_json())))

    def open(self) -> Credentials:
        """Return them. Raises SecretsLocked when no key opens them."""
        if self._found is None:
            self._found = Credentials.from_json(self._text.open().get_secret_value())
        return self._found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealedCredentials) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "SealedCredentials(**********)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A place that a caller's callbacks go to. A draft matches nothing."""

    id: int
    caller_id: int
    name: str
    url: str
    origin: str
    is_draft: bool = False
    # Whether a person has paused its callbacks.
    is_paused: bool = False
    sealed: SealedCredentials = field(default_factory=lambda: SealedCredentials.of(Credentials()))
    ca_pem: str | None = field(default=None, repr=False)
    terms: Terms = field(default_factory=Terms)

    @property
    def credentials(self) -> Credentials:
        """What it is logged in to with. Raises SecretsLocked when no key opens it."""
        return self.sealed.open()

    def describe_credentials(self) -> dict[str, Any]:
        """Return `Credentials.describe`; ``{"locked": True}`` where no key opens them."""
        try:
            return self.credentials.describe()
        except SecretsLocked:
            return {"locked": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeVersion:
    """What a receiver looked like from this version on. ``shape`` None: it was removed.

    ``variables`` None: the row's cannot be read.
    """

    id: int
    receiver_id: int
    name: str
    url: str
    shape: str | None
    variables: Mapping[str, str] | None = field(default_factory=dict)


# A receiver's row, and whether it is paused.
_ROWS = select(RECEIVERS, exists().where(PAUSES.c.receiver_id == RECEIVERS.c.id).label("is_paused"))


def find(session: Session, caller: str, name: str) -> Receiver:
    """Return the receiver of that name of the caller of that name. Raises NotFound."""
    asked = _ROWS.where(
        RECEIVERS.c.caller_id == identity.find(session, caller).id, RECEIVERS.c.name == name
    )
    row = session.execute(asked).one_or_none()
    if row is None:
        others = [one.name for _, one in list_receivers(session, caller)]
        raise NotFound(f"{caller} has no receiver named {name}{did_you_mean(name, others)}")
    return _receiver(session, row)


def list_receivers(session: Session, caller: str | None = None) -> list[tuple[str, Receiver]]:
    """Return each receiver with its caller's name, of one caller or of all, by these names."""
    asked = _ROWS.add_columns(Caller.name.label("caller")).join(
        Caller, RECEIVERS.c.caller_id == Caller.id
    )
    if caller is not None:
        asked = asked.where(Caller.id == identity.find(session, caller).id)
    found = session.execute(asked.order_by(Caller.name, RECEIVERS.c.name))
    return [(row.caller, _receiver(session, row)) for row in found]


def receivers_of(
    connection: Connection, caller_ids: Collection[int]
) -> dict[int, tuple[Receiver, ...]]:
    """Return the receivers of these callers, drafts too, by id."""
    asked = _ROWS.where(RECEIVERS.c.caller_id.in_(caller_ids))
    found: dict[int, list[Receiver]] = {one: [] for one in caller_ids}
    for row in connection.execute(asked.order_by(RECEIVERS.c.id)):
        found[row.caller_id].append(_receiver(connection, row))
    return {caller_id: tuple(all_) for caller_id, all_ in found.items()}


def versions_of(
    connection: Connection, caller_ids: Collection[int]
) -> dict[int, tuple[ShapeVersion, ...]]:
    """Return every version of a shape that these callers' receivers have had, the oldest first."""
    asked = select(SHAPES).where(SHAPES.c.caller_id.in_(caller_ids))
    found: dict[int, list[ShapeVersion]] = {one: [] for one in caller_ids}
    for row in connection.execute(asked.order_by(SHAPES.c.id)):
        found[row.caller_id].append(_version(row))
    return {caller_id: tuple(all_) for caller_id, all_ in found.items()}


def shape_at(versions: Sequence[ShapeVersion], url: str, until: int | None) -> ShapeVersion | None:
    """Return the version that a callback to ``url`` had when ``until`` was the newest of all.

    None: the default shape, as for every callback before the first version (``until`` None).
    """
    latest = {one.receiver_id: one for one in versions if until is not None and one.id <= until}
    known = {key: one for key, one in latest.items() if one.shape is not None and one.url}
    if is_named(url):
        name = url.removeprefix(NAMED)
        return next((one for one in known.values() if one.name == name), None)
    key = nearest(url, {key: known[key].url for key in sorted(known)})
    return None if key is None else known[key]


def origin_of_named(connection: Connection, caller_id: int, name: str) -> str:
    """Return the origin of the receiver of that name; `receiver:NAME` when it is not there."""
    asked = select(RECEIVERS.c.origin).where(
        RECEIVERS.c.caller_id == caller_id,
        RECEIVERS.c.name == name,
        RECEIVERS.c.is_draft.is_(False),
    )
    return connection.scalar(asked) or f"{NAMED}{name}"


def origins_of(session: Session, receiver_ids: Collection[int]) -> dict[int, str]:
    """Return the origins of those of these receivers that are there and are no drafts, by id."""
    asked = select(RECEIVERS.c.id, RECEIVERS.c.origin).where(
        RECEIVERS.c.id.in_(receiver_ids), RECEIVERS.c.is_draft.is_(False)
    )
    return {row.id: row.origin for row in session.execute(asked)}


def newest_shape(session: Session, receiver: Receiver) -> ShapeVersion | None:
    """Return the version that is in force; None for a draft, which has none yet."""
    asked = select(SHAPES).where(SHAPES.c.receiver_id == receiver.id).order_by(SHAPES.c.id.desc())
    row = session.execute(asked.limit(1)).one_or_none()
    return None if row is None else _version(row)


def receiver_data(caller: str, receiver: Receiver) -> dict[str, Any]:
    """Return a receiver as people and programs may see it: no value of its credentials."""
    return {
        "caller": caller,
        "name": receiver.name,
        "url": receiver.url,
        "draft": receiver.is_draft,
        "credentials": receiver.describe_credentials(),
        "ca": receiver.ca_pem is not None,
        "terms": receiver.terms.members(),
    }


def _receiver(asking: Session | Connection, row: Row[Any]) -> Receiver:
    return Receiver(
        id=row.id,
        caller_id=row.caller_id,
        name=row.name,
        url=row.url,
        origin=row.origin,
        is_draft=row.is_draft,
        is_paused=bool(row.is_paused),
        sealed=SealedCredentials(sealed(asking, row.credentials)),
        ca_pem=row.ca_pem,
        terms=Terms.of_row(row.id, row.terms),
    )


def _version(row: Row[Any]) -> ShapeVersion:
    try:
        variables = dict(json.loads(row.variables))
    except (TypeError, ValueError) as error:
        log.warning("the variables of shape %s cannot be read: %s", row.id, error)
        variables = None
    return ShapeVersion(
        id=row.id,
        receiver_id=row.receiver_id,
        name=row.name,
        url=row.url,
        shape=row.shape,
        variables=variables,
    )


def check_placed(
    shape: str, receiver: Receiver, outcomes: Mapping[str, Any], terms: Mapping[str, Any]
) -> str:
    """Return a stored shape. Raises ValueError if its callbacks would go nowhere: it places a
    secret that the receiver lacks, or leads to where the receiver is not. So it does for what is
    given of ``outcomes`` and of the variables in ``terms``, and is placed nowhere.
    """
    try:
        parsed = parse_shape(json.loads(shape))
    except InvalidShape:  # of a newer release, whose processes can read it
        return shape
    for state, entry in outcomes.items():
        _check_known(parsed, "outcome", entry, f"{state}.")
    _check_known(parsed, "receiver", terms.get("variables"), "the variable ")
    secrets = receiver.credentials.secrets
    if missing := sorted(secret_names(parsed) - secrets.keys()):
        words = " and ".join(f"the secret {name}" for name in missing)
        raise ValueError(f"what it sends needs {words}: --secret, or credentials.secrets")
    if parsed.secret_url:
        _check_below(receiver.url, secrets["url"].get_secret_value())
    for url in full_urls(parsed):
        if Prefix.parse(_place(url)).origin != receiver.origin:
            raise ValueError(f"{_place(url)} in the shape is elsewhere than {receiver.origin}")
    return shape


def _check_known(shape: Shape, kind: str, given: object, words: str) -> None:
    """Refuse a name of a kind that the shape does not place, while it places others: a typing
    mistake. Raises ValueError, which says what may be meant.
    """
    known = sorted(names_of(shape, kind))
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if known and name not in known and value is not None:
            meant = did_you_mean(name, known)
            raise ValueError(f"the receiver's shape does nothing with {words}{name[:100]}{meant}")


def _check_below(place: str, secret: str) -> None:
    """Refuse an address that is a secret, which the words do not hold. Raises ValueError."""
    try:
        is_below = Prefix.parse(place).begins(Prefix.parse(secret))
    except ValueError as error:
        raise ValueError(f"the secret url cannot be sent to: {error}") from None
    if not is_below:
        raise ValueError(f"the secret url is not below {place}, and is sent nowhere else")


def _place(url: str) -> str:
    """Return scheme, host and port of a URL, as they are written."""
    scheme, mark, behind = url.partition("://")
    return scheme + mark + re.split("[/?]", behind, maxsplit=1)[0]
