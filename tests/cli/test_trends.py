"""`kernel trends` and `kernel receivers stats`: what they print and refuse."""

from datetime import timedelta

from kernel.runtime.kernel import Kernel
from tests.support.factories import make_attempt, make_delivery, make_order
from tests.support.people.terminal import Terminal
from tests.support.ticketing import make_receiver

DESK = {"origin": "https://desk.example:443", "url": "https://desk.example/in"}


def worked(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_receiver(kernel, "desk", "https://desk.example/")
    done = make_order(kernel, state="failed", finished_at=now, started_at=now)
    make_attempt(kernel, make_delivery(kernel, done, **DESK), now, "timeout")
    for _ in range(3):
        make_order(kernel, select_tag="slow", run_after=now - timedelta(minutes=9))


def test_trend_is_printed_with_its_totals(terminal: Terminal) -> None:
    worked(terminal.kernel)
    said = terminal.run("trends").stdout
    assert "accepted 4 (before: 0), finished 1 (0), failed 1 (0), callbacks dead 0 (0)" in said
    assert len(said.splitlines()) == 27
    assert "the newest 24 of 60 points; --json has all\n" in said
    found = terminal.json("trends", "--span", "week", "--tag", "slow")
    assert (len(found["points"]), found["total"]["accepted"]) == (168, 3)


def test_tags_are_compared_with_the_longest_queue_first(terminal: Terminal) -> None:
    worked(terminal.kernel)
    heading, first, second = terminal.run("trends", "--by", "tag").stdout.splitlines()
    assert heading.split()[:2] == ["tag", "pending"]
    assert (first.split()[:2], second.split()[:2]) == (["slow", "3"], ["create_project", "0"])
    (caller,) = terminal.json("trends", "--by", "caller")
    assert (caller["name"], caller["now"]["pending"]) == ("anonymous", 3)


def test_receivers_say_how_their_callbacks_went(terminal: Terminal) -> None:
    assert terminal.run("receivers", "stats").stdout == "no data yet\n"
    worked(terminal.kernel)
    said = terminal.run("receivers", "stats").stdout
    assert "anonymous/desk" in said
    assert "timeout 1" in said
    (host,) = terminal.json("receivers", "stats", "--hosts", "--span", "day")
    assert (host["name"], host["attempts"]) == ("https://desk.example:443", 1)
    assert terminal.json("receivers", "stats", "--caller", "zammad") == []


def test_parts_that_exclude_each_other_are_refused(terminal: Terminal) -> None:
    for options in (("--tag", "a", "--host", "b"), ("--by", "tag", "--tag", "a")):
        refused = terminal.run("trends", *options, exit_code=2)
        assert "Error: " in refused.stderr
        assert "Traceback" not in refused.stderr
