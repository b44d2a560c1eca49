"""Studies on Katib on a real cluster: what comes back, and every way to fail."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.names import INJECTION
from precisionflow.cluster.access.patience import came_true
from precisionflow.cluster.katib.api import GONE_SECONDS, KatibExperiments
from precisionflow.cluster.katib.launch import run_on_katib
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import TRIALS
from precisionflow.records.search import Best
from precisionflow.search.study import Study
from tests.studies_of_katib import study


@pytest.fixture(scope="module")
def room(kubeconfig: Path) -> Iterator[Connection]:  # noqa: ARG001 - reaches the cluster
    """A namespace of its own whose trials Katib listens to."""
    from kubernetes.client import CoreV1Api

    name = f"precisionflow-test-{uuid.uuid4().hex[:8]}"
    core = CoreV1Api(Connection().api)
    core.create_namespace({"metadata": {"name": name, "labels": {INJECTION: "enabled"}}})
    try:
        yield Connection(Access(namespace=name))
    finally:
        core.delete_namespace(name)


def run(
    given: Study, room: Connection, out: Path, *, images: Mapping[str, str], **rest: Any
) -> tuple[Best, list[str]]:
    lines: list[str] = []
    best = run_on_katib(given, connection=room, images=images, out=out, say=lines.append, **rest)
    return best, lines


def fails(given: Study, room: Connection, out: Path, *, images: Mapping[str, str], **rest: Any) -> str:
    with pytest.raises(ClusterError) as caught:
        run(given, room, out, images=images, **rest)
    assert not list(out.iterdir())
    return str(caught.value)


def test_the_best_settings_come_back_typed_and_a_second_call_takes_them(
    room: Connection, images: Mapping[str, str], tmp_path: Path
) -> None:
    best, lines = run(study(), room, tmp_path / "first", images=images)
    assert len([line for line in lines if " succeeded: nll " in line]) == 3
    rows = read_parquet(tmp_path / "first" / "trials.parquet", TRIALS).to_pylist()
    assert {row["state"] for row in rows} == {"succeeded"}
    assert {json.loads(row["metrics"])["crps"] for row in rows} == {1e-3}
    assert all(row["seconds"] > 0 for row in rows)
    assert best.value == min(row["value"] for row in rows)
    rate, decay = best.settings
    assert rate == f"training.learning_rate={best.value:g}"
    assert decay.startswith("training.weight_decay=0.0")
    assert read_card(tmp_path / "first" / "best.json", Best) == best

    again, lines = run(study(), room, tmp_path / "second", images=images)
    assert again == best
    assert lines[0] == "Katib experiment study has finished"

    other = study(**{"maxTrialCount: 3": "maxTrialCount: 4"})
    (tmp_path / "third").mkdir()
    assert "has another Katib experiment study; choose another metadata.name" in fails(
        other, room, tmp_path / "third", images=images
    )


def test_a_killed_client_is_followed_by_the_next(
    room: Connection, images: Mapping[str, str], tmp_path: Path
) -> None:
    given = study(**{"name: study": "name: killed"})
    program = (
        "import json, pathlib, sys\n"
        "from precisionflow.cluster.access.connection import Access, Connection\n"
        "from precisionflow.cluster.katib.launch import run_on_katib\n"
        "from precisionflow.search.study import parse_study\n"
        "content, images, out, namespace = map(json.loads, sys.argv[1:])\n"
        "run_on_katib(parse_study(content), connection=Connection(Access(namespace=namespace)), images=images, "
        "out=pathlib.Path(out), say=lambda line: print(line, flush=True))\n"
    )
    arguments = [
        json.dumps(a) for a in (given.content, dict(images), str(tmp_path / "first"), room.namespace)
    ]
    client = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline().startswith("Katib experiment killed in namespace")
    os.kill(client.pid, signal.SIGKILL)
    client.communicate()
    best, lines = run(given, room, tmp_path / "second", images=images)
    assert lines[0] == "Katib experiment killed is there already, following it"
    assert best.trials == 3


def test_a_failing_trial_says_why_and_mended_it_runs(
    room: Connection, images: Mapping[str, str], tmp_path: Path
) -> None:
    broken = study(
        **{
            "name: study": "name: broken",
            "sleep 3;": "sleep 2; echo precisionflow: error: train: no; exit 2;",
        }
    )
    message = fails(broken, room, tmp_path, images=images)
    assert message.startswith("Katib experiment broken failed, ")
    assert ": train: no; mend that and run again" in message


def test_an_image_that_is_not_there_is_told_and_nothing_stays(room: Connection, tmp_path: Path) -> None:
    given = study(**{"name: study": "name: imageless"})
    message = fails(given, room, tmp_path, images={"core": "no.such.example/core:1"}, patience=5)
    assert "image no.such.example/core:1 cannot be pulled" in message
    assert came_true(lambda: KatibExperiments(room).gone("imageless"), seconds=GONE_SECONDS)


def test_what_katib_refuses_is_a_line_and_nothing_is_made(room: Connection, tmp_path: Path) -> None:
    given = study(**{"name: study": "name: refused", "algorithmName: random": "algorithmName: none-such"})
    message = fails(given, room, tmp_path, images={})
    assert message.startswith("Katib refuses experiment refused (spec.algorithm.algorithmName: ")
    assert KatibExperiments(room).get("refused") is None


@pytest.mark.usefixtures("kubeconfig")
def test_a_namespace_without_the_label_is_told_how_to_mend(tmp_path: Path) -> None:
    bare = Connection(Access(namespace="default"))
    message = fails(study(), bare, tmp_path, images={})
    assert message.endswith(f"say `kubectl label namespace default {INJECTION}=enabled`")
    assert KatibExperiments(bare).get("study") is None
