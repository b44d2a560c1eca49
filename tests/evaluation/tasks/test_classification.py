"""A classifier of rows from file to answers, with every posterior and both engines."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from trained import TABLE, Trained, trained

from precisionflow.data.batches import Rows
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS, METRICS
from precisionflow.results.layout import PreparedSplit, cell_folder
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import load_predictor, predict_with_uncertainty

POSTERIORS = {
    "point": {"model.posterior.kind": "point", "engine": {"kind": "torch", "device": "cpu"}},
    "ensemble": {"model.posterior": {"kind": "ensemble", "members": 3}, "engine": {"kind": "batched"}},
    "mc_dropout": {
        "model.dropout": 0.2,
        "model.posterior": {"kind": "mc_dropout", "samples": 5},
        "engine": {"kind": "batched"},
    },
    "laplace": {"model.posterior.kind": "laplace_approximation", "engine": {"kind": "batched"}},
}


@pytest.fixture(scope="module", params=POSTERIORS)
def wine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """(run, folder of the evaluated cell); class_2 is unknown."""
    folder = tmp_path_factory.mktemp(request.param)
    task = {
        "kind": "classification",
        "source": {"kind": "scikit_learn_classes", "name": "wine"},
        "unknown": ["class_2"],
        "validation_fraction": 0.3,
    }
    changes = {"seeds": [0], "splits": [0], "objective.kind": "cross_entropy"} | POSTERIORS[request.param]
    changes |= {"evaluation": {"recalibration": ["temperature", "aps", "raps"], "levels": [0.8, 0.9]}}
    run = trained(TABLE | {"task": task}, folder, **changes)
    evaluate(run.experiment, data=run.data, model=run.model, out=folder / "evaluation")
    return run, cell_folder(folder / "evaluation", 0, 0)


def test_every_promised_metric_is_measured(wine):
    run, cell = wine
    rows = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    values = {row["metric"]: row["value"] for row in rows}
    assert set(values) == set(run.experiment.metrics)
    assert values["accuracy"] > 0.9
    predictions = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS).to_pandas()
    assert values["nll"] == pytest.approx(-predictions["log_probability"].mean())
    assert values["predictive_entropy"] == pytest.approx(predictions["entropy"].mean(), rel=1e-5)
    single = run.experiment.model.posterior.kind == "point"
    assert (values["mutual_information"] < 1e-9) == single
    place, predictor = PreparedSplit(run.data_of()), run.predictor()
    known, unknown = (
        predictor.standardised(torch.from_numpy(Rows.read(path).features)).entropy
        for path in (place.part("test"), place.unknown)
    )
    label = np.repeat([0, 1], [len(known), len(unknown)])
    expected = roc_auc_score(label, np.concatenate([known, unknown]))
    assert values["ood_auroc_entropy"] == pytest.approx(expected)


def test_answers_do_not_depend_on_other_rows_and_are_what_was_judged(wine):
    run, cell = wine
    served = load_predictor(cell_folder(run.model, 0, 0), data=run.data, evaluation=cell)
    place, card = PreparedSplit(run.data_of()), served.predictor.data_card
    rows = Rows.read(place.part("test"))
    frame = pd.DataFrame(card.table.restore_features(rows.features), columns=list(card.feature_names))
    found = predict_with_uncertainty(served, frame)
    predictions = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS).to_pandas()
    named = [card.class_names.index(name) for name in found["class"]]
    assert (np.array(named) == rows.target).tolist() == predictions["correct"].tolist()
    np.testing.assert_allclose(found["confidence"], predictions["confidence"], atol=1e-5)
    np.testing.assert_allclose(found[[f"p_{name}" for name in card.class_names]].sum(axis=1), 1)
    alone = predict_with_uncertainty(served, frame.iloc[3:4])
    pd.testing.assert_frame_equal(alone, found.iloc[3:4], rtol=1e-4)
    values = {
        row["metric"]: row["value"] for row in read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    }
    for method in ("aps", "raps"):
        sets = predict_with_uncertainty(served, frame, levels=(0.9,), recalibrated=method)[
            "set_90"
        ].str.split("|")
        assert sets.map(len).mean() == pytest.approx(values[f"set_size_90_after_{method}"])
        inside = [card.class_names[int(i)] in names for i, names in zip(rows.target, sets, strict=True)]
        assert np.mean(inside) == pytest.approx(values[f"set_coverage_90_after_{method}"])
    tempered = predict_with_uncertainty(served, frame, recalibrated="temperature")
    nll = -np.log(
        tempered.to_numpy()[np.arange(len(rows)), -2 + rows.target.astype(int)].astype(float)
    ).mean()
    assert nll == pytest.approx(values["nll_after_temperature"], rel=1e-4)
    with pytest.raises(ValueError, match=r"^level 0\.5: aps was fitted at 0\.8, 0\.9; give one of these"):
        predict_with_uncertainty(served, frame, levels=(0.5,), recalibrated="aps")
    contract = answers_of(run.experiment.task).contract(card)
    assert list(contract.outputs) == list(found.columns)
