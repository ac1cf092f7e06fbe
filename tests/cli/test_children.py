"""Parents and children, as `kernel orders show` tells of them."""

from kernel.testing import drain
from tests.support.batches import ONE, ids, sent
from tests.support.clients import client
from tests.support.people.terminal import Terminal


def words_of(terminal: Terminal, order_id: str) -> str:
    """What is printed of an order, spaces and lines made one."""
    return " ".join(terminal.run("orders", "show", order_id).stdout.split())


def test_parent_and_counts_are_shown(terminal: Terminal) -> None:
    zammad = client(terminal.kernel)
    first = sent(zammad, [ONE], batch={})["batch"]["order_id"]
    drain(terminal.kernel)
    data = sent(zammad, [ONE, ONE], batch={"reference": "CHG1"})
    (child, _), batch = ids(data), data["batch"]["order_id"]
    assert terminal.json("orders", "show", batch)["children"] == {"pending": 2}
    assert f" parent {batch} " in words_of(terminal, str(child))
    shown = words_of(terminal, first)
    assert ' children {"success": 1} ' in shown
    assert "parent" not in shown
