"""Reuse by content: what is copied from another results folder, and what is not."""

import shutil
from pathlib import Path

import pytest

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.results.cells import training_inputs
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import Results, cell_folder, data_folder
from precisionflow.results.progress import Progress
from precisionflow.results.reuse import reuse
from precisionflow.results.stage import finished_key, once
from tests.finished_cells import finish, prepare, train
from tests.synthetic import regression


def changed(**settings: object) -> Experiment:
    base = regression().model_dump(mode="json") | {"ablation": {}, "splits": [0, 1]}
    return resolve(overlay(base, {key.replace("__", "."): value for key, value in settings.items()}))


def classes() -> Experiment:
    """Of texts, whose temperature is fitted on what the networks of both splits hold out."""
    source = {"path": "train.csv", "test": "test.csv", "features": ["text"], "target": "label"}
    tree = {
        "name": "texts",
        "task": {"kind": "sequence_classification", "source": {"kind": "table_file"} | source},
        "model": {"kind": "transformer", "attention": {"prior": {"kind": "full"}}},
        "objective": {"kind": "cross_entropy"},
        "training": {"steps": 5},
        "evaluation": {"recalibration": ["temperature"], "held_out": "all_splits"},
        "splits": [0, 1],
    }
    return resolve(tree)


def made(folder: Path) -> Results:
    """Cells of seed 0 and splits 0 and 1, and of seed 1 and split 0."""
    results, experiment = Results(folder), changed()
    prepare(experiment, results)
    for seed, split in ((0, 0), (0, 1), (1, 0)):
        finish(experiment, results, seed=seed, split=split, seconds=3.0)
    return results


def done(experiment: Experiment, results: Results) -> list[tuple[int, int]]:
    return [(cell.seed, cell.split) for cell in Progress(results).of(experiment) if cell.seconds is not None]


def test_cells_of_the_same_experiment_are_done_in_another_folder(tmp_path: Path) -> None:
    source, results = made(tmp_path / "a"), Results(tmp_path / "b")
    assert reuse([changed()], source=source, results=results) == 3
    assert done(changed(), results) == [(0, 0), (1, 0), (0, 1)]
    assert reuse([changed()], source=source, results=results) == 0
    assert not list(results.folder.rglob(".*"))


def test_weights_of_another_name_are_used_and_evaluated_again(tmp_path: Path) -> None:
    source, results, other = made(tmp_path / "a"), Results(tmp_path / "b"), changed(name="other", variant="v")
    assert reuse([other], source=source, results=results) == 3
    trained = cell_folder(results.model(other), 1, 0)
    assert finished_key(trained) == finished_key(cell_folder(source.model(changed()), 1, 0))
    assert not results.evaluation(other).exists()


def test_an_evaluation_is_of_the_networks_beside_it_too(tmp_path: Path) -> None:
    source, results, experiment = Results(tmp_path / "a"), Results(tmp_path / "b"), classes()
    prepare(experiment, source)
    for split in (0, 1):
        train(experiment, source, seed=0, split=split, seconds=3.0)
    assert done(experiment, source) == []
    for split in (0, 1):
        finish(experiment, source, seed=0, split=split, seconds=3.0)
    assert done(experiment, source) == [(0, 0), (0, 1)]
    assert reuse([experiment], source=source, results=results) == 2
    assert done(experiment, results) == [(0, 0), (0, 1)]
    shutil.rmtree(cell_folder(results.model(experiment), 0, 1))
    assert done(experiment, results) == []


@pytest.mark.parametrize(
    "settings",
    [{"training__steps": 7}, {"model__hidden": [9]}, {"task__source__name": "linnerud"}, {"seeds": [5]}],
)
def test_cells_of_other_content_are_not(settings: dict[str, object], tmp_path: Path) -> None:
    source, results = made(tmp_path / "a"), Results(tmp_path / "b")
    assert reuse([changed(**settings)], source=source, results=results) == 0


def test_cells_of_other_code_failed_ones_and_those_that_are_there_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, results = made(tmp_path / "a"), made(tmp_path / "b")
    assert reuse([changed()], source=source, results=results) == 0
    lost = cell_folder(source.model(changed()), 0, 0)
    shutil.rmtree(lost)
    once(
        lost,
        verb="train",
        inputs=training_inputs(changed(), data=source.data, seed=0, split=0),
        work=lambda folder: write_failure(
            folder, changed(), seed=0, split=0, stage="train", error=ValueError("diverged")
        ),
    )
    assert reuse([changed()], source=source, results=Results(tmp_path / "c")) == 2
    from precisionflow.results import identity

    monkeypatch.setattr(identity, "code_digest", lambda verb: f"edited {verb}")
    assert reuse([changed()], source=source, results=Results(tmp_path / "d")) == 0
    assert data_folder(Results(tmp_path / "d").data, changed(), 0).exists()


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no prepared data; give a folder that `precisionflow run` made"):
        reuse([changed()], source=Results(tmp_path), results=Results(tmp_path / "b"))
