"""The loop: learning rate, validation, early stopping, clipping, numbers that are none."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from on_ranks import engine_of
from safetensors.torch import load_file

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.config.training import Training
from precisionflow.data.prepare import prepare
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.training.batches import part_batches
from precisionflow.training.ranks import Ranks
from precisionflow.training.schedule import checkpoint_due, learning_rate, next_stop, validation_due
from precisionflow.training.train import train


def test_the_learning_rate_is_constant_without_warm_up_and_schedule():
    training = Training(steps=9, learning_rate=0.3)
    assert {learning_rate(step, training) for step in range(9)} == {0.3}


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_tenth():
    training = Training(steps=101, warmup_steps=10, learning_rate=2.0, schedule="cosine")
    rates = [learning_rate(step, training) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.1)
    assert rates[-1] == pytest.approx(0.2)
    assert all(after < before for before, after in itertools.pairwise(rates[10:]))


def test_a_cosine_of_one_step_is_the_peak():
    assert learning_rate(0, Training(steps=1, learning_rate=0.5, schedule="cosine")) == 0.5


@pytest.mark.parametrize(
    ("validate_every", "checkpoint_every"), [(4, 5), (3, 3), (50, 1), (1, None), (7, 100)]
)
def test_the_loop_stops_where_something_is_due_and_nowhere_else(validate_every, checkpoint_every):
    training = Training(steps=23, validate_every=validate_every, checkpoint_every=checkpoint_every)
    due = [s for s in range(1, 24) if validation_due(s, training) or checkpoint_due(s, training)]
    stops, step = [], 0
    while step < 23:
        step = next_stop(step, training)
        stops.append(step)
    assert stops == due
    assert stops[-1] == 23
    assert not checkpoint_due(23, training)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_validation_loss_is_the_mean_over_tokens_however_they_are_batched(
    batch_size, text_experiment, text_data
):
    """One token each: the last, shorter window must not count for more than its tokens."""
    file = data_folder(text_data, text_experiment, 0) / "valid.parquet"
    engine = engine_of(text_experiment, text_data, Ranks())
    batches = part_batches(text_experiment, file, batch_size=batch_size)
    engine.feed = engine.feed._replace(valid=batches)
    assert len({batch.target.shape for batch in batches}) > 1
    tokens = [float(loss) for batch in batches for loss in engine.losses(batch).double().flatten()]
    assert engine.validation_loss() == pytest.approx(math.fsum(tokens) / len(tokens), rel=1e-12)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_gradient_is_as_long_as_the_clip_allows(clip, text_tree, text_data):
    experiment = resolve(overlay(text_tree, {"training.gradient_clip": clip}))
    engine = engine_of(experiment, text_data, Ranks())
    engine.step(engine.feed.batch(0), 0.01)
    length = torch.cat([p.grad.flatten() for p in engine.learner.parameters()]).norm().item()
    assert length == pytest.approx(0.05, rel=1e-4) if clip else length > 0.5


DIABETES: dict[str, Any] = {
    "name": "early",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp", "hidden": [32]},
    "objective": {"kind": "gaussian_nll"},
    "training": {"steps": 400, "batch_size": 64, "learning_rate": 0.03, "validate_every": 5},
    "engine": {"kind": "torch", "device": "cpu"},
}


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diabetes")
    prepare([resolve(DIABETES)], out=folder)
    return folder


def trained(changes: dict[str, Any], data: Path, out: Path) -> tuple[Experiment, Path]:
    experiment = resolve(overlay(DIABETES, changes))
    train(experiment, data=data, out=out)
    return experiment, cell_folder(out, 0, 0)


def validations(cell: Path) -> dict[int, float]:
    rows = read_parquet(cell / "history.parquet", HISTORY).to_pylist()
    return {row["step"]: row["value"] for row in rows if row["metric"] == "validation_loss"}


def loss_of_weights(experiment: Experiment, cell: Path, data: Path) -> float:
    """Mean loss of the written weights on the validation rows, without the loop."""
    folder = data_folder(data, experiment, 0)
    model = build(experiment, read_card(folder / "dataset.json", DatasetCard))
    model.load_state_dict(load_file(cell / "model.safetensors"))
    (batch,) = part_batches(experiment, folder / "valid.parquet")
    with torch.no_grad():
        return (
            objective(experiment.objective)
            .negative_log_likelihood(model(batch.inputs), batch.target)
            .double()
            .mean()
            .item()
        )


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_keeps_the_best_weights_and_counts_validations(patience, diabetes, tmp_path):
    experiment, cell = trained({"training.patience": patience}, diabetes, tmp_path)
    seen, card = validations(cell), read_card(cell / "model.json", ModelCard)
    best = min(seen, key=seen.__getitem__)
    assert card.steps == max(seen) == best + 5 * patience < 400
    assert card.validation_loss == seen[best] < seen[card.steps]
    assert loss_of_weights(experiment, cell, diabetes) == pytest.approx(seen[best], rel=1e-9)
    before = [loss for step, loss in seen.items() if step <= best]
    worse = [loss > min(before[: i + 1]) for i, loss in enumerate(before)]
    assert "1" * patience not in "".join(str(int(stale)) for stale in worse)


def test_without_patience_the_last_weights_are_kept(diabetes, tmp_path):
    experiment, cell = trained({"training.steps": 203}, diabetes, tmp_path)
    seen, card = validations(cell), read_card(cell / "model.json", ModelCard)
    assert list(seen) == [*range(5, 201, 5), 203]
    assert card.steps == 203
    assert card.validation_loss == seen[203] > min(seen.values())
    assert loss_of_weights(experiment, cell, diabetes) == pytest.approx(seen[203], rel=1e-9)


def test_a_loss_that_is_no_number_ends_in_one_line(diabetes, tmp_path):
    with pytest.raises(
        ValueError, match=r"^validation loss is (inf|nan) at step \d+ of seed 0, split 0; lower training"
    ) as caught:
        trained({"training.learning_rate": 1e30}, diabetes, tmp_path)
    assert "\n" not in str(caught.value)
    assert not cell_folder(tmp_path, 0, 0).exists()


def test_two_seeds_in_one_call_equal_each_alone(diabetes, tmp_path):
    changes = {"training.steps": 12}
    trained(changes | {"seeds": [0, 1]}, diabetes, tmp_path / "both")
    weights = []
    for seed in (0, 1):
        trained(changes | {"seeds": [seed]}, diabetes, tmp_path / "alone")
        both, alone = (cell_folder(tmp_path / name, seed, 0) for name in ("both", "alone"))
        weights.append((both / "model.safetensors").read_bytes())
        assert weights[-1] == (alone / "model.safetensors").read_bytes()
        assert validations(both) == validations(alone)
    assert weights[0] != weights[1]
