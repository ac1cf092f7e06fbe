"""Where callbacks lead, in SQL: to a host, or to a receiver of the caller's."""

from typing import Any

from sqlalchemy import ColumnElement, exists, func, literal, or_

from kernel.callers.matching import NAMED
from kernel.db.tables.receivers import RECEIVERS
from kernel.formats.hosts import url_beginnings
from kernel.transport.addresses import DEFAULT_PORTS


def led_to(url: Any, host: str) -> ColumnElement[bool]:
    """Match URLs by where they lead: to a name with any port, or to name:port.

    ``url`` is in lower case, ``host`` as `kernel.formats.hosts.read_host` spells it.
    """
    found = []
    for start in url_beginnings(host):
        found.append(url == start)
        # What stands for name:443 without its port is followed by no other port.
        ends = "/?:" if start.endswith(f"//{host}") else "/?"
        found += [url.startswith(start + end, autoescape=True) for end in ends]
    return or_(*found)


def led_to_by_name(caller_id: Any, url: Any, host: str) -> ColumnElement[bool]:
    """Match URLs that name a receiver of the caller's which is at this host."""
    one = RECEIVERS.c
    named = (one.caller_id == caller_id, literal(NAMED) + one.name == url)
    return exists().where(*named, at_origin(one.origin, host))


def at_origin(origin: Any, host: str) -> ColumnElement[bool]:
    """Match origins (`scheme://host:port`) by the same names of a host as `led_to`."""
    named = [f"{scheme}://{host}" for scheme in DEFAULT_PORTS]
    with_port = [origin.startswith(f"{one}:", autoescape=True) for one in named]
    return or_(origin.in_(named), *with_port)


def of_receiver(caller_id: Any, url: Any, name: str) -> ColumnElement[bool]:
    """Match URLs that name the caller's receiver ``name``, or lie at its URL or below it."""
    one = RECEIVERS.c
    behind = func.substr(url, func.length(one.url) + 1, 1)
    is_below = or_(one.url.endswith("/"), behind.in_(("", "/", "?")))
    begins = func.substr(url, 1, func.length(one.url)) == one.url
    owned = exists().where(one.caller_id == caller_id, one.name == name, begins, is_below)
    return or_(url == literal(NAMED + name), owned)
