"""A filter through training, evaluation and predictions: what it learns, and how far it is from the dense posterior."""

import numpy as np
import pytest
from trained import TABLE, trained

from precisionflow.data.sources.moving_target import dense_posterior, draw_targets
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.training.files import load_weights

SOURCE = {"kind": "moving_target", "rows": 300, "length": 12, "interval": 0.04}
CHANGES = {
    "task": {"kind": "regression", "source": SOURCE},
    "training": {"steps": 20, "learning_rate": 0.1, "validate_every": 10, "batch_size": 300},
    "seeds": [0],
    "splits": [0],
}


def scored(folder, **model):
    made = trained(TABLE | CHANGES | {"model": {"kind": "filter", **model}}, folder)
    return made, made.predictor().score(made.experiment, made.data_of())


@pytest.mark.parametrize("by", ["augmented", "generalised"])
def test_learned_precisions_lower_the_loss_and_say_what_is_left(by, tmp_path):
    made, found = scored(tmp_path, by=by)
    source = made.experiment.task.source
    row, target = (found.predictions[name].to_numpy() for name in ("row", "target"))
    drawn = draw_targets(source)[row]
    np.testing.assert_allclose(drawn[:, -1], target, rtol=1e-5, atol=1e-6)
    least = np.square(dense_posterior(source, drawn[:, :-1]).mean[:, 0] - target).mean()
    assert found.metrics["excess_mse"] == pytest.approx(found.metrics["rmse"] ** 2 - least, abs=1e-6)
    (cell,) = (path.parent for path in made.model.rglob("model.safetensors"))
    factors = load_weights(cell / "model.safetensors")["layers.0.log_factors"]
    assert 0 < int((factors != 0).sum()) < len(factors)
    history = read_parquet(cell / "history.parquet", HISTORY).to_pylist()
    losses = [row["value"] for row in history if row["metric"] == "train_loss"]
    assert losses[-1] < losses[0]


def test_a_filter_that_knows_all_is_near_the_dense_posterior(tmp_path):
    _, found = scored(tmp_path, by="augmented", order=8, learned="nothing")
    assert abs(found.metrics["excess_nll"]) < 0.05
    assert abs(found.metrics["excess_mse"]) < 0.02
