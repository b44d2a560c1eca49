"""Results in MLflow: what is there equals the Parquet files, once, whoever uploads it and however often."""

import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment, to_yaml
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.predictor import Predictor
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet, write_parquet, write_text
from precisionflow.records.metrics import HEADLINE
from precisionflow.records.schemas import CONTRASTS, HISTORY, METRICS, TABLE
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.tracking import content, runs, store, track_cells, track_folder, track_report, ui_command
from tests import synthetic

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning",  # MLflow's own
    "ignore:.*Any type hint is inferred as AnyType:UserWarning",  # its own classes
)

NOISE = synthetic.regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"))
TWINS = synthetic.language(
    ("seeds: [0, 1, 2]", "seeds: [0]"),
    ("      dot_product: {model.attention.potential.kind: dot_product}\n", ""),
)
CELLS = 6
"""2 variants x 2 seeds of one experiment, 2 variants of the other."""

SETTINGS = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")


@pytest.fixture(scope="session", autouse=True)
def _no_settings() -> Iterator[None]:
    """No MLflow settings from outside."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="session")
def finished(_no_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two experiments, and an MLflow store that is still empty."""
    folder = tmp_path_factory.mktemp("finished")
    for experiment in (NOISE, TWINS):
        write_text(to_yaml(experiment), folder / "experiments" / f"{experiment.name}.yaml")
        synthetic.models(experiment, folder)
        synthetic.evaluations(experiment, folder, _measure)
        prepare([variant.experiment for variant in expand(experiment)], out=folder / "data")
    (folder / "train").rename(folder / "model")
    (folder / "evaluate").rename(folder / "evaluation")
    evaluations = [place(folder / "evaluation", v) for e in (NOISE, TWINS) for v in variants(e)]
    aggregate([NOISE, TWINS], evaluations=evaluations, out=folder / "aggregate")
    write_text("<!doctype html><p>A page.</p>", folder / "report" / "report.html")
    for variant in (*variants(NOISE), *variants(TWINS)):
        _write_weights(folder, variant)
    _write_long_history(cell_folder(place(folder / "model", variants(NOISE)[0]), 1, 0))
    _client(folder).search_experiments()
    return folder


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


@pytest.fixture(scope="session")
def tracked(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `finished` after one `track_folder`, to be looked at only."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("tracked") / "results"))
    assert track_folder(folder)
    return folder


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of an earlier test does not silence this one's."""
    monkeypatch.setattr(store, "_warnings", [])


@pytest.fixture(scope="session", autouse=True)
def server(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page that `ui_command` opens, on a copy of `finished`; it starts beside other tests."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("server") / "results"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, *rest = shlex.split(ui_command(folder))
    command = [str(Path(sys.executable).with_name(program)), *rest, "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """What evaluate writes: scores on test rows, and the model's own validation loss."""
    return synthetic.plausible(variant, seed, split) | {"validation_loss": 2.0}


def variants(experiment: Experiment) -> list[Experiment]:
    return [variant.experiment for variant in expand(experiment)]


def place(root: Path, variant: Experiment) -> Path:
    return root / variant.name / variant.dataset / variant.variant


def _write_weights(folder: Path, variant: Experiment) -> None:
    torch.manual_seed(0)
    card = read_card(data_folder(folder / "data", variant, 0) / "dataset.json", DatasetCard)
    target = cell_folder(place(folder / "model", variant), 0, 0) / "model.safetensors"
    save_file(
        {name: tensor.contiguous() for name, tensor in build(variant, card).state_dict().items()}, target
    )


def _write_long_history(cell: Path) -> None:
    """More points than MLflow takes in one call."""
    steps = np.arange(1, 2501)
    table = pa.table({"step": steps, "metric": ["train_loss"] * len(steps), "value": 3 / np.sqrt(steps)})
    write_parquet(table, cell / "history.parquet", HISTORY)


def _client(folder: Path) -> "MlflowClient":
    return _client_of(f"sqlite:///{folder}/mlflow.db")


def _client_of(address: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(address)


def _runs(client: "MlflowClient", name: str, **tags: str) -> list["Run"]:
    """The runs of the MLflow experiment `name` with our tags."""
    found = client.get_experiment_by_name(name)
    assert found is not None
    where = " and ".join(f"tags.`precisionflow.{tag}` = '{value}'" for tag, value in tags.items())
    return list(client.search_runs([found.experiment_id], where))


def _track_variant(folder: Path, variant: Experiment, **rest: object) -> bool:
    model, evaluation = place(folder / "model", variant), place(folder / "evaluation", variant)
    whole = next(experiment for experiment in (NOISE, TWINS) if experiment.name == variant.name)
    keywords = {"store": folder, "whole": whole} | rest
    return track_cells(variant, data=folder / "data", model=model, evaluation=evaluation, **keywords)  # type: ignore[arg-type]


def _rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the store."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        rows = {name: sorted(database.execute(f"select * from {name}"), key=repr) for name in tables}
    database.close()
    return rows


def _files(folder: Path) -> dict[str, int]:
    """When each artifact was last written."""
    return {str(f): f.stat().st_ctime_ns for f in (folder / "mlartifacts").rglob("*") if f.is_file()}


def test_one_parent_for_an_experiment_and_one_nested_run_for_a_cell(tracked: Path) -> None:
    client = _client(tracked)
    (parent,) = _runs(client, "noise", verb="report")
    cells = _runs(client, "noise", verb="evaluate")
    assert parent.info.run_name == "noise"
    assert parent.data.tags["precisionflow.config_hash"] == NOISE.hash
    assert {cell.data.tags["mlflow.parentRunId"] for cell in cells} == {parent.info.run_id}
    names = ("variant", "dataset", "seed", "split")
    assert sorted(tuple(cell.data.tags[f"precisionflow.{name}"] for name in names) for cell in cells) == [
        (variant, "diabetes", seed, "0")
        for variant in ("heteroscedastic", "homoscedastic")
        for seed in ("0", "1")
    ]
    assert {run.info.status for run in (parent, *cells)} == {"FINISHED"}
    assert len(_runs(client, "twins", verb="evaluate")) == 2


def test_parameters_are_the_resolved_configuration_under_a_prefix(tracked: Path) -> None:
    for run in _runs(_client(tracked), "noise", verb="evaluate", variant="heteroscedastic"):
        assert all(name.startswith("cfg.") for name in run.data.params)
        assert run.data.params["cfg.objective.kind"] == "gaussian_nll"
        assert run.data.params["cfg.model.hidden"] == "8"
        assert run.data.params["cfg.seeds"] == "0, 1"
        assert run.data.params["cfg.training.patience"] == "none"
        assert run.data.params["cfg.training.learning_rate"] == "0.001"


def test_metrics_are_those_of_the_files(tracked: Path) -> None:
    client = _client(tracked)
    for experiment in (NOISE, TWINS):
        for run in _runs(client, experiment.name, verb="evaluate"):
            tags = {name.removeprefix("precisionflow."): value for name, value in run.data.tags.items()}
            cell = Path(experiment.name, tags["dataset"], tags["variant"], f"seed-{tags['seed']}-split-0")
            history = read_parquet(tracked / "model" / cell / "history.parquet", HISTORY).to_pylist()
            wanted = {(row["metric"], row["step"], row["value"]) for row in history}
            names = {name for name in run.data.metrics if not name.startswith(("test.", "model."))}
            points = [point for name in names for point in client.get_metric_history(run.info.run_id, name)]
            assert len(points) == len(history)
            assert {(point.key, point.step, point.value) for point in points} == wanted
            metrics = read_parquet(tracked / "evaluation" / cell / "metrics.parquet", METRICS).to_pylist()
            assert {name: value for name, value in run.data.metrics.items() if name.startswith("test.")} == {
                f"test.{row['metric']}": row["value"] for row in metrics if row["metric"] != "validation_loss"
            }
            assert run.data.metrics["model.parameters"] == 1234


def test_a_report_puts_means_verdicts_and_files_into_the_parent(tracked: Path) -> None:
    aggregated, report = tracked / "aggregate", tracked / "report"
    client = _client(tracked)
    table = read_parquet(aggregated / "table.parquet", TABLE).to_pylist()
    contrasts = read_parquet(aggregated / "contrasts.parquet", CONTRASTS).to_pylist()
    for experiment in (NOISE, TWINS):
        (parent,) = _runs(client, experiment.name, verb="report")
        headline = HEADLINE[experiment.task.kind]
        ours = [row for row in table if row["experiment"] == experiment.name and row["metric"] in headline]
        assert parent.data.metrics == {
            f"{row['metric']}/{row['dataset']}/{row['variant'].replace('+', ' ')}": row["mean"]
            for row in ours
        }
        verdicts = {name: value for name, value in parent.data.tags.items() if name.startswith("verdict/")}
        assert sorted(verdicts.values()) == sorted(
            row["verdict"] for row in contrasts if row["experiment"] == experiment.name
        )
        assert parent.data.tags["mlflow.note.content"] == experiment.question
        page = client.download_artifacts(parent.info.run_id, "report/report.html")
        assert Path(page).read_bytes() == (report / "report.html").read_bytes()
        assert {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "report")} == {
            "report.html", "table.parquet", "contrasts.parquet",
        }  # fmt: skip


def test_a_second_call_changes_nothing(tracked: Path) -> None:
    rows, files = _rows(tracked), _files(tracked)
    assert len(rows["runs"]) == 2 + CELLS
    assert track_folder(tracked)
    assert _track_variant(tracked, variants(NOISE)[0])
    assert track_report([TWINS], aggregate=tracked / "aggregate", report=tracked / "report", store=tracked)
    assert _rows(tracked) == rows
    assert _files(tracked) == files


def test_a_new_report_replaces_the_old_one(results: Path) -> None:
    folders = {"aggregate": results / "aggregate", "report": results / "report", "store": results}
    assert track_report([NOISE], **folders)
    before = _rows(results)
    write_text("<!doctype html><p>Another page.</p>", results / "report" / "report.html")
    assert track_report([NOISE], **folders)
    client = _client(results)
    (parent,) = _runs(client, "noise", verb="report")
    assert "Another" in Path(client.download_artifacts(parent.info.run_id, "report/report.html")).read_text()
    assert _rows(results)["metrics"] == before["metrics"]


@pytest.mark.parametrize("broken", ["log_points", "logged_model"])
def test_an_interrupted_upload_is_completed(
    results: Path, monkeypatch: pytest.MonkeyPatch, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variant = variants(NOISE)[0]
    with monkeypatch.context() as patch:
        patch.setattr(runs, broken, _full_disk)
        assert not _track_variant(results, variant)
    assert "No space left" in capsys.readouterr().err
    halves = _runs(_client(results), "noise", verb="evaluate")
    assert [run.info.status for run in halves] == ["RUNNING"]
    assert _track_variant(results, variant)
    whole = _rows(results)
    assert len(whole["runs"]) == 1 + 2
    cells = cell_folder(place(results / "model", variant), 0, 0).parent.glob("seed-*")
    points = [read_parquet(cell / "history.parquet", HISTORY).num_rows for cell in cells]
    assert max(points) >= 2500
    assert len(whole["metrics"]) == sum(points) + 2 * (len(content._OF_THE_MODEL) + 12)
    assert {
        run.data.tags["precisionflow.whole"] for run in _runs(_client(results), "noise", verb="evaluate")
    } == {"true"}


def _full_disk(*_arguments: object, **_keywords: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_killed_upload_leaves_no_second_model(results: Path) -> None:
    variant = variants(NOISE)[0]
    assert _track_variant(results, variant)
    client = _client(results)
    (run,) = _runs(client, "noise", verb="evaluate", seed="0")
    client.delete_tag(run.info.run_id, content.WHOLE)
    (model,) = client.search_logged_models([run.info.experiment_id])
    half = client.create_logged_model(run.info.experiment_id, source_run_id=run.info.run_id)
    assert _track_variant(results, variant)
    assert [m.model_id for m in client.search_logged_models([run.info.experiment_id])] == [model.model_id]
    assert half.model_id != model.model_id


def test_two_processes_at_once_make_one_parent(finished: Path, tmp_path: Path) -> None:
    """On a folder without a store, so that they also create it at once."""
    folder = Path(
        shutil.copytree(finished, tmp_path / "results", ignore=shutil.ignore_patterns("mlflow.db", "twins*"))
    )
    program = (
        "import pathlib, sys, precisionflow.tracking as t; assert t.track_folder(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said == [b"", b""]
    client = _client(folder)
    assert len(_runs(client, "noise", verb="report")) == 1
    assert len(_runs(client, "noise", verb="evaluate")) == 4
    assert len(_rows(folder)["runs"]) == 1 + 4


def test_variants_that_are_tracked_apart_share_the_parent_of_the_folder(results: Path) -> None:
    for variant in variants(NOISE):
        assert _track_variant(results, variant)
    assert len(_runs(_client(results), "noise", verb="report")) == 1


def test_the_whole_experiment_names_the_parent_where_no_folder_does(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{results}/mlflow.db")
    monkeypatch.chdir(results)
    for variant in variants(NOISE):
        assert _track_variant(results, variant, store=None)
    assert track_report([NOISE], aggregate=results / "aggregate", report=results / "report", store=None)
    assert len(_runs(_client(results), "noise", verb="report")) == 1
    assert len(_runs(_client(results), "noise", verb="evaluate")) == 4


def test_of_two_parents_the_oldest_is_kept(results: Path) -> None:
    client = _client(results)
    experiment_id = client.create_experiment("noise")
    tags = content.parent_run(NOISE).tags
    _, old = (client.create_run(experiment_id, start_time=start, tags=tags) for start in (2000, 1000))
    assert _track_variant(results, variants(NOISE)[0])
    cells = _runs(client, "noise", verb="evaluate")
    assert {cell.data.tags["mlflow.parentRunId"] for cell in cells} == {old.info.run_id}


def test_a_parent_that_another_machine_made_meanwhile_is_taken(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _client(results)
    experiment_id = client.create_experiment("noise")
    create = runs._create
    rivals = []

    def create_second(*arguments: object, **keywords: object) -> "Run":
        if not rivals:
            rivals.append(
                client.create_run(experiment_id, start_time=1000, tags=content.parent_run(NOISE).tags)
            )
        return create(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "_create", create_second)
    assert _track_variant(results, variants(NOISE)[0])
    (parent,) = _runs(client, "noise", verb="report")
    assert parent.info.run_id == rivals[0].info.run_id
    cells = _runs(client, "noise", verb="evaluate")
    assert {cell.data.tags["mlflow.parentRunId"] for cell in cells} == {parent.info.run_id}


def test_a_run_that_the_environment_names_is_the_parent(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _client(results)
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
    cells = _runs(client, "theirs", verb="evaluate")
    assert len(cells) == CELLS
    assert {cell.data.tags["mlflow.parentRunId"] for cell in cells} == {given.info.run_id}


def test_the_environment_names_the_experiment(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shared")
    assert _track_variant(results, variants(NOISE)[0])
    assert len(_runs(_client(results), "shared", verb="evaluate")) == 2
    found = _client(results).get_experiment_by_name("shared")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", found.experiment_id)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert _track_variant(results, variants(NOISE)[1])
    assert len(_runs(_client(results), "shared", verb="evaluate")) == 4


def test_an_absent_server_costs_one_line_and_the_upload_comes_later(
    results: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:secret@127.0.0.1:{port}")
        assert not _track_variant(results, variants(NOISE)[0])
        assert not track_folder(results)
    said = capfd.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"precisionflow: tracking: http://127.0.0.1:{port} does not answer (")
    assert line.endswith(f"; results are in {results}; run `precisionflow track {results}` later")
    assert "secret" not in line
    assert not said.out
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert track_folder(results)
    assert len(_rows(results)["runs"]) == 2 + CELLS


def test_without_a_server_and_a_folder_tracking_is_off(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _track_variant(results, variants(NOISE)[0], store=None)
    (line,) = capsys.readouterr().err.splitlines()
    assert "off, MLFLOW_TRACKING_URI names no server" in line
    assert line.endswith(f"results are in {place(results / 'evaluation', variants(NOISE)[0])}")


def test_a_store_that_is_no_database_is_a_warning(results: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (results / "mlflow.db").write_text(
        "no database, but long enough to be looked at as one by whoever opens it" * 20
    )
    assert not track_folder(results)
    (line,) = capfd.readouterr().err.splitlines()
    assert "file is not a database" in line


def test_a_folder_that_is_no_results_folder_is_a_mistake(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no experiments/\*.yaml"):
        track_folder(tmp_path)
    (cell_folder(place(results / "model", variants(NOISE)[0]), 0, 0) / "history.parquet").unlink()
    with pytest.raises(ValueError, match=r"history.parquet: does not exist"):
        track_folder(results)


def test_a_cell_that_is_not_evaluated_waits(results: Path) -> None:
    shutil.rmtree(cell_folder(place(results / "evaluation", variants(NOISE)[0]), 1, 0))
    assert _track_variant(results, variants(NOISE)[0])
    assert [
        run.data.tags["precisionflow.seed"] for run in _runs(_client(results), "noise", verb="evaluate")
    ] == ["0"]


def _models(folder: Path, name: str) -> dict[str, str]:
    """variant -> address of its model."""
    client = _client(folder)
    found = client.get_experiment_by_name(name)
    models = client.search_logged_models([found.experiment_id])
    return {model.tags["precisionflow.variant"]: model.model_uri for model in models}


def _predictor(folder: Path, variant: Experiment) -> Predictor:
    card = read_card(data_folder(folder / "data", variant, 0) / "dataset.json", DatasetCard)
    return Predictor.load(cell_folder(place(folder / "model", variant), 0, 0), card)


def test_the_models_predict_what_the_weights_do_and_hold_no_pickle(tracked: Path) -> None:
    import mlflow
    import pandas as pd

    names = [file.name for file in (tracked / "mlartifacts").rglob("*") if file.is_file()]
    assert names.count("model.safetensors") == 2 + 2
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth"))]
    mlflow.set_tracking_uri(f"sqlite:///{tracked}/mlflow.db")
    try:
        variant = variants(NOISE)[1]
        model = mlflow.pyfunc.load_model(_models(tracked, "noise")[variant.variant])
        features = np.random.default_rng(0).normal(50, 20, (5, 10))
        names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
        assert names == model.metadata.get_input_schema().input_names()
        answer = model.predict(pd.DataFrame(features, columns=names))
        predicted = _predictor(tracked, variant).distribution(features)
        mean, std = predicted.mean, predicted.std
        assert (
            list(answer.columns)
            == ["mean", "std", "aleatoric", "epistemic", "lower", "upper"]
            == model.metadata.get_output_schema().input_names()
        )
        np.testing.assert_allclose(answer["aleatoric"], answer["std"], rtol=1e-6)
        assert not answer["epistemic"].any()
        half = model.predict(pd.DataFrame(features, columns=names), params={"level": 0.5})
        np.testing.assert_allclose(half["upper"], predicted.interval(0.5)[1], rtol=1e-5)
        np.testing.assert_allclose(answer["mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(answer["std"], std, rtol=1e-5)
        np.testing.assert_allclose(answer["lower"], answer["mean"] - 1.959963984540054 * answer["std"])
        np.testing.assert_allclose(answer["upper"], answer["mean"] + 1.959963984540054 * answer["std"])
        with pytest.raises(mlflow.MlflowException, match="missing inputs"):
            model.predict(pd.DataFrame(features[:, :9], columns=names[:9]))

        twin = variants(TWINS)[1]
        model = mlflow.pyfunc.load_model(_models(tracked, "twins")[twin.variant])
        texts = ["a class statement defines a class", "if"]
        answer = model.predict(pd.DataFrame({"text": texts}))
        predictor = _predictor(tracked, twin)
        vocabulary = predictor.data_card.vocabulary
        assert vocabulary is not None
        for text, nll, bits, following in zip(texts, *(answer[c] for c in answer.columns), strict=True):
            table = predictor.log_probabilities(text)
            terms = [table[i, vocabulary.index(text[i + 1])] for i in range(len(text) - 1)]
            assert nll == pytest.approx(-sum(terms) / len(terms))
            assert 2**bits == pytest.approx(np.exp(nll))
            assert following == vocabulary[table[-1].argmax()]
        with pytest.raises(ValueError, match="fewer than two characters"):
            model.predict(pd.DataFrame({"text": ["i"]}))
    finally:
        mlflow.set_tracking_uri(None)


def test_data_are_an_input_with_the_digest_of_their_source(tracked: Path) -> None:
    (run, *_) = _runs(_client(tracked), "noise", verb="evaluate")
    (given,) = run.inputs.dataset_inputs
    folder = data_folder(tracked / "data", NOISE, 0)
    card = read_card(folder / "dataset.json", DatasetCard)
    assert (given.dataset.name, given.dataset.digest) == ("diabetes", card.source_sha256[:12])
    assert str(folder.parent) in given.dataset.source


def test_the_line_for_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my results"
    assert shlex.split(ui_command(folder))[:4] == [
        "mlflow",
        "ui",
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@tracking.example.org/mlflow")
    assert ui_command(folder) == "python -m webbrowser https://tracking.example.org/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ada:secret@db/mlflow")
    assert '"$MLFLOW_TRACKING_URI"' in ui_command(folder)
    assert "secret" not in ui_command(folder)


def test_importing_tracking_imports_no_mlflow() -> None:
    program = (
        "import sys, precisionflow.tracking; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_real_server_takes_everything_once_and_shows_it(
    results: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _wait_for(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert track_folder(results)
    assert track_folder(results)
    client = _client_of(server)
    (parent,) = _runs(client, "noise", verb="report")
    assert len(_runs(client, "noise")) + len(_runs(client, "twins")) == 2 + CELLS
    (cell,) = _runs(client, "noise", verb="evaluate", variant="homoscedastic", seed="1")
    assert len(client.get_metric_history(cell.info.run_id, "train_loss")) == 2500
    shown = f"{server}/get-artifact?path=report/report.html&run_uuid={parent.info.run_id}"
    with urllib.request.urlopen(shown) as page:
        assert page.read() == (results / "report" / "report.html").read_bytes()
    assert not (results / "mlartifacts").exists()


def _wait_for(server: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{server}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{server} does not start")
