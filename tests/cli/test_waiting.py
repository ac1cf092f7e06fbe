"""Commands that wait for work: Ctrl-C ends the command, and the work goes on."""

import time

from kernel.cli.opening import HINT_SECONDS
from kernel.db.tables.orders import ORDERS
from tests.support.factories import rows
from tests.support.people.terminal import Terminal, interrupting


def test_interrupted_submit_names_the_order_that_goes_on(terminal: Terminal) -> None:
    order = ["--tag", "create_project", "--arg", "projname=x", "--no-callback"]
    accepted: list[float] = []

    def waits() -> bool:
        """The order is there, and the time is over for which its hint is waited for."""
        if not accepted and rows(terminal.kernel, ORDERS):
            accepted.append(time.monotonic())
        return bool(accepted) and time.monotonic() > accepted[0] + 2 * HINT_SECONDS

    with interrupting(waits):
        done = terminal.run("orders", "submit", *order, "--wait", exit_code=130)
    (made,) = rows(terminal.kernel, ORDERS)
    assert done.stderr.endswith(f"the order goes on: kernel orders watch {made.id}\n")
    assert (made.state, "Aborted" in done.stderr) == ("pending", False)
