"""Bins: a row lies in one, their scores are those of their rows, true predictions lie inside chance's bands."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from trained import Trained

from precisionflow.ablation.statistics import chance_band
from precisionflow.evaluation.calibration.coverage import coverage_band
from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.where import COVERAGE, DRAWN_ROWS, MOST_BINS, bins_of, bins_table
from precisionflow.records import files
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import BINS, METRICS, SURENESS
from precisionflow.results.layout import EvaluatedCell, cell_folder


@pytest.mark.parametrize("power", range(-6, 7, 3))
@pytest.mark.parametrize("most", [1, 2, 9, 40, 10**9])
@pytest.mark.parametrize("rows", [1, 2, 11, 200])
def test_a_row_lies_in_one_bin_between_its_ends_at_every_scale(power, most, rows):
    seen = 10.0**power * np.random.default_rng(rows).integers(0, most, rows)
    values = seen[: rows // 2 + 1]
    bins = bins_of(values, seen)
    assert len(bins.low) == len(bins.high) <= min(MOST_BINS, len(set(seen)))
    assert np.all(bins.low <= bins.high)
    assert np.all(bins.high[:-1] < bins.low[1:])
    assert np.all((bins.low[bins.of_row] <= values) & (values <= bins.high[bins.of_row]))
    assert (bins.low[0], bins.high[-1]) == (seen.min(), seen.max())
    assert set(bins.low) | set(bins.high) <= set(seen)


def test_few_values_have_a_bin_each_and_many_are_cut_into_tenths():
    few = np.array([3.0, 1.0, 3.0, 7.0])
    assert bins_of(few, few).of_row.tolist() == [1, 0, 1, 2]
    many = np.random.default_rng(0).permutation(1000) / 7
    assert np.bincount(bins_of(many, many).of_row).tolist() == [100] * MOST_BINS
    assert bins_of(np.zeros(5), np.zeros(5)).of_row.tolist() == [0] * 5


def drawn(rows: int, *, too_sure: float = 1.0) -> tuple[pa.Table, np.ndarray, np.ndarray, np.ndarray]:
    """Bins of predictions whose stds are divided by `too_sure` where the first of two features is positive."""
    random = np.random.default_rng(rows)
    features = np.stack([random.normal(size=rows), random.integers(0, 3, rows)], axis=1)
    std = np.exp(random.normal(size=rows))
    target = std * random.normal(size=rows)
    stated = std / np.where(features[:, 0] > 0, too_sure, 1.0)
    table = bins_table(
        gaussian(np.zeros(rows), stated),
        target,
        row=np.arange(rows),
        keys={name: bins_of(features[:, i], features[:, i]) for i, name in enumerate(("x", "k"))},
    )
    return table, features, stated, target


def test_scores_of_a_bin_are_those_of_its_rows():
    table, features, std, target = drawn(400)
    for row in table.to_pylist():
        key = {SURENESS: std, "x": features[:, 0], "k": features[:, 1]}[row["feature"]]
        inside = (row["low"] <= key) & (key <= row["high"])
        y, s = target[inside], std[inside]
        assert row["n"] == inside.sum()
        expected = {
            COVERAGE: np.mean(np.abs(y) <= stats.norm.ppf(0.975) * s),
            "std": np.sqrt(np.mean(s**2)),
            "rmse": np.sqrt(np.mean(y**2)),
            "nll": -np.mean(stats.norm(0, s).logpdf(y)),
        }
        assert row["value"] == pytest.approx(expected[row["metric"]])
    assert set(table["feature"].to_pylist()) == {SURENESS, "x", "k"}
    assert len({(r["feature"], r["bin"], r["metric"]) for r in table.to_pylist()}) == table.num_rows == 4 * 23


def outside(table: pa.Table) -> dict[tuple[str, str], list[int]]:
    """(feature, metric) -> the bins whose value is outside its band."""
    found: dict[tuple[str, str], list[int]] = {}
    for row in table.to_pylist():
        if row["chance"]:
            low, high = chance_band([np.array(row["chance"])], confidence=0.95)
            bins = found.setdefault((row["feature"], row["metric"]), [])
            bins += [row["bin"]] * (not low <= row["value"] <= high)
    return found


def test_true_predictions_lie_inside_the_bands():
    tables = [drawn(rows)[0] for rows in range(300, 330)]
    for metric in (COVERAGE, "rmse", "nll"):
        hits = sum(len(bins) for table in tables for (_, m), bins in outside(table).items() if m == metric)
        bins = sum(m == metric for table in tables for m in table["metric"].to_pylist())
        assert 0.02 < hits / bins < 0.08, metric


def test_where_predictions_are_too_sure_the_bins_are_outside():
    found = outside(drawn(4000, too_sure=2.0)[0])
    assert {5, 6, 7, 8, 9} <= set(found["x", COVERAGE]) & set(found["x", "rmse"]) & set(found["x", "nll"])
    assert not {0, 1, 2, 3} & set(found["x", COVERAGE])


def test_the_band_of_a_coverage_is_about_the_binomial_one():
    rows = DRAWN_ROWS + 5_000
    (row, *_) = (r for r in drawn(rows)[0].to_pylist() if (r["feature"], r["metric"]) == ("x", COVERAGE))
    low, high = chance_band([np.array(row["chance"])], confidence=0.95)
    assert (low, high) == pytest.approx(coverage_band(row["n"], level=0.95), abs=0.006)


@pytest.fixture(scope="module")
def evaluated(table: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated")
    evaluate(table.experiment, data=table.data, model=table.model, out=out)
    return out


def test_the_rows_of_a_cell_are_read_once(
    table: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every part one reading is enough for scores and bins."""
    read, written = Counter[str](), files._written

    def noted(path: Path, schema: pa.Schema) -> pa.Table:
        read[path.name] += 1
        return written(path, schema)

    monkeypatch.setattr(files, "_written", noted)
    one = table.experiment.model_copy(update={"seeds": (0,), "splits": (0,)})
    evaluate(one, data=table.data, model=table.model, out=tmp_path)
    assert read == {"train.parquet": 1, "valid.parquet": 1, "test.parquet": 1}


def test_bins_of_a_cell_make_up_its_metrics(evaluated: Path) -> None:
    cell = EvaluatedCell(cell_folder(evaluated, 1, 0))
    bins, metrics = (
        read_parquet(file, schema).to_pandas()
        for file, schema in ((cell.bins, BINS), (cell.metrics, METRICS))
    )
    whole = metrics.set_index("metric")["value"]
    assert set(bins[["variant", "dataset", "seed", "split"]].itertuples(index=False, name=None)) == {
        ("default", "diabetes", 1, 0)
    }
    assert bins.feature.nunique() == 11
    for _, of in bins.groupby("feature"):
        mean = {
            m: np.average(b.value ** (2 if m == "rmse" else 1), weights=b.n) for m, b in of.groupby("metric")
        }
        assert np.sqrt(mean["rmse"]) == pytest.approx(whole["rmse"])
        assert mean["nll"] == pytest.approx(whole["nll"])
        assert mean[COVERAGE] == pytest.approx(whole[COVERAGE])


def test_bins_are_the_same_in_every_cell_of_a_split_and_of_another(evaluated: Path) -> None:
    ends = []
    for seed, split in ((0, 0), (1, 0), (0, 1)):
        rows = read_parquet(EvaluatedCell(cell_folder(evaluated, seed, split)).bins, BINS).to_pylist()
        ends.append(
            {
                (r["feature"], r["bin"]): (r["low"], r["high"])
                for r in rows
                if r["feature"] != SURENESS and r["metric"] == "nll"
            }
        )
    for other in ends[1:]:
        both = ends[0].keys() & other.keys()
        assert len(both) > 50
        for key in both:
            assert ends[0][key] == pytest.approx(other[key], rel=1e-9, abs=1e-12)
