"""The curve of a one-feature model is what the model predicts there."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from trained import TABLE, Trained, trained

from precisionflow.ablation.design import expand
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.fit import MARGIN, POINTS, fitted_curve
from precisionflow.records.cards import Standardisation
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.schemas import FIT, PREDICTIONS, REGRESSION_ROWS, WEIGHT, without
from precisionflow.report import cells
from precisionflow.report.material import Group
from precisionflow.report.sections.fit import fits
from precisionflow.results.layout import PreparedSplit, cell_folder
from precisionflow.results.stage import once


@pytest.fixture(scope="module")
def sine(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    changes = {"task.source": {"kind": "heteroscedastic_sine", "rows": 60}, "seeds": [0], "splits": [0]}
    return trained(TABLE, tmp_path_factory.mktemp("sine"), **changes)


@pytest.fixture(scope="module")
def evaluated(sine: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated")
    evaluate(sine.experiment, data=sine.data, model=sine.model, out=out)
    return out


def test_the_curve_is_the_prediction_and_its_points_are_the_test_rows(sine, evaluated):
    curve = read_parquet(cell_folder(evaluated, 0, 0) / "fit.parquet", FIT).to_pandas()
    predictions = read_parquet(cell_folder(evaluated, 0, 0) / "predictions.parquet", PREDICTIONS)
    points, grid = curve[curve.target.notna()], curve[curve.target.isna()]
    assert len(grid) == POINTS
    np.testing.assert_allclose(points.target, predictions["target"].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(points["mean"], predictions["location"].combine_chunks().values, rtol=1e-5)
    predictive = sine.predictor().distribution(grid.x.to_numpy()[:, None])
    np.testing.assert_allclose(grid["mean"], predictive.mean)
    np.testing.assert_allclose(grid.low_95, predictive.quantile(0.025))
    np.testing.assert_allclose(grid.high_50, predictive.quantile(0.75))
    assert (points.x.min(), points.x.max()) > (grid.x.min(), 0)
    width = (grid.x.max() - grid.x.min()) / (1 + 2 * MARGIN)
    assert width == pytest.approx(10, abs=0.7)


def test_the_grid_goes_beyond_all_rows_by_a_tenth_of_their_range(tmp_path):
    """Standardised x in [-1, 4] is [8, 18] in its own units; the prediction is N(x, 2^2) with a std of 1 for x."""
    for part, x, y in (("train", [-1.0, 4.0], [9.0, 9.0]), ("test", [0.0, 3.0, 1.0], [0.0, -1.0, 2.0])):
        rows = {"row": range(len(x)), "features": [[value] for value in x], "target": y}
        write_parquet(
            pa.Table.from_pydict(
                {name: list(column) for name, column in rows.items()}, without(REGRESSION_ROWS, WEIGHT)
            ),
            PreparedSplit(tmp_path).part(part),
            REGRESSION_ROWS,
        )
    scales = Standardisation(feature_mean=(10.0,), feature_scale=(2.0,), target_mean=5.0, target_scale=3.0)

    def predict(x: np.ndarray) -> Distribution:
        ones = np.ones_like(x)
        return Distribution("gaussian", x, 2 * ones, ones, location_std=ones)

    curve = fitted_curve(tmp_path, scales=scales, predict=predict).to_pandas()
    x = np.concatenate([[10, 16, 12], np.linspace(7, 19, 200)])
    np.testing.assert_allclose(curve.x, x)
    np.testing.assert_allclose(curve["mean"], x)
    np.testing.assert_allclose(curve.target, [5, 2, 11] + [np.nan] * 200)
    np.testing.assert_allclose(curve.epistemic, 1)
    for level in (0.5, 0.95):
        low, high = stats.norm(x, 2).interval(level)
        np.testing.assert_allclose(curve[f"low_{100 * level:.0f}"], low)
        np.testing.assert_allclose(curve[f"high_{100 * level:.0f}"], high)


def test_several_features_have_no_curve(table):
    predictor = table.predictor()
    assert (
        fitted_curve(table.data_of(), scales=predictor.data_card.table, predict=predictor.distribution)
        is None
    )


def drawn(sine, evaluated: Path) -> list:
    known = cells.evaluated_cells([evaluated])
    variants = expand(sine.experiment)
    return list(
        fits(
            Group(
                sine.experiment,
                "sine",
                variants,
                (),
                (),
                trained=cells.Finished(),
                evaluated=known,
                anchor="x",
            )
        )
    )


def test_the_report_draws_it_with_the_truth(sine, evaluated):
    (picture,) = drawn(sine, evaluated)
    assert "6 test rows" in picture.drawn.svg
    assert "true mean" in picture.caption


def test_where_nothing_was_fitted_nothing_is_drawn(sine, evaluated, tmp_path):
    cell = cell_folder(tmp_path, 0, 0)

    def without_fit(folder: Path) -> None:
        for name in ("metrics.parquet", "predictions.parquet"):
            shutil.copyfile(cell_folder(evaluated, 0, 0) / name, folder / name)

    once(cell, verb="evaluate", inputs="no fit", work=without_fit)
    assert not drawn(sine, tmp_path)
