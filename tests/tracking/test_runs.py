"""Runs of MLflow: found or made once, whoever uploads, interrupted or at the same time."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import cell_folder
from precisionflow.tracking import content, runs
from precisionflow.tracking.track import track_folder

if TYPE_CHECKING:
    from mlflow.entities import Run, RunTag
from tests.tracking.results_folder import (
    CELLS,
    NOISE,
    above,
    client_in,
    place,
    rows_in,
    runs_of,
    track_variant,
    variants,
)


@pytest.mark.parametrize("broken", ["logged_model", "history_of", "log_batch", "set_terminated"])
def test_an_interrupted_upload_is_completed(
    results: Path, monkeypatch: pytest.MonkeyPatch, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the last tag is there, and of its batch nothing else, or not the end of the run."""
    from mlflow import MlflowClient

    variant, log_batch, set_terminated = (
        variants(NOISE)[0],
        MlflowClient.log_batch,
        MlflowClient.set_terminated,
    )

    def tags_alone(client: MlflowClient, run_id: str, **given: list["RunTag"]) -> None:
        if any(tag.key == content.WHOLE for tag in given["tags"]):
            log_batch(client, run_id, tags=given["tags"])
            _full_disk()
        log_batch(client, run_id, **given)

    def of_others(client: MlflowClient, run_id: str, *rest: object, **given: object) -> None:
        if client.get_run(run_id).data.tags["precisionflow.verb"] == "evaluate":
            _full_disk()
        set_terminated(client, run_id, *rest, **given)

    with monkeypatch.context() as patch:
        match broken:
            case "log_batch":
                patch.setattr(MlflowClient, broken, tags_alone)
            case "set_terminated":
                patch.setattr(MlflowClient, broken, of_others)
            case _:
                patch.setattr(runs, broken, _full_disk)
        assert not track_variant(results, variant)
    assert "No space left" in capsys.readouterr().err
    halves = runs_of(client_in(results), "noise", verb="evaluate")
    assert [(run.info.status, runs.is_whole(run)) for run in halves] == [("RUNNING", False)]
    assert track_variant(results, variant)
    whole = rows_in(results)
    assert len(whole["runs"]) == 1 + 1 + 2
    cells = cell_folder(place(results / "model", variant), 0, 0).parent.glob("seed-*")
    points = [read_parquet(cell / "history.parquet", HISTORY).num_rows for cell in cells]
    assert max(points) >= 2500
    assert len(whole["metrics"]) == sum(points) + 2 * (len(content._OF_THE_MODEL) + 12)
    assert {
        run.data.tags["precisionflow.whole"] for run in runs_of(client_in(results), "noise", verb="evaluate")
    } == {"true"}


def test_a_cell_is_four_calls(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run is made, and then gets its data set, everything else, and its end; nothing that is installed is read."""
    from mlflow import MlflowClient
    from mlflow.utils import requirements_utils

    monkeypatch.setattr(requirements_utils, "_check_requirement_satisfied", pytest.fail)
    called: dict[str, list[str]] = {}

    def counting(name: str) -> Callable[..., object]:
        method = getattr(MlflowClient, name)

        def counted(client: MlflowClient, run_id: str, *rest: object, **given: object) -> object:
            called.setdefault(run_id, []).append(name)
            return method(client, run_id, *rest, **given)

        return counted

    for name in dir(MlflowClient):
        if (
            name.startswith(("log_", "set_", "delete_", "update_"))
            and "run_id" in signature(getattr(MlflowClient, name)).parameters
        ):
            monkeypatch.setattr(MlflowClient, name, counting(name))
    assert track_variant(results, variants(NOISE)[1])
    served, other = sorted(
        runs_of(client_in(results), "noise", verb="evaluate"),
        key=lambda run: run.data.tags["precisionflow.seed"],
    )
    assert called[other.info.run_id] == ["log_inputs", "log_batch", "set_terminated"]
    assert called[served.info.run_id] == ["log_inputs", "log_outputs", "log_batch", "set_terminated"]


def test_records_of_settling_and_attention_are_artifacts_of_their_cell(results: Path) -> None:
    """As they lie there, where training wrote any: energy by layer and iteration among them."""
    variant = variants(NOISE)[0]
    recorded = cell_folder(place(results / "model", variant), 0, 0) / "settling.parquet"
    recorded.write_bytes(b"as it is")
    assert track_variant(results, variant)
    client = client_in(results)
    kept = {
        run.data.tags["precisionflow.seed"]: [
            file.path for file in client.list_artifacts(run.info.run_id, "records")
        ]
        for run in runs_of(client, "noise", verb="evaluate")
    }
    assert kept == {"0": ["records/settling.parquet"], "1": []}


def _full_disk(*_arguments: object, **_keywords: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_killed_upload_leaves_no_second_model(results: Path) -> None:
    variant = variants(NOISE)[0]
    assert track_variant(results, variant)
    client = client_in(results)
    (run,) = runs_of(client, "noise", verb="evaluate", seed="0")
    client.delete_tag(run.info.run_id, content.WHOLE)
    (model,) = client.search_logged_models([run.info.experiment_id])
    half = client.create_logged_model(run.info.experiment_id, source_run_id=run.info.run_id)
    assert track_variant(results, variant)
    assert [m.model_id for m in client.search_logged_models([run.info.experiment_id])] == [model.model_id]
    assert half.model_id != model.model_id


def test_two_processes_at_once_make_one_parent(finished: Path, tmp_path: Path) -> None:
    """On a folder without a store, so that they also create it at once."""
    folder = Path(
        shutil.copytree(finished, tmp_path / "results", ignore=shutil.ignore_patterns("mlflow.db", "twins*"))
    )
    program = "import pathlib, sys, precisionflow.tracking.track as t; assert t.track_folder(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert all(line.startswith(b"precisionflow: runs of noise: ") for line in said)
    client = client_in(folder)
    assert len(runs_of(client, "noise", verb="report")) == 1
    assert len(runs_of(client, "noise", verb="evaluate")) == 4
    assert len(rows_in(folder)["runs"]) == 1 + 2 + 4


def test_of_two_parents_the_oldest_is_kept(results: Path) -> None:
    client = client_in(results)
    experiment_id = client.create_experiment("noise")
    tags = content.parent_run(NOISE, on_cluster=False).tags
    _, old = (client.create_run(experiment_id, start_time=start, tags=tags) for start in (2000, 1000))
    assert track_variant(results, variants(NOISE)[0])
    cells = runs_of(client, "noise", verb="evaluate")
    assert {above(client, cell, 2) for cell in cells} == {old.info.run_id}


def test_a_parent_that_another_machine_made_meanwhile_is_taken(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_in(results)
    experiment_id = client.create_experiment("noise")
    create = runs._create
    rivals = []

    def create_second(*arguments: object, **keywords: object) -> "Run":
        if not rivals:
            rivals.append(
                client.create_run(
                    experiment_id, start_time=1000, tags=content.parent_run(NOISE, on_cluster=False).tags
                )
            )
        return create(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "_create", create_second)
    assert track_variant(results, variants(NOISE)[0])
    (parent,) = runs_of(client, "noise", verb="report")
    assert parent.info.run_id == rivals[0].info.run_id
    cells = runs_of(client, "noise", verb="evaluate")
    assert {above(client, cell, 2) for cell in cells} == {parent.info.run_id}


def test_a_run_that_the_environment_names_is_the_parent(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_in(results)
    given = client.create_run(client.create_experiment("theirs"), tags={"owner": "pipeline"})
    client.log_param(given.info.run_id, "cfg.name", "theirs")
    monkeypatch.setenv("MLFLOW_RUN_ID", given.info.run_id)
    assert track_folder(results)
    assert os.environ["MLFLOW_RUN_ID"] == given.info.run_id
    parent = client.get_run(given.info.run_id)
    assert parent.info.status == "RUNNING"
    assert parent.data.tags["owner"] == "pipeline"
    assert parent.data.params["cfg.name"] == "theirs"
    assert parent.data.params["cfg.model.kind"] == "mlp"
    cells = runs_of(client, "theirs", verb="evaluate")
    assert len(cells) == CELLS
    assert {above(client, cell, 2) for cell in cells} == {given.info.run_id}


def test_the_environment_names_the_experiment(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shared")
    assert track_variant(results, variants(NOISE)[0])
    assert len(runs_of(client_in(results), "shared", verb="evaluate")) == 2
    found = client_in(results).get_experiment_by_name("shared")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", found.experiment_id)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert track_variant(results, variants(NOISE)[1])
    assert len(runs_of(client_in(results), "shared", verb="evaluate")) == 4
