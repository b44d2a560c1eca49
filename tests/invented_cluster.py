"""An API server on the loopback whose answers are invented, and what the doctor says about it."""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from precisionflow import __version__
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.doctor.examine import examine
from precisionflow.cluster.doctor.finding import Finding

Json = dict[str, Any]
NAMESPACE = "/api/v1/namespaces/runs"
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
GROUPS = {
    "argoproj.io": ("v1alpha1", "workflows", "workflow-controller"),
    "trainer.kubeflow.org": ("v1alpha1", "trainjobs", "kubeflow-trainer-controller-manager"),
    "jobset.x-k8s.io": ("v1alpha2", "jobsets", "jobset-controller-manager"),
    "kubeflow.org": ("v1beta1", "experiments", "katib-controller"),
}


def deployment(name: str, ready: int = 1) -> Json:
    image = f"registry.example/{name}:v1"
    return {
        "metadata": {"name": name, "namespace": "kubeflow"},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"availableReplicas": ready},
    }


def claim(phase: str, **spec: Any) -> Json:
    asked = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}, **spec}
    return {"metadata": {"name": "precisionflow-workspace"}, "spec": asked, "status": {"phase": phase}}


def node(**allocatable: str) -> Json:
    room = {"cpu": "8", "memory": "16Gi", **allocatable}
    ready = [{"type": "Ready", "status": "True"}]
    return {"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": room, "conditions": ready}}


def listed(*objects: Json) -> Json:
    return {"items": list(objects)}


def healthy() -> dict[str, Any]:
    """Path -> answer of a cluster where nothing is wrong; a pod's log is what its command says."""
    answers: dict[str, Any] = {
        "/version": {"gitVersion": "v1.34.0"},
        f"{NAMESPACE}/services/ml-pipeline:http/proxy/apis/v2beta1/healthz": {"multi_user": False},
        "/apis/apps/v1/namespaces/runs/deployments/ml-pipeline": deployment("api-server"),
        f"{TRAINER}/clustertrainingruntimes": listed(
            {"metadata": {"name": "torch-distributed"}}, {"metadata": {"name": "deepspeed-distributed"}}
        ),
        f"{NAMESPACE}/services/minio-service": {"metadata": {"name": "minio-service"}},
        "/apis/discovery.k8s.io/v1/namespaces/runs/endpointslices": listed(
            {"endpoints": [{"conditions": {"ready": True}}]}
        ),
        NAMESPACE: {"metadata": {"labels": {"katib.kubeflow.org/metrics-collector-injection": "enabled"}}},
        f"{NAMESPACE}/resourcequotas": listed(),
        "/apis/storage.k8s.io/v1/storageclasses": listed(
            {
                "metadata": {
                    "name": "fast",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "disk.example",
            }
        ),
        f"{NAMESPACE}/persistentvolumeclaims/precisionflow-workspace": claim("Bound"),
        "/api/v1/nodes": listed(node()),
        f"{NAMESPACE}/serviceaccounts/pipeline-runner": {"metadata": {"name": "pipeline-runner"}},
        f"{NAMESPACE}/configmaps/precisionflow-mlflow": {
            "data": {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}
        },
    }
    for group, (version, kind, controller) in GROUPS.items():
        answers[f"/apis/{group}"] = {"versions": [{"version": version}]}
        answers[f"/apis/{group}/{version}"] = {"resources": [{"name": kind}]}
        answers[f"/apis/apps/v1/deployments metadata.name={controller}"] = listed(deployment(controller))
    return answers


class Cluster:
    """An API server on the loopback with invented answers, and the doctor's lines about it."""

    def __init__(self, folder: Path) -> None:
        self.answers = healthy()
        self.refused: set[str] = set()
        """Verbs with resources that nobody may."""
        self.status: dict[str, int] = {}
        """Path -> the status with which the server refuses."""
        self.pod: Json = {"state": {"terminated": {"exitCode": 0}}}
        self.log: Callable[[Json], str] = says
        self.made: list[Json] = []
        self.removed: list[str] = []
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                field = re.search(r"fieldSelector=([^&]*)", query)
                key = f"{path} {field.group(1).replace('%3D', '=')}" if field else path
                if path.startswith(f"{NAMESPACE}/pods/"):
                    pod = {"status": {"containerStatuses": [cluster.pod]}}
                    self._send(cluster.log(cluster.made[-1]) if path.endswith("/log") else pod)
                else:
                    self._send(cluster.answers.get(key), cluster.status.get(path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body["kind"] == "SelfSubjectReview":
                    self._send({"status": {"userInfo": {"username": "ann"}}}, cluster.status.get(self.path))
                elif body["kind"].endswith("AccessReview"):
                    asked = body["spec"]["resourceAttributes"]
                    allowed = f"{asked['verb']} {asked['resource']}" not in cluster.refused
                    self._send({"status": {"allowed": allowed}}, cluster.status.get(self.path))
                else:
                    cluster.made.append(body)
                    self._send(body, cluster.status.get(self.path))

            def do_DELETE(self) -> None:
                cluster.removed.append(self.path.rsplit("/", 1)[-1])
                self._send({})

            def _send(self, content: Any, status: int | None = None) -> None:
                code = status or (404 if content is None else 200)
                body = {"message": f'User "ann" cannot see {self.path}'} if code >= 400 else content
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """The tests' screen stays clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        settings = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "runs"}}],
        }
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(settings))

    def findings(self, *, images: tuple[str, ...] = ("core",), context: str | None = None) -> list[Finding]:
        return list(
            examine(
                Connection(Access(context=context)),
                images={name: f"registry.example/{name}:1" for name in images},
            )
        )

    def wrong(self, **options: Any) -> list[str]:
        """The lines that aren't ok."""
        return [str(finding) for finding in self.findings(**options) if finding.state != "ok"]


def says(pod: Json) -> str:
    """What a probe prints where all is well."""
    words = pod["spec"]["containers"][0]["command"]
    return f"precisionflow {__version__}\n" if "--version" in words else "200\n"
