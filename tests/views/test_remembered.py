"""What a process remembers under names that strangers choose has an end, or is not remembered."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from kernel.callers.identity import Identity
from kernel.cli.local.listener import Heard, Listener, Manner
from kernel.cli.local.receiver import Post
from kernel.db.statements.sorting import REMEMBERED, sort_statement
from kernel.errors import Unauthenticated
from kernel.runtime.kernel import Kernel
from kernel.views.html.rendering import ASSETS
from kernel.views.http.gate import Gate
from tests.support.clients import Client, client

SPELLED = [
    *("x/nowhere/../kernel.css", "./kernel.css", "//kernel.css", "kernel.css/", "KERNEL.CSS"),
    *(
        "../static/kernel.css",
        "%2e%2e/static/kernel.css",
        "..%2fstatic%2fkernel.css",
    ),
    *("../rendering.py", "kernel.css/../../rendering.py", "/etc/passwd", "", "."),
]


@pytest.fixture
def anyone(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Client:
    """A client without a key."""
    return Client(client(make_kernel(sqlite_url)).app, None)


def keeps_less(call: Callable[[int], object], times: int, most: int) -> bool:
    """Whether ``times`` calls leave less than ``most`` bytes behind, those before not counted.

    Tried three times: threads that other tests have left in this process take some, too.
    """
    for number in range(200):  # what is made once
        call(-number)
    turns = (range(turn * times, turn * times + times) for turn in range(3))
    return any(_grown(call, numbers) < most for numbers in turns)


def _grown(call: Callable[[int], object], numbers: range) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in numbers:
            call(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ASSETS)
def test_file_is_served_by_the_name_that_was_listed(anyone: Client, name: str) -> None:
    answer = anyone.get(f"/dashboard/static/{ASSETS[name].version}/{name}")
    assert (answer.status_code, answer.data) == (200, ASSETS[name].content)
    assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("name", SPELLED)
def test_file_is_not_found_by_any_other_spelling(anyone: Client, name: str) -> None:
    assert anyone.get(f"/dashboard/static/x/{name}").status_code in (308, 401, 404)


def test_process_does_not_grow_when_files_are_asked_for_by_endless_names(anyone: Client) -> None:
    def ask(number: int) -> None:
        anyone.get(f"/dashboard/static/x/{'./' * (abs(number) % 700)}kernel.css{number}")
        anyone.get(f"/dashboard/static/x/{'./' * (abs(number) % 700)}kernel.css")

    assert keeps_less(ask, 700, 1_200_000)  # it was 3 KB for each name


def test_process_does_not_grow_when_keys_are_tried(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    gate = Gate(make_kernel(sqlite_url))

    def refuse() -> Identity:
        raise Unauthenticated

    def ask(number: int) -> None:
        with pytest.raises(Unauthenticated):
            gate.remembered(f"{number}" * 100, refuse)

    assert keeps_less(ask, 1000, 100_000)


def test_listener_forgets_the_ids_of_long_ago() -> None:
    heard: list[Heard] = []
    listener = Listener((), Manner(), heard.append, remembered=2)
    for webhook_id in ("a", "b", "a", "c", "b", "a", ""):
        listener.answer(Post({"webhook-id": webhook_id}, b""))
    assert [one.times for one in heard] == [1, 1, 2, 1, 1, 1, 1]


def test_statement_is_not_remembered_when_it_holds_long_values() -> None:
    def sort(number: int) -> None:
        sort_statement(f"SELECT '{number}{'x' * REMEMBERED}'")

    assert keeps_less(sort, 500, REMEMBERED * 10)
