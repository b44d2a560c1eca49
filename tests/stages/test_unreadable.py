"""A damaged file among those of a study: named, and left out only where the experiment says so."""

from pathlib import Path

import pytest

from precisionflow import stages
from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.ablation.design import expand
from precisionflow.results.layout import EvaluatedCell, cell_folder
from tests.finished_cells import fill
from tests.synthetic import regression


@pytest.mark.parametrize("says", ["refuse", "failed"])
def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], says: str) -> None:
    whole = regression(("ablation:\n", f"ablation:\n  unreadable: {says}\n  missing: drop_pair\n"))
    results = fill(whole, tmp_path)
    variants = [variant.experiment for variant in expand(whole)]
    evaluations = [results.evaluation(variant) for variant in variants]
    if says == "failed":
        stages.aggregate([whole], evaluations=evaluations, out=results.aggregate)
        assert not read_aggregate(results.aggregate).failures.num_rows
    damaged = EvaluatedCell(cell_folder(evaluations[0], 1, 4)).metrics
    damaged.write_bytes(damaged.read_bytes()[:-7])
    if says == "refuse":
        with pytest.raises(
            ValueError, match=r"seed-1-split-4/metrics\.parquet: does not hold what evaluate wrote"
        ):
            stages.aggregate([whole], evaluations=evaluations, out=results.aggregate)
        return
    stages.aggregate([whole], evaluations=evaluations, out=results.aggregate)
    (lost,) = read_aggregate(results.aggregate).failures.to_pylist()
    assert (lost["variant"], lost["seed"], lost["split"], lost["stage"]) == (
        "homoscedastic",
        1,
        4,
        "evaluate",
    )
    assert lost["cause"].startswith(f"{damaged}: does not hold what evaluate wrote")
    assert "seed 1 split 4: failed: " in capsys.readouterr().out
    contrasts = read_aggregate(results.aggregate).contrasts.to_pylist()
    assert {(row["n"], row["failed"]) for row in contrasts} == {(6, 1)}
    stages.aggregate([whole], evaluations=evaluations, out=results.aggregate)
    assert "failed" not in capsys.readouterr().out
