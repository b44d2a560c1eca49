"""Excess over the optimum, of a regression source whose target has a known distribution."""

import numpy as np
import pytest
from trained import TABLE, Trained, trained

from precisionflow.data.sources.exact import exact_mixture
from precisionflow.data.sources.sensors import draw_sensors
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.tasks.regression import above_the_optimum


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    source = {"kind": "sensors", "rows": 400, "length": 2, "persistence": 0.8, "shown": 0.5}
    model = {"kind": "fusion", "sources": 3, "length": 2, "hidden": 4}
    changes = {"task": {"kind": "regression", "source": source}, "model": model, "seeds": [0], "splits": [0]}
    return trained(TABLE | changes, tmp_path_factory.mktemp("sensors"))


def test_excess_is_of_the_same_rows(sensors: Trained) -> None:
    source, predictor = sensors.experiment.task.source, sensors.predictor()
    scored = predictor.score(sensors.experiment, sensors.data_of())
    rows = scored.predictions
    row, target = rows["row"].to_numpy(), rows["target"].to_numpy()
    np.testing.assert_allclose(draw_sensors(source).of(row).truth, target, rtol=1e-6, atol=1e-6)
    exact = exact_mixture(source, row)
    least = np.mean(((exact.weight * exact.mean).sum(1) - target) ** 2)
    assert scored.metrics["excess_mse"] == pytest.approx(scored.metrics["rmse"] ** 2 - least)
    densities = exact.weight / exact.std * np.exp(-0.5 * ((target[:, None] - exact.mean) / exact.std) ** 2)
    optimum = -np.mean(np.log(densities.sum(1) / np.sqrt(2 * np.pi)))
    assert scored.metrics["excess_nll"] == pytest.approx(scored.metrics["nll"] - optimum)


def test_the_exact_predictions_have_no_excess_and_others_have(sensors: Trained) -> None:
    source = sensors.experiment.task.source
    row = np.arange(400)
    exact, target = exact_mixture(source, row), draw_sensors(source).truth
    stated = Distribution("gaussian", exact.mean, exact.std, exact.weight)
    assert above_the_optimum(stated, target, exact) == {"excess_nll": 0.0, "excess_mse": 0.0}
    one = np.ones((400, 1))
    prior = Distribution("gaussian", 0 * one, one, one)
    assert min(above_the_optimum(prior, target, exact).values()) > 0.1
    assert above_the_optimum(prior, target, None) == {}
