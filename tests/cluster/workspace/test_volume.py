"""The workspace from outside: what is said of one that is absent, full or stuck; its pod is removed on every exit."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websocket import WebSocketConnectionClosedException

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.workspace import inside, volume
from precisionflow.cluster.workspace.volume import Leftover, Stored, Workspace
from tests.invented_cluster import Json, Table

CLAIM = "/api/v1/namespaces/here/persistentvolumeclaims/w"
HELD = {"files": {"b.csv": {"size": 3, "sha256": "x"}}, "free": 1, "total": 2, "writable": True}


class Pods(Table):
    """A cluster with the claim, whose pods are in the state that a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.status: Json = {"containerStatuses": [{"state": {"running": {}}}]}
        self.log = json.dumps(HELD)
        self.made: list[Json] = []
        self.removed: list[str] = []
        self.answers["GET", CLAIM] = (200, {})

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        if verb == "POST":
            self.made.append(body)
            return 201, body
        if verb == "DELETE":
            self.removed.append(path.rpartition("/")[2])
            return 200, {}
        if "/pods/" in path:
            return 200, self.log if path.endswith("/log") else {"status": self.status}
        return super().answer(verb, path, query=query, body=body)

    @property
    def tidy(self) -> bool:
        return [pod["metadata"]["name"] for pod in self.made] == self.removed


@pytest.fixture
def pods() -> Iterator[Pods]:
    made = Pods()
    with made.running():
        yield made


def workspace(pods: Table) -> Workspace:
    return Workspace(pods.connection(), "w", "registry.example/core:1")


def test_what_it_holds(pods: Pods) -> None:
    pods.status = {"containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}
    held = workspace(pods).look(digests=True)
    assert held.files == {"b.csv": Stored(3, "x")}
    assert (held.free, held.total, held.writable) == (1, 2, True)
    container = pods.made[0]["spec"]["containers"][0]
    assert container["command"][-3:] == ["/workspace/data", "look", "digests"]
    assert pods.tidy


@pytest.mark.parametrize("log", ["No module named precisionflow.cluster.workspace", "200", ""])
def test_an_image_without_the_program_is_one_line(pods: Pods, log: str) -> None:
    pods.log = log
    pods.status = {"containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}
    with pytest.raises(ClusterError, match=r"^workspace w: the pod said .* its image is of this version$"):
        workspace(pods).look()
    assert pods.tidy


def test_a_claim_that_is_absent_is_told_before_a_pod_is_made(pods: Pods) -> None:
    workspace(pods).refuse_absent()
    del pods.answers["GET", CLAIM]
    with pytest.raises(ClusterError, match=r"^workspace w: namespace here has no PersistentVolumeClaim"):
        workspace(pods).refuse_absent()
    assert not pods.made


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no tag"}}}]},
            r"ErrImagePull: no tag\); push the image where the nodes reach it",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes: Insufficient cpu",
                    }
                ]
            },
            r"Unschedulable: 0/1 nodes: Insufficient cpu\); `kubectl -n here describe persistentvolumeclaim w`",
        ),
        (
            {"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"},
            r"DeadlineExceeded: too long\); `precisionflow doctor` says what is wrong",
        ),
    ],
)
def test_a_pod_that_never_starts_is_one_line(pods: Pods, status: Json, told: str) -> None:
    pods.status = status
    with (
        pytest.raises(ClusterError, match=rf"^workspace w: its pod does not start \({told}"),
        workspace(pods).opened(),
    ):
        pass
    assert pods.tidy


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt, SystemExit])
def test_its_pod_is_removed_on_every_exit(pods: Pods, ending: type[BaseException]) -> None:
    """SystemExit comes of SIGTERM."""

    def end() -> None:
        if ending is not SystemExit:
            raise ending
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(ending), workspace(pods).opened():
        end()
    assert pods.tidy
    spec = pods.made[0]["spec"]
    assert spec["activeDeadlineSeconds"] == 6 * 3600
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("outcome", "error", "told"),
    [
        (
            {"error": f"{inside.FULL}: 1 bytes are free"},
            ClusterError,
            r"^workspace w: no room for b\.csv \(1",
        ),
        (
            {"error": "its sha256 arrived as y"},
            ClusterError,
            r"^workspace w: b\.csv was not taken: its sha256",
        ),
        (
            {"state": "other"},
            ValueError,
            r"^b\.csv: the workspace w holds another file of that name; replace it with",
        ),
        (
            {"state": "written", "size": 4, "sha256": "z"},
            ClusterError,
            r"b\.csv arrived with other bytes; put it",
        ),
    ],
)
def test_what_the_program_says_of_a_file(
    pods: Pods,
    outcome: Json,
    error: type[Exception],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "b.csv").write_bytes(b"1,2\n")
    monkeypatch.setattr(Workspace, "_sent", lambda *_, **__: outcome)
    with pytest.raises(error, match=told):
        workspace(pods).send(tmp_path / "b.csv", "b.csv", pod="p", overwrite=False)
    monkeypatch.setattr(Workspace, "_sent", lambda *_, **__: {"state": "same"})
    assert not workspace(pods).send(tmp_path / "b.csv", "b.csv", pod="p", overwrite=False)


def answering(pods: Pods, outcome: Json) -> list[str]:
    """Let the pod end with this outcome; the words of its command are in the list after the call."""
    pods.status = {"containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}
    pods.log = json.dumps(outcome)
    return pods.made[-1]["spec"]["containers"][0]["command"] if pods.made else []


def test_removed_is_all_or_nothing(pods: Pods) -> None:
    answering(pods, {"absent": []})
    workspace(pods).remove(["b.csv", "uci"])
    assert pods.made[0]["spec"]["containers"][0]["command"][-4:] == [
        "/workspace/data",
        "remove",
        "b.csv",
        "uci",
    ]
    answering(pods, {"absent": ["c.csv"]})
    with pytest.raises(
        ValueError, match=r"^c\.csv: is not in the workspace w; `precisionflow data list` shows"
    ):
        workspace(pods).remove(["c.csv"])
    answering(pods, {"error": "b.csv: Permission denied"})
    with pytest.raises(ClusterError, match=r"^workspace w: not removed: b\.csv: Permission denied$"):
        workspace(pods).remove(["b.csv"])
    assert pods.tidy


def test_what_is_collected_is_told_with_size_and_age(pods: Pods) -> None:
    answering(pods, {"found": [{"name": "cells/a", "size": 3, "age": 9}]})
    found = workspace(pods).collect(seconds=60.0, busy={"k2", "k1"}, dry=True)
    assert found == [Leftover("cells/a", 3, 9)]
    words = pods.made[0]["spec"]["containers"][0]["command"]
    assert words[-6:] == ["/workspace", "collect", "60.0", "dry", "k1", "k2"]
    assert pods.tidy


class Remote:
    """A pod's end of the line, which takes so many writes and then breaks, and says something in the end."""

    def __init__(self, *, takes: int, says: str) -> None:
        self.takes = takes
        self.says = says
        self.closed = False

    def is_open(self) -> bool:
        return not self.closed

    def write_stdin(self, _: bytes) -> None:
        if not self.takes:
            raise WebSocketConnectionClosedException("socket is already closed.")
        self.takes -= 1

    update = run_forever = lambda *_, **__: None

    def read_all(self) -> str:
        return self.says

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that takes five writes."""
    monkeypatch.setattr(volume, "_ready", lambda _: True)
    (tmp_path / "b.csv").write_bytes(b"1" * (inside.CHUNK + 1))
    return tmp_path / "b.csv"


def test_bytes_on_the_way_are_counted(pods: Pods, big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(takes=9, says=json.dumps({"state": "same"}))
    monkeypatch.setattr("kubernetes.stream.stream", lambda *_, **__: remote)
    sent: list[int] = []
    workspace(pods).send(big, "b.csv", pod="p", overwrite=False, sent=sent.append)
    assert sum(sent) == inside.CHUNK + 1
    assert len(sent) == 5
    assert remote.closed


@pytest.mark.parametrize(
    ("remote", "cause"),
    [
        (Remote(takes=2, says=""), r"socket is already closed\."),
        (Remote(takes=9, says="\n"), "its pod says nothing more"),
    ],
)
def test_an_upload_that_is_cut_off_is_one_line(
    remote: Remote, cause: str, pods: Pods, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubernetes.stream.stream", lambda *_, **__: remote)
    told = rf"b\.csv: cut off on its way to the workspace w \({cause}\); put it again, nothing of it is kept there$"
    with pytest.raises(ClusterError, match=told):
        workspace(pods).send(big, "b.csv", pod="p", overwrite=False)
    assert remote.closed


def test_a_pod_that_mounts_the_workspace_collects_by_itself(
    pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cells" / "a").mkdir(parents=True)
    monkeypatch.setattr(volume, "inside", lambda: True)
    monkeypatch.setattr(volume, "WORKSPACE", str(tmp_path))
    (found,) = workspace(pods).collect(seconds=0.0, busy=(), dry=False)
    assert found.name == "cells/a"
    assert not (tmp_path / "cells" / "a").exists()
    assert not pods.made
