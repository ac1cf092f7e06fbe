"""The Kubernetes manifests: parsed, and held to what matters."""

import re
import shutil
import subprocess
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
import yaml

from kernel.transport.special_networks import DENIED
from kernel.views.http.long_polls import MAX_WAIT
from tests.docs.test_deploy import longest_stop
from tests.support.deployment import DEPLOY, KNOWN, MANIFESTS, PARTS, objects, of_kind, pods

FOLDER = DEPLOY / "kubernetes"
# No request of the API waits longer for its database.
DATABASE_SECONDS = 10
EXAMPLES = {"secret.example.yaml"}
each_pod = pytest.mark.parametrize("name", sorted(pods()))


def container(name: str) -> dict[str, Any]:
    (found,) = pods()[name]["containers"]
    return dict(found)


def test_kustomization_names_every_manifest_when_applied() -> None:
    (made,) = [one for one in objects() if one["kind"] == "Kustomization"]
    there = {path.name for path in MANIFESTS} - EXAMPLES - {"kustomization.yaml"}
    assert set(made["resources"]) == there


def test_kustomization_is_built_by_kubectl_when_it_is_installed() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    argv = ["kubectl", "kustomize", str(FOLDER)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in built} == {"kernel"}


@each_pod
def test_pod_may_do_little_when_it_runs(name: str) -> None:
    pod, security = pods()[name], container(name)["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False


@each_pod
def test_pod_gets_no_unknown_setting_when_a_service_is_named_kernel(name: str) -> None:
    """Kubernetes puts KERNEL_PORT and others into pods beside a service named kernel."""
    assert pods()[name]["enableServiceLinks"] is False


@each_pod
def test_pod_reads_settings_and_secrets_when_it_starts(name: str) -> None:
    sources = container(name)["envFrom"]
    assert sources[0] == {"configMapRef": {"name": "kernel-settings"}}
    assert sources[1] == {"secretRef": {"name": "kernel-servers"}}
    given = {
        *of_kind("ConfigMap")["kernel-settings"]["data"],
        *of_kind("Secret")["kernel-servers"]["stringData"],
    }
    assert given <= KNOWN
    assert {"KERNEL_DATABASE_URL", "KERNEL_BROKER_URL"} <= given


@each_pod
def test_pod_has_the_handlers_when_it_runs(name: str) -> None:
    """The migration as well: KERNEL_HANDLERS_MIGRATIONS names folders of theirs."""
    mounts = {one["mountPath"]: one for one in container(name)["volumeMounts"]}
    volumes = {one["name"]: one for one in pods()[name]["volumes"]}
    assert mounts["/handlers"]["readOnly"] is True
    assert volumes[mounts["/handlers"]["name"]]["configMap"]["name"] == "kernel-handlers"


@pytest.mark.parametrize("part", PARTS)
def test_pod_has_time_to_end_when_told_to(part: str) -> None:
    pod = pods()[f"kernel-{part}"]
    assert pod["terminationGracePeriodSeconds"] > longest_stop(part)


@pytest.mark.parametrize("part", PARTS)
def test_pods_do_not_go_all_at_once_when_nodes_are_drained(part: str) -> None:
    budget = of_kind("PodDisruptionBudget")[f"kernel-{part}"]["spec"]
    made = of_kind("Deployment")[f"kernel-{part}"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == made["selector"]
    assert made["selector"]["matchLabels"] == made["template"]["metadata"]["labels"]


def test_api_is_probed_where_it_answers_when_it_runs() -> None:
    one = container("kernel-api")
    paths = {name: one[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")}
    assert paths == {"liveness": "/healthz", "readiness": "/readyz"}
    assert one["ports"] == [{"name": "http", "containerPort": 8000}]
    (port,) = of_kind("Service")["kernel-api"]["spec"]["ports"]
    assert port["targetPort"] == "http"
    (rule,) = of_kind("Ingress")["kernel"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "kernel-api", "port": {"name": port["name"]}}


def test_links_that_are_a_permission_stand_in_no_log_of_the_ingress() -> None:
    whole, links = (of_kind("Ingress")[name] for name in ("kernel", "kernel-links"))
    (rule,) = links["spec"]["rules"]
    assert {one["path"] for one in rule["http"]["paths"]} == {
        "/o",
        "/e",
        "/dashboard/sign-in",
        "/dashboard/oidc/start",
    }
    of_all = whole["spec"]["rules"][0]
    (backend,) = [one["backend"] for one in of_all["http"]["paths"]]
    assert all(one["backend"] == backend for one in rule["http"]["paths"])
    assert (rule["host"], links["spec"]["tls"]) == (of_all["host"], whole["spec"]["tls"])
    more = {"nginx.ingress.kubernetes.io/enable-access-log": "false"}
    more["nginx.ingress.kubernetes.io/proxy-body-size"] = "1100k"
    assert links["metadata"]["annotations"] == whole["metadata"]["annotations"] | more


def test_proxies_wait_for_longer_than_a_request_waits_for_an_order() -> None:
    """And for the database, which it asks once more at its end."""
    (said,) = re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())
    annotations = of_kind("Ingress")["kernel"]["metadata"]["annotations"]
    of_ingress = annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]
    assert min(int(said), int(of_ingress)) > MAX_WAIT + DATABASE_SECONDS


def callback_blocks() -> list[dict[str, Any]]:
    (rule,) = of_kind("NetworkPolicy")["callbacks"]["spec"]["egress"]
    assert [port["port"] for port in rule["ports"]] == [80, 443]
    return [one["ipBlock"] for one in rule["to"]]


def opened_by(block: dict[str, Any], net: IPv4Network | IPv6Network) -> bool:
    """Whether a block lets some address of ``net`` through."""
    cidr = ip_network(block["cidr"])
    if cidr.version != net.version or not net.overlaps(cidr):
        return False
    closed = [ip_network(one) for one in block["except"]]
    return not any(net.subnet_of(one) for one in closed if one.version == net.version)


def test_egress_is_closed_where_callbacks_are_refused_when_policies_hold() -> None:
    """The firewall's table and that of kernel.transport.addresses say the same."""
    refused = [net for _, net in DENIED if net.version == 4 or net[0] in _GLOBAL]
    assert refused
    blocks = callback_blocks()
    assert [net for net in refused if any(opened_by(one, net) for one in blocks)] == []
    assert any(opened_by(one, ip_network("93.184.216.34/32")) for one in blocks)


_GLOBAL = ip_network("2000::/3")


def test_egress_is_closed_but_for_names_and_servers_when_nothing_else_is_said() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    servers = policies["database-and-broker"]["spec"]["egress"]
    assert [rule["ports"][0]["port"] for rule in servers] == [3306, 6379]
    reach = policies["callbacks"]["spec"]["podSelector"]["matchExpressions"]
    assert reach[0]["values"] == ["worker", "dispatcher"]
