"""What people may do: three roles, each of which includes the one before it."""

from enum import StrEnum


class Role(StrEnum):
    """What a person may do.

    ``viewer`` sees everything of every caller. ``operator`` also acts on orders, callbacks and
    pauses. ``admin`` also changes callers, keys, receivers, secrets and people.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        """Tell whether this role may do all that ``needed`` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)
