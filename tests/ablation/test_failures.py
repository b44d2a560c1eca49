"""Failed cells: rows of the tables, and what the three rules make of the units that they belong to."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.aggregate import Aggregate, aggregate, read_aggregate
from precisionflow.ablation.contrasts import compared, worst
from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.gate import judge
from precisionflow.ablation.measured import Units
from precisionflow.config import Experiment
from precisionflow.records.metrics import metric_named
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import once
from tests.synthetic import evaluations, plausible, regression

SPLITS = range(7)


def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """nll split + seed / 2, and of the second variant split² / 10 less."""
    learned = variant.name == "heteroscedastic"
    return plausible(variant, seed, split) | {"nll": split + seed / 2 - learned * split**2 / 10}


def fail(folder: Path, experiment: Experiment, variant: str, *, seed: int, split: int) -> None:
    """Put a failure in the place of a cell."""
    (of,) = (v.experiment for v in expand(experiment) if v.name == variant)
    error = ValueError("validation loss is nan\nat step 30")
    once(
        cell_folder(folder, seed, split),
        verb="evaluate",
        inputs=["failed", seed, split],
        work=lambda out: write_failure(out, of, seed=seed, split=split, stage="train", error=error),
    )


def failed_at(
    tmp_path: Path, rule: str, cells: list[tuple[str, int, int]], *, more: tuple[str, str] | None = None
) -> Aggregate:
    """The tables where (variant, seed, split) failed."""
    ruled = ("ablation:\n", f"ablation:\n  missing: {rule}\n")
    experiment = regression(ruled, *([more] if more else []))
    folders = evaluations(experiment, tmp_path, measure)
    where = {folder.name: folder for folder in folders}
    for variant, seed, split in cells:
        fail(where[variant], experiment, variant, seed=seed, split=split)
    aggregate([experiment], evaluations=folders, out=tmp_path / "out")
    return read_aggregate(tmp_path / "out")


def row(tables: Aggregate, kind: str, **wanted: object) -> dict:
    (found,) = (r for r in getattr(tables, kind).to_pylist() if all(r[k] == v for k, v in wanted.items()))
    return found


ONE = [("heteroscedastic", 1, 6)]


def test_a_failed_cell_is_told_with_its_cause(tmp_path: Path) -> None:
    assert failed_at(tmp_path, "drop_pair", ONE).failures.to_pylist() == [
        {
            "experiment": "noise",
            "dataset": "diabetes",
            "variant": "heteroscedastic",
            "seed": 1,
            "split": 6,
            "stage": "train",
            "cause": "validation loss is nan at step 30",
        }
    ]


def test_refused_failures_leave_no_number_of_their_variant_and_hide_no_other(tmp_path: Path) -> None:
    tables = failed_at(tmp_path, "refuse", ONE)
    lost = row(tables, "table", variant="heteroscedastic", metric="nll")
    assert all(math.isnan(lost[name]) for name in ("mean", "low", "high", "std"))
    assert (lost["n"], lost["failed"]) == (6, 1)
    kept = row(tables, "table", variant="homoscedastic", metric="nll")
    assert (kept["mean"], kept["n"], kept["failed"]) == (3.25, 7, 0)
    contrast = row(tables, "contrasts", metric="nll")
    assert math.isnan(contrast["effect"])
    assert math.isnan(contrast["p_adjusted"])
    assert (contrast["n"], contrast["failed"]) == (0, 1)
    assert contrast["verdict"] == "refused: 1 of 7 splits failed"


def test_a_dropped_pair_leaves_the_other_units(tmp_path: Path) -> None:
    """The whole split goes, though one seed of two failed; the baseline's own row keeps it."""
    tables = failed_at(tmp_path, "drop_pair", ONE)
    contrast = row(tables, "contrasts", metric="nll")
    differences = [-(split**2) / 10 for split in range(6)]
    error = math.sqrt((1 / 6 + 44 / 398) * np.var(differences, ddof=1))
    assert contrast["effect"] == pytest.approx(np.mean(differences))
    assert contrast["p"] == pytest.approx(2 * stats.t(5).sf(abs(np.mean(differences)) / error))
    assert (contrast["n"], contrast["failed"]) == (6, 1)
    assert row(tables, "table", variant="heteroscedastic", metric="nll")["mean"] == pytest.approx(
        np.mean([split + 0.25 - split**2 / 10 for split in range(6)])
    )
    assert row(tables, "table", variant="homoscedastic", metric="nll")["n"] == 7


def test_too_few_units_that_are_left_have_no_verdict(tmp_path: Path) -> None:
    tables = failed_at(tmp_path, "drop_pair", [("homoscedastic", 0, 2), ("heteroscedastic", 1, 6)])
    contrast = row(tables, "contrasts", metric="nll")
    assert (contrast["n"], contrast["failed"], contrast["verdict"]) == (5, 2, "too few splits: 5 of 6")


def test_the_worst_rank_is_the_worst_unit_of_all_variants(tmp_path: Path) -> None:
    """nll is worst at the baseline's 6.25 of split 6, so that a failure there counts as no difference."""
    wide = ("  axes:\n", "  margins: {nll: {absolute: 100}}\n  axes:\n")
    lost = [("heteroscedastic", 1, 6), ("heteroscedastic", 0, 1)]
    tables = failed_at(tmp_path, "worst_rank", lost, more=wide)
    differences = [-(split**2) / 10 for split in SPLITS]
    differences[6], differences[1] = 0.0, 6.25 - 1.25
    contrast = row(tables, "contrasts", metric="nll")
    assert contrast["effect"] == pytest.approx(np.mean(differences))
    assert (contrast["n"], contrast["failed"]) == (7, 2)
    assert (contrast["verdict"], contrast["margin"]) == ("undecided", 100)
    assert math.isnan(contrast["equivalence"])
    assert math.isnan(contrast["units_for_equivalence"])


def test_what_has_no_value_is_not_equivalent() -> None:
    """A failed unit is bad, nobody knows how bad; of two variants that failed everywhere nothing is compared."""
    some, gone = Units([1.0, math.nan, 2.0], 0.0), Units([math.nan] * 3, 0.0)
    given = {"missing": "worst_rank", "worst": 5.0}
    assert compared(some, gone, **given) == ([1, 5, 2], [5, 5, 5], 3, False)
    assert compared(gone, gone, **given)[:3] == ([], [], 3)
    assert compared(some, some, missing="drop_pair", worst=5.0) == ([1, 2], [1, 2], 1, True)


@pytest.mark.parametrize(("metric", "expected"), [("nll", 0.9), ("accuracy", 0.2), ("crps", 0.9)])
def test_the_worst_unit_is_the_lowest_of_a_score_that_is_to_be_high(metric: str, expected: float) -> None:
    units = [Units([0.5, math.nan, 0.9], 0.0), Units([0.2, 0.4, math.nan], 0.0)]
    assert worst(units, metric_named(metric)) == expected
    assert math.isnan(worst([Units([math.nan], 0.0)], metric_named(metric)))


def test_a_failed_unit_of_a_coverage_counts_too(tmp_path: Path) -> None:
    metric = ("  axes:\n", "  metrics: [coverage_90]\n  axes:\n")
    tables = failed_at(tmp_path, "worst_rank", ONE, more=metric)
    assert row(tables, "contrasts", metric="coverage_90")["n"] == 7


@pytest.mark.parametrize("rule", ["refuse", "drop_pair", "worst_rank"])
def test_a_variant_of_which_every_cell_failed_hides_no_other(rule: str, tmp_path: Path) -> None:
    every = [("heteroscedastic", seed, split) for seed in (0, 1) for split in SPLITS]
    tables = failed_at(tmp_path, rule, every)
    lost, kept = (row(tables, "table", variant=v, metric="nll") for v in ("heteroscedastic", "homoscedastic"))
    assert (lost["n"], lost["failed"], math.isnan(lost["mean"])) == (0, 7, True)
    assert (kept["n"], kept["mean"]) == (7, 3.25)
    contrast = row(tables, "contrasts", metric="nll")
    if rule == "worst_rank":
        assert contrast["effect"] == pytest.approx(np.mean([6.25 - split - 0.25 for split in SPLITS]))
        assert contrast["verdict"] == "worse"
    else:
        assert contrast["verdict"] == "refused: 7 of 7 splits failed"


def test_where_every_cell_failed_there_is_nothing_to_say(tmp_path: Path) -> None:
    every = [(v, s, k) for v in ("homoscedastic", "heteroscedastic") for s in (0, 1) for k in SPLITS]
    with pytest.raises(
        ValueError, match=r"every cell failed, the first of .*homosc.*: validation loss is nan at"
    ):
        failed_at(tmp_path, "drop_pair", every)


def test_a_variant_with_a_failed_cell_misses_the_gate(tmp_path: Path) -> None:
    experiment = regression(("seeds: [0, 1]", "seeds: [0, 1]\ngate: {nll: {high: 100}}"))
    folders = evaluations(experiment, tmp_path, measure)
    fail(folders[1], experiment, "heteroscedastic", seed=0, split=3)
    whole, lost = judge(experiment, evaluations=folders)
    assert (whole.passed, lost.passed) == (True, False)
    assert lost.reason == "missed: 1 of 14 cells failed"
