"""What the list of orders and the page of one order say."""

from kernel.messages import Language

TEXTS: dict[str, dict[Language, str]] = {}
