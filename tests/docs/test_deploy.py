"""deploy/ and the Dockerfile: what docker, compose and systemd would make of them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from kernel.cli.local.programs import MARGIN_SECONDS, worker_program
from kernel.config.settings import PREFIX, load
from tests.support import deployment
from tests.support.deployment import DEPLOY, KNOWN, PARTS, ROOT, UNITS, services, stages, unit

SERVERS = {"mariadb", "redis"}
KERNELS = {*PARTS, "migrate", "cli"}
PATH = {"PATH": os.environ["PATH"]}
EXAMPLE = deployment.env_file(DEPLOY / ".env.example")
# What somebody who installs it wants to see without reading all of docs/configuration.md.
USUAL = {"DATABASE_URL", "BROKER_URL", "HANDLERS", "CALLBACK_ALLOW_NETS", "WORKER_PROCESSES"}


def longest_stop(part: str) -> float:
    """How many seconds a part may take to end in an orderly way."""
    settings = load()
    if part == "worker":
        return worker_program(settings).stop_timeout
    if part == "dispatcher":
        return settings.callback_timeout + MARGIN_SECONDS
    found = re.search(r"^graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.M)
    assert found is not None
    return float(found[1])


# ---- The image ----------------------------------------------------------------------------------


def final_stage(name: str) -> list[str]:
    return [rest for found, rest in stages()[-1] if found == name]


def test_image_runs_without_rights_and_is_checked_when_started() -> None:
    assert final_stage("USER") == ["10001:10001"]
    (check,) = final_stage("HEALTHCHECK")
    assert "/healthz" in check
    (command,) = final_stage("CMD")
    assert command.startswith('["gunicorn", "-c"'), "exec form: signals reach gunicorn itself"


def test_image_installs_locked_wheels_only_when_built() -> None:
    runs = [rest for name, rest in stages()[0] if name == "RUN" and "pip install" in rest]
    locked, ours = runs
    assert "--require-hashes --only-binary=:all: -r requirements.lock" in locked
    assert "--no-deps --no-build-isolation" in ours
    installers = re.compile(r"apt-get|\bpip\b|\bgcc\b|build-essential")
    assert not [rest for name, rest in stages()[-1] if name == "RUN" and installers.search(rest)]


def test_image_has_what_it_copies_when_the_context_is_filtered() -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        Path(word).name
        for name, rest in stages()[0]
        if name == "COPY"
        for word in shlex.split(rest)[:-1]
    }
    assert copied <= kept
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_image_sets_known_settings_only_when_started() -> None:
    (env,) = final_stage("ENV")
    named = {word.partition("=")[0] for word in shlex.split(env) if word.startswith(PREFIX)}
    assert named <= KNOWN
    (port,) = final_stage("EXPOSE")
    assert f"KERNEL_BIND=0.0.0.0:{port}" in env


# ---- The example of settings --------------------------------------------------------------------


def test_example_of_settings_is_accepted_when_every_line_is_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = {name: value for name, value in EXAMPLE.items() if name.startswith(PREFIX)}
    assert set(ours) <= KNOWN
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    assert load().handlers == "myhandlers:handlers"


def test_example_of_settings_has_the_usual_ones_and_no_secret() -> None:
    assert {PREFIX + name for name in USUAL} <= set(EXAMPLE)
    passwords = [name for name in EXAMPLE if name.endswith("_PASSWORD")]
    assert len(passwords) == 6
    assert {EXAMPLE[name] for name in passwords} == {""}


# ---- Compose ------------------------------------------------------------------------------------


def test_compose_asks_for_nothing_the_example_lacks_when_it_starts() -> None:
    text = "".join(path.read_text() for path in DEPLOY.glob("compose*.yaml"))
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert asked == {name for name in EXAMPLE if not name.startswith(PREFIX)}


@pytest.mark.parametrize("name", sorted(services()))
def test_compose_service_may_do_little_when_it_runs(name: str) -> None:
    one = services()[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert "nginxinc/nginx-unprivileged" in one["image"] or one["user"] not in ("", "root")


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_compose_service_has_known_settings_when_it_starts(name: str) -> None:
    one = services()[name]
    given = one["environment"]
    emptied = {name for name, value in given.items() if value == ""}
    assert set(given) - emptied <= KNOWN
    assert one["env_file"] == [".env"]
    assert emptied == {n for n in EXAMPLE if n.endswith(("MIGRATE_PASSWORD", "ADMIN_PASSWORD"))}


def test_compose_lets_only_ours_reach_the_database_when_all_runs() -> None:
    in_data = {name for name, one in services().items() if "data" in one["networks"]}
    assert in_data == KERNELS | SERVERS
    assert deployment.compose()["networks"]["data"] == {"internal": True}
    assert {n for n, one in services().items() if one.get("ports")} == {"proxy"}
    assert services()["proxy"]["networks"] == ["outside", "inside"]


def test_compose_sends_callbacks_by_a_bridge_of_their_own_when_all_runs() -> None:
    on_it = {name for name, one in services().items() if "callbacks" in one["networks"]}
    assert on_it == {"worker", "dispatcher", "cli"}
    assert services()["cli"]["networks"] == services()["worker"]["networks"], "it sends as well"
    (name,) = deployment.compose()["networks"]["callbacks"]["driver_opts"].values()
    assert (DEPLOY / "egress.nft").read_text().count(f'iifname "{name}"') == 2
    assert len(name) <= 15, "longer names are no names of interfaces"


def test_compose_starts_in_order_when_each_is_ready() -> None:
    for name in ("api", "worker", "dispatcher"):
        waits = services()[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        assert waits["redis"] == {"condition": "service_healthy"}
    assert services()["migrate"]["depends_on"] == {"mariadb": {"condition": "service_healthy"}}
    assert services()["proxy"]["depends_on"]["api"]["condition"] == "service_healthy"
    assert all(services()[one]["healthcheck"]["test"] for one in (*SERVERS, "api", "proxy"))


def test_compose_mounts_what_is_there_when_it_starts() -> None:
    mounts = [one for service in services().values() for one in service.get("volumes", ())]
    local = {one.split(":")[0] for one in mounts if one.startswith("./")}
    assert [one for one in local if not (DEPLOY / one).exists()] == []


def test_compose_proxy_leads_to_the_api_when_its_addresses_are_replaced() -> None:
    (words,) = [one for one in services()["proxy"]["command"] if "sed" in one]
    edits = re.findall(r"s/(.+?)/(.+?)/", words.partition(" /etc/kernel")[0])
    text = (DEPLOY / "nginx.conf").read_text()
    for pattern, new in edits:
        text, count = re.subn(pattern, new, text)
        assert count == 1, pattern
    assert re.search(r"^\s*server api:8000;", text, re.MULTILINE)
    assert services()["proxy"]["ports"][0].endswith(":8080")
    assert "listen 8080;" in text


@pytest.mark.parametrize("part", PARTS)
def test_compose_service_has_time_to_end_when_stopped(part: str) -> None:
    assert float(services()[part]["stop_grace_period"].removesuffix("s")) > longest_stop(part)


def test_compose_makes_the_two_users_when_the_database_is_new() -> None:
    """What the image's entrypoint makes of our script, in its shell."""
    mounts = dict(one.removesuffix(":ro").split(":") for one in services()["mariadb"]["volumes"])
    assert "/docker-entrypoint-initdb.d/make-users.sh" in mounts.values()
    script = (DEPLOY / "databases" / "make-users.sh").read_text()
    for name in ("mariadb", "postgresql"):
        file = DEPLOY / "databases" / f"{name}.sql"
        given = script.replace("/etc/kernel/users.sql", str(file))
        shell = f"set -e; docker_process_sql() {{ cat; }}\n{given}"
        env = {"KERNEL_PASSWORD": "one", "KERNEL_PASSWORD_OF_MIGRATE": "two"}
        argv = ["bash", "-c", shell]
        said = subprocess.run(argv, env=env | PATH, capture_output=True, text=True, check=True)
        wanted = file.read_text().replace("'PASSWORD'", "'one'")
        assert said.stdout == wanted.replace("'PASSWORD_OF_MIGRATE'", "'two'")
        assert "'one'" in said.stdout
        assert "'two'" in said.stdout


def test_backup_is_of_the_database_that_is_deployed() -> None:
    name = services()["mariadb"]["environment"]["MARIADB_DATABASE"]
    text = "".join((ROOT / "docs" / f"{one}.md").read_text() for one in ("operations", "databases"))
    told = re.findall(r"^(?:mariadb-dump|pg_dump|pg_restore) .*$", text, re.MULTILINE)
    told += re.findall(r"`mariadb .*?`", text)
    assert len(told) == 5
    assert [one for one in told if not re.search(rf"[ =]{name}( |$)", one)] == []


def test_images_are_pinned_by_the_digests_that_the_registry_tells(tmp_path: Path) -> None:
    """Each image that is used stands in the example, and the script asks for that one."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "sha256:$(printf %s "$6" | sha256sum | cut -c1-64)"\n')
    docker.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{PATH['PATH']}"}
    script = str(DEPLOY / "pin-images")
    said = subprocess.run([script], env=env, capture_output=True, text=True, check=True).stdout
    pinned = dict(line.split("=", 1) for line in said.splitlines())
    text = "".join(path.read_text() for path in DEPLOY.glob("compose*.yaml"))
    used = dict(re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", text))
    assert {name: one.partition("@")[0] for name, one in pinned.items()} == used
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", one) for one in pinned.values())
    assert ("ARG", f"PYTHON={used['PYTHON_IMAGE']}") in deployment.instructions()
    docker.write_text("#!/bin/sh\necho no such image >&2; exit 1\n")
    assert subprocess.run([script], env=env, capture_output=True, check=False).returncode != 0


# ---- systemd ------------------------------------------------------------------------------------


def test_units_are_there_for_every_part_of_the_system() -> None:
    assert {path.stem for path in UNITS} == {f"kernel-{part}" for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_unit_is_hardened_and_comes_back_when_it_ends(part: str) -> None:
    one = unit(part)
    wanted = {
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "DynamicUser": "yes",
        "Restart": "always",
        "KillMode": "mixed",
        "StartLimitIntervalSec": "0",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
        "PrivateMounts": "yes",
        "IPAddressAllow": "localhost",
    }
    assert {name: one[name] for name in wanted} == wanted


@pytest.mark.parametrize("part", PARTS)
def test_unit_has_time_to_end_when_stopped(part: str) -> None:
    assert float(unit(part)["TimeoutStopSec"]) > longest_stop(part)


@pytest.mark.parametrize("part", PARTS)
def test_unit_is_accepted_by_systemd_when_its_program_exists(part: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    here = tmp_path / f"kernel-{part}.service"
    here.write_text(re.sub(r"/opt/kernel/venv/bin/\w+", "/bin/true", unit(part).path.read_text()))
    for command in (["verify", "--man=no"], ["security", "--offline=yes", "--threshold=20"]):
        argv = ["systemd-analyze", *command, str(here)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kernel-" not in done.stderr, done.stderr
