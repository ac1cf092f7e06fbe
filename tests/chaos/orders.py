"""The orders of the load: each kind, and what must have become of it when all is quiet."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.chaos.handlers import ROWS

# One order in so many belongs to the second caller.
SECOND = 6
# Members of an order that are no arguments.
MEMBERS = frozenset({"select_tag", "ordering_key"})
# Of each 30 orders of the stream the first four have one key, and two have a limit, so that they
# would run beside each other; then the next key has its turn. One has a window, one is told its
# event while it waits, one works in steps, one is the parent of orders, and one a batch. Of the
# parents every other one is rolled back once, of the batches every other one is loose.
KEYS, KEPT, THICK, LIMITED = 4, 30, 4, (15, 16)
WINDOW, EVENT, PARENT, BATCH, STEPS = 8, 13, 11, 19, 23
# An event is told so many seconds after its order was accepted, which waits for it by then.
LATE_SECONDS = 1.5
# A window in which hardly any order begins: most expire.
SLIT_SECONDS = 0.002
# An order that is a batch, and is told of when all of its orders have ended.
BATCH_TAG = "kernel.batch"
# The rows of these keys, for both callers.
LANES = tuple(f"k{number}{caller}" for number in range(KEYS) for caller in "ab")
# What the model of a project says about an empty name.
EMPTY_NAME = "projname: String should have at least 1 character"
NAMES_ITS_PROJECT = frozenset(
    {
        "limited_project",
        "create_project",
        "touch_project",
        "hold_project",
        "doze_project",
        "patient_project",
        "child_project",
    }
)


@dataclass(frozen=True)
class Order:
    """An order, and what must have become of it when all is quiet.

    ``error``: the code of its failure. ``checkpoints``: its handler sees a cancel while it runs.
    """

    key: str
    body: dict[str, Any]
    state: str
    rows: tuple[str, ...]
    error: str = ""
    checkpoints: bool = False
    # Seconds from its first submit until its window opens, and until that closes: it may expire.
    opens_in: float | None = None
    closes_in: float | None = None
    # Whether it is told the event that it waits for, twice with the same key, and how many seconds
    # after it was accepted: at once it is early, later it ends the wait.
    told: bool = False
    tells_in: float = 0.0
    # Whether its outcome is called back.
    callback: bool = True
    # The orders that it makes or consists of.
    family: tuple["Order", ...] = ()
    # How many of its children it commits by themselves, and whether its first run is rolled back
    # after it has submitted the others.
    half: int = 0
    rolls_back: bool = False
    # A batch that is no order itself: it has neither a key nor a callback.
    is_loose: bool = False

    @property
    def tag(self) -> str:
        """Its select_tag."""
        return str(self.body["select_tag"])

    def result(self) -> dict[str, Any] | None:
        """Return what its success returns, made of its arguments; None for other handlers."""
        if self.tag in NAMES_ITS_PROJECT:
            return {"projname": self.body["projname"]}
        if self.family:
            counts = Counter(one.state for one in self.family)
            if self.tag == BATCH_TAG:
                return {"orders": len(self.family), **counts}
            return {"projname": self.body["projname"], "children": dict(counts)}
        if self.tag != "import_projects":
            return None
        bad = [n for n, one in enumerate(self.body["projects"]) if not one["projname"]]
        result: dict[str, Any] = {"imported": len(self.rows), "failed": len(bad)}
        errors = [{"row": number, "error": EMPTY_NAME} for number in bad]
        return result | {"errors": errors} if bad else result


def order(key: str, rand: random.Random) -> Order:
    """Make an order of a random kind; its rows carry its key."""
    share, place = rand.random(), _place(key) % KEPT
    if (one := _at_place(key, place, rand)) is not None:
        return one
    if share < 0.4:
        return create(key)
    if share < 0.63:
        return _gated(key, share, rand)
    if share < 0.75:
        first, second = rand.sample(ROWS, 2)
        return touch(key, first, second, sloppy=rand.random() < 0.3)
    if share < 0.95:
        return _import(key, rand)
    return _blank(key)


def _at_place(key: str, place: int, rand: random.Random) -> Order | None:
    """Make an order of the kind that has this place in the stream; None where it has none."""
    other = _place(key) // KEPT % 2 == 0
    kinds: dict[int, Callable[[], Order]] = {
        WINDOW: lambda: _window(key, rand, SLIT_SECONDS),
        EVENT: lambda: approved(key, tells_in=LATE_SECONDS),
        STEPS: lambda: stepped(key),
        PARENT: lambda: parent(key, rand.randint(3, 6), rolls_back=other),
        BATCH: lambda: batch(key, rand, is_loose=other),
    }
    if place < THICK:
        return keyed(key, rand.choice((0, 100, 400)))
    if place in LIMITED:
        return limited(key)
    return kinds[place]() if place in kinds else None


def _gated(key: str, share: float, rand: random.Random) -> Order:
    """Make an order with an ordering key, a window or steps."""
    if share < 0.5:
        return stepped(key, pause_ms=rand.choice((0, 300)))
    if share < 0.57:
        return approved(key, told=rand.random() < 0.7, tells_in=rand.choice((0.0, LATE_SECONDS)))
    return _window(key, rand, rand.choice((None, SLIT_SECONDS, 1.0)))


def _window(key: str, rand: random.Random, seconds: float | None) -> Order:
    """Make an order that does not begin at once; ``seconds``: for how long its window is open."""
    opens = rand.uniform(0.5, 2)
    closes = None if seconds is None else opens + seconds
    return replace(create(key), opens_in=opens, closes_in=closes)


def create(key: str, tag: str = "create_project", state: str = "success") -> Order:
    """Make an order for one project."""
    rows = (f"{key}#0",)
    body = {"select_tag": tag, "projname": rows[0]}
    error = "worker_lost" if tag == "suicide" else ""
    return Order(key, body, state, rows if state == "success" else (), error)


def _blank(key: str) -> Order:
    """Make an order that fails."""
    blank = {"select_tag": "create_project", "projname": "  "}
    return Order(key, blank, "failed", (), "blank_name")


def touch(key: str, first: str, second: str, *, sloppy: bool = False, pause_ms: int = 0) -> Order:
    """Make an order for one project that is counted in two contended rows."""
    body = {"select_tag": "touch_project", "projname": f"{key}#0", "first": first}
    body |= {"second": second, "sloppy": sloppy, "pause_ms": pause_ms}
    return Order(key, body, "success", (f"{key}#0",))


def keyed(key: str, pause_ms: int = 0) -> Order:
    """Make an order for one project that has an ordering key."""
    number = _place(key) // KEPT % KEYS
    lane = f"k{number}{'b' if number_of(key) % SECOND == 0 else 'a'}"
    body = {"select_tag": "keyed_project", "projname": f"{key}#0", "pause_ms": pause_ms}
    body |= {"ordering_key": f"k{number}", "lane": lane}
    return Order(key, body, "success", (f"{key}#0",))


def _place(key: str) -> int:
    """Return the place of an order in the stream."""
    return int(key.strip("o") or 0)


def limited(key: str) -> Order:
    """Make an order for one project, of a tag with a limit."""
    body = {"select_tag": "limited_project", "projname": f"{key}#0", "pause_ms": 700}
    return Order(key, body, "success", (f"{key}#0",))


def stepped(key: str, pause_ms: int = 0) -> Order:
    """Make an order for one project that is made in steps."""
    body = {"select_tag": "stepped_project", "projname": f"{key}#0", "pause_ms": pause_ms}
    return Order(key, body, "success", (f"{key}#0",))


def approved(key: str, *, told: bool = True, tells_in: float = 0.0) -> Order:
    """Make an order for one project that waits for an event, which comes or does not."""
    body = {"select_tag": "approved_project", "projname": f"{key}#0"}
    body["seconds"] = 300.0 if told else 1.5
    return Order(key, body, "success", (f"{key}#0",), told=told, tells_in=tells_in)


def parent(key: str, count: int, *, pause_ms: int = 100, rolls_back: bool = False) -> Order:
    """Make an order for one project whose handler makes ``count`` others, the last of which fails.

    It commits half of them, submits the others, and takes ``pause_ms`` before it waits for all; so
    does each child before it writes.
    """
    bodies: list[dict[str, Any]] = [
        {"select_tag": "child_project", "projname": f"{key}+{n}#0", "pause_ms": pause_ms}
        for n in range(count)
    ]
    bodies[-1]["projname"] = "  "
    children = tuple(_member(f"{key}+{n}", body) for n, body in enumerate(bodies))
    half = count // 2
    body = {"select_tag": "parent_project", "projname": f"{key}#0", "pause_ms": pause_ms}
    body |= {"key": key, "half": half, "rolls_back": rolls_back}
    body["projnames"] = [one["projname"] for one in bodies]
    family = {"family": children, "half": half, "rolls_back": rolls_back}
    return Order(key, body, "success", (f"{key}#0",), **family)


def _member(key: str, body: dict[str, Any]) -> Order:
    """Make a child that is told to its parent alone."""
    if not body["projname"].strip():
        return Order(key, body, "failed", (), "blank_name", callback=False)
    return Order(key, body, "success", (f"{key}#0",), callback=False)


def batch(key: str, rand: random.Random, *, is_loose: bool = False) -> Order:
    """Make a batch of orders, each third of which is not called back."""
    items = [_item(f"{key}+{n}", rand) for n in range(rand.randint(3, 6))]
    family = tuple(replace(one, callback=n % 3 != 0) for n, one in enumerate(items))
    state = "success" if {one.state for one in family} == {"success"} else "warning"
    body = {"select_tag": BATCH_TAG}
    return Order(key, body, state, (), family=family, is_loose=is_loose)


def _item(key: str, rand: random.Random) -> Order:
    share = rand.random()
    if share < 0.7:
        return create(key)
    return _import(key, rand) if share < 0.85 else _blank(key)


def root_of(key: str) -> str:
    """Return the key of the order that this one is a part of, or its own."""
    return key.partition("+")[0]


def patient(key: str, steps: int = 30) -> Order:
    """Make an order for one project that checkpoints every 0.1 s, and may be cancelled."""
    body = {"select_tag": "patient_project", "projname": f"{key}#0", "steps": steps}
    return Order(key, body, "success", (f"{key}#0",), checkpoints=True)


def _import(key: str, rand: random.Random) -> Order:
    rows = [f"{key}#{number}" for number in range(rand.randint(15, 70))]
    projects: list[Any] = [{"projname": row} for row in rows]
    bad = rand.choice((0, 0, 2))
    for _ in range(bad):
        projects.insert(rand.randrange(len(projects)), {"projname": ""})
    body = {"select_tag": "import_projects", "projects": projects}
    body["pause_ms"] = rand.choice((0, 100, 300))
    return Order(key, body, "warning" if bad else "success", tuple(rows))


def number_of(key: str) -> int:
    """Return a number that depends on the key alone."""
    return sum(map(ord, key))
