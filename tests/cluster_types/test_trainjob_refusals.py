"""What keeps a TrainJob from running, said in one line: real API types, and an API server that answers by a table."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.pod_state import endings, waiting
from precisionflow.cluster.trainjob.api import TrainJobs
from precisionflow.cluster.trainjob.job_logs import LogTail
from precisionflow.cluster.trainjob.launch import train_on_nodes
from precisionflow.config import load
from precisionflow.data.prepare import prepare

TINY = ("ablation.axes={}", "engine.nodes=2", "training.steps=30", "seeds=[0]")
GROUP = "/apis/trainer.kubeflow.org/v1alpha1"
HERE = f"{GROUP}/namespaces/here"


class Table:
    """An API server: (verb, path) -> (status, body); what was asked is kept."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        table = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = (self.command, self.path.partition("?")[0])
                table.asked.append(key)
                missing = {"message": "the server could not find the requested resource"}
                status, body = table.answers.get(key, (404, missing))
                text = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = do_PATCH = answer

            def log_message(self, *_: object) -> None:
                """Nothing on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def connection(self) -> Connection:
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{self.server.server_port}"
        reached = Connection(Access(namespace="here"))
        reached.__dict__["api"] = client.ApiClient(configuration)
        return reached


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.server.shutdown()
    made.server.server_close()


def runtime(name: str) -> dict[str, Any]:
    pod = {"containers": [{"name": "node", "image": "i"}]}
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    spec = {"mlPolicy": {"torch": {}}, "template": {"spec": {"replicatedJobs": [job]}}}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture
def installed(table: Table) -> Table:
    """An API server with the Trainer, without TrainJobs."""
    table.answers |= {
        ("GET", f"{HERE}/trainjobs"): (200, {"items": []}),
        ("GET", f"{HERE}/trainingruntimes"): (200, {"items": []}),
        ("GET", f"{GROUP}/clustertrainingruntimes"): (200, {"items": [runtime("torch-distributed")]}),
        ("GET", "/api/v1/namespaces/here/pods"): (200, {"items": []}),
        ("POST", f"{HERE}/trainingruntimes"): (201, {}),
    }
    return table


def refused(table: Table, folder: Path, *settings: str) -> str:
    experiment = load("quickstart-language", [*TINY, *settings])
    prepare([experiment], out=folder / "data")
    (folder / "workspace").mkdir()
    with pytest.raises(ClusterError) as caught:
        train_on_nodes(
            experiment,
            data=folder / "data",
            out=folder / "out",
            image="i",
            run="r",
            connection=table.connection(),
            workspace=folder / "workspace",
        )
    assert "\n" not in str(caught.value)
    assert not (folder / "out").exists()
    return str(caught.value)


def test_without_the_trainer(table: Table, tmp_path: Path):
    assert refused(table, tmp_path).startswith(
        "Kubeflow Trainer is not installed: the API has no trainer.kubeflow.org/v1alpha1; "
    )


def test_without_the_runtime(installed: Table, tmp_path: Path):
    message = refused(installed, tmp_path, "cluster.runtime=deepspeed-distributed")
    assert "no ClusterTrainingRuntime 'deepspeed-distributed' (there are: torch-distributed)" in message


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (403, 'User "x" cannot create resource "trainjobs"', r"forbidden \(User .*; ask for that right"),
        (
            403,
            "exceeded quota: few, used: count/trainjobs=1",
            r"exceeded quota: few.*; wait for others to finish",
        ),
        (401, "Unauthorized", r"not logged in .*renew the token"),
    ],
)
def test_a_refused_trainjob_leaves_no_runtime(
    status: int, said: str, message: str, installed: Table, tmp_path: Path
):
    installed.answers["POST", f"{HERE}/trainjobs"] = (status, {"message": said})
    with pytest.raises(ClusterError, match=message):
        raise ClusterError(refused(installed, tmp_path))
    after = installed.asked[installed.asked.index(("POST", f"{HERE}/trainingruntimes")) :]
    assert [verb for verb, path in after if path.startswith(f"{HERE}/trainingruntimes/")] == ["DELETE"]


def test_a_workspace_that_is_not_mounted(tmp_path: Path):
    experiment = load("quickstart-language", TINY)
    with pytest.raises(
        ClusterError, match=r"is not mounted; mount PersistentVolumeClaim precisionflow-workspace$"
    ):
        train_on_nodes(
            experiment, data=tmp_path, out=tmp_path, image="i", run="", workspace=tmp_path / "none"
        )


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


@pytest.mark.parametrize(
    ("pods", "events", "beginning", "remedy"),
    [
        (
            [pod(condition="0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")],
            [],
            "no node takes pod train-x-node-0-1 (0/1 nodes are available: 1 Insufficient nvidia.com/gpu.)",
            "add nodes",
        ),
        (
            [stuck("ImagePullBackOff", "Back-off pulling image\nnot found")],
            [],
            "image registry.example/train:1 cannot be pulled (Back-off pulling image not found)",
            "build/images.json",
        ),
        (
            [stuck("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")],
            [],
            "pod train-x-node-0-1 cannot start (container has runAsNonRoot",
            "mend what it names",
        ),
        (
            [],
            [event("FailedCreate", 'pods "x" is forbidden: exceeded quota: few, requested: pods=1')],
            "no pods are made (pods",
            "have the namespace's quota raised",
        ),
        (
            [],
            [event("FailedCreate", 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation')],
            "no pods are made (violates PodSecurity",
            "pod-security label",
        ),
    ],
    ids=["unschedulable", "image", "config", "quota", "pod security"],
)
def test_what_pods_wait_for(pods, events, beginning, remedy):
    line = waiting(pods, events)
    assert line.startswith(beginning)
    assert line.endswith(remedy)
    assert "\n" not in line


def test_pods_that_only_take_their_time():
    running = pod(phase="Running", running=client.V1ContainerStateRunning())
    assert waiting([], []) is None
    assert waiting([stuck("ContainerCreating"), stuck("CrashLoopBackOff")], []) is None
    assert waiting([running], [event("FailedCreate", "an earlier one")]) is None


def test_how_containers_ended():
    def ended(code: int, reason: str = "Error") -> client.V1ContainerStateTerminated:
        return client.V1ContainerStateTerminated(exit_code=code, reason=reason)

    running = client.V1ContainerStateRunning()
    found = endings(
        [
            pod(terminated=ended(0, "Completed")),
            pod(terminated=ended(137, "OOMKilled"), restarts=2),
            pod(running=running, last=ended(2), restarts=1),
        ],
        container="node",
    )
    assert [(one.number, one.again) for one in found] == [(2, False), (0, True)]
    assert found[0].cause.startswith("used more memory than it may (OOMKilled); raise cluster.train.memory")
    assert found[1].cause == "ended with exit code 2"


def test_every_line_of_a_log_is_read_once_through_a_restart(table: Table):
    jobs = TrainJobs(table.connection())
    path = "/api/v1/namespaces/here/pods/train-x-node-0-1/log"
    tail = LogTail(jobs.connection.core, namespace="here", container="node")
    running = client.V1ContainerStateRunning()
    assert list(tail.lines(pod())) == []
    first = ["2026-01-01T00:00:00.1Z one", "2026-01-01T00:00:00.15Z two"]
    table.answers["GET", path] = (200, "\n".join(first))
    assert list(tail.lines(pod(running=running))) == ["one", "two"]
    assert list(tail.lines(pod(running=running))) == []
    table.answers["GET", path] = (
        200,
        "\n".join([*first, "2026-01-01T00:00:01Z three  spaced", "unable to read"]),
    )
    assert list(tail.lines(pod(running=running))) == ["three  spaced"]
    table.answers["GET", path] = (200, "2026-01-01T00:00:01.000000001Z four")
    assert list(tail.lines(pod(running=running, restarts=1))) == ["four"]
    table.answers["GET", path] = (400, {"message": "container is waiting to start"})
    assert list(tail.lines(pod(running=running, restarts=1))) == []
