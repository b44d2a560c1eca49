"""What a results folder gives MLflow: what is there equals the Parquet files, once, however often."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from precisionflow.ablation.measured import read_metrics
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet, write_text
from precisionflow.records.schemas import CONTRASTS, HISTORY, METRICS, TABLE
from precisionflow.report import wording
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.results.stage import finished_span
from precisionflow.tracking.content import EXPERIMENT, WHOLE
from precisionflow.tracking.description import _cut
from precisionflow.tracking.parameters import parameters
from precisionflow.tracking.recalled import recalled
from precisionflow.tracking.track import track_folder, track_report
from tests.command_line import Line
from tests.tracking.results_folder import (
    CELLS,
    NOISE,
    TWINS,
    VARIANTS,
    above,
    client_in,
    files_in,
    place,
    rows_in,
    runs_of,
    track_variant,
    variants,
)


def test_an_experiment_holds_its_variants_and_a_variant_its_cells(tracked: Path) -> None:
    client = client_in(tracked)
    (parent,) = runs_of(client, "noise", verb="report")
    cells = runs_of(client, "noise", verb="evaluate")
    assert parent.info.run_name == "noise"
    assert parent.data.tags["precisionflow.config_hash"] == NOISE.hash
    within = {run.info.run_id: run for run in runs_of(client, "noise", verb="aggregate")}
    assert {above(client, run) for run in within.values()} == {parent.info.run_id}
    assert sorted(run.info.run_name for run in within.values()) == [
        "heteroscedastic diabetes",
        "homoscedastic diabetes",
    ]
    for cell in cells:
        variant = within[above(client, cell)]
        assert variant.data.tags["precisionflow.variant"] == cell.data.tags["precisionflow.variant"]
        assert variant.info.start_time <= cell.info.start_time
        assert cell.info.end_time <= variant.info.end_time
    names = ("variant", "dataset", "seed", "split")
    assert sorted(tuple(cell.data.tags[f"precisionflow.{name}"] for name in names) for cell in cells) == [
        (variant, "diabetes", seed, "0")
        for variant in ("heteroscedastic", "homoscedastic")
        for seed in ("0", "1")
    ]
    assert {run.info.status for run in (parent, *within.values(), *cells)} == {"FINISHED"}
    assert len(runs_of(client, "twins", verb="evaluate")) == 2


def test_parameters_are_the_resolved_configuration_under_a_prefix(tracked: Path) -> None:
    for run in runs_of(client_in(tracked), "noise", verb="evaluate", variant="heteroscedastic"):
        assert all(name.startswith("cfg.") for name in run.data.params)
        assert run.data.params["cfg.objective.kind"] == "gaussian_nll"
        assert run.data.params["cfg.model.hidden"] == "8"
        assert run.data.params["cfg.seeds"] == "0, 1"
        assert run.data.params["cfg.training.patience"] == "none"
        assert run.data.params["cfg.training.learning_rate"] == "0.001"


def test_metrics_are_those_of_the_files(tracked: Path) -> None:
    client = client_in(tracked)
    for experiment in (NOISE, TWINS):
        for run in runs_of(client, experiment.name, verb="evaluate"):
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
    client = client_in(tracked)
    table = read_parquet(aggregated / "table.parquet", TABLE).to_pylist()
    contrasts = read_parquet(aggregated / "contrasts.parquet", CONTRASTS).to_pylist()
    for experiment in (NOISE, TWINS):
        (parent,) = runs_of(client, experiment.name, verb="report")
        headline = experiment.task.headline
        ours = [row for row in table if row["experiment"] == experiment.name and row["metric"] in headline]
        assert parent.data.metrics == {
            f"{row['metric']}/{row['dataset']}/{row['variant'].replace('+', ' ')}": row["mean"]
            for row in ours
        }
        assert not [name for name in parent.data.tags if name.startswith("verdict/")]
        kept = json.loads(
            Path(client.download_artifacts(parent.info.run_id, "report/contrasts.json")).read_text()
        )
        told = [row for row in contrasts if row["experiment"] == experiment.name]
        verdict = kept["columns"].index("verdict")
        assert [row[verdict] for row in kept["data"]] == [row["verdict"] for row in told]
        shown = json.loads(parent.data.tags["mlflow.loggedArtifacts"])
        assert {"path": "report/contrasts.json", "type": "table"} in shown
        note = parent.data.tags["mlflow.note.content"]
        assert note.startswith(experiment.question)
        for row in ours:
            assert wording.plus_minus(row) in note
        assert f"**{ours[0]['dataset']}**: {wording.tally(told)}" in note
        page = client.download_artifacts(parent.info.run_id, "report/report.html")
        assert Path(page).read_bytes() == (report / "report.html").read_bytes()
        assert {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "report")} == {
            "report.html", "table.parquet", "contrasts.parquet", "scores.json", "contrasts.json",
        }  # fmt: skip


def test_a_variant_has_its_means_and_intervals(tracked: Path) -> None:
    table = read_parquet(tracked / "aggregate" / "table.parquet", TABLE).to_pylist()
    for run in runs_of(client_in(tracked), "noise", verb="aggregate"):
        name = run.data.tags["precisionflow.variant"]
        rows = {row["metric"]: row for row in table if (row["experiment"], row["variant"]) == ("noise", name)}
        wanted = {
            f"{m}{end}": rows[m][of]
            for m in rows
            for end, of in (("", "mean"), (".low", "low"), (".high", "high"))
        }
        assert run.data.metrics == wanted
        assert run.data.params["cfg.variant"] == name


def test_the_runs_of_an_experiment_are_read_back(tracked: Path, line: Line) -> None:
    client = client_in(tracked)
    (parent,) = runs_of(client, "noise", verb="report")
    found = recalled(parent.info.run_id, store=tracked)
    assert found.experiment == NOISE
    folders = [
        cell_folder(place(tracked / "evaluation", v), seed, 0) for v in variants(NOISE) for seed in (0, 1)
    ]
    there = read_metrics(folders)
    assert found.measured.keys() == there.keys() == found.test.keys()
    for cell, scores in there.items():
        same = {name: value for name, value in scores.values.items() if name != "validation_loss"}
        assert found.measured[cell].values == same
        assert found.measured[cell][1:3] == scores[1:3]
    done = line("compare", tracked, f"mlflow:{parent.info.run_id}", "--store", tracked, "--format", "csv")
    assert done.code == 0, done.err
    rows = [row for row in csv.DictReader(io.StringIO(done.out)) if row["effect"]]
    assert {row["variant"] for row in rows} == {f"noise: {v.variant}" for v in variants(NOISE)}
    assert {float(row["effect"]) for row in rows} == {0.0}


def test_a_cell_whose_upload_was_killed_is_not_read_back(results: Path) -> None:
    assert track_folder(results)
    client = client_in(results)
    (parent,), (half, *others) = (runs_of(client, "noise", verb=verb) for verb in ("report", "evaluate"))
    client.delete_tag(half.info.run_id, WHOLE)
    assert len(recalled(parent.info.run_id, store=results).measured) == len(others)
    client.update_run(others[0].info.run_id, status="RUNNING")
    assert len(recalled(parent.info.run_id, store=results).measured) == len(others) - 1


def test_a_run_that_is_none_of_an_experiment_is_told(tracked: Path, line: Line) -> None:
    (cell, *_) = runs_of(client_in(tracked), "noise", verb="evaluate")
    run = f"mlflow:{cell.info.run_id}"
    said = line.fails("compare", tracked, run, "--store", tracked)
    assert said == (
        f"{run}: run {cell.info.run_name!r} is none of an experiment whose report is there; give the run above those "
        "of the variants"
    )
    said = line.fails("compare", tracked, "mlflow:0123", "--store", tracked)
    assert said.startswith("mlflow:0123: sqlite:///")
    assert "0123" in said.partition("mlflow.db")[2]


def test_a_run_without_a_cell_is_told(finished: Path, tmp_path: Path, line: Line) -> None:
    """Beside others that have some."""
    folder = Path(shutil.copytree(finished, tmp_path / "results"))
    assert track_folder(folder)
    client = client_in(folder)
    (parent,) = runs_of(client, "noise", verb="report")
    empty = client.create_run(parent.info.experiment_id, run_name="empty").info.run_id
    client.log_text(empty, NOISE.model_dump_json(), EXPERIMENT)
    runs = [f"mlflow:{run}" for run in (parent.info.run_id, empty)]
    said = line.fails("compare", folder, *runs, "--store", folder)
    assert said.endswith("empty has no cell that ended well; leave it out")


def test_runs_have_their_own_times_and_names(tracked: Path) -> None:
    client = client_in(tracked)
    (parent,) = runs_of(client, "noise", verb="report")
    starts = []
    for run in runs_of(client, "noise", verb="evaluate"):
        tags = {
            name: run.data.tags[f"precisionflow.{name}"] for name in ("variant", "dataset", "seed", "split")
        }
        assert run.info.run_name == "{variant} {dataset} seed {seed} split {split}".format_map(tags)
        assert run.data.tags["mlflow.source.name"] == "precisionflow"
        assert not [name for name in run.data.params if name.startswith("cfg.cluster")]
        cell = f"seed-{tags['seed']}-split-0"
        place = Path("noise", tags["dataset"], tags["variant"], cell)
        trained, evaluated = (finished_span(tracked / stage / place) for stage in ("model", "evaluation"))
        assert (run.info.start_time, run.info.end_time) == (
            int(trained.start * 1000),
            int(evaluated.end * 1000),
        )
        (coverage,) = client.get_metric_history(run.info.run_id, "test.nll")
        assert (coverage.step, coverage.timestamp) == (0, run.info.end_time)
        starts.append(run.info.start_time)
    assert parent.info.start_time == min(starts)
    assert parent.info.end_time == int((tracked / "report" / "report.html").stat().st_mtime * 1000)


def test_the_cluster_is_told_of_runs_on_it_alone() -> None:
    there, here = (parameters(NOISE, on_cluster=on_cluster) for on_cluster in (True, False))
    assert {name for name in there if name not in here} == {n for n in there if n.startswith("cfg.cluster")}
    assert "cfg.cluster.retries" in there


def test_a_description_that_is_too_long_for_mlflow_names_the_page() -> None:
    lines = [f"| {i} | {'x' * 90} |" for i in range(100)]
    text = _cut(lines)
    assert len(text) <= 8000
    assert text.startswith("\n".join(lines[:50]))
    assert text.endswith("|\n\nAll of it: report/report.html among the artifacts.")


def test_data_are_an_input_with_the_digest_of_their_source(tracked: Path) -> None:
    (run, *_) = runs_of(client_in(tracked), "noise", verb="evaluate")
    (given,) = run.inputs.dataset_inputs
    folder = data_folder(tracked / "data", NOISE, 0)
    card = read_card(folder / "dataset.json", DatasetCard)
    assert (given.dataset.name, given.dataset.digest) == ("diabetes", card.source_sha256[:12])
    assert str(folder.parent) in given.dataset.source


def test_a_second_call_changes_nothing(tracked: Path) -> None:
    rows, files = rows_in(tracked), files_in(tracked)
    assert len(rows["runs"]) == 2 + VARIANTS + CELLS
    assert track_folder(tracked)
    assert track_variant(tracked, variants(NOISE)[0])
    assert track_report([TWINS], aggregate=tracked / "aggregate", report=tracked / "report", store=tracked)
    assert rows_in(tracked) == rows
    assert files_in(tracked) == files


def test_a_new_report_replaces_the_old_one(results: Path) -> None:
    folders = {"aggregate": results / "aggregate", "report": results / "report", "store": results}
    assert track_report([NOISE], **folders)
    before = rows_in(results)
    write_text("<!doctype html><p>Another page.</p>", results / "report" / "report.html")
    assert track_report([NOISE], **folders)
    client = client_in(results)
    (parent,) = runs_of(client, "noise", verb="report")
    assert "Another" in Path(client.download_artifacts(parent.info.run_id, "report/report.html")).read_text()
    assert rows_in(results)["metrics"] == before["metrics"]


def test_figures_of_the_page_are_artifacts_of_its_experiment(results: Path) -> None:
    numbers = (
        "<table><thead><tr><th scope='col'>x</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    )
    figure = f"<figure><svg viewBox='0 0 1 1'></svg>{numbers}<figcaption>Fit.</figcaption></figure>"
    article = f"<article id='x'><h2 id='x-name'>noise</h2><div class='pictures'>{figure}</div></article>"
    page = article.replace("'", '"')
    write_text(page, results / "report" / "report.html")
    assert track_report([NOISE], aggregate=results / "aggregate", report=results / "report", store=results)
    client = client_in(results)
    (parent,) = runs_of(client, "noise", verb="report")
    files = [f.path for f in client.list_artifacts(parent.info.run_id, "figures")]
    assert files == ["figures/01-fit.csv", "figures/01-fit.svg"]


def test_variants_that_are_tracked_apart_share_the_parent_of_the_folder(results: Path) -> None:
    for variant in variants(NOISE):
        assert track_variant(results, variant)
    assert len(runs_of(client_in(results), "noise", verb="report")) == 1


def test_the_whole_experiment_names_the_parent_where_no_folder_does(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{results}/mlflow.db")
    monkeypatch.chdir(results)
    for variant in variants(NOISE):
        assert track_variant(results, variant, store=None)
    assert track_report([NOISE], aggregate=results / "aggregate", report=results / "report", store=None)
    assert len(runs_of(client_in(results), "noise", verb="report")) == 1
    assert len(runs_of(client_in(results), "noise", verb="evaluate")) == 4


def test_a_folder_that_is_no_results_folder_is_a_mistake(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no experiments/\*.yaml"):
        track_folder(tmp_path)
    (cell_folder(place(results / "model", variants(NOISE)[0]), 0, 0) / "history.parquet").unlink()
    with pytest.raises(ValueError, match=r"history.parquet: does not exist"):
        track_folder(results)


def test_a_cell_that_is_not_evaluated_waits(results: Path) -> None:
    shutil.rmtree(cell_folder(place(results / "evaluation", variants(NOISE)[0]), 1, 0))
    assert track_variant(results, variants(NOISE)[0])
    assert [
        run.data.tags["precisionflow.seed"] for run in runs_of(client_in(results), "noise", verb="evaluate")
    ] == ["0"]
