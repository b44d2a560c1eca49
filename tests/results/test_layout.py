"""Paths of a results folder: later versions and other programs find them by these names."""

from pathlib import Path

import pytest

from precisionflow.config import resolve
from precisionflow.results.layout import (
    Aggregated,
    EvaluatedCell,
    PreparedSplit,
    Reported,
    Results,
    TrainedCell,
    cell_folder,
    cell_folders,
    checkpoint_folder,
)
from precisionflow.results.search_layout import SearchResults

RUN = Path("run")


def test_every_path_has_its_name():
    results, trial = Results(RUN), SearchResults(RUN).trial(7)
    prepared, trained, evaluated = PreparedSplit(RUN), TrainedCell(RUN), EvaluatedCell(RUN)
    names = {
        results.data: "data",
        results.aggregate: "aggregate",
        results.report: "report",
        results.search: "search",
        results.experiment("wine"): "experiments/wine.yaml",
        prepared.card: "dataset.json",
        prepared.part("valid"): "valid.parquet",
        prepared.unknown: "unknown.parquet",
        trained.weights: "model.safetensors",
        trained.card: "model.json",
        trained.history: "history.parquet",
        evaluated.predictions: "predictions.parquet",
        evaluated.metrics: "metrics.parquet",
        evaluated.cost: "cost.json",
        evaluated.fit: "fit.parquet",
        evaluated.bins: "bins.parquet",
        evaluated.recalibration: "recalibration.json",
        Aggregated(RUN).table: "table.parquet",
        Aggregated(RUN).contrasts: "contrasts.parquet",
        Aggregated(RUN).across: "across.parquet",
        Aggregated(RUN).ranks: "ranks.parquet",
        Aggregated(RUN).iqm: "iqm.parquet",
        Aggregated(RUN).profiles: "profiles.parquet",
        Aggregated(RUN).sensitivity: "sensitivity.parquet",
        Aggregated(RUN).response: "response.parquet",
        Aggregated(RUN).laws: "laws.parquet",
        Aggregated(RUN).sizes: "sizes.parquet",
        Aggregated(RUN).isoflop: "isoflop.parquet",
        Aggregated(RUN).performance: "performance.parquet",
        Aggregated(RUN).where: "where.parquet",
        Aggregated(RUN).failures: "failures.parquet",
        Reported(RUN).page: "report.html",
        SearchResults(RUN).study: "study.json",
        SearchResults(RUN).trials: "trials.parquet",
        SearchResults(RUN).best: "best.json",
        SearchResults(RUN).page: "report/search.html",
        trial.card: "trials/7/trial.json",
        trial.log: "trials/7/log.txt",
        trial.results: "trials/7/results",
        cell_folder(RUN, 2, 5): "seed-2-split-5",
    }
    for path, name in names.items():
        assert path == RUN / name
    assert checkpoint_folder(RUN / "seed-2-split-5") == RUN / ".seed-2-split-5.checkpoint"
    assert SearchResults.usual("wine").folder == Path("runs/search/wine")
    rooms = ("data", "model", "evaluation", "aggregate", "report", "search")
    assert results.rooms == tuple(RUN / room for room in rooms)


def test_a_variant_lies_below_its_experiment_and_dataset(tmp_path):
    source = {"kind": "scikit_learn", "name": "diabetes"}
    variant = resolve(
        {
            "name": "wine",
            "variant": "point",
            "task": {"kind": "regression", "source": source},
            "model": {"kind": "mlp"},
            "objective": {"kind": "gaussian_nll"},
        }
    )
    results = Results(tmp_path)
    assert results.model(variant) == tmp_path / "model/wine/diabetes/point"
    assert results.evaluation(variant) == tmp_path / "evaluation/wine/diabetes/point"
    for folder in (results.model(variant), results.evaluation(variant)):
        assert Results.around(cell_folder(folder, 0, 1)).folder == tmp_path.resolve()
    assert Results.around(Path("/cell")).folder == Path("/")


def test_what_a_folder_holds_is_listed_in_order(tmp_path):
    for name in ("b", "a"):
        for path in (Results(tmp_path).experiment(name), tmp_path / name / "x" / "model.json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert [path.name for path in Results(tmp_path).experiments] == ["a.yaml", "b.yaml"]
    assert [cell.folder for cell in TrainedCell.below(tmp_path)] == [tmp_path / "a/x", tmp_path / "b/x"]
    for number in (3, 1):
        card = SearchResults(tmp_path).trial(number).card
        card.parent.mkdir(parents=True)
        card.touch()
    (tmp_path / "trials" / "5").mkdir()
    assert {trial.folder.name for trial in SearchResults(tmp_path).begun} == {"1", "3"}


def test_cells_are_found_once_and_in_order(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    cells = [cell_folder(first, 0, 1), cell_folder(first, 1, 0), cell_folder(second, 0, 0)]
    for cell in cells:
        cell.mkdir(parents=True)
    (first / "seed-0-split-9").touch()
    assert cell_folders([second, first, first]) == cells
    with pytest.raises(ValueError, match="has no seed-\\*-split-\\* folder"):
        cell_folders([first, tmp_path])
