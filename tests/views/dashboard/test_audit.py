"""The page of the audit trail: what it shows, how it is searched, and what it must escape."""

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.people.dashboard import HOSTILE, operator, words

PATH = "/dashboard/audit"


def act(
    kernel: Kernel,
    target: str,
    actor: str = "ann",
    verb: str = "key.add",
    reason: str | None = None,
) -> None:
    by = By(Actor(actor, "api", "192.0.2.7", "kwo_abcdefgh"), reason)
    with kernel.write() as connection:
        by.record(connection, verb, target)


def test_acts_are_shown_with_all_that_is_known_of_them(kernel: Kernel) -> None:
    visitor = operator(kernel)
    visitor.post("/dashboard/callers", name="jira", scope="orders:read", days="0", reason="CHG-1")
    said = words(visitor.get(PATH))
    assert "caller.add" in said
    assert "ops page 127.0.0.1 kwo_" in said
    assert "caller jira" in said
    assert "CHG-1" in said
    assert "session.begin" in said


def test_acts_are_found_by_each_field(kernel: Kernel) -> None:
    visitor = operator(kernel)
    act(kernel, "caller one")
    act(kernel, "caller two", actor="bob", verb="caller.set")
    for search, found in (
        ("actor=ann", "one"),
        ("actor=bob", "two"),
        ("verb=caller.set", "two"),
        ("target=caller+one", "one"),
        ("target=caller+t", "two"),
        ("actor=eve", ""),
        ("since=2999-01-01", ""),
    ):
        said = words(visitor.get(f"{PATH}?{search}"))
        shown = [name for name in ("one", "two") if f"caller {name}" in said.split("Find")[-1]]
        assert shown == [found] * bool(found), search


def test_field_that_makes_no_sense_shows_nothing(kernel: Kernel) -> None:
    visitor = operator(kernel)
    act(kernel, "caller one")
    for search in ("since=yesterday", "actor=%00", "before=x&verb=%0a x"):
        page = visitor.get(f"{PATH}?{search}")
        assert page.status_code == 200
    assert "caller one" not in words(visitor.get(f"{PATH}?since=yesterday"))


def test_older_acts_are_on_the_next_page(kernel: Kernel) -> None:
    visitor = operator(kernel)
    act(kernel, "caller oldest")
    for _ in range(50):
        act(kernel, "caller newer")
    page = visitor.get(PATH)
    assert "caller oldest" not in page.text
    assert 'rel="next"' in page.text
    older = page.text.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "caller oldest" in visitor.get(older).text


def test_hostile_text_is_shown_as_text(kernel: Kernel) -> None:
    visitor = operator(kernel)
    act(kernel, HOSTILE, actor=HOSTILE, reason=HOSTILE)
    kernel.refusals.note("hunter2", "192.0.2.7", kernel.clock.now())
    kernel.refusals.write(kernel.write)
    page = visitor.get(PATH).text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "192.0.2.0/24" in page
    assert "hunter2" not in page


def test_page_is_for_operators_alone(kernel: Kernel) -> None:
    visitor = operator(kernel)
    pause(kernel, Subject(host="in.example"))
    visitor.client.delete_cookie("__Host-kernel", domain="kernel.example")
    visitor.client = type(visitor)(visitor.client.application).client
    assert visitor.get(PATH).status_code == 401
