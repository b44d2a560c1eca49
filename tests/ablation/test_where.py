"""Bins of several cells: means over the cells that have rows in them, bands of these means, refused files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.design import expand
from precisionflow.ablation.where import where_of
from precisionflow.evaluation.where import COVERAGE
from precisionflow.records.schemas import BINS, CELL, SURENESS, without
from precisionflow.results.cells import Cell
from precisionflow.results.layout import EvaluatedCell, cell_folder
from tests.synthetic import evaluations, mark_again, plausible, regression

WORLDS = 399


def bins(*rows: tuple[int, float, int, np.ndarray]) -> pa.Table:
    """Rows (bin, value, n, chance) of one feature's coverage."""
    lines = [
        {"feature": "x", "bin": index, "low": index - 0.01 * n, "high": index + 0.5, "label": f"of {index}"}
        | {"metric": COVERAGE, "value": value, "n": n, "chance": chance}
        for index, value, n, chance in rows
    ]
    return pa.Table.from_pylist(lines, schema=without(BINS, *CELL))


def test_a_bin_is_the_mean_over_its_cells_and_its_band_that_of_the_mean() -> None:
    experiment = regression(("[0, 1, 2, 3, 4, 5, 6]", "[0]"))
    (variant, _) = expand(experiment)
    level, wide = np.linspace(0.9, 1.0, WORLDS), np.linspace(0.8, 1.0, WORLDS)
    of = {
        Cell("noise", "diabetes", variant.name, 0, 0): bins((0, 0.9, 10, level), (1, 0.5, 7, level)),
        Cell("noise", "diabetes", variant.name, 1, 0): bins((0, 0.8, 20, wide)),
    }
    first, second = where_of(experiment, [variant], of)
    assert (first["variant"], first["feature"], first["bin"], first["cells"]) == (variant.name, "x", 0, 2)
    assert (first["mean"], first["n"]) == (pytest.approx(0.85), 30)
    assert (first["low"], first["high"]) == (pytest.approx(-0.2), 0.5)
    assert (first["chance_low"], first["chance_high"]) == (
        pytest.approx(0.853, abs=1e-3),
        pytest.approx(0.997, abs=1e-3),
    )
    assert (second["mean"], second["cells"], second["n"]) == (0.5, 1, 7)
    assert (first["label"], second["label"]) == ("of 0", "of 1")
    assert where_of(experiment, [variant], {}) == []


def test_aggregate_joins_what_the_cells_have(tmp_path: Path) -> None:
    experiment = regression(("[0, 1, 2, 3, 4, 5, 6]", "[0, 1]"))
    folders = evaluations(experiment, tmp_path, plausible, rows=40)
    aggregate([experiment], evaluations=folders, out=tmp_path / "aggregate")
    where = read_aggregate(tmp_path / "aggregate").where.to_pandas()
    assert set(where.feature) == {SURENESS, "place"}
    of_place = where[(where.feature == "place") & (where.metric == "nll")]
    assert len(of_place) == 2 * 10
    assert set(of_place.n) == {4 * 4}
    assert (of_place.chance_low < of_place.chance_high).all()
    assert where[where.metric == "std"].chance_low.isna().all()


def test_a_table_of_bins_that_is_no_such_table_is_named(tmp_path: Path) -> None:
    experiment = regression(("[0, 1, 2, 3, 4, 5, 6]", "[0]"))
    folders = evaluations(experiment, tmp_path, plausible, rows=40)
    cell = cell_folder(folders[1], 1, 0)
    EvaluatedCell(cell).bins.write_bytes(EvaluatedCell(cell).metrics.read_bytes())
    mark_again(cell)
    with pytest.raises(ValueError, match=r"seed-1-split-0/bins\.parquet: column 'feature' is missing"):
        aggregate([experiment], evaluations=folders, out=tmp_path / "aggregate")
