"""The kustomizations: schemas of Kubernetes, Pod Security "restricted", no secret, no registry, names as in the code.

With kubectl on the path the rendered overlays are checked, as they would be applied; without it the resources as they
stand in the files.
"""

import functools
import ipaddress
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from precisionflow.cluster.access import names
from precisionflow.cluster.access.kinds import EXPERIMENTS, PODS, TRAINJOBS
from precisionflow.cluster.access.login import TOKEN
from precisionflow.cluster.doctor.rights import ACCOUNT
from precisionflow.config.cluster import CLAIM, Cluster
from tests.manifests.rendered import MANIFESTS, Resource, of_profile, one, rendered

INSTALLATIONS = ("overlays/dev", "overlays/dev-certificates", "overlays/prod")
"""Kustomizations with MLflow and what runs need."""
SERVING = ("serving", "serving/kserve")
OWN_KINDS = {"TrainingRuntime", "InferenceService", "Issuer", "Certificate"}
"""Checked by the cluster alone: custom resources."""
KEYS = {"postgres-tls", "mlflow-database-ca"}
"""Secrets that are files: PostgreSQL's key, and the authority that signed its certificate."""
OF_PREDICTOR = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "labels"}
WORKLOADS = {"Deployment", "StatefulSet", "Job", "CronJob"}


@pytest.fixture(scope="module", params=INSTALLATIONS)
def installation(request: pytest.FixtureRequest) -> list[Resource]:
    return rendered(request.param)


@pytest.fixture(scope="module", params=[*INSTALLATIONS, *SERVING])
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return rendered(request.param)


def _pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    for resource in resources:
        spec = (
            resource["spec"]["jobTemplate"]["spec"]
            if resource["kind"] == "CronJob"
            else resource.get("spec", {})
        )
        if resource["kind"] in WORKLOADS:
            yield resource["metadata"]["name"], spec["template"]["spec"]
        if resource["kind"] == "InferenceService":
            yield resource["metadata"]["name"], resource["spec"]["predictor"]


def _containers(pod: Resource) -> list[Resource]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_every_resource_fits_kubernetes_schemas(resources: list[Resource]) -> None:
    checked = [resource for resource in resources if resource["kind"] not in OWN_KINDS]
    checked += [_as_pod(resource) for resource in resources if resource["kind"] == "InferenceService"]
    assert checked
    for resource in checked:
        kubernetes_validate.validate(resource, "1.34", strict=True)


def _as_pod(service: Resource) -> Resource:
    """The pod that KServe's predictor is, without the fields that are its own."""
    spec = {key: value for key, value in service["spec"]["predictor"].items() if key not in OF_PREDICTOR}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": service["metadata"], "spec": spec}


def test_a_field_that_does_not_exist_is_found(installation: list[Resource]) -> None:
    service = one(installation, "Service", "mlflow")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service | {"spec": service["spec"] | {"prots": []}}, "1.34", strict=True)


def test_installations_are_whole(installation: list[Resource]) -> None:
    assert len(installation) > 15


def test_every_pod_is_restricted_and_bounded(resources: list[Resource]) -> None:
    for name, pod in _pods(resources):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["serviceAccountName"] != "default", name
        kinds = {kind for volume in pod.get("volumes", []) for kind in volume}
        assert kinds <= {"name", "emptyDir", "configMap", "persistentVolumeClaim", "projected", "secret"}, name
        assert {volume["secret"]["secretName"] for volume in pod.get("volumes", []) if "secret" in volume} <= KEYS
        for container in _containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, name
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name


def test_images_have_a_tag_and_no_registry(resources: list[Resource]) -> None:
    images = {container["image"] for _, pod in _pods(resources) for container in _containers(pod)}
    assert images
    for image in images:
        assert re.fullmatch(r"([a-z0-9-]+/)?[a-z0-9-]+:v?[0-9][a-z0-9.-]*", image), image


def test_no_secret_and_no_wildcard(resources: list[Resource]) -> None:
    assert all(resource["kind"] != "Secret" for resource in resources)
    for resource in resources:
        for rule in resource.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
    for _, pod in _pods(resources):
        for variable in (v for container in _containers(pod) for v in container.get("env", [])):
            secret = re.search("PASSWORD|SECRET|KEY", variable["name"])
            assert not secret or "secretKeyRef" in variable["valueFrom"], variable["name"]


def test_runs_may_do_what_the_doctor_asks_for(installation: list[Resource]) -> None:
    """The doctor and the roles are two lists of one thing."""
    rules = [
        *one(installation, "Role", "precisionflow-runs")["rules"],
        *one(installation, "ClusterRole", "precisionflow-runs")["rules"],
    ]
    given = {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    asked = set()
    for right in (right for rights in ACCOUNT.values() for right in rights):
        whole, _, part = right.resource.partition("/")
        name, _, group = whole.partition(".")
        asked |= {(verb, group, f"{name}/{part}" if part else name) for verb in right.verbs}
    assert given == asked, "and nothing that is never used"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders it, and there is none on the path")
def test_a_profile_gets_all_of_it_for_its_own_account(tmp_path: Path) -> None:
    """As docs/cluster.md says; the rights on what is in no namespace have a name for each profile."""
    command = ["kubectl", "kustomize", str(of_profile("ann", tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    resources = list(yaml.safe_load_all(done.stdout))
    assert {r["metadata"].get("namespace") for r in resources if not r["kind"].startswith("ClusterRole")} == {"ann"}
    account = [{"kind": "ServiceAccount", "name": "default-editor", "namespace": "ann"}]
    assert one(resources, "RoleBinding", "precisionflow-runs")["subjects"] == account
    assert one(resources, "ClusterRoleBinding", "precisionflow-runs-ann")["subjects"] == account
    kinds = {"Role", "RoleBinding", "NetworkPolicy", "PersistentVolumeClaim", "ConfigMap"}
    assert {r["kind"] for r in resources} == kinds | {"ClusterRole", "ClusterRoleBinding"}


def test_pods_of_runs_are_reached_by_nobody_and_reach_no_metadata_of_a_cloud(
    installation: list[Resource],
) -> None:
    """What a pod may call is what one of the rules allows: an address that all of them leave out is closed."""
    spec = one(installation, "NetworkPolicy", "precisionflow-runs")["spec"]
    assert spec["podSelector"] == {"matchLabels": names.MANAGED}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    dns, inside, outside = spec["egress"]
    assert {(p["port"], p["protocol"]) for p in dns["ports"]} == {
        (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
    }
    assert inside == {"to": [{"namespaceSelector": {}}]}

    def open_to(address: str) -> bool:
        found = ipaddress.ip_address(address)
        blocks = [peer["ipBlock"] for peer in outside["to"]]
        within = [b for b in blocks if found in ipaddress.ip_network(b["cidr"])]
        return any(all(found not in ipaddress.ip_network(e) for e in block["except"]) for block in within)

    for metadata in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"):
        assert not open_to(metadata), metadata
    for server in ("10.96.0.1", "192.0.2.7", "2001:db8::1"):
        assert open_to(server), server


def test_what_cleans_up_mounts_the_workspace_and_may_do_just_that(installation: list[Resource]) -> None:
    """In its pod `precisionflow gc` looks at the mounted workspace itself: it makes no pod and reads no other Secret."""
    job = one(installation, "CronJob", "precisionflow-gc")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:2] == ["precisionflow", "gc"]
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert places["workspace"] == names.WORKSPACE
    claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert claims == [CLAIM]
    (token,) = (source["serviceAccountToken"] for v in pod["volumes"] for source in v.get("projected", {}).get("sources", ()))
    assert token["audience"] == "pipelines.kubeflow.org"
    assert f"{places['token']}/{token['path']}" == str(TOKEN)
    rules = one(installation, "Role", "precisionflow-gc")["rules"]
    kinds = {kind.resource.rstrip("."): {"list", "delete"} for kind in (TRAINJOBS, EXPERIMENTS, PODS)}
    read = {"configmaps": {"get"}, "services": {"get"}, "secrets": {"get"}}
    given = {
        f"{resource}.{group}".rstrip("."): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert given == kinds | read
    assert [rule["resourceNames"] for rule in rules if "secrets" in rule["resources"]] == [
        [names.STORE_LOGIN]
    ]


def test_names_are_those_of_the_code(installation: list[Resource]) -> None:
    settings = one(installation, "ConfigMap", names.MLFLOW)
    assert set(settings["data"]) == set(names.MLFLOW_VARIABLES)
    one(installation, "PersistentVolumeClaim", Cluster().workspace)


def test_the_address_of_mlflow_is_a_host_that_it_allows(installation: list[Resource]) -> None:
    """MLflow compares the whole Host header, port included, and answers 403 to every other."""
    settings = one(installation, "ConfigMap", names.MLFLOW)["data"]
    host = settings["MLFLOW_TRACKING_URI"].removeprefix("http://")
    (server,) = one(installation, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    (option,) = (word for word in server["command"] if word.startswith("--allowed-hosts="))
    allowed = option.removeprefix("--allowed-hosts=").split(",")
    assert host in allowed
    assert "*" not in allowed


def test_nothing_may_talk_unless_said(installation: list[Resource]) -> None:
    deny = one(installation, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_tables_are_there_before_a_server_starts(installation: list[Resource]) -> None:
    pod = one(installation, "Deployment", "mlflow")["spec"]["template"]["spec"]
    (schema,) = (container for container in pod["initContainers"] if container["name"] == "schema")
    assert schema["command"][:2] == ["python", "/schema/migrate.py"]
    assert {"secretRef": {"name": "mlflow-database"}} in schema["envFrom"]
    patch = yaml.safe_load((MANIFESTS / "overlays/prod/mlflow.yaml").read_text())
    assert patch["spec"]["replicas"] == 2
    (prod,) = patch["spec"]["template"]["spec"]["initContainers"]
    assert (prod["name"], prod["command"]) == ("schema", ["python", "/schema/migrate.py", "auth"])


def test_the_database_is_known_by_its_certificate(installation: list[Resource]) -> None:
    dev = yaml.safe_load((MANIFESTS / "overlays/dev/kustomization.yaml").read_text())
    literals = next(each["literals"] for each in dev["configMapGenerator"] if each["name"] == "mlflow-server")
    settings = (MANIFESTS / "overlays/prod/settings.env").read_text().splitlines()
    for said in (literals, settings):
        assert {"PGSSLMODE=verify-full", "PGSSLROOTCERT=/database/ca.crt"} <= set(said)
    pods = dict(_pods(installation))
    for name in ("mlflow", "mlflow-backup", "mlflow-restore", "mlflow-leftovers"):
        using = [c for c in _containers(pods.get(name, {"containers": []})) if _reaches_database(c)]
        assert using or name not in ("mlflow", "mlflow-leftovers")
        for container in using:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert mounts["/database"] == "database-ca", container["name"]


def _reaches_database(container: Resource) -> bool:
    return {"secretRef": {"name": "mlflow-database"}} in container.get("envFrom", [])


def test_what_removes_deleted_runs_reaches_the_database_and_the_server(installation: list[Resource]) -> None:
    label = "mlflow-leftovers"
    job = one(installation, "CronJob", label)["spec"]
    template = job["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == label
    to_server = one(installation, "NetworkPolicy", label)["spec"]
    assert to_server["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": label}
    (container,) = template["spec"]["containers"]
    address = container["command"][container["command"].index("--tracking-uri") + 1]
    server = one(installation, "Service", "mlflow")["spec"]
    assert address == f"http://mlflow:{server['ports'][0]['port']}"
    if shutil.which("kubectl"):
        chosen = one(installation, "NetworkPolicy", "mlflow-stores")["spec"]["podSelector"]["matchExpressions"]
        assert label in chosen[0]["values"]


def test_certificates_of_cert_manager_are_for_the_same_hosts() -> None:
    resources = rendered("overlays/dev-certificates")
    certificate = one(resources, "Certificate", "postgres")["spec"]
    text = (MANIFESTS / "overlays/dev/make_certificate.py").read_text()
    ends = re.search(r'for end in \(([^)]*)\)', text)
    assert ends is not None
    hosts = ["postgres", *(f"postgres.precisionflow{end}" for end in re.findall(r'"([^"]*)"', ends[1]))]
    assert certificate["dnsNames"] == hosts
    assert certificate["secretName"] == "postgres-tls"
    if shutil.which("kubectl"):
        job = one(resources, "Job", "setup")["spec"]["template"]["spec"]
        assert [container["name"] for container in job["containers"]] == ["setup"]


def test_katib_is_not_asked_about_pods_of_mlflow(installation: list[Resource]) -> None:
    """Its webhook fails closed: where Katib is away MLflow would not start again."""
    assert names.INJECTION not in one(installation, "Namespace", "precisionflow")["metadata"]["labels"]


def test_dev_needs_no_volume_that_several_machines_mount() -> None:
    patch = yaml.safe_load((MANIFESTS / "overlays/dev/workspace.yaml").read_text())
    assert patch["spec"] == {"accessModes": ["ReadWriteOnce"]}
    if shutil.which("kubectl"):
        claims = [r for r in rendered("overlays/dev") if r["kind"] == "PersistentVolumeClaim"]
        assert {mode for claim in claims for mode in claim["spec"]["accessModes"]} == {"ReadWriteOnce"}
        assert patch["metadata"]["name"] in {claim["metadata"]["name"] for claim in claims}


def test_copies_are_made_by_night_and_brought_back_by_hand() -> None:
    resources = rendered("overlays/dev")
    backup, restore = (one(resources, "CronJob", f"mlflow-{name}")["spec"] for name in ("backup", "restore"))
    assert not backup.get("suspend")
    assert restore["suspend"] is True
    for job, verb in ((backup, "save"), (restore, "restore")):
        template = job["jobTemplate"]["spec"]["template"]
        tables, artifacts = _containers(template["spec"])
        assert tables["command"] == ["sh", "/copies/tables.sh", verb]
        assert artifacts["command"] == ["python", "/copies/artifacts.py", verb]
        policy = one(resources, "NetworkPolicy", "mlflow-stores")["spec"]["podSelector"]["matchExpressions"][0]
        assert template["metadata"]["labels"]["app.kubernetes.io/name"] in policy["values"]


def test_prod_asks_for_a_login() -> None:
    patch = yaml.safe_load((MANIFESTS / "overlays/prod/mlflow.yaml").read_text())
    (server,) = patch["spec"]["template"]["spec"]["containers"]
    assert "--app-name=basic-auth" in server["command"]
    assert {"secretRef": {"name": "mlflow-login"}} in server["envFrom"]


def test_prod_keeps_the_allowed_hosts_of_the_base() -> None:
    """A patch replaces a command whole, so prod's stands in its own file."""

    def option(folder: str) -> str:
        resources = list(yaml.safe_load_all((MANIFESTS / folder / "mlflow.yaml").read_text()))
        (server,) = one(resources, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
        return next(str(word) for word in server["command"] if word.startswith("--allowed-hosts"))

    assert option("overlays/prod") == option("base")
