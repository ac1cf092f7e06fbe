"""T2 and T3: what a handler does, and what becomes of its order. On SQLite and on MariaDB."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import event, func, select

from kernel.builtin import handlers as builtin_handlers
from kernel.builtin import projects
from kernel.cli.local.paced_import import handlers as paced_handlers
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.orders import Order
from kernel.handlers import Handlers
from kernel.orders.cancel import cancel
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.factories import ANYBODY, make_order, order, request
from tests.support.handlers.misbehaving import handlers, names


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with the misbehaving handlers."""
    return make_kernel(database_url, handlers)


def run(kernel: Kernel, tag: str, name: str = "row", **values: object) -> Order:
    """Make an order of ``tag``, execute it once, and read it back."""
    order_id = make_order(kernel, select_tag=tag, args=json.dumps({"name": name}), **values)
    execute(kernel, order_id)
    return order(kernel, order_id)


def written(kernel: Kernel) -> list[str]:
    """The names of all rows that were committed."""
    with kernel.read_session() as session:
        return names(session)


def deliveries(kernel: Kernel) -> int:
    """How many callbacks are owed."""
    with kernel.read_session() as session:
        return session.scalar(select(func.count()).select_from(Delivery)) or 0


def test_order_commits_work_outcome_and_callback_when_handler_returns(kernel: Kernel) -> None:
    found = run(kernel, "write")
    assert (found.state, found.run, json.loads(found.result or "")) == ("success", 1, {"run": 1})
    assert (written(kernel), deliveries(kernel)) == (["row"], 1)


def test_order_does_everything_in_one_commit_when_handler_returns(kernel: Kernel) -> None:
    order_id = make_order(kernel, select_tag="write", args="{}")
    commits: list[None] = []
    for engine in {kernel.engine, kernel.engines.running}:
        event.listen(engine, "commit", lambda connection: commits.append(None))
    execute(kernel, order_id)
    assert len(commits) == 2, "one for the claim, one for work, outcome and callback"


def test_order_runs_when_its_time_limit_is_longer_than_a_server_bears_silence(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    patient, writing = Handlers(), handlers["write"]
    patient.register("write", writing.model, time_limit=1e9)(writing.function)
    assert run(make_kernel(database_url, patient), "write").state == "success"


def test_order_is_a_warning_when_handler_returns_partial(kernel: Kernel) -> None:
    found = run(kernel, "partial")
    assert (found.state, found.message, found.result) == ("warning", "one of two", '{"done":1}')


def test_order_fails_and_writes_nothing_when_handler_rejects(kernel: Kernel) -> None:
    found = run(kernel, "reject")
    assert (found.state, found.error_code, found.message) == (
        "failed",
        "no_room",
        "there is no room",
    )
    assert (written(kernel), deliveries(kernel)) == ([], 1)


def test_order_is_pending_until_its_time_when_handler_retries(kernel: Kernel) -> None:
    found = run(kernel, "retry_once")
    assert (found.state, found.crashes, written(kernel)) == ("pending", 0, [])
    assert execute(kernel, found.id) is None
    kernel.clock.shift(61)
    execute(kernel, found.id)
    assert json.loads(order(kernel, found.id).result or "") == {"run": 2}


@pytest.mark.parametrize(
    "tag", ["bug", "exit", "nan", "huge", "surrogate", "nothing", "commit", "commit_below", "ddl"]
)
def test_order_is_an_internal_error_when_handler_is_wrong(kernel: Kernel, tag: str) -> None:
    found = run(kernel, tag)
    assert (found.state, found.error_code) == ("failed", "internal_error")
    assert "secret" not in (found.message or "")
    assert (written(kernel), deliveries(kernel)) == ([], 1)


@pytest.mark.filterwarnings("ignore:transaction already deassociated")
def test_order_is_an_internal_error_when_handler_rolls_back_below(kernel: Kernel) -> None:
    assert run(kernel, "rollback_below").error_code == "internal_error"
    assert written(kernel) == []


def test_order_is_an_internal_error_when_arguments_no_longer_fit(kernel: Kernel) -> None:
    order_id = make_order(kernel, select_tag="write", args='{"name": 7}')
    execute(kernel, order_id)
    assert order(kernel, order_id).error_code == "internal_error"


def test_caller_gets_nothing_of_a_traceback_when_handler_is_wrong(kernel: Kernel) -> None:
    make_order(kernel, select_tag="bug", args="{}")
    drain(kernel, raise_bugs=False)
    assert b"secret" not in kernel.transport.sent[0].body  # type: ignore[attr-defined]


def test_savepoint_undoes_its_block_alone_when_it_raises(kernel: Kernel) -> None:
    assert run(kernel, "savepoint").state == "success"
    assert written(kernel) == ["good"]


def test_checkpoints_commit_work_and_progress_when_handler_goes_on(kernel: Kernel) -> None:
    found = run(kernel, "two_checkpoints", "r")
    assert written(kernel) == ["r0", "r1", "r2"]
    assert (found.progress_current, found.progress_total, found.checkpoint) == (2, 3, 2)
    assert json.loads(found.result or "") == {"state": {"step": 1}}


def test_run_resumes_after_its_checkpoint_when_an_earlier_run_died(kernel: Kernel) -> None:
    left = {"progress_current": 2, "progress_total": 3, "run_state": '{"step": 1}', "run": 1}
    found = run(kernel, "two_checkpoints", "r", checkpoint=2, crashes=1, **left)
    assert (written(kernel), found.state, found.run) == (["r2"], "success", 2)


def test_checkpoint_forgives_crashes_when_it_commits(kernel: Kernel) -> None:
    assert run(kernel, "two_checkpoints", crashes=3).crashes == 0


def test_order_is_not_run_twice_when_the_hint_comes_twice(kernel: Kernel) -> None:
    found = run(kernel, "write")
    assert execute(kernel, found.id) is None
    assert written(kernel) == ["row"]


@pytest.mark.parametrize("order_id", ["", "x" * 64, "' OR 1=1 --", "00000000"])
def test_execute_changes_nothing_when_the_id_is_unknown(kernel: Kernel, order_id: str) -> None:
    assert execute(kernel, order_id) is None


def test_order_is_left_alone_when_its_tag_is_unknown_here(kernel: Kernel) -> None:
    assert run(kernel, "somebody_elses").state == "pending"


def test_order_is_cancelled_at_once_when_it_is_pending(kernel: Kernel) -> None:
    accepted = submit(kernel, ANYBODY, request("write", name="row"))
    assert cancel(kernel, 1, accepted.order_id) == "cancelled"
    drain(kernel)
    assert kernel.transport.sent[0].json()["data"]["state"] == "cancelled"  # type: ignore[attr-defined]
    assert written(kernel) == []


def test_order_gives_projects_their_time_when_created(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel = make_kernel(database_url)
    submit(kernel, ANYBODY, request())
    drain(kernel)
    with kernel.read_session() as session:
        created = session.scalars(select(projects.c.projctime)).one()
    assert abs((kernel.clock.now() - created).total_seconds()) < 60


def test_import_collects_bad_rows_when_some_are(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel = make_kernel(database_url)
    rows = [{"projname": f"p{n}"} for n in range(50)] + [{"projname": ""}, 7]
    accepted = submit(kernel, ANYBODY, request("import_projects", projects=rows))
    execute(kernel, accepted.order_id)
    found = order(kernel, accepted.order_id)
    result = json.loads(found.result or "")
    assert (found.state, result["imported"], result["failed"]) == ("warning", 50, 2)
    assert [bad["row"] for bad in result["errors"]] == [50, 51]
    assert (found.progress_current, found.progress_total) == (52, 52)


def test_import_takes_no_pause_outside_of_the_demo() -> None:
    """A caller cannot hold a worker for minutes."""
    rows = {"projects": [{"projname": "a"}], "pause_ms": 1000}
    with pytest.raises(ValidationError, match="pause_ms"):
        builtin_handlers["import_projects"].parse(json.dumps(rows))
    assert paced_handlers["import_projects"].parse(json.dumps(rows)).model_dump() == rows


def test_order_stays_pending_when_it_is_due_later(kernel: Kernel) -> None:
    later = kernel.clock.now() + timedelta(seconds=2)
    order_id = make_order(kernel, select_tag="write", args="{}", run_after=later)
    assert execute(kernel, order_id) is None
