"""What the keys of a command must be to each other; a mistake is told with its place."""

from collections.abc import Iterable

from kernel.config.near import did_you_mean
from kernel.handlers.commands.program import ORDER_ID, Program
from kernel.handlers.commands.tables import Argument, Command, Condition, Exit
from kernel.handlers.commands.templates import Entry, Text


class Wrong(Exception):
    """A mistake in the table of a command: what is wrong, and in which of its tables."""

    def __init__(self, said: str, *place: str) -> None:
        super().__init__(said)
        self.said, self.place = said, place


def refuse_limits(command: Command) -> None:
    """Raise Wrong for limits and exit codes that cannot hold together."""
    if command.max_runs is not None and not command.again:
        raise Wrong("max_runs: a command that may run more than once says `again = true`, too")
    soft_limit, time_limit = command.soft_limit, command.time_limit
    if soft_limit is not None and (time_limit is None or soft_limit >= time_limit):
        raise Wrong("soft_limit: it needs a time_limit, and one that is longer")
    if command.stdin is not None and command.stdin_json:
        raise Wrong("stdin_json: there is `stdin` as well; leave one of them out")
    for code, one in command.exit_codes.items():
        _refuse_exit(command, code, one)


def _refuse_exit(command: Command, code: str, one: Exit) -> None:
    place = ("exit_codes", code)
    if int(code) > 255:
        raise Wrong("an exit code is 1 to 255", *place)
    if sum(said is not None for said in (one.code, one.warning, one.retry)) != 1:
        raise Wrong("say one of code (with a message), warning and retry", *place)
    if one.retry is not None and not command.again:
        raise Wrong("retry: a command that may be run again says `again = true`, too", *place)


def checked(command: Command) -> Program:
    """Return the command as a handler's function. Raises Wrong for templates that cannot be."""
    argv = tuple(_entry(command, one) for one in command.argv)
    environment = {
        name: _text(command, one, "environment") for name, one in command.environment.items()
    }
    files = {name: _text(command, one, "files") for name, one in command.files.items()}
    stdin = None if command.stdin is None else _text(command, command.stdin, "stdin")
    if taken := sorted(files.keys() & {*command.arguments, ORDER_ID}):
        raise Wrong(f"{taken[0]}: an argument has this name already", "files")
    if ORDER_ID in command.arguments:
        raise Wrong("every order has one already", "arguments", ORDER_ID)
    program = Program(command, argv, environment, files, stdin)
    _refuse_unused(program)
    return program


def _refuse_unused(program: Program) -> None:
    named = {entry.given for entry in program.argv}
    texts = [text for entry in program.argv for text in entry.texts]
    texts += [*program.environment.values(), *program.files.values()]
    texts += [] if program.stdin is None else [program.stdin]
    named |= {name for text in texts for name in text.names}
    for name in program.command.arguments:
        if name not in named and not program.command.stdin_json:
            raise Wrong(
                f"is used nowhere: name it as {{{name}}} in argv, environment, stdin or files",
                *("arguments", name),
            )


def _entry(command: Command, one: str | Condition) -> Entry:
    if isinstance(one, str):
        return Entry((_text(command, one, "argv"),))
    _refuse_unknown(command.arguments, one.given, "argv: if")
    texts = tuple(_text(command, text, "argv", given=one.given) for text in one.then)
    return Entry(texts, one.given)


def _text(command: Command, text: str, place: str, given: str | None = None) -> Text:
    """Read a text that stands in ``place``; ``given``: the argument that is given wherever it is
    used.
    """
    try:
        parsed = Text.parse(text)
    except ValueError as error:
        raise Wrong(f"{place}: {error}") from None
    known = [
        *command.arguments,
        ORDER_ID,
        *(command.files if place in ("argv", "environment") else ()),
    ]
    for name in parsed.names:
        _refuse_unknown(known, name, place)
        argument = command.arguments.get(name)
        if argument is not None and (said := _unfit(argument, name, parsed, place, given)):
            raise Wrong(f"{place}: {text!r}: {said}")
    return parsed


def _unfit(argument: Argument, name: str, text: Text, place: str, given: str | None) -> str | None:
    if argument.type == "secret" and place == "argv":
        return (
            f"{name} is secret, and every user of the machine can read argv: hand it over by "
            "stdin, environment or files"
        )
    alone = place == "argv" and text.only == name
    if argument.type == "list" and argument.join is None and not alone:
        return (
            f"the list {name} is no text: write it alone, as one entry of argv, or give it a "
            '`join = ","`'
        )
    optional = not argument.required and argument.default is None
    if optional and name != given and place != "environment":
        return (
            f'{name} may not be given: write {{ if = "{name}", then = [...] }} in argv, or '
            "give it a default"
        )
    return None


def _refuse_unknown(known: Iterable[str], name: str, place: str) -> None:
    known = list(known)
    if name not in known:
        near = did_you_mean(name, known) or f"; there are {', '.join(known) or 'none'}"
        raise Wrong(f"{place}: there is no argument {name!r}{near}")
