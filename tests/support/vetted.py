"""An audit hook over the whole suite: no callback socket connects to an address nobody vetted."""

import sys
from typing import Any

from kernel.errors import AddressRefused
from kernel.transport.addresses import check_address
from kernel.transport.sockets import PlainSocket

# What was connected to although its policy does not allow it; every test looks.
violations: list[str] = []


def note_unvetted(event: str, args: tuple[Any, ...]) -> None:
    """Note any callback connection that its own policy forbids, whoever was to check it."""
    if event != "socket.connect" or not isinstance(args[0], PlainSocket):
        return
    exchange, address = args[0].exchange, args[1][0]
    try:
        check_address(address, exchange.policy, exchange.target.named)
    except AddressRefused:
        violations.append(f"{exchange.target.origin} → {address}")
        raise


sys.addaudithook(note_unvetted)
