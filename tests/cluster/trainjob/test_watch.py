"""What a TrainJob's watch makes of containers that end, and of a queue."""

from typing import Any

import pytest
from kubernetes.client import V1ContainerStateTerminated

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.trainjob.api import State
from precisionflow.cluster.trainjob.spec import Launch
from precisionflow.cluster.trainjob.watch import Watch
from precisionflow.config import load
from precisionflow.console import title
from tests.invented_cluster import pod

TORCH = {"spec": {"mlPolicy": {"torch": {}}, "template": {"spec": {"replicatedJobs": []}}}}
NODE = {"containers": [{"name": "node"}]}
TORCH["spec"]["template"]["spec"]["replicatedJobs"] = [
    {"name": "node", "template": {"spec": {"template": {"spec": NODE}}}}
]


class Jobs:
    """Nobody to ask."""

    connection = None


def watch(monkeypatch: pytest.MonkeyPatch, *, said: str | None) -> Watch:
    """A watch over a training whose failed ranks have said so."""
    experiment = load("quickstart-language", ["engine.nodes=2", "cluster.retries=1"])
    launch = Launch(experiment, image="i", key="k", run="r")
    nobody: Any = Jobs()
    made = Watch(
        nobody, launch, runtime=TORCH, job={"metadata": {"uid": "u"}}, patience=0, report=lambda _: None
    )
    monkeypatch.setattr(made, "_refusal", lambda _: said)
    return made


def ended(restarts: int = 0) -> State:
    killed = V1ContainerStateTerminated(exit_code=2)
    return State(
        {"metadata": {}, "spec": {}}, [pod(phase="Failed", restarts=restarts, terminated=killed)], []
    )


def test_a_refusal_of_the_training_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^the loss is nan; lower"):
        watch(monkeypatch, said="the loss is nan; lower training.learning_rate")._follow_endings(ended())


@pytest.mark.parametrize(
    "said",
    [
        None,
        "training stopped: rank 1 was killed by SIGKILL; run again",
        "/workspace/x: No space left on device; mend that and run again, finished stages are kept",
    ],
)
def test_what_may_hold_at_the_next_try_is_tried_again(
    said: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    following = watch(monkeypatch, said=said)
    following._follow_endings(ended())
    assert "starting again from the last checkpoint, 1 of 1" in capsys.readouterr().out
    with pytest.raises(ClusterError, match=r"run again to go on from the last checkpoint$"):
        following._follow_endings(ended(restarts=1))


def test_a_trainjob_in_a_queue_is_told_once_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    following = watch(monkeypatch, said=None)
    for suspend in (True, True, False, True):
        following._follow_lack(State({"metadata": {}, "spec": {"suspend": suspend}}, [], []))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert set(lines) == {
        f"precisionflow: train {title(following.launch.experiment)}: TrainJob "
        f"{following.launch.name} is queued: its queue (cluster.queue) has not admitted it yet"
    }


def test_a_trainjob_that_its_queue_takes_back_uses_up_no_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    following = watch(monkeypatch, said=None)
    for restarts in range(3):
        suspended = State({"metadata": {}, "spec": {"suspend": True}}, ended(restarts).pods, [])
        following._follow_endings(suspended)
    assert capsys.readouterr().out == ""
    following._follow_endings(ended())
    assert "1 of 1" in capsys.readouterr().out
