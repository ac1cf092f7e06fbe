"""What is wrong with a file of commands is told with its tag, its key, and what was meant."""

from pathlib import Path

import pytest

from kernel.errors import ConfigurationError
from kernel.handlers.commands.file import load_commands

SAY = 'program = "echo"\nargv = ["{word}"]\n[say.arguments.word]\n'


def refusal(tmp_path: Path, text: str) -> str:
    """What is said of a file with this text."""
    file = tmp_path / "commands.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_commands(str(file))
    assert refused.value.message.startswith(str(file))
    return refused.value.message.removeprefix(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no command"),
        ("[say", "is no TOML"),
        ("say = 1", "[say] is no table"),
        ('[Say]\nprogram = "echo"', "select_tag 'Say': use lower-case letters"),
        ("[say]", "[say] program is missing"),
        ('[say]\nprogramm = "echo"', "[say] there is no key 'programm'; did you mean program?"),
        ('[say]\nprogram = "echo"\ntime_limit = "5m"', "[say] time_limit: "),
        (
            '[say]\nprogram = "echo"\n[say.arguments.word]\npatern = "a"',
            "[say.arguments.word] there is no key 'patern'; did you mean pattern?",
        ),
        (
            '[say]\nprogram = "echo"\n[say.exit_codes.2]\nmesage = "a"',
            "[say.exit_codes.2] there is no key 'mesage'; did you mean message?",
        ),
        (
            '[say]\nprogram = "echo"\nargv = [{ fi = "word", then = ["a"] }]',
            "there is no key 'fi'",
        ),
        (f'[say]\n{SAY}type = "string"', "[say.arguments.word] type: "),
        (f"[say]\n{SAY}minimum = 3", "[say.arguments.word] an argument of type str has no minimum"),
        (f'[say]\n{SAY}type = "list"\nminimum = 3', "of type list of str has no minimum"),
        (f"[say]\n{SAY}examples = [3]", "[say.arguments.word] the example or default 3 does not"),
        (f'[say]\n{SAY}pattern = "("', "[say.arguments.word] pattern: '(' is no"),
        (f'[say]\n{SAY}pattern = "(?!-).*"', "of Rust's: look-around, including look-ahead and"),
        (f'[say]\n{SAY}choices = ["-x"]', "would be an option; if it may, `dash = true`"),
        (f"[say]\n{SAY}choices = [1]", "choices are a list of strs"),
        (f"[say]\n{SAY}required = false", "word may not be given: write { if = "),
        (f'[say]\n{SAY}type = "secret"', "word is secret, and every user of the machine can read"),
        (
            '[say]\nprogram = "echo"\nargv = ["{wort}"]\n[say.arguments.word]',
            "[say] argv: there is no argument 'wort'; did you mean word?",
        ),
        (
            '[say]\nprogram = "echo"\n[say.arguments.word]',
            "[say.arguments.word] is used nowhere: name it as {word}",
        ),
        (
            '[say]\nprogram = "echo"\nargv = ["a{word}"]\n[say.arguments.word]\ntype = "list"',
            "the list word is no text",
        ),
        ('[say]\nprogram = "echo"\nargv = ["{a!r}"]', "in braces stands the name of an argument"),
        ('[say]\nprogram = "echo"\nargv = ["{"]', "write {{ and }} for braces"),
        (
            '[say]\nprogram = "echo"\nargv = ["{json}"]\n[say.arguments.json]',
            "[say.arguments.json] pydantic has this name for itself",
        ),
        ('[say]\nprogram = "echo"\nmax_runs = 2', "[say] max_runs: a command that may run more"),
        ('[say]\nprogram = "echo"\nsoft_limit = 2', "[say] soft_limit: it needs a time_limit"),
        ('[say]\nprogram = "echo"\nrate = "often"', "select_tag 'say': a rate is a number per"),
        (
            '[say]\nprogram = "echo"\n[say.exit_codes]\n300 = { code = "a" }',
            "[say.exit_codes.300] an exit code is 1 to 255",
        ),
        (
            '[say]\nprogram = "echo"\n[say.exit_codes]\n3 = { retry = 5 }',
            "[say.exit_codes.3] retry: a command that may be run again says",
        ),
        (
            '[say]\nprogram = "echo"\n[say.exit_codes]\n3 = { code = "a", warning = "b" }',
            "[say.exit_codes.3] say one of code (with a message), warning and retry",
        ),
    ],
)
def test_mistake_is_told_with_its_tag_and_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_mark_before_the_first_line_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_bytes(b'\xef\xbb\xbf[say]\nprogram = "echo"\n')
    assert list(load_commands(str(tmp_path / "marked.toml"))) == ["say"]


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there\.toml cannot be read: No such file"):
        load_commands(str(tmp_path / "there.toml"))
