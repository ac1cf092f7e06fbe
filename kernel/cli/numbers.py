"""Numbers that options take: each has bounds, so that no database or calendar meets another."""

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A number within bounds. NaN would be in any: it is not below the one, nor above the other."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the number. Raises click.BadParameter."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a number that one can count with", param, ctx)
        return found


# The id of a row, which the database counts up.
ROW_ID = click.IntRange(1, 2**63 - 1)
# A year, as keys and secrets may overlap.
OVERLAP_HOURS = Finite(min=0, max=8760)
