"""Recalibrations that are fitted on the validation rows of all splits, each as predicted by its own network."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy.special import log_softmax
from trained import TABLE, TEXT, Trained, trained

from precisionflow.config import ConfigError, overlay, resolve
from precisionflow.evaluation.classes import HoldsOut
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.recalibration import RecalibrationCard, TemperatureFit
from precisionflow.results.cells import training_inputs
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import EvaluatedCell, PreparedSplit, cell_folder, data_folder
from precisionflow.results.stage import once

SPLITS = (0, 1, 2)
ASKED = {
    "seeds": [0, 1],
    "splits": [*SPLITS],
    "evaluation": {"recalibration": ["temperature"], "held_out": "all_splits"},
}
NETWORKS = {
    "texts": TEXT,
    "rows": TABLE,
    "rival": TEXT | {"model": {"kind": "logistic_regression"}, "training": {}, "engine": {}},
}


def rows(count: int) -> pd.DataFrame:
    """A word and a number that tell the class, which is another in one of five rows."""
    random = np.random.default_rng(count)
    up = random.random(count) < 0.5
    word, noise = np.where(up, "fine", "dull"), random.integers(9, size=count)
    label = np.where(up ^ (random.random(count) < 0.2), "up", "down")
    texts = [f"w{n} {told}" for n, told in zip(noise, word, strict=True)]
    return pd.DataFrame({"x": up + random.normal(size=count) / 4, "text": texts, "label": label})


@pytest.fixture(scope="module", params=NETWORKS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp(request.param)
    for name, count in (("train", 120), ("test", 60)):
        rows(count).to_csv(folder / f"{name}.csv", index=False)
    paths = {part: str(folder / f"{name}.csv") for part, name in (("path", "train"), ("test", "test"))}
    tree = NETWORKS[request.param] | {"objective": {"kind": "cross_entropy"}}
    of_rows = request.param == "rows"
    features, task = ("x", "classification") if of_rows else ("text", "sequence_classification")
    source = paths | {"kind": "table_file", "features": [features], "target": "label"}
    tree["task"] = {"kind": task, "source": source, "validation_fraction": 0.2}
    network = {"model.attention.prior.kind": "full"} if request.param == "texts" else {}
    return trained(tree, folder, **ASKED | network)


def factors(run: Trained, out: Path, **changes: Any) -> dict[tuple[int, int], float]:
    """Temperature of every cell."""
    experiment = resolve(overlay(run.experiment.model_dump(mode="json"), changes))
    evaluate(experiment, data=run.data, model=run.model, out=out)
    found = {}
    for seed in experiment.seeds:
        for split in experiment.splits:
            (fit,) = read_card(
                EvaluatedCell(cell_folder(out, seed, split)).recalibration, RecalibrationCard
            ).fits
            assert isinstance(fit, TemperatureFit)
            found[seed, split] = fit.factor
    return found


def stated(run: Trained, seed: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    data = data_folder(run.data, run.experiment, split)
    card = read_card(PreparedSplit(data).card, DatasetCard)
    predictor = load_predictor(cell_folder(run.model, seed, split), card)
    assert isinstance(predictor, HoldsOut)
    found = predictor.held_out(run.experiment, data)
    return found.log_probabilities, found.target


def test_the_temperature_is_that_of_what_every_split_holds_out(run: Trained, tmp_path: Path) -> None:
    together, alone = (
        factors(run, tmp_path / "a"),
        factors(run, tmp_path / "b", **{"evaluation.held_out": "split"}),
    )
    for seed in run.experiment.seeds:
        parts = [stated(run, seed, split) for split in SPLITS]
        assert [len(target) for _, target in parts] == [24] * 3
        log_probabilities, target = (np.concatenate(of) for of in zip(*parts, strict=True))
        wrong = 1 / (len(target) + 2)

        def loss(
            t: float, p: np.ndarray = log_probabilities, y: np.ndarray = target, e: float = wrong
        ) -> float:
            scaled = log_softmax(p / t, axis=1)
            right, other = scaled[np.arange(len(y)), y], np.sort(scaled, axis=1)[:, -2]
            return -float(np.mean((1 - e) * right + e * other))

        expected = optimize.minimize_scalar(
            loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-10}
        )
        of_seed = [together[seed, split] for split in SPLITS]
        assert of_seed == pytest.approx([expected.x] * 3, rel=1e-4)
        assert len({alone[seed, split] for split in SPLITS}) == 3


def test_splits_share_test_rows_and_differ_in_validation_rows(run: Trained) -> None:
    cells = [PreparedSplit(data_folder(run.data, run.experiment, split)) for split in SPLITS]
    tests = [pd.read_parquet(cell.part("test"), columns=["row"])["row"].tolist() for cell in cells]
    valid = [frozenset(pd.read_parquet(cell.part("valid"), columns=["row"])["row"]) for cell in cells]
    assert tests[0] == tests[1] == tests[2] == [*range(120, 180)]
    assert len({*valid}) == 3


def test_a_split_that_failed_is_told_with_its_folder(run: Trained, tmp_path: Path) -> None:
    model, cell = tmp_path / "model", cell_folder(tmp_path / "model", 0, 1)
    shutil.copytree(run.model, model)
    shutil.rmtree(cell)
    inputs = training_inputs(run.experiment, data=run.data, seed=0, split=1)

    def diverged(out: Path) -> None:
        write_failure(out, run.experiment, seed=0, split=1, stage="train", error=ValueError("diverged"))

    once(cell, verb="train", inputs=inputs, work=diverged)
    lost: list[tuple[int, int, str]] = []
    evaluate(
        run.experiment, data=run.data, model=model, out=tmp_path / "out", failed=lambda *of: lost.append(of)
    )
    assert [of[:2] for of in lost] == [(0, 0), (0, 2)]
    assert all(f"needs the network of {cell}, whose training failed" in of[2] for of in lost)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"splits": [0]}, "all_splits, and splits has one"),
        ({"evaluation.recalibration": []}, "all_splits, and evaluation.recalibration names nothing to fit"),
        ({"task.source.test": None}, "all_splits needs task.source.test or a split of kind given"),
    ],
)
def test_what_it_needs_is_told(run: Trained, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        resolve(overlay(run.experiment.model_dump(mode="json"), changes))


def test_numbers_and_texts_without_labels_have_no_use_for_it() -> None:
    with pytest.raises(ConfigError, match=r"held_out: all_splits is for classes of rows, texts and words"):
        resolve(
            overlay(
                TABLE,
                {
                    "splits": [0, 1],
                    "evaluation": {"recalibration": ["variance_scaling"], "held_out": "all_splits"},
                },
            )
        )
