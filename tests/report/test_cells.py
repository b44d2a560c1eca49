"""The cells that training and evaluation left, looked up by what they are."""

from pathlib import Path

import pytest

from precisionflow.report import cells
from tests.synthetic import evaluations, language, models, plausible, regression


def test_two_different_models_of_one_cell_are_refused(tmp_path: Path) -> None:
    first, second = regression(), regression(("hidden: [8]", "hidden: [9]"))
    folders = models(first, tmp_path / "a") + models(second, tmp_path / "b")
    with pytest.raises(
        ValueError, match=r"differ, both are experiment 'noise'.*; keep the results of one run"
    ):
        cells.trained_cells(folders)


def test_the_same_evaluation_twice_is_one(tmp_path: Path) -> None:
    experiment = language()
    folders = evaluations(experiment, tmp_path / "a", plausible)
    again = evaluations(experiment, tmp_path / "b", plausible)
    assert cells.evaluated_cells(folders).keys == cells.evaluated_cells([*folders, *again]).keys


def test_cells_of_one_configuration_share_it(tmp_path: Path) -> None:
    """A study of 10,000 cells would else hold as many."""
    found = cells.trained_cells(models(regression(), tmp_path))
    assert len(found.cards) == 2 * 14
    assert len({id(card.experiment) for card in found.cards.values()}) == 2
    for cell, card in found.cards.items():
        assert (cell.variant, cell.seed, cell.split) == (card.experiment.variant, card.seed, card.split)
