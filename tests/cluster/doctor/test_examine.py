"""The doctor and a cluster whose answers are invented; tests/live asks a real one."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from precisionflow import __version__
from precisionflow.cluster.doctor import pods
from precisionflow.cluster.doctor.namespace import amount
from tests.command_line import Line
from tests.invented_cluster import NAMESPACE, TRAINER, Cluster, claim, deployment, listed, node, says


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(made.kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    with made.running():
        yield made


NO_GPU = "note GPUs: no node offers nvidia.com/gpu or amd.com/gpu; keep cluster.train.gpus at 0"
PROVIDE = (
    "mend: kubectl kustomize manifests/runs | sed "
    "'s/namespace: kubeflow/namespace: runs/; s/name: precisionflow-runs/&-runs/' | kubectl apply -f -"
)
PIPELINES = (
    "mend: kubectl apply -k "
    '"github.com/kubeflow/pipelines/manifests/kustomize/cluster-scoped-resources?ref=2.17.0" '
    "&& kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io "
    '&& kubectl apply -k "github.com/kubeflow/pipelines/manifests/kustomize/env/platform-agnostic?ref=2.17.0"'
)


def test_nothing_is_wrong_with_a_healthy_cluster(cluster: Cluster) -> None:
    cluster.answers["/api/v1/nodes"] = listed(node(), node(**{"nvidia.com/gpu": "4"}))
    findings = cluster.findings(images=("core", "train"))
    assert [str(f) for f in findings if f.state != "ok"] == []
    found = {finding.what: finding.found for finding in findings}
    assert found["Kubernetes API"].startswith("v1.34.0 at http://127.0.0.1:")
    assert found["you"] == "are ann, runs go to namespace runs"
    assert found["Katib"] == "experiments.kubeflow.org v1beta1, katib-controller:v1 in kubeflow"
    assert found["object store"] == "minio://mlpipeline/v2/artifacts, seaweedfs in runs, port 8333, 1 ready"
    assert found["GPUs"] == "4 nvidia.com/gpu"
    assert found["image train"] == f"registry.example/train:1, precisionflow {__version__}"
    assert found["data in the workspace"] == "1 files, 1.2 kB; 3.0 GB of 5.0 GB free"
    assert found["MLflow"] == "http://mlflow:5000 answers from inside"
    assert len(cluster.removed) == len(cluster.made) == 4
    for pod in cluster.made:
        assert pod["metadata"]["name"] in cluster.removed
        assert pod["spec"]["automountServiceAccountToken"] is False


TROUBLES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no Trainer": (
        lambda answers: answers.pop(TRAINER) and answers.pop("/apis/trainer.kubeflow.org"),
        "bad  Trainer: trainjobs.trainer.kubeflow.org v1alpha1 is not installed; mend: kubectl apply --server-side "
        '-k "https://github.com/kubeflow/trainer.git/manifests/overlays/manager?ref=v2.3.0"',
    ),
    "another version": (
        lambda answers: (
            answers.pop(TRAINER)
            and answers["/apis/trainer.kubeflow.org"]["versions"].append({"version": "v2"})
        ),
        "bad  Trainer: trainjobs.trainer.kubeflow.org v1alpha1 is not installed (its group is served in v1alpha1, v2); "
        'mend: kubectl apply --server-side -k "https://github.com/kubeflow/trainer.git/manifests/overlays/manager?ref=v2.3.0"',
    ),
    "controller down": (
        lambda answers: answers.update(
            {
                "/apis/apps/v1/deployments metadata.name=katib-controller": listed(
                    deployment("katib-controller", 0)
                )
            }
        ),
        "bad  Katib: experiments.kubeflow.org v1beta1, but katib-controller in kubeflow has no pod that is ready; "
        "mend: kubectl -n kubeflow rollout restart deployment/katib-controller",
    ),
    "no runtime": (
        lambda answers: answers[f"{TRAINER}/clustertrainingruntimes"]["items"].pop(),
        "bad  training runtimes: no deepspeed-distributed; mend: kubectl apply --server-side "
        '-k "https://github.com/kubeflow/trainer.git/manifests/overlays/runtimes?ref=v2.3.0"',
    ),
    "no store": (
        lambda answers: answers.update(
            {"/apis/discovery.k8s.io/v1/namespaces/runs/endpointslices": listed()}
        ),
        "bad  object store: seaweedfs in runs has no pod that is ready; "
        "mend: kubectl -n runs describe service seaweedfs",
    ),
    "no service of the store": (
        lambda answers: answers.pop(f"{NAMESPACE}/services/seaweedfs"),
        "bad  object store: minio://mlpipeline/v2/artifacts needs the service seaweedfs or minio-service; "
        f"{PIPELINES}",
    ),
    "a store elsewhere": (
        lambda answers: answers.update(
            {
                f"{NAMESPACE}/configmaps/kfp-launcher": {
                    "data": {
                        "defaultPipelineRoot": "s3://b/p",
                        "providers": "s3: {default: {endpoint: s3.example.com, credentials: {fromEnv: true}}}",
                    }
                }
            }
        ),
        "note object store: artifacts go to s3://b/p at s3.example.com; it is not asked",
    ),
    "no label": (
        lambda answers: answers[NAMESPACE]["metadata"].pop("labels"),
        "bad  namespace label: katib.kubeflow.org/metrics-collector-injection is not enabled, so Katib reads no "
        "metrics of trials here; mend: kubectl label --overwrite namespace runs "
        "katib.kubeflow.org/metrics-collector-injection=enabled",
    ),
    "quota used up": (
        lambda answers: answers[f"{NAMESPACE}/resourcequotas"]["items"].append(
            {
                "metadata": {"name": "small"},
                "status": {
                    "hard": {"requests.cpu": "4", "limits.memory": "64Gi", "pods": "9"},
                    "used": {"requests.cpu": "2500m", "limits.memory": "8Gi", "pods": "1"},
                },
            }
        ),
        "bad  quota: small: 2500m of 4 requests.cpu is used; a training pod asks for cpu 2, memory 4Gi; "
        "mend: kubectl -n runs edit resourcequota small",
    ),
    "no default class": (
        lambda answers: answers["/apis/storage.k8s.io/v1/storageclasses"]["items"][0]["metadata"].pop(
            "annotations"
        ),
        "bad  storage class: none of fast is the default; "
        "mend: kubectl annotate storageclass fast storageclass.kubernetes.io/is-default-class=true",
    ),
    "no workspace": (
        lambda answers: answers.pop(f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace"),
        f"bad  workspace: no claim precisionflow-workspace in runs; {PROVIDE}",
    ),
    "workspace pending": (
        lambda answers: answers.update(
            {f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace": claim("Pending")}
        ),
        "bad  workspace: precisionflow-workspace is Pending: no volume fits 5Gi ReadWriteMany; "
        "mend: kubectl -n runs describe persistentvolumeclaim precisionflow-workspace",
    ),
    "class of the workspace": (
        lambda answers: answers.update(
            {
                f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace": claim(
                    "Pending", storageClassName="slow"
                )
            }
        ),
        "bad  workspace: precisionflow-workspace asks for storage class slow, which is not there; "
        "mend: kubectl -n runs describe persistentvolumeclaim precisionflow-workspace",
    ),
    "no account": (
        lambda answers: answers.pop(f"{NAMESPACE}/serviceaccounts/pipeline-runner"),
        f"bad  service account: neither pipeline-runner nor default-editor is in namespace runs; {PIPELINES}",
    ),
    "no MLflow": (
        lambda answers: answers.pop(f"{NAMESPACE}/configmaps/precisionflow-mlflow"),
        f"bad  MLflow: config map precisionflow-mlflow in runs: it is not there; {PROVIDE}",
    ),
    "password in the address": (
        lambda answers: answers[f"{NAMESPACE}/configmaps/precisionflow-mlflow"].update(
            data={"MLFLOW_TRACKING_URI": "http://ann:hidden-word@mlflow:5000"}
        ),
        "bad  MLflow: config map precisionflow-mlflow has a password in its address http://mlflow:5000; it belongs "
        "into secret precisionflow-mlflow; mend: kubectl -n runs edit configmap precisionflow-mlflow",
    ),
    "no Pipelines": (
        lambda answers: answers.pop(f"{NAMESPACE}/services/ml-pipeline"),
        f"bad  Kubeflow Pipelines: no service ml-pipeline in runs or kubeflow; {PIPELINES}",
    ),
    "Pipelines elsewhere": (
        lambda answers: answers.update(
            {
                "/api/v1/namespaces/kubeflow/services/ml-pipeline": answers.pop(
                    f"{NAMESPACE}/services/ml-pipeline"
                )
            }
        ),
        "bad  Kubeflow Pipelines: no service ml-pipeline in runs, there is one in kubeflow; with Kubeflow's profiles "
        "say --namespace runs --host ADDRESS; mend: precisionflow doctor --namespace kubeflow",
    ),
    "several users, who is not told": (
        lambda answers: answers.update(
            {f"{NAMESPACE}/services/ml-pipeline:http/proxy/apis/v2beta1/healthz": {"multi_user": True}}
        ),
        "bad  Kubeflow Pipelines: that in runs tells its users apart, and the API server does not tell it who you are; "
        "give its own address with --host",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_one_line(cluster: Cluster, trouble: str) -> None:
    spoil, expected = TROUBLES[trouble]
    assert spoil(cluster.answers) is not False
    assert cluster.wrong() == [NO_GPU, expected] or cluster.wrong() == [expected, NO_GPU]


def test_a_claim_may_wait_for_its_first_pod(cluster: Cluster) -> None:
    cluster.answers["/apis/storage.k8s.io/v1/storageclasses"]["items"][0]["volumeBindingMode"] = (
        "WaitForFirstConsumer"
    )
    path = f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace"
    cluster.answers[path] = claim("Pending", storageClassName="fast")
    assert cluster.wrong() == [NO_GPU]


def test_a_class_of_one_machine_is_told_with_what_it_can_give(cluster: Cluster) -> None:
    fast = cluster.answers["/apis/storage.k8s.io/v1/storageclasses"]["items"][0]
    fast |= {"provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer"}
    path = f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace"
    cluster.answers[path] = claim("Pending", storageClassName="fast")
    assert cluster.wrong() == [
        "bad  workspace: precisionflow-workspace asks for ReadWriteMany, and storage class fast by "
        "rancher.io/local-path gives ReadWriteOnce alone; mend: kubectl -n runs delete persistentvolumeclaim "
        "precisionflow-workspace && kubectl kustomize manifests/runs | sed 's/namespace: kubeflow/namespace: runs/; "
        "s/name: precisionflow-runs/&-runs/; s/ReadWriteMany/ReadWriteOnce/' | kubectl apply -f -",
        NO_GPU,
    ]
    cluster.answers[path] = claim("Bound", storageClassName="fast", accessModes=["ReadWriteOnce"])
    found = {finding.what: finding.found for finding in cluster.findings()}
    assert found["storage class"] == "fast by rancher.io/local-path, ReadWriteOnce alone"
    assert found["workspace"] == (
        "precisionflow-workspace, 5Gi ReadWriteOnce, bound: every pod of a run is on the machine that has it"
    )


def test_nodes_that_are_too_small_or_closed_are_told(cluster: Cluster) -> None:
    cluster.answers["/api/v1/nodes"] = listed(node(cpu="1500m"))
    assert any(
        line.startswith("bad  nodes: 1 ready, the largest has 1500m CPUs and 16 GiB; ")
        for line in cluster.wrong()
    )
    closed = node()
    closed["spec"]["unschedulable"] = True
    cluster.answers["/api/v1/nodes"] = listed(closed)
    assert "bad  nodes: none is ready to take pods; mend: kubectl get nodes" in cluster.wrong()


def test_a_missing_right_is_named_with_the_role_that_gives_it(cluster: Cluster) -> None:
    cluster.refused = {"create services", "patch trainingruntimes"}
    user, cancelling, runner = (line for line in cluster.wrong() if line != NO_GPU)
    assert cancelling.startswith(
        "bad  your rights for cancel: you may not create services/proxy in runs; mend: "
    )
    assert user == (
        "bad  your rights for submit: you may not create services/proxy in runs; "
        "mend: kubectl -n runs create role precisionflow-submit --verb=create --resource=services/proxy && "
        "kubectl -n runs create rolebinding precisionflow-submit --role=precisionflow-submit --user=ann"
    )
    assert runner == (
        "bad  rights of pipeline-runner for training on several nodes: "
        f"may not patch trainingruntimes.trainer.kubeflow.org; {PROVIDE}"
    )


def test_in_a_profile_rights_are_asked_for_where_kfp_asks_and_where_its_store_is(cluster: Cluster) -> None:
    cluster.answers["/apis/v2beta1/healthz"] = {"multi_user": True}
    for path in (
        "/api/v1/namespaces/{}/services/seaweedfs",
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    ):
        cluster.answers[path.format("kubeflow")] = cluster.answers.pop(path.format("runs"))
    assert cluster.wrong(host=cluster.address) == [NO_GPU]
    cluster.refused = {"create pods in kubeflow", "terminate runs in runs", "get services in runs"}
    binding = "create rolebinding precisionflow-{0} --role=precisionflow-{0} --user=ann"
    through = [
        f"bad  your rights for {command}: you may not create pods/portforward in kubeflow; mend: "
        f"kubectl -n kubeflow create role precisionflow-{command} --verb=create --resource=pods/portforward && "
        f"kubectl -n kubeflow {binding.format(command)}"
        for command in ("logs", "fetch", "gc")
    ]
    cancel = (
        "bad  your rights for cancel: you may not terminate runs.pipelines.kubeflow.org in runs; mend: kubectl -n runs "
        "create rolebinding precisionflow-cancel-pipelines --clusterrole=kubeflow-pipelines-edit --user=ann"
    )
    assert cluster.wrong(host=cluster.address) == [NO_GPU, *through[:2], cancel, through[2]]
    cluster.status = {"/api/v1/namespaces/kubeflow/services/seaweedfs": 403}
    assert set(through) < set(cluster.wrong(host=cluster.address)), "KFP's own namespace"


def test_the_mend_of_a_profile_names_its_account(cluster: Cluster) -> None:
    account = cluster.answers.pop(f"{NAMESPACE}/serviceaccounts/pipeline-runner")
    cluster.answers[f"{NAMESPACE}/serviceaccounts/default-editor"] = account
    del cluster.answers[f"{NAMESPACE}/configmaps/precisionflow-mlflow"]
    (mend,) = (line for line in cluster.wrong() if line != NO_GPU)
    assert "s/name: pipeline-runner/name: default-editor/" in mend


def test_reading_runs_asks_for_the_right_to_reach_pipelines(cluster: Cluster) -> None:
    cluster.refused = {"get services"}
    lines = "\n".join(cluster.wrong())
    for command in ("submit", "status", "logs", "fetch", "cancel", "gc"):
        assert f"bad  your rights for {command}: you may not get services" in lines


def test_what_may_not_be_looked_at_is_noted(cluster: Cluster) -> None:
    cluster.status = {"/api/v1/nodes": 403, "/apis/authorization.k8s.io/v1/subjectaccessreviews": 403}
    assert cluster.wrong() == ["note nodes: not checked, you may not see /api/v1/nodes"]
    cluster.status["/apis/apps/v1/deployments"] = 403
    katib = next(finding for finding in cluster.findings() if finding.what == "Katib")
    assert (katib.state, katib.found) == (
        "ok",
        "experiments.kubeflow.org v1beta1 (you may not look at its controller)",
    )


def test_one_check_that_breaks_stops_no_other(cluster: Cluster) -> None:
    cluster.status = {"/api/v1/nodes": 500}
    (line,) = cluster.wrong()
    assert line.startswith("bad  nodes: ")
    assert len(cluster.findings()) > 15


def test_an_image_that_does_not_start_is_told(cluster: Cluster) -> None:
    cluster.pod = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}
    assert (
        "bad  image core: registry.example/core:1 does not start: ImagePullBackOff: no such tag; mend: make images"
        in (cluster.wrong())
    )
    assert len(cluster.removed) == len(cluster.made)
    cluster.pod = {"state": {"terminated": {"exitCode": 0}}}
    cluster.log = lambda pod: "precisionflow 0.0.1" if "--version" in str(pod) else says(pod)
    assert cluster.wrong()[-1] == (
        "bad  image core: registry.example/core:1 answers 'precisionflow 0.0.1' instead of version "
        f"{__version__}; mend: make images"
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "401 You are not authenticated.",
            "does not take the credentials of secret precisionflow-mlflow (401 You are",
        ),
        (
            "403 Invalid Host header",
            "its host is not among the server's --allowed-hosts (403 Invalid Host header)",
        ),
        (
            "no answer: [Errno -2] Name or service not known",
            "from inside: no answer: [Errno -2] Name or service",
        ),
    ],
)
def test_mlflow_is_asked_from_inside(cluster: Cluster, said: str, expected: str) -> None:
    cluster.log = lambda pod: said if "MLFLOW" in str(pod) else says(pod)
    line = cluster.wrong()[-1]
    assert line.startswith("bad  MLflow: http://mlflow:5000")
    assert expected in line
    asked = cluster.made[-1]["spec"]["containers"][0]
    assert asked["envFrom"] == [
        {kind: {"name": "precisionflow-mlflow", "optional": True}} for kind in ("configMapRef", "secretRef")
    ]


def test_the_program_of_the_probe_tells_what_a_serversays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs here as it does in the pod: with the credentials, without printing them."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(200 if seen[-1] == "Basic YW5uOmhpZGRlbg==" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The tests' screen stays clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/")
    program = compile(pods.ASK_MLFLOW, "probe", "exec")
    try:
        for user, password, expected in (
            ("ann", "hidden", "200\n"),
            ("ann", "other", "401 \n"),
            ("", "", "401 \n"),
        ):
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
            exec(program, {})
            assert capsys.readouterr().out == expected
    finally:
        server.shutdown()
        server.server_close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)
    exec(program, {})
    assert re.fullmatch(r"no answer: \[Errno \d+\] Connection refused\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("change", "state", "found"),
    [
        (
            {"free": 9e8},
            "note",
            "1 files, 1.2 kB; 900.0 MB of 5.0 GB free: little room for data, checkpoints and weights",
        ),
        (
            {"writable": False},
            "bad",
            "1 files, 1.2 kB; 3.0 GB of 5.0 GB free; the images' user 1000 may not write there",
        ),
    ],
)
def test_a_workspace_is_asked_from_inside(
    cluster: Cluster, change: dict[str, Any], state: str, found: str
) -> None:
    def log(pod: dict[str, Any]) -> str:
        return json.dumps(json.loads(says(pod)) | change) if "look" in str(pod) else says(pod)

    cluster.log = log
    line = next(finding for finding in cluster.findings() if finding.what == "data in the workspace")
    assert (line.state, line.found) == (state, found)
    assert line.mend == "kubectl -n runs describe persistentvolumeclaim precisionflow-workspace"
    asked = next(pod["spec"] for pod in cluster.made if "volumes" in pod["spec"])
    assert asked["volumes"][0]["persistentVolumeClaim"] == {"claimName": "precisionflow-workspace"}
    assert asked["containers"][0]["volumeMounts"] == [{"name": "workspace", "mountPath": "/workspace"}]
    assert asked["securityContext"]["fsGroup"] == 1000
    cluster.answers.pop(f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace")
    assert all(finding.what != "data in the workspace" for finding in cluster.findings())


def test_commands_name_the_context_that_was_given(cluster: Cluster) -> None:
    cluster.answers[NAMESPACE]["metadata"].pop("labels")
    assert any("mend: kubectl --context here label " in line for line in cluster.wrong(context="here"))


def test_a_cluster_that_is_away_is_one_line(cluster: Cluster, line: Line) -> None:
    cluster.status = {"/version": 401}
    code, out, err = line("doctor")
    assert (code, err) == (3, "")
    assert out.startswith("bad  Kubernetes API: not logged in (")
    assert out.endswith("\n0 ok, 1 bad, 0 to note\n")
    cluster.server.shutdown()
    cluster.server.server_close()
    code, out, err = line("doctor")
    assert (code, err) == (3, "")
    assert out.startswith("bad  Kubernetes API: no answer (")
    assert "Connection refused); start the cluster or its tunnel" in out


def test_quantities() -> None:
    texts = ("2", "500m", "4Gi", "1e3", "1k")
    assert [float(amount(text)) for text in texts] == [2, 0.5, 4 * 2**30, 1000, 1000]
