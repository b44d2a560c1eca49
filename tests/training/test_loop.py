"""The loop: learning rate, validation, early stopping of one and of many, clipping, numbers that are none."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from on_ranks import engine_of
from safetensors.torch import load_file

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.config.training import Training
from precisionflow.data.prepare import prepare
from precisionflow.inference.predictive_coding.calibration import NO_ERRORS
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.training.batches import part_batches
from precisionflow.training.checkpoint import Checkpoints
from precisionflow.training.divergence import DivergedError
from precisionflow.training.engines.engine import Engine
from precisionflow.training.loop import train as train_networks
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.monitored import AttentionRow, Monitored, SettlingRow
from precisionflow.training.schedule import (
    checkpoint_due,
    monitor_due,
    next_stop,
    share_of_peak,
    validation_due,
)
from precisionflow.training.standing import Interval, Standing
from precisionflow.training.train import train


def test_the_learning_rate_is_constant_without_warm_up_and_schedule():
    assert {share_of_peak(step, Training(steps=9)) for step in range(9)} == {1.0}


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_tenth():
    training = Training(steps=101, warmup_steps=10, schedule="cosine")
    rates = [share_of_peak(step, training) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1)
    assert all(after < before for before, after in itertools.pairwise(rates[10:]))


def test_a_cosine_of_one_step_is_the_peak():
    assert share_of_peak(0, Training(steps=1, schedule="cosine")) == 1.0


def test_the_rate_stays_and_then_falls_to_zero_in_a_line():
    training = Training(steps=20, warmup_steps=2, schedule="warmup_stable_decay", decay_share=0.25)
    rates = [share_of_peak(step, training) for step in range(21)]
    assert rates == pytest.approx([0.5, *[1.0] * 15, 0.8, 0.6, 0.4, 0.2, 0.0][:21])


@pytest.mark.parametrize(
    ("validate_every", "monitor_every", "checkpoint_every"),
    [(4, None, 5), (3, 2, 3), (50, 9, 1), (1, 40, None), (7, 23, 100)],
)
def test_the_loop_stops_where_something_is_due_and_nowhere_else(
    validate_every, monitor_every, checkpoint_every
):
    training = Training(
        steps=23,
        validate_every=validate_every,
        monitor_every=monitor_every,
        checkpoint_every=checkpoint_every,
    )
    are_due = validation_due, monitor_due, checkpoint_due
    due = [step for step in range(1, 24) if any(of(step, training) for of in are_due)]
    stops, step = [], 0
    while step < 23:
        step = next_stop(step, training)
        stops.append(step)
    assert stops == due
    assert stops[-1] == 23
    assert not checkpoint_due(23, training)
    assert monitor_due(23, training) is (monitor_every is not None)


@pytest.mark.parametrize(("every", "steps"), [(None, []), (5, [5, 10, 12]), (4, [4, 8, 12])])
def test_what_settles_is_seen_after_every_so_many_steps_and_at_the_end(every, steps, tmp_path):
    engine, standing, _ = train_scripted(
        [[1.0], [2.0]], tmp_path, steps=12, validate_every=12, monitor_every=every
    )
    assert engine.monitored_at == steps
    for outcome in standing.outcomes:
        seen = [(step, value) for step, name, value in outcome.history if name == "gradient_cosine"]
        assert seen == [(step, 0.5) for step in steps]
        assert [row.step for row in outcome.settling] == steps
        assert [row.step for row in outcome.attention] == steps


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
    engine.step(engine.feed.batch(0), 0)
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
        ValueError,
        match=r"^training loss is not finite at step \d+ of seed 0, split 0; lower training.* "
        r"\(first output that is not finite: (layers\.0|readout|the loss).*; last finite validation: none; "
        r"no checkpoint\)$",
    ) as caught:
        trained({"training.learning_rate": 1e30}, diabetes, tmp_path)
    assert "\n" not in str(caught.value)
    assert not cell_folder(tmp_path, 0, 0).exists()


def test_predictive_coding_that_diverges_names_its_own_settings(diabetes, tmp_path):
    learning = {
        "kind": "predictive_coding",
        "iterations": 40,
        "step_size": 40.0,
        "precision": {"value": 1e-3},
    }
    with pytest.raises(
        ValueError,
        match=r"^learning.step_size: given 40; iteration 1 raised .*; lower learning.step_size, raise lea",
    ):
        trained({"learning": learning, "training.gradient_clip": None}, diabetes, tmp_path)


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


class Scripted:
    """An `Engine` whose networks have the validation losses that a test gives; it remembers what is asked of it."""

    measures: ClassVar[tuple[str, ...]] = ("train_loss",)

    def __init__(self, losses: Sequence[Sequence[float]], broken: Mapping[int, int]) -> None:
        """`losses[network][validation]`; `broken`: network -> step from which its training losses are none."""
        self.losses = losses
        self.broken = broken
        self.count = len(losses)
        self.networks = list(range(self.count))
        self.seen = 0
        self.kept: dict[int, int] = {}
        """network -> validation whose weights are kept."""
        self.left: list[list[int]] = []
        self.advanced: list[tuple[int, int]] = []
        self.saved: list[int] = []
        self.monitored_at: list[int] = []

    def advance(self, first: int, last: int, interval: Interval) -> None:
        self.advanced.append((first, last))
        for step in range(first, last):
            each = [
                n if step + 1 < self.broken.get(n, last + 1) else math.nan for n in map(float, self.networks)
            ]
            interval.add(torch.tensor(each)[:, None], seconds=0.0)

    def validate(self, going: torch.Tensor) -> torch.Tensor:
        assert len(going) == len(self.networks)
        self.seen += 1
        now = [self.losses[network][self.seen - 1] for network in self.networks]
        return torch.tensor(now, dtype=torch.float64)

    def keep(self, which: torch.Tensor) -> None:
        self.kept |= {n: self.seen for n, kept in zip(self.networks, which.tolist(), strict=True) if kept}

    def monitored(self, step: int) -> list[Monitored]:
        self.monitored_at.append(step)
        row = SettlingRow(step, 3, [2.0], [], [], [], 0.5, *NO_ERRORS)
        return [Monitored(1, 0.5, [row]) for _ in self.networks]

    def profiled(self) -> list[dict[str, float]]:
        return []

    def attended(self, step: int) -> list[list[AttentionRow]]:
        return [[AttentionRow(step, 0, 1, 2, 3, 0.5, 0.25)] for _ in self.networks]

    def not_finite(self, place: int, *, step: int | None) -> str:  # noqa: ARG002
        return f"layer of {self.networks[place]}"

    def leave(self, gone: torch.Tensor) -> None:
        flags = gone.tolist()
        self.left.append([n for n, out in zip(self.networks, flags, strict=True) if out])
        self.networks = [n for n, out in zip(self.networks, flags, strict=True) if not out]

    def weights(self) -> list[dict[str, torch.Tensor]]:
        return [{} for _ in self.losses]

    def out_of_fold(self) -> list[torch.Tensor]:
        return []

    def save(self, folder: Path) -> None:
        (folder / "state").write_text(str(self.seen))
        self.saved.append(self.advanced[-1][1])

    def close(self) -> None:
        pass


def train_scripted(
    losses: Sequence[Sequence[float]],
    folder: Path,
    standing: Standing | None = None,
    *,
    broken: Mapping[int, int] | None = None,
    **training: Any,
) -> tuple[Scripted, Standing, dict[int, list[int]]]:
    """The engine, where its training stands at the end, and step -> networks that were reported."""
    engine, told = Scripted(losses, broken or {}), {}
    assert isinstance(engine, Engine)
    standing = train_networks(
        engine,
        standing or Standing.start(engine.count, measures=1),
        training=Training(**training),
        ranks=Ranks(),
        checkpoints=Checkpoints(folder, key="key", ranks=Ranks()),
        report=lambda step, networks, _measured: told.update({step: list(networks)}),
        names=[f"network {n}" for n in range(engine.count)],
        remedy="lower training.learning_rate",
    )
    return engine, standing, told


def test_every_network_stops_by_its_own_validations_and_laggards_go_on_alone(tmp_path):
    falling = [10.0 - n for n in range(8)]
    rising = [1.0, *(2.0 + n for n in range(7))]
    losses = [falling, rising, falling, falling, falling, rising]
    engine, standing, told = train_scripted(
        losses, tmp_path, steps=80, validate_every=10, patience=2, checkpoint_every=80
    )
    assert engine.left == [[1, 5], [0, 2, 3, 4]], (
        "two of six have stopped at validation 3: fewer than 0.8 go on"
    )
    assert told == {s: [0, 1, 2, 3, 4, 5] if s <= 30 else [0, 2, 3, 4] for s in range(10, 90, 10)}
    assert engine.kept == {0: 8, 1: 1, 2: 8, 3: 8, 4: 8, 5: 1}
    assert [(of.loss, of.steps) for of in standing.outcomes] == [
        (1.0, 30) if n in (1, 5) else (3.0, 80) for n in range(6)
    ]
    validated = [step for step, name, _ in standing.outcomes[1].history if name == "validation_loss"]
    assert validated == [10, 20, 30]


def test_a_few_that_have_stopped_stay_until_they_are_worth_it(tmp_path):
    falling = [10.0 - n for n in range(4)]
    losses = [falling] * 9 + [[1.0, 2.0, 3.0, 0.5]]
    engine, standing, told = train_scripted(losses, tmp_path, steps=40, validate_every=10, patience=1)
    assert engine.left == [list(range(10))], "one of ten is no more than a fifth"
    assert told[40] == list(range(10))
    assert (standing.outcomes[9].loss, standing.outcomes[9].steps) == (1.0, 20)
    assert engine.kept[9] == 1, "the better loss after its patience came too late"
    assert max(step for step, *_ in standing.outcomes[9].history) == 20


def test_when_all_have_stopped_training_ends(tmp_path):
    engine, standing, _ = train_scripted(
        [[1.0, 2.0, 3.0]] * 3, tmp_path, steps=900, validate_every=10, patience=2
    )
    assert engine.advanced[-1] == (20, 30)
    assert [of.steps for of in standing.outcomes] == [30] * 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_network_whose_loss_is_no_number_is_named(value, tmp_path):
    losses = [[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, value]]
    with pytest.raises(
        ValueError,
        match=rf"^validation loss is {value} at step 40 of network 2; lower training[^(]*"
        r" \(first output that is not finite: layer of 2; last finite validation: step 30; "
        r"a checkpoint of step 28 is in .*\)$",
    ):
        train_scripted(losses, tmp_path, steps=40, validate_every=10, patience=1)


@pytest.mark.parametrize("step", [1, 2, 10, 11, 17, 20, 21, 40])
def test_the_step_whose_training_loss_is_first_not_finite_is_named(step, tmp_path):
    """Two networks break, and the loop looks after steps 8, 10, 16, 20, 24 and so on."""
    good = (step - 1) // 10 * 10
    last = f"step {good}; a checkpoint of step {good // 8 * 8} is in .*" if good else "none; no checkpoint"
    remedy = "no step was taken before it: .*" if step == 1 else "lower training.learning_rate"
    with pytest.raises(
        DivergedError,
        match=rf"^training loss is not finite at step {step} of network 1; {remedy} "
        rf"\(first output that is not finite: layer of 1; last finite validation: {last}\)$",
    ):
        train_scripted(
            [[1.0] * 4] * 3,
            tmp_path,
            steps=40,
            validate_every=10,
            checkpoint_every=8,
            broken={1: step, 2: step + 1},
        )


def test_a_network_that_has_stopped_may_break_as_it_likes(tmp_path):
    """One of ten, which stays with those that go on; checkpoints are written meanwhile."""
    falling = [10.0 - n for n in range(4)]
    losses = [falling] * 9 + [[1.0, 2.0, math.nan, math.nan]]
    engine, standing, _ = train_scripted(
        losses, tmp_path, steps=40, validate_every=10, patience=1, broken={9: 21}
    )
    assert engine.left == [list(range(10))]
    assert (standing.outcomes[9].loss, standing.outcomes[9].steps) == (1.0, 20)
    assert all(math.isfinite(value) for of in standing.outcomes for _, _, value in of.history)
    assert Standing.read(tmp_path / "step-36").outcomes[9].history == standing.outcomes[9].history


def test_means_of_an_interval_are_of_the_networks_that_are_left(tmp_path):
    losses = [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]
    _, standing, _ = train_scripted(losses, tmp_path, steps=30, validate_every=10, patience=1)
    for network, outcome in enumerate(standing.outcomes):
        assert {value for _, name, value in outcome.history if name == "train_loss"} == {float(network)}


def test_checkpoints_are_written_when_due_but_not_at_the_end(tmp_path):
    losses = [[4.0, 3.0, 2.0]] * 2
    engine, _, _ = train_scripted(losses, tmp_path, steps=12, validate_every=4, checkpoint_every=5)
    assert engine.advanced == [(0, 4), (4, 5), (5, 8), (8, 10), (10, 12)]
    assert engine.saved == [5, 10]
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-10", "step-5"], (
        "no validation has followed the newest"
    )
    resumed = Standing.read(tmp_path / "step-10")
    assert (resumed.step, resumed.interval.steps) == (10, 2)
    engine, standing, told = train_scripted(
        [[2.0]] * 2, tmp_path, resumed, steps=12, validate_every=4, checkpoint_every=5
    )
    assert engine.advanced == [(10, 12)]
    assert told == {12: [0, 1]}
    assert [entry[0] for entry in standing.outcomes[0].history if entry[1] == "validation_loss"] == [4, 8, 12]


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, 11, 13])
@pytest.mark.parametrize("validate_every", [3, 4, 10])
def test_the_newest_checkpoint_before_the_last_finite_validation_is_left_and_gone_on_from(
    every, validate_every, tmp_path, monkeypatch
):
    """At most one more lies there while it trains, none after it diverged."""
    bad = next(step for step in range(21, 40) if step % validate_every == 0)
    losses = [[math.nan if step >= bad else 1.0 for step in range(validate_every, 41, validate_every)]]
    lying, save = [], Checkpoints.save

    def told(self, standing, save_engine, **others):
        save(self, standing, save_engine, **others)
        lying.append([int(path.name.removeprefix("step-")) for path in tmp_path.glob("step-*")])

    monkeypatch.setattr(Checkpoints, "save", told)
    with pytest.raises(DivergedError) as caught:
        train_scripted(losses, tmp_path, steps=40, validate_every=validate_every, checkpoint_every=every)
    last = bad - validate_every
    good = last // every * every
    left = [path.name for path in tmp_path.glob("step-*")]
    assert left == ([f"step-{good}"] if good else [])
    named = f"a checkpoint of step {good} is in {tmp_path / f'step-{good}'}" if good else "no checkpoint"
    assert str(caught.value).endswith(f"last finite validation: step {last}; {named})")
    assert all(len(steps) <= 2 for steps in lying)
    assert [max(steps) for steps in lying] == list(range(every, bad, every))
    latest = Checkpoints(tmp_path, key="key", ranks=Ranks()).latest()
    assert latest == (tmp_path / f"step-{good}" if good else None)


@pytest.mark.parametrize(("fails", "last"), [(3, 0), (23, 20), (39, 30)])
def test_what_settling_breaks_leaves_the_same_checkpoint(fails, last, tmp_path, monkeypatch):
    advance = Scripted.advance

    def unsettled(self, first, stop, interval):
        if first < fails <= stop:
            raise Unsettled("learning.step_size: raised")
        advance(self, first, stop, interval)

    monkeypatch.setattr(Scripted, "advance", unsettled)
    with pytest.raises(Unsettled) as caught:
        train_scripted([[1.0] * 4], tmp_path, steps=40, validate_every=10, checkpoint_every=3)
    good = last // 3 * 3
    named = f"a checkpoint of step {good} is in {tmp_path / f'step-{good}'}" if good else "no checkpoint"
    assert str(caught.value).endswith(
        f"raised (last finite validation: {f'step {last}' if last else 'none'}; {named})"
    )
    assert [path.name for path in tmp_path.glob("step-*")] == ([f"step-{good}"] if good else [])


def test_by_default_a_tenth_of_the_steps_lies_between_checkpoints(tmp_path):
    engine, _, _ = train_scripted([[1.0]], tmp_path, steps=25, validate_every=25)
    assert engine.saved == list(range(3, 25, 3))
