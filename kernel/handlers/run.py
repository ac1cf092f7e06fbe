"""What a handler is given and what it may return: Run, Progress and Partial (and `Wait`)."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol

from typing_extensions import TypeVar

from kernel.handlers.children import Children
from kernel.handlers.events import Event, check_event_name
from kernel.handlers.soft_limit import SoftLimit
from kernel.handlers.steps import StepCall, StepRetry, Steps, check_name
from kernel.handlers.values import refused, to_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

    from kernel.db.guard import Guard

MAX_STATE_BYTES = 262_144
# Why a handler with together=True is refused what commits by itself, or waits.
ONE_COMMIT = "its orders share one commit, at their end"


ResultT = TypeVar("ResultT", default=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Partial(Generic[ResultT]):
    """Return it from a handler that could do only part of the work: outcome ``warning``."""

    result: ResultT
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """An order's progress, as given to the last checkpoint."""

    current: int
    total: int | None = None
    note: str | None = None


class SaveCheckpoint(Protocol):
    """Commits a run's writes so far together with its progress and its state (JSON text)."""

    def __call__(self, run: "Run", progress: Progress, state: str | None) -> None: ...


class LinkMaker(Protocol):
    """Makes the address that tells an order an event when a person opens it and agrees."""

    def __call__(
        self,
        run: "Run",
        name: str,
        data: dict[str, Any] | None,
        until: datetime | None,
        *,
        sign_in: bool,
    ) -> str: ...


@dataclass(slots=True, eq=False)
class Run:
    """One execution of a handler for an order; the handler's first argument.

    ``session``   SQLAlchemy session whose writes commit together with the outcome
    ``order_id``  the idempotency key for effects outside the database
    ``number``    1 for the first run of the order, 2 for the next, ...
    ``now``       the database's time when this run began (aware, UTC)
    ``progress``  as the last checkpoint, of this run or an earlier one, left it, or None
    ``state``     the JSON value given to that checkpoint, or None
    ``reference`` the caller's own name for the order, such as a ticket's number, or None
    ``events``    what the order was told (see `kernel.Wait`), in the order of telling
    ``has_waited``  True once a run of the order has returned a Wait
    ``children``  the orders that this one has made and committed, as they are now; see `submit`
    ``request_id``, ``traceparent``   those of the submit (W3C Trace Context), to pass on
    """

    order_id: str
    number: int
    now: datetime
    session: "Session"
    progress: Progress | None
    state: Any
    time_limit: float
    _save: SaveCheckpoint
    _look: Callable[["Run"], None]
    guard: "Guard"
    steps: Steps
    children: Children
    limit: SoftLimit = field(default_factory=SoftLimit)
    # What the database's server calls the connection; None where it cannot be killed by a number.
    connection_number: int | None = None
    # Number of checkpoints of the order: with ``number`` it is the fence of each commit.
    checkpoints: int = 0
    # Set by the kernel: monotonic times (seconds) of the start, of the last renewal of the lease
    # and of the last look at the row, and whether the lease was lost, the order cancelled, or the
    # worker told to stop.
    started: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    looked: float = 0.0
    lost: bool = False
    cancelled: bool = False
    stopping: bool = False
    request_id: str | None = None
    traceparent: str | None = None
    reference: str | None = None
    select_tag: str = ""
    # What there is of the order beside its row, as that row says; see `kernel.db.tables.gates`.
    gates: int | None = None
    events: tuple[Event, ...] = ()
    has_waited: bool = False
    # Its handler is registered with together=True: what commits or waits is refused. While its
    # order shares a commit, ``beside``: it waits for its turn, or for that commit.
    together: bool = False
    beside: bool = False
    # How many of the events have ended a wait: links of one wait are the same in each of its runs.
    waits: int = 0
    _link: LinkMaker | None = None
    _settings: Any = None

    @property
    def settings(self) -> Any:
        """The registry's own settings, an instance of the model that `Handlers.settings` was given.

        Raises RuntimeError for a handler whose registry has none.
        """
        if self._settings is None:
            raise RuntimeError(
                f"the registry of {self.select_tag!r} has no settings: write "
                "handlers.settings(MySettings) where it is made"
            )
        return self._settings

    def checkpoint(
        self,
        current: int,
        total: int | None = None,
        note: str | None = None,
        state: Any = None,
    ) -> None:
        """Commit the work so far, show progress, and remember ``state`` to resume from.

        ``current`` and ``total`` are in a unit of the handler's choice; ``note`` is a line for
        people (cut to 1,000 characters); ``state`` is any JSON value up to 256 KiB. After a crash
        the next run finds them in ``run.progress`` and ``run.state``.

        Raises RunInterrupted (LeaseLost, OrderCancelled, RunBroken, WorkerStopping) when this run
        must not go on: let it pass. Raises TimeLimit, after the commit, when the soft limit is
        over. Raises ValueError for a state that is not JSON or too large, RuntimeError in a step
        and inside `savepoint`.
        """
        self._refuse_together("run.checkpoint()")
        if self.steps.is_open:
            raise RuntimeError("a step commits by itself: call run.checkpoint() outside of it")
        if self.session.in_nested_transaction():
            raise RuntimeError("run.checkpoint() commits, and a savepoint is open")
        encoded = None if state is None else to_json(state, "state", refused)
        if encoded is not None and len(encoded.encode()) > MAX_STATE_BYTES:
            raise ValueError(f"a checkpoint's state is at most {MAX_STATE_BYTES} bytes of JSON")
        progress = Progress(current, total, None if note is None else _shown(note))
        with self.limit.held():
            self._save(self, progress, encoded)
            self.progress, self.state = progress, state

    def step(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retry: StepRetry | None = None,
        secret: bool = False,
    ) -> Any:
        """Return ``fn(*args)``, called once and recorded: a later Reject does not undo it.

        Commits what the run has written so far, calls ``fn`` with no transaction open, and commits
        its result, JSON of at most 256 KiB, beside what ``fn`` has written in ``run.session``.
        Every later run of the order is given the result back, as JSON has it, and ``fn`` is not
        called. A process that dies in between has recorded nothing: ``fn`` is called again, so its
        effects elsewhere happen at least once; send `key` along.

        ``name`` is 1 to 100 visible ASCII characters, once in a run. ``retry``: when an attempt
        that raised is followed by another; without it what ``fn`` raises passes at once.
        ``secret``: the result is sealed, never shown, and deleted with the order's secrets.

        Raises what a checkpoint raises (let it pass), what ``fn`` raises, and Retry while
        ``retry`` allows another attempt. Raises RuntimeError inside `savepoint` or another step,
        and for a name that this run has had; TypeError or ValueError for other arguments, or for a
        result that cannot be recorded.
        """
        self._refuse_together("run.step()")
        check_name(name)
        if retry is not None and not isinstance(retry, StepRetry):
            raise TypeError(f"retry is a StepRetry, not {retry!r:.100}")
        return self.steps.take(self, StepCall(name, partial(fn, *args), retry, secret))

    def key(self, name: str) -> str:
        """Return the idempotency key for what the step ``name`` does in another system.

        Visible ASCII, at most 150 characters; the same in every run of the order, and no other
        order or step has it. It changes when an operator has the step done again. Raises TypeError
        or ValueError for what is no name.
        """
        check_name(name)
        with self.limit.held():
            return self.steps.key(self, name)

    def submit(self, select_tag: str, /, **members: Any) -> str:
        """Make an order that is a child of this one, in the run's next commit; return its id::

            run.submit("create_mailbox", user=args.user, reference=run.reference)

        ``members`` are those of a submit by the API: the child's arguments, and if wanted
        ``reference``, ``ordering_key``, ``not_before`` and the like; ``callback_url`` is None
        (no callback) unless it is given. They are checked at once, by the model of the child's
        handler. What rolls the run back leaves nothing of the child; a savepoint does not undo it.
        It belongs to the order's caller, whose limits of pending orders do not stop it. With
        ``return Wait.children()`` the order goes on when all of its children have ended.

        Raises InvalidOrder for what the API would answer with 422, TypeError or ValueError for
        what is no JSON, and ValueError beyond 10,000 children or eight generations.
        """
        self._refuse_together("run.submit()")
        with self.limit.held():
            return self.children.submit(
                self, {"callback_url": None, **members} | {"select_tag": select_tag}
            )

    def check(self) -> None:
        """Ask whether this run may go on, without a commit; for work that has no checkpoints.

        Raises what a checkpoint would: OrderCancelled, LeaseLost, RunBroken or WorkerStopping.
        Let it pass: what is not committed is undone. Raises TimeLimit when the soft limit is over.
        The row is asked once a second at the most, on another connection than the run's, so call
        it as often as you like.
        """
        with self.limit.held():
            self._look(self)

    def link(
        self,
        name: str,
        data: dict[str, Any] | None = None,
        until: datetime | None = None,
        *,
        sign_in: bool = False,
    ) -> str:
        """Return an address with which a person tells this order the event ``name``, once.

        Opened in a browser it shows ``data`` and asks; what it asks is told by a click on that
        page, with ``data`` (JSON of at most 1 KiB, which the holder of the link can read). It is
        good until ``until`` and for as long as the order has not ended. Each run that leads to the
        same wait makes the same link of the same name and data. With ``sign_in`` the person signs
        in as for the dashboard, and ``event.told_by`` says who; without, the link is the
        permission for each person that has it.

        Raises ConfigurationError without KERNEL_PUBLIC_URL, and with ``sign_in`` without a
        dashboard; TypeError or ValueError for arguments that no link can have.
        """
        check_event_name(name, "link")
        if self._link is None:
            raise RuntimeError("this run makes no links")
        return self._link(self, name, data, until, sign_in=sign_in)

    def savepoint(self) -> "AbstractContextManager[SessionTransaction]":
        """Open a block of writes that may fail alone::

            try:
                with run.savepoint():
                    run.session.execute(insert(rows).values(...))
            except IntegrityError: ...

        When the block raises, its own writes are rolled back and no others. A deadlock or a lost
        connection is different: it ends the run, even if the handler catches the error.
        """
        return self.session.begin_nested()

    def _refuse_together(self, what: str) -> None:
        if self.together:
            raise RuntimeError(f"{what} is not for a handler with together=True: {ONE_COMMIT}")


def _shown(note: object) -> str:
    """Cut a note to the 1,000 characters of its column; lone surrogates become ``?``."""
    if not isinstance(note, str):
        written = to_json(note, "note")
        note = written[1:-1] if written.startswith('"') else written
    return note.encode("utf-8", "replace").decode()[:1000]
