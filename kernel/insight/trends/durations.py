"""Histograms of durations: small enough for a row, exact enough for a percentile."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

# Durations are counted in steps of 10 %: a percentile is right to 5 %.
STEP = math.log(1.1)


@dataclass(slots=True)
class Durations:
    """A histogram of durations: ``counts`` by step, each step 10 % longer than the one before."""

    counts: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Count these durations in seconds."""
        found = cls()
        for one in seconds:
            found.note(one)
        return found

    def note(self, seconds: float) -> None:
        """Count one duration. Those below a millisecond count as one millisecond."""
        step = math.floor(math.log(max(seconds * 1000, 1)) / STEP)
        self.counts[step] = self.counts.get(step, 0) + 1

    @property
    def total(self) -> float:
        """How many durations were counted."""
        return sum(self.counts.values())

    def add(self, other: Self, weight: float = 1) -> None:
        """Add the durations of ``other``, each ``weight`` times."""
        for step, count in other.counts.items():
            self.counts[step] = self.counts.get(step, 0) + count * weight

    def percentile(self, share: float) -> float | None:
        """Return the seconds below which ``share`` (0 to 1) of the durations lie; None if empty."""
        left = self.total * share
        for step in sorted(self.counts):
            left -= self.counts[step]
            if left <= 0:
                return math.exp((step + 0.5) * STEP) / 1000
        return None

    def encode(self) -> str:
        """Return the counts as JSON."""
        rounded = {step: round(count, 2) for step, count in self.counts.items()}
        return json.dumps(rounded, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote."""
        return cls({int(step): count for step, count in json.loads(text).items()})
