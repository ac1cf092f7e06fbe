"""`kernel listen`: what it says of callbacks, and how it answers."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import requests

from kernel.cli.local.listener import Heard, Listener, Manner, Signature, envelope_of, judge
from kernel.cli.local.preview import Preview
from kernel.cli.local.receiver import Post, Postbox, Reply
from kernel.cli.local.showing import printed
from kernel.formats.envelope import encode
from kernel.formats.signing import headers, new_secret
from tests.support.people.terminal import Terminal
from tests.support.programs import Command
from tests.support.waiting import wait_until

OLD, NEW = new_secret(), new_secret()
NOW = 1_795_224_957
DATA = {"order_id": "o-1", "select_tag": "create_project", "state": "success"}
BODY = encode({"status": 0, "msg": "成功", "data": {**DATA, "result": {"projname": "Bridge"}}})


def post(*secrets: str, at: int = NOW, body: bytes = BODY, message_id: str = "m-1") -> Post:
    return Post(headers(secrets, message_id, at, body), body)


def send(url: str, sent: Post) -> requests.Response:
    options = {"timeout": 10, "allow_redirects": False}
    return requests.post(url, data=sent.body, headers=dict(sent.headers), **options)


def heard(sent: Post) -> Heard:
    """What a listener says of one POST."""
    told: list[Heard] = []
    Listener([], Manner(), told.append).answer(sent)
    return told[0]


JUDGED = {
    "signed": (post(OLD), Signature.VALID, ""),
    "one of two": (post(NEW, OLD), Signature.VALID, ""),
    "old, but not too old": (post(OLD, at=NOW - 300), Signature.VALID, ""),
    "other secret": (post(NEW), Signature.WRONG, "no signature matches"),
    "other body": (Post(post(OLD).headers, BODY + b" "), Signature.WRONG, "no signature matches"),
    "old": (post(OLD, at=NOW - 301), Signature.TOO_OLD, ""),
    "old and forged": (post(NEW, at=NOW - 301), Signature.WRONG, "no signature matches"),
    "ahead": (post(OLD, at=NOW + 301), Signature.TOO_NEW, ""),
    "unsigned": (post(), Signature.MISSING, ""),
    "bare": (Post({}, b""), Signature.MISSING, ""),
    "no id": (Post({"webhook-signature": "v1,x"}, b""), Signature.WRONG, "webhook-id is missing"),
}


@pytest.mark.parametrize(("sent", "signature", "reason"), JUDGED.values(), ids=JUDGED)
def test_judge_says_whether_signature_and_age_are_right(
    sent: Post, signature: Signature, reason: str
) -> None:
    assert judge([OLD], sent, NOW) == (signature, reason)


def test_judge_says_so_when_there_is_no_secret_to_check_with() -> None:
    assert judge([], post(OLD, at=0), NOW) == (Signature.UNCHECKED, "")


MANNERS = {
    "nothing": (Manner(), [200, 200, 200]),
    "status": (Manner(status=503), [503, 503, 503]),
    "redirect": (Manner(redirect="http://elsewhere/"), [302, 302, 302]),
    "other redirect": (Manner(status=308, redirect="http://elsewhere/"), [308, 308, 308]),
    "fail first": (Manner(fail_first=2), [500, 500, 200]),
    "fail first otherwise": (Manner(fail_first=1, status=404), [404, 200, 200]),
    "redirect first": (Manner(fail_first=1, redirect="http://elsewhere/"), [302, 200, 200]),
}


@pytest.mark.parametrize(("manner", "statuses"), MANNERS.values(), ids=MANNERS)
def test_manner_answers_as_told(manner: Manner, statuses: list[int]) -> None:
    assert [manner.reply(number, genuine=True).status for number in (1, 2, 3)] == statuses


def test_manner_sends_the_headers_with_what_it_was_told_only() -> None:
    manner = Manner(redirect="http://elsewhere/", retry_after=9, fail_first=1, delay=2)
    wanted = {"Location": "http://elsewhere/", "Retry-After": "9"}
    assert manner.reply(1, genuine=True) == Reply(302, wanted, 2)
    assert manner.reply(2, genuine=True) == Reply(200, {}, 2)


def test_manner_refuses_what_is_not_genuine_unless_told_otherwise() -> None:
    assert Manner().reply(1, genuine=False).status == 401
    assert Manner(status=204).reply(1, genuine=False).status == 204


def test_listener_marks_duplicates_by_their_webhook_id() -> None:
    told: list[Heard] = []
    listener = Listener([], Manner(), told.append)
    for sent in (post(), post(message_id="m-2"), post(), Post({}, b""), Post({}, b"")):
        listener.answer(sent)
    assert [one.is_duplicate for one in told] == [False, False, True, False, False]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b'{"a":NaN}', b"[" * 10**6, b"{"])
def test_envelope_is_empty_when_the_body_is_no_json_object(body: bytes) -> None:
    assert envelope_of(body) == {}
    assert heard(Post({}, body)).data == {}


HOSTILE = {
    "control": encode({"msg": "\x1b[2J\x7f\x9b", "data": {"order_id": "a\nb"}}),
    "direction": encode({"data": {"error": {"code": "\u202e\u2066"}}}),
    "surrogate": b'{"msg":"\\ud800"}',
    "odd types": b'{"msg":{"a":[1]},"data":{"order_id":[],"state":7,"result":"x"}}',
    "infinite": b'{"data":{"result":1e999}}',
    "deep": b'{"data":{"result":' + b"[" * 970 + b"]" * 970 + b"}}",
    "bytes": b"\x1b]0;\x07\xff\x00",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_escaped_when_shown(body: bytes) -> None:
    one, preview = heard(Post({"webhook-id": "\x1b]0;\x9b"}, body)), Preview("teams", {}, {})
    for machine in (True, False):
        for line in click.unstyle(printed(one, machine, preview)).split("\n"):
            assert line.isprintable()
            assert line.encode()


def made(profile: str, reference: str | None = "INC1", **outcomes: str) -> dict[str, Any]:
    """What is printed as JSON of the request that a profile makes."""
    named = {} if reference is None else {"reference": reference}
    sent = post(OLD, body=encode({"status": 0, "msg": "done", "data": {**DATA, **named}}))
    keys = {f"success.{name}": value for name, value in outcomes.items()}
    line = json.loads(printed(heard(sent), True, Preview(profile, {}, keys, [OLD])))
    assert line["reference"] == reference
    return dict(line["request"])


def test_request_of_a_profile_is_shown_byte_for_byte() -> None:
    request = made("servicenow-table", state="6")
    assert request["lookup"].endswith("/incident?sysparm_query=number=INC1"
        "&sysparm_fields=sys_id,number,state&sysparm_limit=2")  # fmt: skip
    assert (request["method"], request["url"].partition("?")[0]) == (
        *("PATCH", "/api/now/table/incident/FOUND"),
    )
    wanted = '{"work_notes":"create_project: success\\ndone\\n\\nref m-1","state":"6"}'
    assert request["body"] == wanted
    # A receiver that knows the signing secret takes these very bytes.
    assert judge([OLD], Post(request["headers"], wanted.encode()), NOW) == (Signature.VALID, "")


def test_request_of_a_profile_shows_no_secret_and_says_why_there_is_none() -> None:
    assert made("slack")["url"] == "the secret named url"
    assert "SECRET_password" in made("itop")["body"]
    assert made("servicenow-table", None) == {
        "nothing": "the lookup needs reference, and the order has none"
    }


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[..., tuple[Command, str]]]:
    """Start `kernel listen` on a free port; return it and its URL once it listens."""
    commands: list[Command] = []

    def start(*options: str, typed: str = "") -> tuple[Command, str]:
        command = Command(tmp_path, "listen", "--port=0", *options, typed=typed).__enter__()
        commands.append(command)
        command.wait_for("Ctrl-C ends.")
        return command, (command.out + command.err).split()[1]

    yield start
    for command in commands:
        command.__exit__()


def test_listen_shows_callbacks_and_counts_them_when_it_ends(
    listening: Callable[..., tuple[Command, str]],
) -> None:
    command, url = listening("--secret=-", typed=OLD + "\n")
    now = int(time.time())
    sent = (post(OLD, at=now), post(OLD, at=now), post(NEW, at=now), post(OLD, at=now - 400))
    assert [send(url, one).status_code for one in sent] == [200, 200, 401, 401]
    command.wait_for("seen before, 4 times by now, answers 401")
    assert re.search(r"too old, 4\d\d s old, seen before, 4 times by now", command.out)
    assert command.stop(signal.SIGINT) == 0
    assert 'order o-1  success  成功  {"projname": "Bridge"}' in command.out
    summary = "4 callbacks: 2 signature valid, 1 wrong signature, 1 too old, 3 seen before"
    assert command.out.endswith(f"\n{summary}\n")


def test_listen_prints_a_line_of_json_per_callback_when_told_to(
    listening: Callable[..., tuple[Command, str]],
) -> None:
    command, url = listening("--json", "--secret", OLD, "--secret", NEW)
    send(url, post(NEW, at=int(time.time())))
    line = json.loads(wait_until(lambda: command.out))
    age, moment = line.pop("age_seconds"), line.pop("time")
    assert (age in range(10), moment[-1]) == (True, "Z")
    assert line.items() >= {"webhook_id": "m-1", "signature": "valid", "answer": 200}.items()
    assert line.items() >= {"order_id": "o-1", "status": 0, "msg": "成功"}.items()
    assert (line["duplicate"], line["result"]) == (False, {"projname": "Bridge"})


def test_listen_shows_what_a_profile_makes_of_a_callback(
    listening: Callable[..., tuple[Command, str]],
) -> None:
    options = ("--set", "table=problem", "--outcome", "success.public=true")
    command, url = listening("--profile=servicenow-table", *options)
    data = {**DATA, "reference": "PRB1"}
    send(url, post(OLD, body=encode({"status": 0, "msg": "done", "data": data})))
    command.wait_for('{"comments":"create_project: success')
    assert "order o-1  PRB1  success" in command.out
    assert "\n    PATCH /api/now/table/problem/FOUND?" in command.out


def test_listen_answers_badly_when_told_to(
    listening: Callable[..., tuple[Command, str]],
) -> None:
    _, url = listening("--fail-first=1", "--retry-after=7", "--redirect=http://elsewhere/x")
    first, second = send(url, post()), send(url, post())
    assert (first.status_code, second.status_code) == (302, 200)
    assert first.headers["Location"] == "http://elsewhere/x"
    assert first.headers["Retry-After"] == "7"
    assert "Retry-After" not in second.headers


def test_listen_says_how_kernel_is_let_to_it(
    listening: Callable[..., tuple[Command, str]],
) -> None:
    command, url = listening()
    assert url.startswith("http://127.0.0.1:")
    assert "KERNEL_CALLBACK_ALLOW_NETS=127.0.0.1/32" in command.out
    assert "kernel callers add NAME --callback-net 127.0.0.1/32" in command.out


REFUSED = {
    "a malformed secret": (["--secret", "-"], "a signing secret starts with whsec_"),
    "a port kernel avoids": (["--port", "6379"], "kernel sends no callbacks to port 6379"),
    "a forged header": (["--redirect", "http://x/\r\nA: b"], "visible ASCII"),
    "an unknown profile": (["--profile", "servicenow-tabel"], "did you mean 'servicenow-table'"),
    "a variable of nothing": (["--set", "table=x"], "--set and --outcome go with --profile"),
    "nothing to retry": (["--retry-after", "5"], "--retry-after goes with --status"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_listen_is_refused_when_it_cannot_work(
    empty_terminal: Terminal, options: list[str], message: str
) -> None:
    done = empty_terminal.run("listen", *options, exit_code=2, stdin="hunter2\n")
    assert message in " ".join(done.stderr.split())
    assert "hunter2" not in done.output


def test_listen_is_refused_when_the_port_is_taken(empty_terminal: Terminal) -> None:
    with Postbox(lambda _: Reply()) as taken:
        port = taken.url.split(":")[2].split("/")[0]
        done = empty_terminal.run("listen", f"--port={port}", exit_code=2)
    assert "choose one with --port" in done.stderr
