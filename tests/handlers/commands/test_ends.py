"""What the end of a command's program means for the order. Real programs."""

import json
import time
from pathlib import Path

import pytest

from kernel.handlers.commands.lines import Heard
from kernel.handlers.commands.process import OUT
from kernel.runtime.startup import missing_programs
from kernel.testing import drain, order
from tests.support import factories
from tests.support.commanding import Make, ended, result
from tests.support.waiting import is_running, wait_until


def shell(*lines: str, more: str = "") -> str:
    """A file with one command, a shell's script."""
    script = "\n".join(lines).replace("{", "{{").replace("}", "}}")
    return f"[run]\nprogram = \"sh\"\nargv = ['-c', '''{script}''']\n{more}\n"


def test_result_is_the_last_that_the_program_tells(make: Make) -> None:
    kernel = make(shell("echo noise", "echo '::result {\"a\": 1}'", "echo '::result {\"a\": 2}'"))
    assert result(kernel, "run") == {"a": 2}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo '::result [1]'", "its ::result is no JSON object"),
        ("echo '::result {'", "its ::result is no JSON"),
        ("echo '::result {\"a\": NaN}'", "cannot be stored"),
        ("printf '::result {\"a\": \"'; head -c 262144 /dev/zero | tr '\\0' a; echo '\"}'", "too"),
    ],
)
def test_order_fails_when_its_result_is_none(make: Make, line: str, said: str) -> None:
    found = ended(make(shell(line)), "run")
    assert found.error_code == "command_result"
    assert said in str(found.message)


CODES = """
[run.exit_codes]
2 = { code = "no_such_host", message = "there is no such host" }
3 = { warning = "one host was left out" }
"""


@pytest.mark.parametrize(
    ("script", "state", "code", "message"),
    [
        ("exit 2", "failed", "no_such_host", "there is no such host"),
        ("echo why >&2; exit 2", "failed", "no_such_host", "there is no such host: why"),
        ("echo why >&2; exit 3", "warning", None, "one host was left out: why"),
        ("echo why >&2; exit 4", "failed", "command_failed", "exit code 4: why"),
        ("kill -SEGV $$", "failed", "command_killed", "ended by signal SIGSEGV"),
        (
            "printf 'a\\033[31mred\\033[0m\\001\\n' >&2; exit 1",
            *("failed", "command_failed", "exit code 1: ared "),
        ),
    ],
)
def test_exit_code_means_what_the_file_says(
    make: Make, script: str, state: str, code: str | None, message: str
) -> None:
    found = ended(make(shell(script, more=CODES)), "run")
    assert (found.state, found.error_code) == (state, code)
    assert (found.message or "").strip() == message.strip()


KEY = "a-long-key\nof-two-lines"


def test_message_has_the_last_lines_of_stderr_and_no_secret(make: Make) -> None:
    more = 'environment = { PW = "{password}" }\n[run.arguments]\npassword = { type = "secret" }'
    script = 'i=0; while [ $i -lt 500 ]; do echo "line $i" >&2; i=$((i+1)); done; echo "$PW" >&2'
    found = ended(make(shell(f"{script}; exit 1", more=more)), "run", password=KEY)
    message = found.message or ""
    assert message.startswith("exit code 1: ... line ")
    assert message.endswith("line 499\n•••\n•••")
    assert len(message) < 800


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("hunter2-secret", "\\033[01;31m\\033[Khunter2\\033[m\\033[K-secret"),
        ("hunter2\tsecret", "\\033[1mhunter2\\033[m\\tsecret"),
        ("hunter2\tsecret", "hunter2\\tsecret"),
    ],
)
def test_message_has_no_secret_when_it_is_coloured_inside(
    make: Make, secret: str, said: str
) -> None:
    more = 'environment = { PW = "{password}" }\n[run.arguments]\npassword = { type = "secret" }'
    script = f"printf 'login {said} failed\\n' >&2; exit 1"
    found = ended(make(shell(script, more=more)), "run", password=secret)
    assert found.message == "exit code 1: login ••• failed"


def test_progress_has_no_secret_when_it_is_coloured_inside() -> None:
    heard = Heard(mask=lambda text: text.replace("hunter2-secret", "•••"))
    heard.take(OUT, b"::progress 1 login \x1b[1mhunter2\x1b[m-secret failed\n")
    assert heard.take_progress() == (1, None, "login ••• failed")


def test_nothing_that_the_program_says_is_told_when_the_file_says_quiet(make: Make) -> None:
    kernel = make(
        shell("echo out; echo err >&2; exit ${KERNEL_ORDER_REFERENCE:-0}", more="quiet = true")
    )
    assert result(kernel, "run") == {}
    assert ended(kernel, "run", reference="1").message == "exit code 1"


def test_lines_mean_nothing_when_the_file_says_so(make: Make) -> None:
    kernel = make(shell("echo '::result {}'", more="lines = false"))
    assert result(kernel, "run") == {"output": "::result {}"}


def test_program_that_says_too_much_is_killed(make: Make) -> None:
    found = ended(make(shell("yes", more="output_bytes = 100000")), "run")
    assert found.error_code == "command_output"


def test_program_that_is_not_there_is_told_of(make: Make) -> None:
    kernel = make('[run]\nprogram = "./no-such-program"')
    found = ended(kernel, "run")
    assert found.error_code == "command_not_started"
    (said,) = missing_programs(kernel.handlers)
    assert "/no-such-program is not on this machine" in said


def test_directory_that_is_not_there_is_told_of(make: Make) -> None:
    kernel = make('[run]\nprogram = "true"\ndirectory = "playbooks"')
    assert ended(kernel, "run").error_code == "command_not_started"
    (said,) = missing_programs(kernel.handlers)
    assert said.startswith("select_tag 'run': the directory /")
    assert "/playbooks is not on this machine: its orders fail where" in said


def test_program_that_cannot_be_run_is_told_of(make: Make, tmp_path: Path) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    found = ended(make('[run]\nprogram = "./broken"'), "run")
    assert (found.error_code, "No such file" in (found.message or "")) == (
        "command_not_started",
        True,
    )


def test_daemon_that_the_program_leaves_is_killed_with_it(make: Make, tmp_path: Path) -> None:
    script = f"(setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 600' >/dev/null 2>&1 &)"
    result(make(shell(script, f"while [ ! -s {tmp_path}/daemon ]; do sleep 0.01; done")), "run")
    daemon = int((tmp_path / "daemon").read_text())
    wait_until(lambda: not is_running(daemon))


def test_command_over_its_time_limit_is_killed_and_not_run_again(make: Make) -> None:
    began = time.monotonic()
    found = ended(make(shell("sleep 600", more="time_limit = 1")), "run")
    assert (found.error_code, found.run) == ("timed_out", 1)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("script", "state", "code"),
    [
        ("trap 'echo \"::result {}\"; exit 0' TERM; sleep 600 & wait", "success", None),
        ("sleep 600", "failed", "timed_out"),
    ],
)
def test_command_is_asked_to_end_at_its_soft_limit(
    make: Make, script: str, state: str, code: str | None
) -> None:
    kernel = make(shell(script, more="soft_limit = 0.3\ntime_limit = 60"))
    found = ended(kernel, "run")
    assert (found.state, found.error_code) == (state, code)


def test_command_that_was_interrupted_is_not_run_again(make: Make) -> None:
    kernel = make(shell("exit 0"))
    left = {"run": 1, "checkpoint": 1, "run_state": '{"begun": 1}'}
    order_id = factories.make_order(kernel, select_tag="run", args="{}", **left)
    drain(kernel)
    assert factories.order(kernel, order_id).error_code == "command_interrupted"


def test_command_that_may_be_run_again_asks_for_it_by_its_exit_code(make: Make) -> None:
    more = "again = true\n[run.exit_codes]\n75 = { retry = 5, tries = 3 }"
    kernel = make(
        shell("[ $KERNEL_ORDER_RUN -gt 2 ] || exit 75; echo $KERNEL_ORDER_RUN", more=more)
    )
    order_id = order(kernel, "run")
    for _ in range(3):
        drain(kernel)
        kernel.clock.shift(5)
    assert json.loads(factories.order(kernel, order_id).result or "") == {"output": "3"}
