"""Sends notifications: orders of `kernel-notify`, each ended in the commit that makes it.

There is no work to do, so no worker is needed, which is what one of the notifications says. The
callback it owes goes the way of all callbacks, to the receiver that the rule names. The key of the
order is made of rule, condition and since: two processes that sweep make one of it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.identity import identity_of
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.operating.conditions import STANDING, TOLD
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.errors import NotFound
from kernel.formats.envelope import cut, encode, rfc3339
from kernel.formats.order_request import OrderRequest
from kernel.insight.conditions.known import CALM, KEEP, Ident
from kernel.insight.conditions.notices.rows import CALLER, find, list_notices
from kernel.insight.conditions.rules import BY_KEY, Severity
from kernel.insight.conditions.words import Words
from kernel.orders.submit import submit
from kernel.orders.transitions import end_order
from kernel.runtime.kernel import Kernel

TAG = "notify"
# The most notifications that one sweep sends.
BATCH = 20
Along = Callable[[Connection, str], object]


class News(NamedTuple):
    """What is told: that a condition has begun, or, with ``ended_at``, that it is over."""

    at: Ident
    severity: str
    since: datetime
    said: str
    ended_at: datetime | None = None


def tell_due(kernel: Kernel, now: datetime) -> dict[str, Outcome]:
    """Send what is to be told now; return the orders that carried it, ended already.

    Raises the database's errors; what was sent before stays sent.
    """
    sent: dict[str, Outcome] = {}
    with kernel.read_session() as session:
        notices = [one for one in list_notices(session) if one.origin is not None]
        if not notices:
            return sent
        rows = session.execute(select(STANDING)).all()
        told = session.execute(select(TOLD)).all()
    standing = {Ident(row.key, row.subject): row for row in rows}
    for notice in notices:
        own = {
            (Ident(one.key, one.subject), one.since): one
            for one in told
            if one.notice_id == notice.id
        }
        for news in [*_begun(notice, standing, own, now), *_over(standing, own, now)]:
            if len(sent) >= BATCH:
                return sent
            if news.ended_at is not None and not notice.recovers:
                with kernel.write() as connection:
                    _note_end(connection, notice, news)
                continue
            order_id, outcome = _tell(kernel, notice, news)
            sent[order_id] = outcome
    _forget(kernel, told, now)
    return sent


def _begun(
    notice: Row[Any], standing: Mapping[Ident, Row[Any]], own: Mapping[Any, Any], now: datetime
) -> Iterator[News]:
    """Yield what this rule has not told of, once it has lasted as long as its alert waits."""
    wanted = notice.conditions.split()
    for at, row in standing.items():
        rule = BY_KEY.get(at.key)
        if rule is None or row.ended_at is not None or (at, row.since) in own:
            continue
        is_wanted = at.key in wanted if wanted else row.severity != Severity.NOTICE
        if is_wanted and row.since <= now - rule.lasts:
            yield News(at, row.severity, row.since, row.said)


def _over(
    standing: Mapping[Ident, Row[Any]], own: Mapping[Any, Any], now: datetime
) -> Iterator[News]:
    """Yield what was told of and is over, once it has been quiet for `CALM`."""
    for (at, since), one in own.items():
        row = standing.get(at)
        if one.recovered_at is not None or (
            row is not None and row.since == since and row.ended_at is None
        ):
            continue
        same = row is not None and row.since == since
        ended_at: datetime = row.ended_at if same and row is not None else now
        if not same or ended_at <= now - CALM:
            said = row.said if row is not None else f"{at.key} {at.subject}".strip()
            yield News(at, "", since, said, ended_at)


def _tell(kernel: Kernel, notice: Row[Any], news: News) -> tuple[str, Outcome]:
    what = "begun" if news.ended_at is None else "over"
    rule = f"{notice.id} {notice.created_at.isoformat()}"  # SQLite gives a free number again
    parts = (rule, what, news.at.key, news.at.subject, news.since.isoformat())
    key = f"notice:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"

    def along(connection: Connection, order_id: str) -> None:
        if news.ended_at is None:
            _note_begin(kernel, connection, notice, news, order_id)
        else:
            _note_end(connection, notice, news)

    order_id, outcome, is_new = _order(kernel, notice, news, key, along)
    if not is_new:  # the order is there, and its note was lost with a restored row
        with kernel.write() as connection:
            connection.execute(delete(TOLD).where(*_of(notice, news)))
            _note_begin(kernel, connection, notice, news, order_id)
            if news.ended_at is not None:
                _note_end(connection, notice, news)
    return order_id, outcome


def _of(notice: Row[Any], news: News) -> tuple[Any, ...]:
    at = (TOLD.c.key == news.at.key, TOLD.c.subject == news.at.subject)
    return (TOLD.c.notice_id == notice.id, *at, TOLD.c.since == news.since)


def _note_begin(
    kernel: Kernel, connection: Connection, notice: Row[Any], news: News, order_id: str
) -> None:
    row = {"notice_id": notice.id, **news.at._asdict(), "since": news.since, "order_id": order_id}
    connection.execute(insert(TOLD).values(row | {"told_at": kernel.clock.sql()}))


def _note_end(connection: Connection, notice: Row[Any], news: News) -> None:
    done = update(TOLD).where(*_of(notice, news))
    connection.execute(done.values(recovered_at=news.ended_at))


def _order(
    kernel: Kernel, notice: Row[Any], news: News, key: str | None, along: Along
) -> tuple[str, Outcome, bool]:
    """Submit the order and end it in the same commit; tell whether it is a new one."""
    with kernel.read_session() as session:
        owner = identity_of(session, CALLER)
    outcome = _outcome(kernel, news)
    args = encode({"notice": notice.name, "condition": news.at.key}).decode()
    request = OrderRequest(
        TAG,
        f"receiver:{notice.receiver}",
        args,
        hashlib.sha256(f"{key} {args}".encode()).hexdigest(),
        f"{news.at.key} {news.at.subject}".strip()[:255],
    )

    def end(connection: Connection, order_id: str) -> None:
        along(connection, order_id)
        row = connection.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
        with Session(bind=connection) as session:
            end_order(kernel, session, OrderSnapshot(*row), outcome)

    accepted = submit(kernel, owner, request, key, along=end)
    return accepted.order_id, outcome, not accepted.replayed


def _outcome(kernel: Kernel, news: News) -> Outcome:
    """Return a warning, or a success when it is over, with what people and programs read."""
    t, rule = Words(kernel.settings.language), BY_KEY.get(news.at.key)
    told = {
        "condition": news.at.key,
        "subject": news.at.subject,
        "severity": news.severity or None,
        "since": rfc3339(news.since),
        "ended_at": rfc3339(news.ended_at),
        "runbook": None if rule is None else rule.runbook,
    }
    if news.ended_at is not None:
        own = f"told_over_{news.at.key}"
        over = own if t.has(own) else "told_over"
        return Outcome(OrderState.SUCCESS, cut(t(over, said=news.said)), encode(told).decode())
    lines = [news.said]
    if rule is not None:
        lines += [t(f"mend_{rule.key}"), rule.runbook]
    return Outcome(OrderState.WARNING, cut("\n".join(lines)), encode(told).decode())


def _forget(kernel: Kernel, told: Any, now: datetime) -> None:
    """Delete the notes of what has been over for long."""
    if any(one.recovered_at is not None and one.recovered_at < now - KEEP for one in told):
        with kernel.write() as connection:
            connection.execute(delete(TOLD).where(TOLD.c.recovered_at < now - KEEP))


def send_test(kernel: Kernel, name: str, by: By = BY_SYSTEM) -> str:
    """Send a notification of nothing by a rule, and return its order's id.

    Raises NotFound for the rule, and when its receiver is missing.
    """
    with kernel.read_session() as session:
        notice = find(session, name)
    if notice.origin is None:
        raise NotFound(
            f"{CALLER} has no receiver named {notice.receiver}: make it with `kernel receivers add "
            f"{notice.receiver} --caller {CALLER} --url URL --profile slack`"
        )
    t, now = Words(kernel.settings.language), kernel.clock.now()
    news = News(Ident("test", name), Severity.NOTICE, now, t("told_test", name=name))

    def along(connection: Connection, order_id: str) -> None:
        by.record(connection, "notice.test", f"notice {name}", after={"order_id": order_id})

    order_id, _, _ = _order(kernel, notice, news, None, along)
    return order_id
