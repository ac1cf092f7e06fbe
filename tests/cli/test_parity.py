"""What a page can do, a command can, and the API as far as programs have a use for it."""

import re
import shlex
from collections.abc import Callable, Iterator

import click
import pytest

from kernel.cli.main import main
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve

AFTER = re.compile(r" >| \|+ |   |  #")
ONLY_A_PAGE = "a matter of one browser"
A_PERSON = "people and keys are looked after by a person, not by a program"
BULK = "POST /v1/bulk"
# By the address of each button or form: the command, and the route of the API or why there is none.
SAME = {
    "/callers": ("callers add", A_PERSON),
    "/callers/<caller_id>/keys": ("callers add-key", A_PERSON),
    "/callers/<caller_id>/secret": ("callers rotate-secret", A_PERSON),
    "/keys/<key_id>/revoke": ("callers revoke-key", A_PERSON),
    "/keys/<key_id>/rotate": ("callers rotate-key", A_PERSON),
    "/people/<person_id>/disable": ("people set", A_PERSON),
    "/people/<person_id>/enable": ("people set", A_PERSON),
    "/sessions/<session_id>/end": ("people sessions", A_PERSON),
    "/deliveries/<delivery_id>/redeliver": (
        "deliveries redeliver",
        "POST /v1/deliveries/<delivery_id>/redeliver",
    ),
    "/orders/<order_id>/deliveries/<delivery_id>/redeliver": (
        "deliveries redeliver",
        "POST /v1/deliveries/<delivery_id>/redeliver",
    ),
    "/bulk": ("bulk redeliver", BULK),
    "/bulk/<bulk_id>/abort": ("bulk abort", "POST /v1/bulk/<bulk_id>/abort"),
    "/pauses": ("orders pause", "POST /v1/pauses"),
    "/pauses/resume": ("orders resume", "DELETE /v1/pauses/<pause_id>"),
    "/orders/<order_id>/again": ("orders rerun", BULK),
    "/orders/<order_id>/steps/<int:number>/again": ("orders rerun", BULK),
    "/orders/<order_id>/cancel": ("orders cancel", "POST /v1/orders/<order_id>/cancel"),
    "/errors/<fingerprint>/resolve": (
        "errors resolve",
        "POST /v1/errors/<fingerprint>/resolve",
    ),
    "/errors/<fingerprint>/reopen": ("errors reopen", "POST /v1/errors/<fingerprint>/reopen"),
    "/notifications": ("notify add", "POST /v1/notifications"),
    "/notifications/<name>/remove": ("notify remove", "DELETE /v1/notifications/<name>"),
    "/notifications/<name>/test": ("notify test", "POST /v1/notifications/<name>/test"),
    "/receivers/<caller>/<name>/adopt": ("receivers adopt", A_PERSON),
    "/receivers/<caller>/<name>/give-up": (
        "receivers set",
        "PATCH /v1/receivers/<caller>/<name>",
    ),
    "/receivers/<caller>/<name>/remove": (
        "receivers remove",
        "DELETE /v1/receivers/<caller>/<name>",
    ),
    "/schedules/<name>/pause": ("schedules pause", A_PERSON),
    "/schedules/<name>/resume": ("schedules resume", A_PERSON),
    "/schedules/<name>/run": ("schedules run-now", "POST /v1/orders"),
    "/workers/drain": ("workers drain", "POST /v1/workers/drain"),
    "/workers/resume": ("workers resume", "POST /v1/workers/resume"),
    "/workers/<process_id>/terminate": (
        "workers terminate",
        "POST /v1/workers/<process_id>/terminate",
    ),
    "/preferences": (None, ONLY_A_PAGE),
    "/sign-in": (None, ONLY_A_PAGE),
    "/sign-out": (None, ONLY_A_PAGE),
}


def commands(command: click.Command = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with its words."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, f"{path} {name}".strip())


@pytest.fixture(scope="module")
def named() -> dict[str, click.Command]:
    return dict(commands())


@pytest.fixture
def routes(make_kernel: Callable[..., Kernel], sqlite_url: str) -> set[str]:
    """Every route that changes something, as METHOD and address."""
    rules = serve(make_kernel(sqlite_url)).url_map.iter_rules()
    return {
        f"{method} {rule.rule}"
        for rule in rules
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
    }


def test_every_button_has_its_command_and_its_route(
    named: dict[str, click.Command], routes: set[str]
) -> None:
    begin = "POST /dashboard"
    assert {one.removeprefix(begin) for one in routes if one.startswith(begin)} == SAME.keys()
    known = {one for one, _ in SAME.values() if one is not None}
    assert known - named.keys() == set()
    asked = {one for _, one in SAME.values() if " /" in one}
    assert asked - routes == set()


def examples(command: click.Command) -> list[list[str]]:
    """The examples that a help shows, each as the words behind the command's name."""
    context = click.Context(command)
    lines = [line.strip() for line in command.get_help(context).splitlines()]
    # What it is piped into, and a word about it, are no part of the command.
    typed = [AFTER.split(line)[0] for line in lines if line.startswith("kernel ")]
    return [shlex.split(line) for line in typed]


def test_every_help_has_an_example_that_works(named: dict[str, click.Command]) -> None:
    assert [name for name, one in named.items() if not examples(one)] == []
    for name, one in named.items():
        words = ["kernel", *name.split()]
        own = [given for given in examples(one) if given[: len(words)] == words]
        assert own, name
        for example in own:
            context = click.Context(one, info_name=name)
            given, left, _ = one.make_parser(context).parse_args(example[len(words) :])
            assert left == [], example
            wanted = {param.name for param in one.params if param.required}
            assert wanted <= {key for key, value in given.items() if value}, example
