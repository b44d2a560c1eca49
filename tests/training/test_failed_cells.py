"""Cells that fail: kept as results where that is asked for, found among those that train at once."""

import math
from pathlib import Path
from typing import Any

import pytest

from precisionflow.config import Experiment, resolve
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.results.failures import failure_of, parted, remove_failures
from precisionflow.results.layout import Results, cell_folder, cell_folders
from precisionflow.training import train as stage
from precisionflow.training.divergence import DivergedError
from precisionflow.training.engines.batched import Batched
from precisionflow.training.ranks import Ranks
from precisionflow.training.train import train

Told = list[tuple[int, int, str]]


def tiny(**parts: Any) -> Experiment:
    return resolve(
        {
            "name": "tiny",
            "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "linnerud"}},
            "model": {"kind": "mlp", "hidden": [3]},
            "objective": {"kind": "gaussian_nll"},
            "training": {"steps": 40, "batch_size": 8, "validate_every": 10},
            "seeds": [0, 1, 2, 3],
        }
        | parts
    )


WILD = tiny(
    training={"steps": 40, "batch_size": 8, "validate_every": 10, "learning_rate": 1e30}, seeds=[0, 1]
)


def kept(experiment: Experiment, results: Results) -> Told:
    """Train and evaluate; the failures that were told."""
    told: Told = []

    def tell(*failure: Any) -> None:
        told.append(failure)

    prepare([experiment], out=results.data)
    model = results.model(experiment)
    train(experiment, data=results.data, out=model, failed=tell)
    evaluate(experiment, data=results.data, model=model, out=results.evaluation(experiment), failed=tell)
    return told


def test_a_training_that_diverges_is_the_result_of_its_cell(tmp_path: Path) -> None:
    results = Results(tmp_path)
    told = kept(WILD, results)
    assert [cell[:2] for cell in told] == [(0, 0), (1, 0)]
    for root in (results.model(WILD), results.evaluation(WILD)):
        whole, failed = parted(cell_folders([root]))
        assert not whole
        assert [cell.seed for cell in failed] == [0, 1]
        for card in failed.values():
            assert (card.experiment, card.dataset, card.variant, card.stage) == (
                "tiny",
                "linnerud",
                "default",
                "train",
            )
            assert card.cause.startswith("training loss is not finite at step ")
    assert kept(WILD, results) == []


def test_without_being_asked_for_it_ends_the_stage(tmp_path: Path) -> None:
    prepare([WILD], out=tmp_path / "data")
    with pytest.raises(DivergedError, match="training loss is not finite"):
        train(WILD, data=tmp_path / "data", out=tmp_path / "model")
    assert not cell_folder(tmp_path / "model", 0, 0).exists()


@pytest.mark.parametrize(
    ("error", "of_one", "of_two"),
    [
        (DivergedError("loss", network=0, step=None, found="", left=""), True, True),
        (Unsettled("rose"), True, True),
        (ValueError("rows"), True, False),
        (OSError("disk"), False, False),
    ],
)
def test_on_several_ranks_a_cell_fails_by_what_all_of_them_meet(
    error: Exception, of_one: bool, of_two: bool
) -> None:
    assert stage._of_a_cell(error, Ranks()) is of_one
    assert stage._of_a_cell(error, Ranks(1, 2)) is of_two


def test_the_checkpoint_that_a_failed_cell_names_is_there_when_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Batched._learn
    monkeypatch.setattr(Batched, "_learn", lambda *of: learn(*of) * (math.nan if of[1] >= 5 else 1.0))
    training = {"steps": 8, "batch_size": 8, "validate_every": 4, "checkpoint_every": 2}
    breaking = tiny(engine={"kind": "batched"}, training=training, seeds=[0, 1])
    results = Results(tmp_path)
    causes = [cause for _, _, cause in kept(breaking, results)]
    places = {cause.rpartition("a checkpoint of step 4 is in ")[2].rstrip(")") for cause in causes}
    assert len(places) == len(causes) == 2
    assert all(Path(place).is_dir() for place in places)
    assert not list(results.model(breaking).glob(".batched*"))
    monkeypatch.undo()
    assert (remove_failures(results), remove_failures(results)) == (2, 0)
    assert kept(breaking, results) == []
    assert not list(results.model(breaking).glob(".*"))


@pytest.mark.parametrize("bad", [{2}, {0, 3}, {0, 1, 2, 3}, set()])
def test_of_cells_that_train_at_once_those_that_fail_are_found(
    bad: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, real = tiny(engine={"kind": "batched"}), stage._train_group

    def group(*arguments: Any) -> None:
        if found := sorted(bad & {cell.seed for cell in arguments[1]}):
            raise RuntimeError(f"no memory\nfor seed {found[0]}")
        real(*arguments)

    monkeypatch.setattr(stage, "_train_group", group)
    results = Results(tmp_path)
    assert {cell[0] for cell in kept(experiment, results)} == bad
    whole, failed = parted(cell_folders([results.evaluation(experiment)]))
    assert {cell.seed: card.cause for cell, card in failed.items()} == {
        seed: f"RuntimeError: no memory for seed {seed}" for seed in bad
    }
    assert len(whole) == 4 - len(bad)


def test_an_evaluation_that_fails_leaves_nothing_but_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from precisionflow.evaluation import evaluate as evaluation

    real = evaluation._evaluate_cell

    def broken(*given: Any, seed: int, **named: Any) -> Any:
        found = real(*given, seed=seed, **named)
        if seed == 1:
            raise ValueError("rows are lost")
        return found

    monkeypatch.setattr(evaluation, "_evaluate_cell", broken)
    experiment, results = tiny(seeds=[0, 1]), Results(tmp_path)
    assert kept(experiment, results) == [(1, 0, "rows are lost")]
    lost = cell_folder(results.evaluation(experiment), 1, 0)
    card = failure_of(lost)
    assert card
    assert (card.stage, card.cause) == ("evaluate", "rows are lost")
    assert sorted(path.name for path in lost.iterdir()) == ["failed.json", "stage.json"]
    assert failure_of(cell_folder(results.model(experiment), 1, 0)) is None


def test_an_error_of_a_file_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "_train_group", full)
    with pytest.raises(OSError, match="No space"):
        kept(tiny(), Results(tmp_path))
