"""How many steps a task takes a person: what loads or submits, or a command typed."""


class Steps:
    """Counts the steps of one task; AssertionError at the step that is one too many."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: list[str] = []

    def take(self, what: str) -> None:
        """Count a step, before it is taken."""
        self.taken.append(what)
        assert len(self.taken) <= self.most, f"more than {self.most} steps: {self.taken}"
