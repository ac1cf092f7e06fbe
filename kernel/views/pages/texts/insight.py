"""What the overview, the charts, deliveries and callers say."""

from kernel.messages import Language

TEXTS: dict[str, dict[Language, str]] = {}
