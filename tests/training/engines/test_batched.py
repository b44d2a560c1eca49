"""Networks that train together against each alone, and against the plain engine's loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.config.networks import MLP
from precisionflow.config.posteriors import Ensemble
from precisionflow.data.batches import Rows
from precisionflow.data.folds import out_of_fold
from precisionflow.data.prepare import prepare
from precisionflow.data.streams import Stream
from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.evaluation.recalibration.variance_scaling import scaled
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.training import population
from precisionflow.training.engines import batched
from precisionflow.training.engines.batched import Batched
from precisionflow.training.members import Member, batch_indices, members
from precisionflow.training.train import train

TREE: dict[str, Any] = {
    "name": "many",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp", "hidden": [12]},
    "objective": {"kind": "gaussian_nll"},
    "training": {
        "steps": 60,
        "batch_size": 64,
        "learning_rate": 0.02,
        "weight_decay": 0.01,
        "validate_every": 5,
        "patience": 3,
    },
    "engine": {"kind": "batched", "device": "cpu"},
    "seeds": [0, 1],
    "splits": [0, 1],
}
CELLS = [(0, 0), (0, 1), (1, 0), (1, 1)]
"""(seed, split)."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    prepare([resolve(TREE)], out=folder)
    return folder


def trained(changes: dict[str, Any], data: Path, out: Path) -> Experiment:
    experiment = resolve(overlay(TREE, changes))
    train(experiment, data=data, out=out)
    return experiment


def weights(out: Path, seed: int, split: int) -> dict[str, torch.Tensor]:
    return load_file(cell_folder(out, seed, split) / "model.safetensors")


def card(out: Path, seed: int, split: int) -> ModelCard:
    return read_card(cell_folder(out, seed, split) / "model.json", ModelCard)


def validations(out: Path, seed: int, split: int) -> dict[int, float]:
    rows = read_parquet(cell_folder(out, seed, split) / "history.parquet", HISTORY).to_pylist()
    return {row["step"]: row["value"] for row in rows if row["metric"] == "validation_loss"}


def assert_same(one: Path, other: Path, seed: int, split: int, *, tolerance: float) -> None:
    found, expected = weights(one, seed, split), weights(other, seed, split)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=tolerance, atol=tolerance)
    assert card(one, seed, split).steps == card(other, seed, split).steps
    assert validations(one, seed, split) == pytest.approx(validations(other, seed, split), rel=tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "objective": {"kind": "student_t", "beta": 0.5, "mean_warmup": 0.2},
            "training.groups.distribution": {"weight_decay": 0.3, "learning_rate_factor": 0.5},
        },
        {"training.gradient_clip": 0.05, "training.schedule": "cosine", "training.patience": None},
        {"training.batch_size": 1000, "objective": {"kind": "homoscedastic"}, "model.layer_norm": True},
        {"model.hidden": [12, 8], "model.dropout": 0.3},
    ],
)
def test_together_equals_each_alone_in_the_plain_engine(changes, data, tmp_path):
    trained(changes, data, tmp_path / "together")
    trained(changes | {"engine.kind": "torch"}, data, tmp_path / "alone")
    for seed, split in CELLS:
        assert_same(tmp_path / "together", tmp_path / "alone", seed, split, tolerance=2e-4)


WEIGHTS = np.random.default_rng(5).choice([0.0, 0.5, 1.0, 4.0], size=90)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Path]]:
    """Name of a column of weights -> (the source with it, its prepared data)."""
    folder, random = tmp_path_factory.mktemp("weighted"), np.random.default_rng(4)
    x = random.normal(size=90)
    columns = {"x": x, "y": x + random.normal(size=90) / (0.1 + WEIGHTS), "w": WEIGHTS}
    columns |= {"tiny": WEIGHTS * 1e-200, "huge": WEIGHTS * 1e200, "alike": np.full(90, 3.0)}
    pd.DataFrame(columns).to_csv(folder / "t.csv", index=False)
    found = {}
    for name in ("w", "tiny", "huge", "alike", None):
        source = {"kind": "table_file", "path": str(folder / "t.csv"), "target": "y", "features": ["x"]}
        changes = {"task.source": source | ({"weights": name} if name else {}), "training.batch_size": 16}
        prepare([resolve(overlay(TREE, changes))], out=folder / str(name))
        found[name] = (changes, folder / str(name))
    return found


@pytest.mark.parametrize(
    "learning", [{}, {"model.posterior": {"kind": "ensemble", "members": 2, "folds": 2}}]
)
def test_weights_count_in_every_engine_on_any_scale_and_alike_not_at_all(learning, weighted, tmp_path):
    engines = ["batched"] if learning else ["batched", "torch"]
    for name, (changes, data) in weighted.items():
        for engine in engines:
            trained(changes | learning | {"engine.kind": engine}, data, tmp_path / f"{name}-{engine}")
    for seed, split in CELLS:
        same = [("w-batched", f"{other}-batched") for other in ("tiny", "huge")]
        same += [("alike-batched", "None-batched"), *([] if learning else [("w-batched", "w-torch")])]
        for one, other in same:
            assert_same(tmp_path / one, tmp_path / other, seed, split, tolerance=2e-4)
        first, second = (weights(tmp_path / f"{name}-batched", seed, split) for name in ("w", "alike"))
        assert any(not torch.allclose(first[name], second[name], rtol=0.01) for name in first)


def test_a_fold_whose_rows_all_weigh_nothing_is_told(tmp_path):
    weights = np.zeros(30)
    weights[:3] = 1.0
    columns = {"x": np.arange(30.0), "y": np.arange(30.0) % 7, "w": weights}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    source = {
        "kind": "table_file",
        "path": str(tmp_path / "t.csv"),
        "target": "y",
        "weights": "w",
        "valid": None,
    }
    folds = {"model.posterior": {"kind": "ensemble", "members": 10, "folds": 10}}
    changes = {"task.source": source, "task.validation_fraction": 0.5} | folds
    experiment = resolve(overlay(TREE, changes | {"seeds": [0], "splits": [0]}))
    prepare([experiment], out=tmp_path / "data")
    with pytest.raises(
        ValueError, match=r"all rows that member \d stops early by weigh 0; give them weights, take fewer"
    ):
        train(experiment, data=tmp_path / "data", out=tmp_path / "out")


ENSEMBLE = {
    "model.posterior": {"kind": "ensemble", "members": 4, "folds": 2, "spread": "fitted"},
    "training.average": 0.9,
}


@pytest.fixture(scope="module")
def ensembles(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ensembles")
    trained(ENSEMBLE, data, out)
    return out


@pytest.mark.parametrize(("seed", "split"), [(0, 1), (1, 0)])
def test_an_ensemble_does_not_depend_on_the_other_cells(seed, split, ensembles, data, tmp_path):
    trained(ENSEMBLE | {"seeds": [seed], "splits": [split]}, data, tmp_path)
    assert_same(tmp_path, ensembles, seed, split, tolerance=2e-4)


def test_rows_are_validated_in_any_portions(ensembles, data, tmp_path, monkeypatch):
    """Weights and the spread, which is fitted to the outputs for these rows."""
    monkeypatch.setattr(batched, "ROWS_AT_ONCE", 7)
    trained(ENSEMBLE, data, tmp_path)
    for seed, split in CELLS:
        assert_same(tmp_path, ensembles, seed, split, tolerance=2e-4)


def test_members_differ_and_stop_by_themselves(ensembles):
    steps = {card(ensembles, *cell).steps for cell in CELLS}
    assert len(steps) > 1
    for cell in CELLS:
        first = weights(ensembles, *cell)["layers.0.0.weight"]
        assert first.shape == (4, 12, 10)
        assert len({tuple(member.flatten()[:3].tolist()) for member in first}) == 4


def of_members(whole: Distribution, members: np.ndarray) -> Distribution:
    """The Gaussian mixture of some members of an ensemble, equally many for every row."""
    location, scale = (np.take_along_axis(part, members, axis=1) for part in (whole.location, whole.scale))
    return Distribution("gaussian", location, scale, np.full(members.shape, 1 / members.shape[1]))


def test_the_validation_loss_is_that_of_the_rows_left_out(ensembles, data):
    """Each pooled row, scored by the members that left it out, one by one."""
    experiment = resolve(overlay(TREE, ENSEMBLE))
    folder = data_folder(data, experiment, 1)
    dataset = read_card(folder / "dataset.json", DatasetCard)
    predictor = load_predictor(cell_folder(ensembles, 0, 1), dataset)
    predictor.model.factor = 1.0  # early stopping knows no spread but the stated one
    parts = [Rows.read(folder / f"{part}.parquet") for part in ("train", "valid")]
    features = torch.from_numpy(np.concatenate([part.features for part in parts]))
    target = np.concatenate([part.target for part in parts]).astype(np.float64)
    scale = dataset.standardisation
    assert scale is not None
    in_units = target * scale.target_scale + scale.target_mean
    apart = out_of_fold(experiment.model.posterior, rows=len(target), seed=0, split=1)
    losses, whole = [], predictor.standardised(features)
    for members_apart in apart.T:
        predictive = of_members(whole, members_apart[:, None])
        losses.append(-predictive.log_density(in_units) - np.log(scale.target_scale))
    expected = np.concatenate(losses).mean()
    assert card(ensembles, 0, 1).validation_loss == pytest.approx(expected, rel=1e-4)


def test_the_spread_is_fitted_to_the_rows_left_out(data, tmp_path):
    """Without early stopping the last weights predict them: found again by the path of predictions."""
    changes = ENSEMBLE | {"training.patience": None, "seeds": [0], "splits": [1]}
    folder = data_folder(data, trained(changes, data, tmp_path), 1)
    card = read_card(folder / "dataset.json", DatasetCard)
    predictor = load_predictor(cell_folder(tmp_path, 0, 1), card)
    found, predictor.model.factor = predictor.model.factor, 1.0
    parts = [Rows.read(folder / f"{part}.parquet") for part in ("train", "valid")]
    features = torch.from_numpy(np.concatenate([part.features for part in parts]))
    target = card.table.restore_target(np.concatenate([part.target for part in parts]))
    apart = out_of_fold(
        predictor.experiment_card.experiment.model.posterior, rows=len(target), seed=0, split=1
    )
    pair = of_members(predictor.standardised(features), apart)
    columns = {name: getattr(pair, name) for name in ("location", "scale")}
    singles = [gaussian(columns["location"][:, member], columns["scale"][:, member]) for member in range(2)]

    def loss(factor: float) -> float:
        one, two = (
            -np.mean([scaled(part, factor).log_density(target) for part in parts])
            for parts in (singles, [pair])
        )
        return two + (two - one) * (1 / 2 - 1 / 4) / (1 - 1 / 2)

    near = [loss(found * (1 + change)) for change in (-0.01, 0, 0.01)]
    assert min(near) == near[1]


def test_beliefs_learn_together_as_alone_and_predict_what_was_validated(data, tmp_path):
    changes = {"model": {"kind": "tagi_v", "hidden": [8]}, "training.batch_size": 16}
    experiment = trained(changes, data, tmp_path / "together")
    trained(changes | {"seeds": [1], "splits": [0]}, data, tmp_path / "alone")
    assert_same(tmp_path / "together", tmp_path / "alone", 1, 0, tolerance=2e-4)
    folder = data_folder(data, experiment, 0)
    predictor = load_predictor(
        cell_folder(tmp_path / "together", 1, 0), read_card(folder / "dataset.json", DatasetCard)
    )
    valid, scale = Rows.read(folder / "valid.parquet"), predictor.data_card.table
    predictive = predictor.standardised(torch.from_numpy(valid.features))
    target = valid.target.astype(np.float64) * scale.target_scale + scale.target_mean
    loss = -predictive.log_density(target).mean() - np.log(scale.target_scale)
    assert card(tmp_path / "together", 1, 0).validation_loss == pytest.approx(loss, rel=1e-5)
    assert (predictive.epistemic > 0).all()
    assert (predictive.aleatoric > predictive.epistemic).any()


def test_every_row_is_left_out_by_as_many_members():
    model = MLP(posterior=Ensemble(members=6, folds=3))
    found = members(model, seed=5, split=2, train=20, valid=5)
    counts = np.zeros(25, dtype=int)
    for member in found:
        assert sorted([*member.train, *member.valid]) == list(range(25))
        counts[member.valid] += 1
    assert (counts == 2).all()
    assert len({member.stream for member in found}) == 6
    apart = out_of_fold(model.posterior, rows=25, seed=5, split=2)
    assert [m.index for m in found if 7 in m.valid] == sorted(apart[7])
    assert not np.array_equal(apart[:, 0], apart[:, 1] - 3), "the rows are cut anew"


def test_batches_are_those_of_the_plain_engine():
    rows = Rows(np.arange(23), np.zeros((23, 1), np.float32), np.zeros(23, np.float32))
    member = Member(seed=3, split=2, index=1, train=np.arange(23), valid=np.arange(1))
    indices, used = batch_indices([member], 4, 19, batch_size=7)
    assert used.tolist() == [[1.0] * 7]
    for step in range(4, 19):
        assert (
            indices[0, step - 4].tolist() == rows.drawn(step, stream=Stream(3, 2, 1), batch_size=7).tolist()
        )


def test_a_run_that_was_interrupted_goes_on_with_the_same_bits(data, tmp_path, monkeypatch):
    changes = ENSEMBLE | {
        "model.dropout": 0.2,
        "training.steps": 40,
        "training.patience": 2,
        "training.checkpoint_every": 10,
    }
    trained(changes, data, tmp_path / "whole")
    advance = Batched.advance

    def killed(self, first, last, interval):
        if first >= 20:
            raise KeyboardInterrupt
        advance(self, first, last, interval)

    with monkeypatch.context() as patch:
        patch.setattr(Batched, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(changes, data, tmp_path / "halves")
    begun = []

    def noted(self, first, last, interval):
        begun.append(first)
        advance(self, first, last, interval)

    monkeypatch.setattr(Batched, "advance", noted)
    trained(changes, data, tmp_path / "halves")
    assert begun[0] == 20
    for cell in CELLS:
        whole, halves = (weights(tmp_path / name, *cell) for name in ("whole", "halves"))
        assert all(torch.equal(whole[name], halves[name]) for name in whole)
        assert validations(tmp_path / "whole", *cell) == validations(tmp_path / "halves", *cell)
    assert not list((tmp_path / "halves").glob(".*"))


def test_cells_that_do_not_fit_at_once_train_in_groups(data, ensembles, tmp_path, monkeypatch):
    monkeypatch.setattr(population, "MOST_NUMBERS", 1)
    trained(ENSEMBLE, data, tmp_path)
    for seed, split in CELLS:
        assert_same(tmp_path, ensembles, seed, split, tolerance=2e-4)


def test_a_loss_that_is_no_number_names_its_cell(data, tmp_path):
    with pytest.raises(
        ValueError, match=r"^training loss is not finite at step \d+ of seed \d, split \d; lower"
    ):
        trained({"training.learning_rate": 1e30}, data, tmp_path)
    assert not cell_folder(tmp_path, 0, 0).exists()
