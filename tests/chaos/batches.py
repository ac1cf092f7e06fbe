"""What a client sends as a batch, and what it reads in the answer."""

from collections.abc import Sequence
from typing import Any

from tests.chaos.orders import Order

# Members of which no order can be made: a batch refuses each by itself.
REFUSED = ({"select_tag": "create_project", "projname": 7}, {"select_tag": "no_such_tag"})


def batch_body(one: Order, callbacks: Sequence[str], number: int) -> dict[str, Any]:
    """Return the body of a batch: its orders, each with a key, and one that is refused at the end.

    The batch itself is called back, and found by its key as its reference, unless it is loose.
    """
    keyed = [
        item_body(each, callbacks, number + n)
        | {"idempotency_key": each.key, "reference": each.key}
        for n, each in enumerate(one.family)
    ]
    bad = REFUSED[number % len(REFUSED)] | {"callback_url": None}
    body: dict[str, Any] = {"orders": [*keyed, bad]}
    if not one.is_loose:
        url = callbacks[number % len(callbacks)]
        body["batch"] = {"callback_url": url, "reference": one.key}
    return body


def item_body(one: Order, callbacks: Sequence[str], number: int) -> dict[str, Any]:
    """Return the members of an order, with where it is called back, if it is."""
    url = callbacks[number % len(callbacks)] if one.callback else None
    return one.body | {"callback_url": url}


def told_ids(one: Order, data: dict[str, Any]) -> dict[str, str]:
    """Return the ids that an answer tells, by the keys of the batch and of its orders."""
    ids = {
        each.key: str(item["order_id"])
        for each, item in zip(one.family, data["orders"], strict=False)
        if "order_id" in item
    }
    return ids if one.is_loose else ids | {one.key: str(data["batch"]["order_id"])}


def misses(one: Order, data: dict[str, Any]) -> list[str]:
    """Return what an answer does not say as it must: what it has accepted, and what refused."""
    items, wrong = data["orders"], []
    good, last = items[:-1], items[-1]
    if len(good) != len(one.family) or not all("order_id" in item for item in good):
        wrong.append(f"{one.key}: {len(one.family)} orders are good, and told were {items}")
    places = {error["pointer"].split("/")[2] for error in last.get("errors", ())}
    if places != {str(len(one.family))}:
        wrong.append(f"{one.key}: the last order is to be refused, and told was {last}")
    counts = data["accepted"] + data["replayed"], data["refused"]
    if counts != (len(one.family), 1) or (one.is_loose and data["batch"] is not None):
        wrong.append(f"{one.key}: told were {counts} orders and {data['batch']}")
    return wrong
