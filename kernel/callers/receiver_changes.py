"""Receivers are added, changed and removed: what is refused, and the version that is written.

Each function is one person's change in the caller's transaction.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from kernel.callers import identity, receivers
from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.audit.receivers import changed, facts
from kernel.callers.callback_rules import granted
from kernel.callers.matching import Prefix
from kernel.callers.receivers import Receiver, ShapeVersion, find, newest_shape
from kernel.callers.terms import Terms
from kernel.config.settings import is_loopback
from kernel.db.tables.callers import Caller
from kernel.db.tables.receivers import RECEIVERS, SHAPES
from kernel.db.tables.sealed import seal
from kernel.db.transactions import unless_taken
from kernel.errors import AddressRefused
from kernel.formats.shapes.shape import parse_shape
from kernel.formats.strictjson import merged
from kernel.transport.addresses import CallbackPolicy, check_url
from kernel.transport.backoff import RetryPolicy
from kernel.transport.tls_identity import TlsIdentity

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
MAX_SHAPE = 200_000
# The shape of a receiver that was given none: the envelope itself, by POST.
DEFAULT_SHAPE = "{}"


@dataclass(frozen=True, slots=True)
class Ground:
    """What stands beside a receiver: the installation's callback policy, retries and the time."""

    policy: CallbackPolicy
    retry: RetryPolicy
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverPatch:
    """What is to be changed of a receiver; None leaves it as it is.

    ``credentials`` and ``terms`` are JSON objects in the form of the row. Their members replace
    those that are there, objects in them member by member; null removes one (RFC 7396). ``ca_pem``
    is removed by an empty text, and an empty ``shape`` is the default one. ``outcomes`` are merged
    into those of the shape in the same way.
    """

    url: str | None = None
    shape: Mapping[str, Any] | None = None
    outcomes: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    terms: Mapping[str, Any] = field(default_factory=dict)


def add(
    session: Session,
    caller: str,
    name: str,
    patch: ReceiverPatch,
    ground: Ground,
    by: By = BY_SYSTEM,
) -> Receiver:
    """Make a receiver of the caller.

    Raises NotFound for the caller, Conflict for a name that is taken, and ValueError that says what
    is wrong.
    """
    owner = identity.find(session, caller)
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r}: use letters, digits and _ . - (at most 100)")
    if not (patch.url or "").strip():
        raise ValueError("a receiver needs a URL")
    values = _values(owner, Receiver(id=0, caller_id=owner.id, name=name, url="", origin=""), patch)
    _check(owner, values, ground)
    row = {"caller_id": owner.id, "name": name, "created_at": ground.now}
    row |= {"is_draft": False} | _stored(session, values)
    with unless_taken(f"{caller} has a receiver named {name} already"):
        session.execute(insert(RECEIVERS).values(row))
    owner.has_receivers = True
    found = find(session, caller, name)
    shape = _shape_text(patch, DEFAULT_SHAPE, found)
    _write_version(session, found, shape, ground.now)
    by.record(session, "receiver.add", f"receiver {caller} {name}", after=facts(found))
    return found


def change(
    session: Session,
    caller: str,
    name: str,
    patch: ReceiverPatch,
    ground: Ground,
    by: By = BY_SYSTEM,
) -> Receiver:
    """Change a receiver. A draft stays one; it may be given the URL that it lacks.

    Raises NotFound, and ValueError that says what is wrong.
    """
    owner, before = identity.find(session, caller), find(session, caller, name)
    if patch.url is not None and not patch.url.strip():
        raise ValueError("a receiver needs a URL")
    values = _values(owner, before, patch)
    if before.origin and values["origin"] != before.origin:
        raise ValueError(
            f"{name} is for {before.origin}, and so are its secrets: remove it and add another"
        )
    _check(owner, values, ground)
    stored = update(RECEIVERS).where(RECEIVERS.c.id == before.id)
    session.execute(stored.values(_stored(session, values)))
    after = find(session, caller, name)
    if not after.is_draft:
        _note_version(session, after, patch, ground.now)
    told = changed(before, after, patch.shape is not None or bool(patch.outcomes))
    by.record(session, "receiver.set", f"receiver {caller} {name}", **told)
    return after


def confirm(
    session: Session, caller: str, name: str, ground: Ground, by: By = BY_SYSTEM
) -> Receiver:
    """Make a draft a receiver. Raises NotFound, and ValueError for one that lacks its URL."""
    owner, draft = identity.find(session, caller), find(session, caller, name)
    if not draft.is_draft:
        return draft
    if not draft.url:
        raise ValueError(f"{name} has no URL: kernel receivers set {name} --caller {caller} --url")
    _check(owner, _values(owner, draft, ReceiverPatch()), ground)
    session.execute(update(RECEIVERS).where(RECEIVERS.c.id == draft.id).values(is_draft=False))
    owner.has_receivers = True
    found = find(session, caller, name)
    _write_version(session, found, DEFAULT_SHAPE, ground.now)
    by.record(session, "receiver.adopt", f"receiver {caller} {name}", after=facts(found))
    return found


def remove(session: Session, caller: str, name: str, now: datetime, by: By = BY_SYSTEM) -> Receiver:
    """Delete a receiver with its secrets. Raises NotFound.

    Callbacks to its URLs go on without them, if the caller is not listed. Those that name it are
    refused until there is one of that name again.
    """
    found = find(session, caller, name)
    if not found.is_draft:
        _write_version(session, found, None, now)
    session.execute(delete(RECEIVERS).where(RECEIVERS.c.id == found.id))
    by.record(session, "receiver.remove", f"receiver {caller} {name}", before=facts(found))
    return found


def _values(owner: Caller, before: Receiver, patch: ReceiverPatch) -> dict[str, Any]:
    """Return the receiver's parts as they would be, by the names of the row's columns."""
    url = before.url if patch.url is None else patch.url
    held = json.loads(before.credentials.to_json())
    credentials = merged(held, _by_header(held, patch.credentials))
    try:
        terms = Terms.from_members(merged(before.terms.members(), patch.terms))
    except TypeError:
        raise ValueError("these are no terms") from None
    unknown = patch.terms.keys() - Terms.__dataclass_fields__.keys()
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: there are no such terms")
    return {
        "url": url,
        "origin": Prefix.parse(url).origin if url else "",
        "credentials": before.credentials.changed(patch.credentials, credentials),
        "ca_pem": before.ca_pem if patch.ca_pem is None else patch.ca_pem or None,
        "terms": terms,
    }


def _stored(session: Session, values: Mapping[str, Any]) -> dict[str, Any]:
    credentials = seal(session, SecretStr(values["credentials"].to_json()))
    return {**values, "credentials": credentials, "terms": values["terms"].to_json()}


def _by_header(held: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a patch of credentials in which a header is the one of its name in any case.

    Raises ValueError for one that is given twice (RFC 9110 §5.1: the case tells nothing).
    """
    given = patch.get("headers")
    if not isinstance(given, Mapping):
        return patch
    names = Counter(name.lower() for name, value in given.items() if value is not None)
    if names.total() > len(names):
        name, _ = names.most_common(1)[0]
        raise ValueError(f"the header {name[:100]} is given twice, in another case")
    lower = set(map(str.lower, given))
    gone = {name: None for name in held.get("headers", {}) if name.lower() in lower}
    return {**patch, "headers": {**gone, **given}}


def _check(owner: Caller, values: Mapping[str, Any], ground: Ground) -> None:
    """Refuse what could not work, or would show a secret on its way. Raises ValueError."""
    credentials, terms = values["credentials"], values["terms"]
    credentials.check()
    terms.check(ground.retry)
    policy = ground.policy.merge(granted(owner.allow_nets, owner.allow_hosts))
    if values["url"]:
        _check_address("the URL", values["url"], policy)
        if not credentials.is_empty:
            _check_tls("the URL", values["url"], owner, terms)
    if credentials.oauth2 is not None:
        _check_address("the token's URL", credentials.oauth2.token_url, policy)
        _check_tls("the token's URL", credentials.oauth2.token_url, owner, terms)
    pair = credentials.client_certificate
    certificate: str | None = None if pair is None else pair.certificate
    key: SecretStr | None = None if pair is None else pair.key
    if certificate is not None or values["ca_pem"] is not None:
        TlsIdentity(certificate, key, values["ca_pem"])


def _check_address(what: str, url: str, policy: CallbackPolicy) -> None:
    try:
        check_url(url, policy)
    except AddressRefused as refused:
        allow = f"; allow it with {refused.setting}" if refused.setting else ""
        raise ValueError(f"{what}: {refused.message}{allow}") from None


def _check_tls(what: str, url: str, owner: Caller, terms: Terms) -> None:
    """Refuse to send secrets in clear, but to this host, or where both were said: for the caller
    its network or host, and for the receiver that clear text is meant."""
    host = (parts := urlsplit(url)).hostname or ""
    if parts.scheme.lower() == "https" or is_loopback(host):
        return
    if not terms.clear_text:
        raise ValueError(f"{what} has to be https: secrets are sent over TLS alone")
    grants = granted(owner.allow_nets, owner.allow_hosts)
    if not (grants.names(host, parts.port or 80) or _is_in(host, grants)):
        raise ValueError(
            f"{what} has to be https, or its host named for {owner.name}: "
            f"kernel callers set {owner.name} --callback-net CIDR or --callback-host HOST"
        )


def _is_in(host: str, grants: CallbackPolicy) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in net for net in grants.allow_nets)


def _shape_text(patch: ReceiverPatch, before: str, of: Receiver) -> str:
    """Return the shape as its row has it. Raises ValueError, as of InvalidShape."""
    text = before
    if patch.shape is not None or patch.outcomes:
        shape = json.loads(before) if patch.shape is None else dict(patch.shape)
        if patch.outcomes:
            shape = merged(shape, {"outcomes": patch.outcomes})
        parse_shape(shape)
        text = json.dumps(shape, ensure_ascii=False, sort_keys=True)
    if len(text.encode()) > MAX_SHAPE:
        raise ValueError(f"a shape has at most {MAX_SHAPE} bytes")
    return receivers.check_placed(text, of, patch.outcomes, patch.terms)


def _note_version(session: Session, after: Receiver, patch: ReceiverPatch, now: datetime) -> None:
    """Write a version if what callbacks look like, or which ones there are, has changed."""
    before = newest_shape(session, after)
    kept = DEFAULT_SHAPE if before is None or before.shape is None else before.shape
    shape = _shape_text(patch, kept, after)
    if before is None or _facts(before, before.shape) != _facts(after, shape):
        _write_version(session, after, shape, now)


def _facts(of: Receiver | ShapeVersion, shape: str | None) -> tuple[Any, ...]:
    variables = of.terms.variables if isinstance(of, Receiver) else of.variables
    return of.name, of.url, shape, variables and dict(variables)


def _write_version(session: Session, of: Receiver, shape: str | None, now: datetime) -> None:
    row = {
        "caller_id": of.caller_id,
        "receiver_id": of.id,
        "name": of.name,
        "url": of.url,
        "shape": shape,
        "variables": json.dumps(dict(of.terms.variables), ensure_ascii=False, sort_keys=True),
        "created_at": now,
    }
    session.execute(insert(SHAPES).values(row))
