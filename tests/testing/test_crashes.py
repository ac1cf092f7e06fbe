"""`crash_after`: a run ends as a killed worker's would, and the next one resumes."""

from collections.abc import Callable

import pytest
from pydantic import BaseModel
from sqlalchemy import func, insert, select

from kernel import Handlers, Kernel, Partial, Run
from kernel.builtin import projects
from kernel.testing import ProcessKilled, crash_after, drain, order, poll, steps

MakeKernel = Callable[..., Kernel]


class Args(BaseModel):
    rows: int = 0


class World:
    """What the handlers did in other systems, and what they saw."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.caught: list[BaseException] = []

    def call(self, name: str) -> str:
        self.calls.append(name)
        return name.upper()

    def handlers(self) -> Handlers:
        handlers = Handlers()

        @handlers.register("account", Args)
        def account(run: Run, args: Args) -> dict[str, object]:
            made = run.step("account", self.call, "account")
            add(run, "between")
            run.step("mail", self.call, "mail")
            return {"made": made, "run": run.number}

        @handlers.register("rows", Args)
        def rows(run: Run, args: Args) -> dict[str, object]:
            done = run.progress.current if run.progress else 0
            for number in range(done, args.rows):
                add(run, f"row {number}")
                run.checkpoint(number + 1, args.rows)
            return {"run": run.number, "from": done}

        @handlers.register("stubborn", Args)
        def stubborn(run: Run, args: Args) -> dict[str, object] | Partial:
            try:
                run.step("account", self.call, "account")
            except BaseException as error:  # noqa: BLE001 - as a careless handler does
                self.caught.append(error)
                add(run, "after the end")
                return Partial({}, "never told")
            return {}

        return handlers


def add(run: Run, name: str) -> None:
    run.session.execute(insert(projects).values(projname=name, prodesc="", projctime=run.now))


def rows_of(kernel: Kernel) -> int:
    with kernel.read_session() as session:
        return session.scalar(select(func.count()).select_from(projects)) or 0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str, world: World) -> Kernel:
    return make_kernel(sqlite_url, world.handlers())


def test_next_run_is_given_the_step_after_which_it_crashed(kernel: Kernel, world: World) -> None:
    one = order(kernel, "account")
    with crash_after(kernel, step="account"):
        assert drain(kernel) == 1
        assert poll(kernel, one)["data"]["state"] == "running"
    assert [step["state"] for step in steps(kernel, one)] == ["done"]
    drain(kernel)
    assert poll(kernel, one)["data"]["result"] == {"made": "ACCOUNT", "run": 2}
    assert world.calls == ["account", "mail"]


def test_next_run_calls_a_step_again_that_was_not_recorded(kernel: Kernel, world: World) -> None:
    one = order(kernel, "account")
    with crash_after(kernel, call="account"):
        drain(kernel)
    assert [step["state"] for step in steps(kernel, one)] == ["begun"]
    drain(kernel)
    assert world.calls == ["account", "account", "mail"]


def test_what_was_written_since_the_last_commit_is_rolled_back(kernel: Kernel) -> None:
    order(kernel, "account")
    with crash_after(kernel):
        drain(kernel)
    assert rows_of(kernel) == 1  # written before the second step, and committed with it
    drain(kernel)
    assert rows_of(kernel) == 2


def test_next_run_goes_on_behind_its_checkpoint(kernel: Kernel) -> None:
    one = order(kernel, "rows", rows=4)
    with crash_after(kernel, checkpoint=3):
        drain(kernel)
    assert rows_of(kernel) == 3
    drain(kernel)
    assert poll(kernel, one)["data"]["result"] == {"run": 2, "from": 3}
    assert rows_of(kernel) == 4


def test_order_that_crashes_twice_is_due_after_two_seconds(kernel: Kernel) -> None:
    one = order(kernel, "account")
    for _ in range(2):
        with crash_after(kernel):
            drain(kernel)
    assert drain(kernel) == 0
    kernel.clock.shift(2)
    drain(kernel)
    assert poll(kernel, one)["data"]["result"]["run"] == 3


def test_order_whose_worker_dies_five_times_fails(kernel: Kernel) -> None:
    one = order(kernel, "rows")
    for _ in range(5):
        with crash_after(kernel):
            drain(kernel)
        kernel.clock.shift(60)
    drain(kernel)
    assert poll(kernel, one)["data"]["error"]["code"] == "worker_lost"


def test_handler_that_catches_everything_has_ended_all_the_same(
    kernel: Kernel, world: World
) -> None:
    one = order(kernel, "stubborn")
    with crash_after(kernel, step="account"):
        drain(kernel)
    assert isinstance(world.caught[0], ProcessKilled)
    assert rows_of(kernel) == 0
    assert poll(kernel, one)["data"]["state"] == "pending"


def test_only_orders_of_the_tag_crash_when_one_is_named(kernel: Kernel) -> None:
    first, second = order(kernel, "account"), order(kernel, "stubborn")
    with crash_after(kernel, step="account", select_tag="stubborn"):
        drain(kernel)
    states = [poll(kernel, one)["data"]["state"] for one in (first, second)]
    assert states == ["success", "pending"]


def test_block_says_what_runs_came_to_when_none_crashed(kernel: Kernel) -> None:
    order(kernel, "account")
    said = r"no run reached step 'acount'; steps: account, mail"
    with pytest.raises(AssertionError, match=said), crash_after(kernel, step="acount"):
        drain(kernel)


def test_two_places_at_once_are_refused(kernel: Kernel) -> None:
    with pytest.raises(ValueError, match="one of"), crash_after(kernel, step="a", checkpoint=1):
        drain(kernel)
