"""Pooled predictions: their columns, and how many independent rows they are worth."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.predictions import predictions_table, predictive_distribution
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS, PREDICTIONS
from precisionflow.report import cells
from precisionflow.report.predictions import read_classes, read_numbers
from tests.report.conftest import Results
from tests.synthetic import expand


@pytest.mark.parametrize(
    ("runs", "rows"),
    [
        ([[0, 1, 2], [0, 1, 2], [0, 1, 2]], 3),
        ([[0, 1], [2, 3]], 4),
        ([[0, 1], [1, 2]], 2),  # (1 + 2 + 1)^2 / (1 + 4 + 1) = 2.67, rounded down
    ],
)
def test_predictions_are_worth_their_independent_rows(
    runs: list[list[int]], rows: int, tmp_path: Path
) -> None:
    for index, of in enumerate(runs):
        n = len(of)
        predictive = gaussian(np.zeros(n), np.ones(n))
        table = predictions_table(predictive, row=np.array(of), target=np.zeros(n))
        file = tmp_path / str(index) / "predictions.parquet"
        write_parquet(table, file, PREDICTIONS)
    pooled = read_numbers([tmp_path / str(index) for index in range(len(runs))])
    assert pooled.effective_rows == rows
    assert pooled.pit.tolist() == [0.5] * sum(len(of) for of in runs)


def written(folder: Path, predictive: Distribution, **changed: np.ndarray) -> Path:
    n = len(predictive.location)
    table = predictions_table(predictive, row=np.arange(n), target=np.arange(n) / n)
    for name, values in changed.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    write_parquet(table, folder / "predictions.parquet", PREDICTIONS)
    return folder


def test_cells_that_are_not_alike_are_pooled_as_well(tmp_path: Path) -> None:
    """An ensemble's members are the components of its mixture: a cell may have more of them than another."""
    one = gaussian(np.zeros(3), np.ones(3))
    two = Distribution("gaussian", np.array([[0.0, 1.0]] * 2), np.ones((2, 2)), np.full((2, 2), 0.5))
    folders = [written(tmp_path / "one", one), written(tmp_path / "two", two)]
    apart, pooled = [read_numbers([folder]) for folder in folders], read_numbers(folders)
    for name in ("target", "mean", "std", "pit", "lower", "upper"):
        assert getattr(pooled, name).tolist() == [x for of in apart for x in getattr(of, name).tolist()]
    assert pooled.effective_rows == 25 // 9


def test_of_many_cells_the_file_of_a_broken_row_is_named(tmp_path: Path) -> None:
    of = gaussian(np.zeros(3), np.ones(3))
    folders = [written(tmp_path / name, of) for name in ("a", "b")]
    folders.insert(1, written(tmp_path / "broken", of, mean=np.array([0.0, 9.0, 0.0])))
    with pytest.raises(
        ValueError, match=r"broken/predictions.parquet: mean, row 1: given 9.0; should be that of"
    ):
        read_numbers(folders)


def test_pooled_predictions(results: Results) -> None:
    experiment = results.experiments[1]
    variant = expand(experiment)[0]
    folders = cells.of_variant(cells.evaluated_cells(results.evaluations).folders, variant, experiment)
    pooled = read_numbers(folders)
    assert len(folders) == 14
    assert (len(pooled.pit), pooled.effective_rows) == (14 * 80, 80)
    first = read_parquet(folders[0] / "predictions.parquet", PREDICTIONS)
    assert pooled.mean[:80].tolist() == predictive_distribution(first).mean.tolist()


def test_pooled_classes(results: Results) -> None:
    experiment = results.experiments[0]
    variant = expand(experiment)[0]
    folders = cells.of_variant(cells.evaluated_cells(results.evaluations).folders, variant, experiment)
    pooled = read_classes(folders)
    assert (len(pooled.correct), pooled.effective_rows) == (3 * 80, 80)
    last = read_parquet(folders[-1] / "predictions.parquet", CLASS_PREDICTIONS)
    assert pooled.confidence[-80:].tolist() == last["confidence"].to_pylist()
    assert pooled.correct[-80:].tolist() == last["correct"].to_pylist()
