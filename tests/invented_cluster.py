"""Invented clusters: API servers on the loopback that answer from a table, and pods in any state."""

import contextlib
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from precisionflow import __version__
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.doctor.examine import examine
from precisionflow.cluster.doctor.finding import Finding

Json = dict[str, Any]
NAMESPACE = "/api/v1/namespaces/runs"
PIPELINES = f"{NAMESPACE}/services/ml-pipeline"
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
        PIPELINES: {"metadata": {"name": "ml-pipeline"}},
        f"{PIPELINES}:http/proxy/apis/v2beta1/healthz": {"multi_user": False},
        "/apis/apps/v1/namespaces/runs/deployments/ml-pipeline": deployment("api-server"),
        f"{TRAINER}/clustertrainingruntimes": listed(
            {"metadata": {"name": "torch-distributed"}}, {"metadata": {"name": "deepspeed-distributed"}}
        ),
        f"{NAMESPACE}/services/seaweedfs": {
            "metadata": {"name": "seaweedfs"},
            "spec": {"ports": [{"name": "http-iam", "port": 8111}, {"name": "http-s3", "port": 8333}]},
        },
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


class ApiServer(ABC):
    """An API server on the loopback; what it answers is a subclass's."""

    def __init__(self) -> None:
        self.headers: Any = None
        """Those of the last request."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                server.seen(self.headers)
                body = json.loads(sent) if sent[:1] in (b"{", b"[") else {}
                status, content = server.answer(self.command, path, query=query, body=body)
                text = content if isinstance(content, str) else json.dumps(content)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = do_PATCH = answer

            def log_message(self, *_: object) -> None:
                """The tests' screen stays clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def seen(self, headers: Any) -> None:
        """Called with the headers of each request before it is answered."""
        self.headers = headers

    @abstractmethod
    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        """Status and content for a request."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The server answers as long as the block runs."""
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield
        finally:
            self.server.shutdown()
            self.server.server_close()


class Table(ApiServer):
    """An API server that answers (verb, path) with (status, content), else 404; what was asked is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.first: dict[tuple[str, str], tuple[int, Any]] = {}
        """What is answered once, before `answers`."""
        self.asked: list[tuple[str, str]] = []
        self.queries: list[str] = []
        self.sent: Any = None
        """Body of the last request."""

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        self.asked.append((verb, path))
        self.queries.append(query)
        self.sent = body
        missing = {"message": "the server could not find the requested resource"}
        if (verb, path) in self.first:
            return self.first.pop((verb, path))
        return self.answers.get((verb, path), (404, missing))

    def connection(self) -> Connection:
        """Clients for namespace here."""
        configuration = client.Configuration()
        configuration.host = self.address
        reached = Connection(Access(namespace="here"))
        reached.__dict__["api"] = client.ApiClient(configuration)
        return reached


class Cluster(ApiServer):
    """An API server for the doctor, with the answers of a healthy cluster until a test changes them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.answers = healthy()
        self.refused: set[str] = set()
        """Verbs with resources that nobody may: get pods, or get pods in runs."""
        self.status: dict[str, int] = {}
        """Path -> the status with which the server refuses."""
        self.pod: Json = {"state": {"terminated": {"exitCode": 0}}}
        self.log: Callable[[Json], str] = says
        self.made: list[Json] = []
        self.removed: list[str] = []
        settings = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": self.address}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "runs"}}],
        }
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(settings))

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        match verb:
            case "DELETE":
                self.removed.append(path.rsplit("/", 1)[-1])
                return 200, {}
            case "POST":
                content = self._made(body)
            case _:
                content = self._found(path, query)
        of_pod = verb == "GET" and path.startswith(f"{NAMESPACE}/pods/")
        status = (not of_pod and self.status.get(path)) or (404 if content is None else 200)
        refusal = {"message": f'User "ann" cannot see {path}'}
        return status, refusal if status >= 400 else content

    def _found(self, path: str, query: str) -> Any:
        if path.startswith(f"{NAMESPACE}/pods/"):
            pod = {"status": {"containerStatuses": [self.pod]}}
            return self.log(self.made[-1]) if path.endswith("/log") else pod
        field = re.search(r"fieldSelector=([^&]*)", query)
        return self.answers.get(f"{path} {field.group(1).replace('%3D', '=')}" if field else path)

    def _made(self, body: Json) -> Json:
        if body["kind"] == "SelfSubjectReview":
            return {"status": {"userInfo": {"username": "ann"}}}
        if body["kind"].endswith("AccessReview"):
            asked = body["spec"]["resourceAttributes"]
            right = f"{asked['verb']} {asked['resource']}"
            return {"status": {"allowed": not {right, f"{right} in {asked.get('namespace')}"} & self.refused}}
        self.made.append(body)
        return body

    def findings(
        self, *, images: tuple[str, ...] = ("core",), context: str | None = None, host: str | None = None
    ) -> list[Finding]:
        return list(
            examine(
                Connection(Access(context=context, host=host)),
                images={name: f"registry.example/{name}:1" for name in images},
            )
        )

    def wrong(self, **options: Any) -> list[str]:
        """The lines that aren't ok."""
        return [str(finding) for finding in self.findings(**options) if finding.state != "ok"]


def says(pod: Json) -> str:
    """What a probe prints where all is well."""
    words = pod["spec"]["containers"][0]["command"]
    if "look" in words:
        file = {"size": 1200} | ({"sha256": "0" * 64} if "digests" in words else {})
        held = {"files": {"beams.csv": file}, "free": 3e9, "total": 5e9, "writable": True}
        return json.dumps(held) + "\n"
    if "collect" in words:
        return (
            json.dumps({"found": [{"name": "trainings/0123", "size": 5_000_000, "age": 41 * 86400}]}) + "\n"
        )
    return f"precisionflow {__version__}\n" if "--version" in words else "200\n"


def pod(*, phase: str = "Pending", condition: str = "", **state: Any) -> client.V1Pod:
    """A pod whose container is in a state."""
    container = client.V1ContainerStatus(
        name="node",
        image="registry.example/train:1",
        image_id="",
        ready=False,
        restart_count=state.pop("restarts", 0),
        last_state=client.V1ContainerState(terminated=state.pop("last", None)),
        state=client.V1ContainerState(**state),
    )
    unscheduled = client.V1PodCondition(type="PodScheduled", status="False", message=condition)
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name="train-x-node-0-1", uid="u"),
        status=client.V1PodStatus(
            phase=phase,
            conditions=[unscheduled] if condition else [],
            container_statuses=[container] if state else [],
        ),
    )


def event(reason: str, message: str) -> client.CoreV1Event:
    return client.CoreV1Event(
        metadata=client.V1ObjectMeta(name="e"),
        involved_object=client.V1ObjectReference(name="train-x-node-0"),
        reason=reason,
        message=message,
    )


def stuck(reason: str, message: str | None = None) -> client.V1Pod:
    return pod(waiting=client.V1ContainerStateWaiting(reason=reason, message=message))
