"""Rivals for classes: a network's own probabilities in a file score as the network, estimators on the same rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from trained import TABLE, Trained, trained

from precisionflow.config import ConfigError, overlay, resolve
from precisionflow.data.batches import Rows
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import BINS, METRICS
from precisionflow.results.layout import EvaluatedCell, cell_folder
from precisionflow.training.external import check_predictions

WINE: dict[str, Any] = TABLE | {
    "task": {"kind": "classification", "source": {"kind": "scikit_learn_classes", "name": "wine"}},
    "objective": {"kind": "cross_entropy"},
    "evaluation": {"recalibration": ["temperature", "aps"], "levels": [0.9]},
    "seeds": [0],
    "splits": [0],
}
WINE["task"]["validation_fraction"] = 0.3


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(WINE, tmp_path_factory.mktemp("wine"))


def metrics(cells: Trained, out: Path) -> dict[str, float]:
    evaluate(cells.experiment, data=cells.data, model=cells.model, out=out)
    table = read_parquet(EvaluatedCell(cell_folder(out, 0, 0)).metrics, METRICS)
    return dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))


def stated(network: Trained, *parts: str) -> str:
    """The network's probabilities as a file, rows in reverse."""
    lines = ["p_class_2,row,p_class_0,p_class_1"]
    for part in parts:
        rows = Rows.read(network.data_of() / f"{part}.parquet")
        found = np.exp(network.predictor()._part(rows)[0].log_probabilities)
        lines += [
            f"{p[2]!r},{row},{p[0]!r},{p[1]!r}"
            for row, p in zip(rows.rows.tolist(), found.tolist(), strict=True)
        ][::-1]
    return "\n".join(lines) + "\n"


def test_a_networks_probabilities_in_a_file_have_its_metrics(network: Trained, tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text(stated(network, "valid", "test"))
    model = {"model": {"kind": "predictions", "path": str(tmp_path / "theirs.csv")}}
    file = trained(WINE | model, tmp_path / "file")
    check_predictions(file.experiment, data=file.data)
    theirs, ours = metrics(file, tmp_path / "theirs"), metrics(network, tmp_path / "ours")
    assert theirs.keys() == ours.keys() == set(network.experiment.metrics)
    assert theirs == pytest.approx(ours, rel=1e-4, abs=1e-6)
    cells = [EvaluatedCell(cell_folder(tmp_path / of, 0, 0)) for of in ("theirs", "ours")]
    their_bins, our_bins = (
        read_parquet(cell.bins, BINS).to_pandas().drop(columns="chance") for cell in cells
    )
    assert our_bins.feature.nunique() == 14
    pd.testing.assert_frame_equal(their_bins, our_bins, rtol=1e-4, atol=1e-6)


def test_a_file_without_validation_rows_cannot_be_recalibrated(network: Trained, tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text(stated(network, "test"))
    model = {"model": {"kind": "predictions", "path": str(tmp_path / "theirs.csv")}}
    experiment = resolve(overlay(WINE, model))
    with pytest.raises(
        ValueError, match=r"^evaluation\.recalibration: .* does not predict validation row \d+ of split 0"
    ):
        check_predictions(experiment, data=network.data)
    bare = trained(overlay(WINE, model), tmp_path / "bare", **{"evaluation.recalibration": []})
    assert "validation_loss" not in metrics(bare, tmp_path / "scores")


@pytest.mark.parametrize("kind", ["logistic_regression", "random_forest", "boosted_trees"])
def test_an_estimator_is_scored_as_networks_are(kind: str, network: Trained, tmp_path: Path) -> None:
    found = metrics(trained(WINE | {"model": {"kind": kind}}, tmp_path / kind), tmp_path / "out")
    assert found.keys() == set(network.experiment.metrics)
    assert found["accuracy"] > 0.85
    assert found["mutual_information"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.kind": "ridge"}, "model.kind: 'ridge' does not fit task.kind 'classification'"),
        (
            {"model.kind": "random_forest", "objective.label_smoothing": 0.1},
            "objective: model.kind random_forest learns in its own way; leave objective.kind cross_entropy with its",
        ),
        (
            {"model.kind": "random_forest", "task.unknown": ["class_0"]},
            "task.unknown: model.kind random_forest states nothing of rows of unknown classes; leave one of them out",
        ),
        ({"model": {"kind": "logistic_regression", "C": 0}}, "model.C: given 0"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(overlay(WINE, changes))
    assert said in str(caught.value)
