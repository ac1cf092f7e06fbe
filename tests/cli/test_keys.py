"""`kernel callers keys | add-key | rotate-key | revoke-key`: keys one by one, and when they end."""

from datetime import datetime, timedelta

import pytest

from kernel.callers import identity
from kernel.errors import KeyExpired
from tests.support.people.terminal import Terminal
from tests.support.servers import Redis


def name_of(terminal: Terminal, key: str) -> str:
    """Whose key it is."""
    with terminal.kernel.read_session() as session:
        return identity.identify(session, key, terminal.kernel.clock.now()).name


def days_of(terminal: Terminal, *argv: str) -> int:
    """How many days a key that a command makes works."""
    ends = datetime.fromisoformat(terminal.json("callers", *argv)["expires_at"])
    return round((ends - terminal.kernel.clock.now()) / timedelta(days=1))


def test_key_ends_by_the_setting_unless_it_is_told_otherwise(terminal: Terminal) -> None:
    assert days_of(terminal, "add", "jira") == 365
    terminal.settings["key_days"] = "30"
    assert days_of(terminal, "add-key", "jira") == 30
    assert days_of(terminal, "add-key", "jira", "--expires-days", "7") == 7
    made = terminal.json("callers", "add-key", "jira", "--never-expires")
    assert made["expires_at"] == "never"
    both = ["--never-expires", "--expires-days", "7"]
    terminal.run("callers", "add-key", "jira", *both, exit_code=2)


def test_keys_are_listed_with_their_limits_and_no_secret(terminal: Terminal) -> None:
    limits = ["--network", "10.20.0.0/16", "--tag", "create_project", "--scope", "orders:write"]
    made = terminal.json("callers", "add", "jira", *limits)
    (listed,) = terminal.json("callers", "keys", "jira")
    assert (listed["tags"], listed["networks"]) == (["create_project"], ["10.20.0.0/16"])
    assert listed["scopes"] == ["orders:write"]
    assert made["api_key"].startswith(listed["key"])
    assert made["api_key"] not in terminal.run("callers", "keys").stdout


def test_key_of_a_person_is_named_as_such_and_not_taken_for_none(terminal: Terminal) -> None:
    made = terminal.json("people", "add", "Ada O'Neil", "--role", "admin")["api_key"]
    terminal.json("callers", "add", "jira")
    (person, caller) = sorted(terminal.json("callers", "keys"), key=lambda one: not one["person"])
    assert (person["key"], person["person"], person["caller"]) == (made[:12], "Ada O'Neil", None)
    assert (caller["person"], caller["caller"]) == (None, "jira")
    for prefix in (made[:12], made[:8], f"{made[:12]}…"):
        said = terminal.run("callers", "revoke-key", prefix, exit_code=1).stderr
        assert "a key of the person Ada O'Neil" in said
        assert "kernel people set 'Ada O'\"'\"'Neil' --new-key" in said
    terminal.run("people", "set", "Ada O'Neil", "--disable")
    gone = terminal.run("callers", "revoke-key", made[:12], exit_code=1).stderr
    assert "no key in force" in gone


@pytest.mark.parametrize("options", [["--network", "10.0.0.1/8"], ["--tag", "Two Words"]])
def test_key_is_not_made_when_its_limits_are_none(terminal: Terminal, options: list[str]) -> None:
    terminal.run("callers", "add", "jira", *options, exit_code=2)
    assert terminal.json("callers", "keys") == []


def test_one_key_is_revoked_by_its_beginning(terminal: Terminal) -> None:
    first = terminal.json("callers", "add", "jira")["api_key"]
    second = terminal.json("callers", "add-key", "jira")["api_key"]
    done = terminal.json("callers", "revoke-key", first[:12] + "…")
    assert done == {"name": "jira", "key": first[:12], "revoked": 1}
    with pytest.raises(KeyExpired):
        name_of(terminal, first)
    assert name_of(terminal, second) == "jira"
    again = terminal.run("callers", "revoke-key", first[:12], exit_code=1).stderr
    assert "no key in force begins with" in again


@pytest.mark.parametrize("prefix", ["kwo_", "kwo_%%%%%%", "kwo_a b cd", ""])
def test_prefix_is_refused_when_it_names_no_key(terminal: Terminal, prefix: str) -> None:
    key = terminal.json("callers", "add", "jira")["api_key"]
    said = terminal.run("callers", "revoke-key", prefix, exit_code=1).stderr
    assert "give the first 8 to 12 characters" in said
    assert name_of(terminal, key) == "jira"


def test_prefix_of_two_keys_revokes_none_and_names_them(terminal: Terminal) -> None:
    made = [terminal.json("callers", *argv) for argv in (["add", "jira"], ["add-key", "jira"])]
    with terminal.kernel.write_session() as session:
        for row in session.query(identity.ApiKey):
            row.prefix = f"kwo_SAME___{row.id}"
    said = terminal.run("callers", "revoke-key", "kwo_SAME", exit_code=1).stderr
    assert "kwo_SAME___1 of jira, kwo_SAME___2 of jira" in said
    assert [name_of(terminal, one["api_key"]) for one in made] == ["jira", "jira"]
    terminal.run("callers", "revoke-key", "kwo_SAME___2")
    assert name_of(terminal, made[0]["api_key"]) == "jira"


def test_key_is_rotated_with_an_overlap_on_its_own_terms(terminal: Terminal) -> None:
    terminal.run("callers", "add", "jira")
    old = terminal.json("callers", "add-key", "jira", "--scope", "orders:read")["api_key"]
    assert "--key" in terminal.run("callers", "rotate-key", "jira", exit_code=1).stderr
    one = ["--key", old[:10], "--overlap-hours", "1"]
    new = terminal.json("callers", "rotate-key", "jira", *one)["api_key"]
    assert name_of(terminal, old) == name_of(terminal, new) == "jira"
    listed = terminal.json("callers", "keys", "jira")
    assert [row["scopes"] for row in listed if new.startswith(row["key"])] == [["orders:read"]]
    terminal.kernel.clock.shift(3601)
    with pytest.raises(KeyExpired):
        name_of(terminal, old)


@pytest.mark.parametrize("schedule", ["nan", "inf", "5,nan", "1e12", "0", "-5", "400000", "x"])
def test_schedule_of_a_caller_is_refused_when_it_cannot_be_kept(
    terminal: Terminal, schedule: str
) -> None:
    terminal.run("callers", "add", "jira")
    done = terminal.run("callers", "set", "jira", "--schedule", schedule, exit_code=2)
    assert "Traceback" not in done.stderr
    assert not any(listed["schedule"] for listed in terminal.json("callers", "list"))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e8", "1e308", "-1"])
@pytest.mark.parametrize(
    "command",
    [
        "add --expires-days",
        "add-key --expires-days",
        "rotate-key --expires-days",
        "rotate-key --overlap-hours",
        "rotate-secret --overlap-hours",
    ],
)
def test_hours_and_days_are_refused_in_words_when_they_are_no_time(
    terminal: Terminal, command: str, number: str
) -> None:
    name, option = command.split()
    said = terminal.run("callers", name, "jira", option, number, exit_code=2).stderr
    assert f"Invalid value for '{option}'" in said


@pytest.mark.parametrize("command", ["audit list --before", "people sessions --end"])
def test_id_is_refused_in_words_when_no_row_has_it(terminal: Terminal, command: str) -> None:
    said = terminal.run(*command.split(), str(2**63), exit_code=2).stderr
    assert "is not in the range" in said


def test_config_check_warns_about_keys_without_an_end(terminal: Terminal, redis: Redis) -> None:
    terminal.settings["broker_url"] = redis.url(1)
    terminal.run("callers", "add", "jira", "--never-expires")
    terminal.run("callers", "add", "soon", "--expires-days", "3")
    said = {one["check"]: one for one in terminal.json("config", "check")}["keys"]
    assert said["ok"]
    assert "warning: keys without an end: kwo_" in said["detail"]
    assert "of soon" in said["detail"]
