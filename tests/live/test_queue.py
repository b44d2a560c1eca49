"""Kueue on a real cluster: a quota of two processors holds, and what is preempted ends with the same numbers."""

import itertools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from precisionflow.cluster.access import names, objects, rest
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.queues import KUEUE, served_version
from precisionflow.cluster.pipelines.runs import find_run
from precisionflow.config import load, to_yaml
from precisionflow.config.cluster import QUEUE
from tests.live.test_submit import END_SECONDS, remove_all

QUOTA = 2
"""Processors of the queue."""
SHARE = "1500m"
"""Of a task's pod: one fits into the quota beside what KFP puts into it, two do not."""
SEED = uuid.uuid4().int % 10**6
"""The first of the seeds, which no run on the cluster has had: cells of equal content are not trained again."""
LONG = (
    *("ablation.axes={}", "splits=[0]", f"seeds=[{SEED}]", "training.steps=150000", "training.patience=30"),
    *("training.validate_every=5000", "training.checkpoint_every=2000"),
)
"""Minutes of training: the other run is not at its first task before one."""
NODES = (
    *("ablation.axes={}", "engine.nodes=2", f"seeds=[{SEED}]", "cluster.train={cpu: 900m, memory: 2Gi}"),
    *("training.steps=3000", "training.validate_every=50", "training.checkpoint_every=20"),
    "training.learning_rate=0.001",
)
"""A TrainJob that takes the whole quota, for minutes: the other run is not at its first task before one."""


class Queue(NamedTuple):
    """A queue of the namespace of runs, and a command line there."""

    name: str
    """Of the queue, of its ClusterQueue, its flavor, and of the beginning of its experiments and priorities."""
    connection: Connection
    folder: Path
    images: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        options = ["--namespace", self.connection.namespace]
        options += ["--images", str(self.images)] if words[0] == "submit" else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return subprocess.Popen(
            [sys.executable, "-m", "precisionflow", *words, *options],
            cwd=self.folder,
            env={**kept, "OMP_NUM_THREADS": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __call__(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said, _ = process.communicate(timeout=2 * END_SECONDS)
        return process.returncode, said

    def submit(
        self, which: str, *settings: str, of: str = "quickstart-regression", priority: str
    ) -> tuple[str, Any]:
        """Name of an experiment and of its run in the queue, and the client that follows it."""
        name = f"{self.name}-{which}"
        parts = (
            ("evaluate", "other")
            if any("cluster.train=" in one for one in settings)
            else ("train", "evaluate", "other")
        )
        shares = [f"cluster.{part}.cpu={SHARE}" for part in parts]
        queued = [f"cluster.queue={self.name}", f"cluster.priority={self.name}-{priority}", f"name={name}"]
        (self.folder / f"{name}.yaml").write_text(to_yaml(load(of, [*shares, *queued, *settings])))
        return name, self.start("submit", f"{name}.yaml", "--run-name", name, "--wait")


@pytest.fixture(scope="module")
def queue(
    connection: Connection, images_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Queue]:
    version = served_version(connection)
    if version is None:
        pytest.skip(f"the cluster serves no {KUEUE}: Kueue is not installed")
    api, name = f"/apis/{KUEUE}/{version}", f"queue-{uuid.uuid4().hex[:6]}"
    made = Queue(name, connection, tmp_path_factory.mktemp("queue"), images_file.resolve())
    quotas = [{"name": "cpu", "nominalQuota": QUOTA}, {"name": "memory", "nominalQuota": "64Gi"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": name, "resources": quotas}]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": connection.namespace}}
    spec = {"namespaceSelector": here, "resourceGroups": [group]}
    spec["preemption"] = {"withinClusterQueue": "LowerPriority"}
    local = f"{api}/namespaces/{connection.namespace}/localqueues"
    priorities = {f"{name}-low": 10, f"{name}-high": 100}
    places = [f"{api}/workloadpriorityclasses/{one}" for one in priorities]
    places += [f"{local}/{name}", f"{api}/clusterqueues/{name}", f"{api}/resourceflavors/{name}"]
    contents: list[tuple[str, rest.Json]] = [
        (f"{api}/resourceflavors", {"metadata": {"name": name}}),
        (f"{api}/clusterqueues", {"metadata": {"name": name}, "spec": spec}),
        (local, {"metadata": {"name": name}, "spec": {"clusterQueue": name}}),
    ]
    kinds = ["ResourceFlavor", "ClusterQueue", "LocalQueue"]
    for priority, value in priorities.items():
        contents.append((f"{api}/workloadpriorityclasses", {"metadata": {"name": priority}, "value": value}))
        kinds.append("WorkloadPriorityClass")
    try:
        for kind, (place, content) in zip(kinds, contents, strict=True):
            rest.post(connection.api, place, {"apiVersion": f"{KUEUE}/{version}", "kind": kind, **content})
        yield made
    finally:
        for which in ("one", "other", "low", "high", "nodes", "urgent"):
            remove_all(f"{name}-{which}", connection)
        for place in places:
            rest.delete(connection.api, place)


SMALL = ("training.steps=40", "ablation.axes={}", "splits=[0]")
Span = tuple[datetime, datetime]


def spans(run: str, connection: Connection) -> list[Span]:
    """When the tasks of a run worked that its queue had admitted."""
    id = find_run(run, connection=connection).run_id
    pods = objects.pods(connection, labels={names.KFP_RUN: str(id)})
    states = [
        status.state.terminated
        for pod in pods
        if QUEUE in (pod.metadata.labels or {})
        for status in pod.status.container_statuses or ()
        if status.name == "main"
    ]
    return [(state.started_at, state.finished_at) for state in states if state]


def test_a_quota_for_one_pod_lets_two_runs_work_one_after_the_other(queue: Queue) -> None:
    both = dict(
        queue.submit(which, *SMALL, f"seeds=[{seed}]", priority="low")
        for seed, which in enumerate(("one", "other"), start=SEED)
    )
    queued = f": queued in {queue.name}"
    seen = set[str]()
    while any(client.poll() is None for client in both.values()):
        seen |= {run for run in both if queued in queue("status", run)[1]}
        time.sleep(2)
    for client in both.values():
        said, _ = client.communicate()
        assert client.returncode == 0, said
    assert seen, "none was seen waiting"
    worked = sorted(span for run in both for span in spans(run, queue.connection))
    assert len(worked) >= 10
    for (_, end), (start, _) in itertools.pairwise(worked):
        assert end <= start, "two tasks at once, and the quota is for one"


def table(folder: Path) -> list[tuple[Any, ...]]:
    """The table of a results folder: metric, mean."""
    rows = pq.read_table(folder / "aggregate" / "table.parquet").to_pylist()
    return sorted((row["variant"], row["metric"], row["mean"]) for row in rows)


def same_as_here(name: str, queue: Queue, *, rel: float) -> None:
    """A run's table is that of this machine."""
    code, said = queue("fetch", name, "--out", "there")
    assert code == 0, said
    command = [sys.executable, "-m", "precisionflow", "run", f"{name}.yaml", "--out", "here"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=queue.folder, check=True, capture_output=True, env=environment)
    there, here = table(queue.folder / "there"), table(queue.folder / "here")
    assert [row[:2] for row in there] == [row[:2] for row in here]
    assert [row[2] for row in there] == pytest.approx([row[2] for row in here], rel=rel, abs=rel)
    for folder in ("there", "here"):
        (queue.folder / folder).rename(queue.folder / f"{folder}-{name}")


def until_it_trains(name: str, queue: Queue) -> None:
    """Wait until a run's training has told how far it is."""
    end = time.monotonic() + END_SECONDS
    while ": step " not in queue("logs", name)[1]:
        assert time.monotonic() < end, queue("status", name)[1]
        time.sleep(2)


def test_a_task_that_is_preempted_goes_on_and_ends_with_the_same_table(queue: Queue) -> None:
    low, patient = queue.submit("low", *LONG, priority="low")
    until_it_trains(low, queue)
    _, urgent = queue.submit("high", *SMALL, f"seeds=[{SEED + 2}]", priority="high")
    said, _ = urgent.communicate(timeout=2 * END_SECONDS)
    assert urgent.returncode == 0, said
    said, _ = patient.communicate(timeout=2 * END_SECONDS)
    assert patient.returncode == 0, said
    assert "train default: try 1 failed, another follows: " in said
    assert ": goes on from step " in queue("logs", low, "--task", "train")[1]
    same_as_here(low, queue, rel=1e-6)


def test_a_trainjob_as_large_as_the_quota_is_admitted_preempted_and_ends_with_the_same_table(
    queue: Queue,
) -> None:
    """Its launcher is in no queue: it would keep it out for ever."""
    name, patient = queue.submit("nodes", *NODES, of="quickstart-language", priority="low")
    until_it_trains(name, queue)
    _, urgent = queue.submit("urgent", *SMALL, f"seeds=[{SEED + 3}]", priority="high")
    seen, workloads = set[str](), f"TrainJob train-{name[:24].strip('-')}-"
    while urgent.poll() is None:
        seen |= {
            line.strip()
            for line in queue("status", name)[1].splitlines()
            if f": queued in {queue.name}" in line
        }
        time.sleep(2)
    said, _ = urgent.communicate()
    assert urgent.returncode == 0, said
    assert any(line.startswith(workloads) for line in seen), json.dumps(sorted(seen))
    said, _ = patient.communicate(timeout=2 * END_SECONDS)
    assert patient.returncode == 0, said
    assert ": goes on from step " in queue("logs", name, "--task", "launch-trainjob")[1]
    same_as_here(name, queue, rel=1e-4)
