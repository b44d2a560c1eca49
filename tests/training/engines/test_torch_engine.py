"""Plain torch: several optimiser steps on a batch, and parameters that a rule or an error law has of its own."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from on_ranks import AVERAGED, EVERY, LEARNED_LAW, PREDICTIVE_CODING, TRAINING, engine_of
from rules_of_tests import STEPS_OF_A_BATCH, SeveralSteps
from torch import Tensor, nn

from precisionflow.config import resolve
from precisionflow.models.attention.potentials.laplace_by_channel import LaplaceByChannel
from precisionflow.training.engines.torch_engine import Torch
from precisionflow.training.ranks import Ranks

LEARNING_RATE = 0.01


def engine(text_tree, text_data, rule: nn.Module | None, resume: Path | None = None) -> Torch:
    found = engine_of(resolve(text_tree), text_data, Ranks(), resume, rule=rule)
    assert isinstance(found, Torch)
    return found


def parameters(of: Torch) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in of.learner.named_parameters()}


def test_a_closed_engine_holds_no_weight(text_tree, text_data):
    mine = engine(text_tree | {"training": AVERAGED}, text_data, None)
    mine.step(mine.feed.batch(0), 0)
    held = weakref.ref(mine.learner.model.readout)
    weight = weakref.ref(next(mine.learner.parameters()))
    mine.close()
    gc.collect()
    assert held() is None
    assert weight() is None


def test_dropped_units_stay_dropped_where_a_branch_is_computed_again(text_tree, text_data):
    """In the backward pass another part may have been drawn, or none."""
    losses = []
    for recompute in (False, True):
        model = text_tree["model"] | {"dropout": 0.3, "recompute": recompute, "zero_projections": False}
        tree = text_tree | {"model": model, "training": AVERAGED}
        mine = engine(tree, text_data, None)
        losses.append([mine.step(mine.feed.batch(step), step)[0].item() for step in range(3)])
        mine.close()
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    undropped = engine(text_tree | {"training": AVERAGED}, text_data, None)
    assert undropped.step(undropped.feed.batch(0), 0)[0].item() != pytest.approx(losses[0][0], rel=1e-4)


def test_several_steps_on_a_batch_are_that_many_of_adamw(text_tree, text_data):
    alike = {"precision": {"learning_rate_factor": 1.0}}
    tree = text_tree | {"training": TRAINING | {"groups": alike}}
    mine, by_hand = (engine(tree, text_data, SeveralSteps()) for _ in range(2))
    model, rule, losses = by_hand.learner.model, by_hand.learner.rule, by_hand.learner.objective
    learned = [*model.parameters(), *rule.parameters()]
    optimiser = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    for step in range(2):
        batch = mine.feed.batch(step)
        first = mine.step(batch, step)
        seen = []
        for _ in range(STEPS_OF_A_BATCH):
            loss = losses.negative_log_likelihood(model(batch.inputs), batch.target).mean()
            optimiser.zero_grad()
            rule.surrogate(loss).backward()
            nn.utils.clip_grad_norm_(learned, by_hand.training.gradient_clip)
            optimiser.step()
            seen.append(loss.detach())
        assert first[0] == seen[0], "the loss of a batch is that before its first step"
        assert seen[1] < seen[0]
    for name, expected in parameters(by_hand).items():
        assert torch.equal(parameters(mine)[name], expected), name
    (counted,) = {int(state["step"]) for state in mine.optimiser.state.values()}
    assert counted == 2 * STEPS_OF_A_BATCH


@pytest.mark.parametrize(
    "learning",
    [
        *({"precision": {"kind": "learned", "per": per}} for per in ("layer", "channel", "head", "position")),
        {"precision": {"kind": "predicted"}},
        {"precision": {"kind": "learned"}, "law": {"kind": "student_t", "shape": "learned"}},
        {"precision": {"kind": "learned"}, "law": {"kind": "mixture", "shape": "learned"}},
        {"precision": {"kind": "learned", "initial": 10.0, "highest": 20.0}},
    ],
)
def test_a_clip_bounds_the_gradient_of_the_weights_whatever_a_law_learns(learning, text_tree, text_data):
    """With a share in the norm that grows with the layers, a learned precision would shorten the weights' steps."""
    clip = 0.2
    tree = {"learning": PREDICTIVE_CODING | learning, "training": TRAINING | {"gradient_clip": clip}}
    mine = engine(text_tree | tree, text_data, None)
    mine.step(mine.feed.batch(0), 0)
    norm = nn.utils.get_total_norm([p.grad for p in mine.network.parameters() if p.grad is not None])
    assert float(norm) == pytest.approx(clip, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "learning", "rule"),
    [
        ("rule.log_weight", {}, SeveralSteps),
        ("rule.laws.layers.0.precision.offset", {"learning": LEARNED_LAW}, lambda: None),
    ],
)
def test_a_parameter_of_a_rule_or_a_law_is_trained_saved_and_restored(
    name, learning, rule, text_tree, text_data, tmp_path
):
    tree = text_tree | learning
    first = engine(tree, text_data, rule())
    before = parameters(first)[name]
    assert any(
        p is first.learner.get_parameter(name) for g in first.optimiser.param_groups for p in g["params"]
    )
    for step in range(3):
        first.step(first.feed.batch(step), step)
    first.save(tmp_path)
    saved = parameters(first)
    assert (saved[name] - before).abs().max() > 0.01
    assert name not in first.whole_weights(), "the weights of a cell are those of its network"

    resumed = engine(tree, text_data, rule(), resume=tmp_path)
    assert torch.equal(parameters(resumed)[name], saved[name])
    for going in (first, resumed):
        going.step(going.feed.batch(3), 3)
    for key, expected in parameters(first).items():
        assert torch.equal(parameters(resumed)[key], expected), key
    assert not torch.equal(parameters(first)[name], saved[name])


def test_the_lesson_of_a_learned_law_teaches_through_its_surrogate_alone(text_tree, text_data):
    of = engine(text_tree | {"learning": LEARNED_LAW}, text_data, None)
    of.learner.train()
    lesson = of.learner(of.feed.batch(0))
    assert not lesson.loss.requires_grad
    assert not lesson.energy.requires_grad
    lesson.surrogate.backward()
    for name, parameter in of.learner.get_submodule("rule.laws").named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_the_running_mean_is_that_of_a_loop_by_hand(text_tree, text_data, tmp_path):
    """Validated and kept is the mean; a checkpoint keeps both, bit for bit."""
    averaged = text_tree | {"training": AVERAGED | {"accumulate": 1, "average": 0.3}}
    plain, mine = engine(text_tree, text_data, None), engine(averaged, text_data, None)
    mean = plain.whole_weights()
    for step in range(5):
        plain.step(plain.feed.batch(step), step)
        mine.step(mine.feed.batch(step), step)
        share = 1 - min(0.3, (step + 1) / (step + 10))
        mean = {name: mean[name] + share * (now - mean[name]) for name, now in plain.whole_weights().items()}
    before = plain.whole_weights()
    plain.learner.model.load_state_dict(mean)
    assert mine.validate(EVERY).tolist() == pytest.approx([plain.validation_loss()])
    for name, weight in mine.whole_weights().items():
        assert torch.equal(weight, before[name]), "after validation the weights are what they were"
    mine.leave(EVERY)
    for name, weight in mine.weights()[0].items():
        torch.testing.assert_close(weight, mean[name])
    mine.save(tmp_path)
    resumed = engine(averaged, text_data, None, resume=tmp_path)
    for going in (mine, resumed):
        going.step(going.feed.batch(5), 5)
    assert mine.validate(EVERY).tolist() == resumed.validate(EVERY).tolist()


def test_compiled_are_the_layers_and_the_readout_each(text_tree, text_data, monkeypatch):
    """In place, so that predictive coding, which calls layers one by one, runs them compiled too."""
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    laplace = text_tree["model"] | {"attention": {"potential": {"kind": "laplace_by_channel"}}}
    tree = text_tree | {"model": laplace, "engine": {"kind": "torch", "device": "cpu", "compile": True}}
    model = engine(tree, text_data, None).learner.model
    assert compiled == [*model.layers, model.readout]
    lowerings = [of.lowering for of in model.modules() if isinstance(of, LaplaceByChannel)]
    assert lowerings
    assert all(lowering.compiled for lowering in lowerings)
    compiled.clear()
    engine(text_tree, text_data, None)
    assert not compiled
