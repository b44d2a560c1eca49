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
