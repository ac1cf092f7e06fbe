"""The variants with PostgreSQL: what they change is there to be changed, and all that has to be."""

import shutil
import subprocess
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from tests.support.deployment import DEPLOY, KNOWN, of_kind, services

FOLDER = DEPLOY / "kubernetes-postgresql"
REPLACED = ("!override", "!reset")


class Compose(yaml.SafeLoader):
    """Reads Compose's own tags; what they are before stands beside it."""


for _tag in REPLACED:
    Compose.add_constructor(
        _tag,
        lambda loader, node: (
            loader.construct_mapping(node, deep=True)
            if isinstance(node, yaml.MappingNode)
            else None
        ),
    )


def variant() -> dict[str, Any]:
    """The Compose file that is laid over the other."""
    text = (DEPLOY / "compose.postgresql.yaml").read_text()
    loaded: dict[str, Any] = yaml.load(text, Compose)
    return loaded


def changed() -> dict[str, Any]:
    found: dict[str, Any] = variant()["services"]
    return found


def test_every_process_has_the_other_database_when_compose_lays_it_over() -> None:
    kernels = {
        name
        for name, one in services().items()
        if "KERNEL_DATABASE_URL" in (one.get("environment") or {})
    }
    assert kernels == {name for name, one in changed().items() if name in services() and one}
    for name in kernels:
        environment = changed()[name]["environment"]
        assert set(environment) <= KNOWN
        url = make_url(
            environment["KERNEL_DATABASE_URL"].replace("${POSTGRES_PASSWORD:?set it in .env}", "x")
        )
        assert (url.drivername, url.host) == ("postgresql+psycopg", "postgresql")


def test_mariadb_is_gone_and_waited_for_no_more_when_compose_lays_it_over() -> None:
    assert changed()["mariadb"] is None
    waiting = {name for name, one in services().items() if "mariadb" in one.get("depends_on", ())}
    assert waiting == {"migrate"}
    assert changed()["migrate"]["depends_on"] == {"postgresql": {"condition": "service_healthy"}}


def test_postgresql_may_do_little_and_is_reached_by_ours_alone_when_it_runs() -> None:
    one = changed()["postgresql"]
    assert (one["read_only"], one["cap_drop"], one["user"]) == (True, ["ALL"], "postgres")
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["networks"] == ["data"]
    assert "ports" not in one
    mount, *_ = one["volumes"]
    assert mount.partition(":")[0] in variant()["volumes"]


def test_policy_has_what_the_overlay_changes_when_it_is_built() -> None:
    overlay = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    (patch,) = overlay["patches"]
    policy = of_kind("NetworkPolicy")[patch["target"]["name"]]
    tests, *replaced = yaml.safe_load(patch["patch"])
    for one in (tests, *replaced):
        found: Any = policy
        for step in one["path"].strip("/").split("/"):
            key = step.replace("~1", "/")
            found = found[int(key)] if isinstance(found, list) else found[key]
        assert found == (3306 if one["path"].endswith("port") else "mariadb")
    assert [one["value"] for one in replaced] == ["postgresql", 5432]


def test_overlay_is_built_by_kubectl_when_it_is_installed() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    argv = ["kubectl", "kustomize", str(FOLDER)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "5432" in done.stdout
