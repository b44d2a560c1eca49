"""The user's own file on a real cluster: refused while it is not there, brought, run with this machine's numbers."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.access.names import MANAGED
from precisionflow.cluster.pipelines.runs import find_run, recurring_called, recurring_runs_of
from tests.live.test_submit import END_SECONDS, remove_all

EXPERIMENT = """
name: {name}
question: Does width matter?
task: {{kind: regression, source: {{kind: table_file, path: {table}, target: strength}}}}
model: {{kind: mlp, hidden: [8]}}
objective: {{kind: gaussian_nll}}
training: {{steps: 30, batch_size: 32, validate_every: 10}}
splits: [0, 1]
cluster: {{train: {{cpu: 500m}}, evaluate: {{cpu: 500m}}, other: {{cpu: 500m}}}}
"""


class Desk(NamedTuple):
    """A folder of a user's with an experiment and its table, and the command line there."""

    folder: Path
    name: str
    namespace: str
    images: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        place = () if words[0] == "run" else ("--namespace", self.namespace)
        images = ("--images", str(self.images)) if words[0] in ("submit", "data") else ()
        command = [sys.executable, "-m", "precisionflow", *words, *place, *images]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**kept, "PRECISIONFLOW_DATA": str(self.folder), "OMP_NUM_THREADS": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=END_SECONDS)
        return process.returncode, out, err

    @property
    def table(self) -> str:
        return f"{self.name}.csv"


@pytest.fixture(scope="module")
def desk(
    connection: Connection, images_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    folder, name = tmp_path_factory.mktemp("desk"), f"test-{uuid.uuid4().hex[:8]}"
    draw = np.random.default_rng(uuid.uuid4().int)  # a cluster trains no cell of equal content twice
    x = draw.uniform(size=(200, 2))
    rows = np.column_stack([x, 2 * x[:, 0] - x[:, 1] + draw.normal(0, 0.1, 200)])
    lines = [",".join(f"{value:.5f}" for value in row) for row in rows]
    (folder / f"{name}.csv").write_text("\n".join(["width,height,strength", *lines]) + "\n")
    (folder / f"{name}-bad.csv").write_text("width,height,strength\n1,2,3\n1,wide,3\n" + "1,2,3\n" * 40)
    (folder / "mine.yaml").write_text(EXPERIMENT.format(name=name, table=f"{name}.csv"))
    (folder / "bad.yaml").write_text(EXPERIMENT.format(name=f"{name}-bad", table=f"{name}-bad.csv"))
    made = Desk(folder, name, connection.namespace, images_file.resolve())
    yield made
    for experiment in (name, f"{name}-bad"):
        remove_all(experiment, connection)
    remove_files(connection, images_file, (f"{name}.csv", f"{name}-bad.csv"))


def remove_files(connection: Connection, images_file: Path, names: tuple[str, ...]) -> None:
    """Leave the workspace as it was."""
    from precisionflow.cluster.access.short_pod import Work, answer

    image = json.loads(images_file.read_text())["core"]
    paths = [f"/workspace/data/{name}" for name in names]
    work = Work(image, ["rm", "-f", *paths], claim="precisionflow-workspace")
    with answer(connection, "data", work) as found:
        assert found.code == 0, found


def pods_of_data(connection: Connection) -> list[str]:
    found = objects.pods(connection, labels=MANAGED)
    names = [pod.metadata.name for pod in found if pod.metadata.deletion_timestamp is None]
    return [name for name in names if name.startswith("precisionflow-data-")]


def test_a_file_that_is_not_there_is_refused_before_anything_starts(
    desk: Desk, connection: Connection
) -> None:
    code, out, err = desk("submit", "mine.yaml", "--run-name", f"{desk.name}-early")
    assert (code, out) == (2, "")
    assert err == (
        f"precisionflow: error: {desk.table}: is not in the workspace precisionflow-workspace; bring it there: "
        f"`precisionflow data put {desk.folder / desk.table}`\n"
    )
    with pytest.raises(ValueError, match="unknown run"):
        find_run(f"{desk.name}-early", connection=connection)
    assert pods_of_data(connection) == []


@pytest.fixture(scope="module")
def brought(desk: Desk) -> str:
    """What was said while both tables were brought."""
    code, out, err = desk("data", "put", desk.table, f"{desk.name}-bad.csv")
    assert (code, err) == (0, "")
    return out


def test_a_file_is_brought_once_and_replaced_only_when_told(
    brought: str, desk: Desk, connection: Connection
) -> None:
    first, second = brought.splitlines()
    assert first.startswith(f"{desk.table}: ")
    assert first.endswith(" kB, written, sha256 compared")
    assert second.startswith(f"{desk.name}-bad.csv: ")
    assert "was there already" in desk("data", "put", desk.table)[1]
    assert f"{desk.table}: " in desk("data", "list")[1]
    other = desk.folder / "other.csv"
    other.write_text("width\n1\n")
    code, out, err = desk("data", "put", "other.csv", "--as", desk.table)
    assert (code, out) == (2, "")
    assert "holds another file of that name; replace it with --overwrite" in err
    assert desk("data", "put", "other.csv", "--as", desk.table, "--overwrite")[0] == 0
    code, _, err = desk("submit", "mine.yaml")
    assert code == 2
    assert f"{desk.table}: in the workspace precisionflow-workspace is not the one of this machine" in err
    assert desk("data", "put", desk.table, "--overwrite")[0] == 0
    assert pods_of_data(connection) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_client_that_is_stopped_leaves_neither_pod_nor_file(
    ending: signal.Signals, desk: Desk, connection: Connection
) -> None:
    big = desk.folder / f"{desk.name}-big.csv"
    with big.open("wb") as file:
        file.truncate(3 * 10**9)
    client = desk.start("data", "put", big.name)
    end = time.monotonic() + 60
    while not pods_of_data(connection) and time.monotonic() < end:
        time.sleep(0.2)
    assert pods_of_data(connection)
    time.sleep(1)
    client.send_signal(ending)
    _, err = client.communicate(timeout=60)
    assert client.returncode == 128 + ending
    assert "Traceback" not in err
    assert pods_of_data(connection) == []
    assert big.name not in desk("data", "list")[1]
    big.unlink()


def test_a_claim_that_is_not_there_is_one_line(desk: Desk) -> None:
    code, out, err = desk("data", "put", desk.table, "--workspace", "nowhere")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("precisionflow: error: workspace nowhere: namespace ")


@pytest.mark.usefixtures("brought")
def test_the_same_file_has_the_same_table_here_and_there(desk: Desk) -> None:
    run = f"{desk.name}-whole"
    code, out, err = desk("submit", "mine.yaml", "--run-name", run, "--wait")
    assert (code, err) == (0, ""), out
    assert desk("fetch", run, "--out", "there")[0] == 0
    code, _, err = desk("run", "mine.yaml", "--out", "here")
    assert (code, err) == (0, "")
    here, there = (
        pq.read_table(desk.folder / place / "aggregate" / "table.parquet").to_pylist()
        for place in ("here", "there")
    )
    assert len(here) == len(there) > 0
    for ours, theirs in zip(here, there, strict=True):
        assert (ours["metric"], ours["dataset"]) == (theirs["metric"], theirs["dataset"])
        assert theirs["mean"] == pytest.approx(ours["mean"], rel=1e-6, abs=1e-6)


@pytest.mark.usefixtures("brought")
def test_a_mistake_is_not_tried_again(desk: Desk, connection: Connection) -> None:
    run = f"{desk.name}-bad"
    code, out, err = desk("submit", "bad.yaml", "--run-name", run, "--wait")
    assert (code, err) == (1, "")
    assert f"prepare: failed: prepare: /workspace/data/{desk.name}-bad.csv: row 1 (counted from 0), " in out
    assert "try 1 failed" not in out
    found = find_run(run, connection=connection)
    (workflow,) = objects.listed(connection, WORKFLOWS, labels={"pipeline/runid": str(found.run_id)})
    tries = [node for node in workflow["status"]["nodes"].values() if ".prepare.executor(" in node["name"]]
    assert len(tries) == 1


@pytest.mark.usefixtures("brought")
def test_a_schedule_fires_one_run_at_a_time_and_reads_the_data_of_its_moment(
    desk: Desk, connection: Connection
) -> None:
    name = f"{desk.name}-often"
    code, out, err = desk("submit", "mine.yaml", "--cron", "0 * * * * *", "--run-name", name)
    assert (code, err) == (0, ""), out
    first = ended(name, connection, after=datetime.min.replace(tzinfo=UTC))
    head, row, *rest = (desk.folder / desk.table).read_text().splitlines()
    changed = "\n".join([head, row[:-1] + ("1" if row[-1] == "0" else "0"), *rest])
    (desk.folder / desk.table).write_text(changed + "\n")
    assert desk("data", "put", desk.table, "--overwrite")[0] == 0
    later = ended(name, connection, after=datetime.now(UTC))
    (recurring,) = recurring_called(name, connection=connection)
    runs = [
        run
        for run in recurring_runs_of(recurring, connection=connection)
        if run.created_at <= later.created_at
    ]
    assert desk("cancel", name)[0] == 0
    trained = {
        run.run_id for run in runs if ": step 30/30" in desk("logs", str(run.run_id), "--task", "train")[1]
    }
    assert len(trained - {first.run_id}) == 1, "the row that changed was read once, and not again"
    for later_one, one in itertools.pairwise(runs):
        assert one.finished_at <= later_one.created_at, "two at once"


def ended(name: str, connection: Connection, *, after: datetime) -> Any:
    """The first run of a schedule that was made after a moment, once it has succeeded."""
    (recurring,) = recurring_called(name, connection=connection)
    end = time.monotonic() + END_SECONDS
    while True:
        made = sorted(
            (run for run in recurring_runs_of(recurring, connection=connection) if run.created_at > after),
            key=lambda run: run.created_at,
        )
        if made and made[0].state == "SUCCEEDED":
            return made[0]
        assert not made or made[0].state not in ("FAILED", "CANCELED"), made[0].display_name
        assert time.monotonic() < end, f"{name}: no run has ended"
        time.sleep(3)
