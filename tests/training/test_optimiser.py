"""Groups of the optimiser and their settings; Muon beside AdamW."""

import copy
import math
from functools import partial
from typing import Any

import pytest
import torch
from cards import card
from torch import nn
from torch.func import stack_module_state

from precisionflow.config import load, shipped
from precisionflow.config.agents import Agent
from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.learning import LearnedPrecision, PredictiveCoding, StudentTLaw
from precisionflow.config.likelihoods import CrossEntropy, GaussianNLL, Homoscedastic
from precisionflow.config.networks import MLP, Transformer
from precisionflow.config.optimiser import Groups
from precisionflow.config.training import Training
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.groups import parameter_groups
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.readout import precision_head_names
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.training.optimiser import StackedAdamW, optimiser, set_learning_rates
from precisionflow.training.population import initial
from precisionflow.training.rules.learner import learner
from precisionflow.training.rules.stacked_gradient import StackedGradient

TRAINING = Training(weight_decay=0.01, learning_rate=0.2, groups={"distribution": {"weight_decay": 0.5}})
NETWORKS = {
    "plain": (MLP(hidden=(4,)), GaussianNLL()),
    "separate heads": (MLP(hidden=(4,), separate_heads=True), GaussianNLL()),
    "one shared precision": (MLP(hidden=(4,)), Homoscedastic()),
}
MUON = Training(
    learning_rate=0.1,
    weight_decay=0.5,
    optimiser={"kind": "muon", "learning_rate": 0.02},
    groups={"attention": {"learning_rate_factor": 0.5, "weight_decay": 0.0}},
)


def network(name: str) -> nn.Module:
    config, likelihood = NETWORKS[name]
    return mlp(config, features=2, heads=density(likelihood).heads)


def language(**bricks: Any) -> nn.Module:
    """A tiny transformer whose attention learns a precision of every key."""
    torch.manual_seed(0)
    config = Transformer(
        blocks=1, heads=2, width=8, attention=Attention(potential=GaussianPerKey()), **bricks
    )
    return transformer(config, vocabulary=5, context=6, readout=partial(TokenReadout, classes=5))


def optimiser_of(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    return optimiser(model.named_parameters(), training, groups=parameter_groups(model))


def told(optimiser: torch.optim.Optimizer, named: dict[str, Any], key: str) -> dict[str, Any]:
    """name -> what its parameter group says."""
    name_of = {id(tensor): name for name, tensor in named.items()}
    return {name_of[id(p)]: group[key] for group in optimiser.param_groups for p in group["params"]}


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_precision_head_decays_by_its_own(name):
    model = network(name)
    named, head = dict(model.named_parameters()), precision_head_names(model)
    assert head
    assert all(".precision_head." in f".{of}" for of in head)
    made = optimiser_of(model, TRAINING)
    assert told(made, named, "weight_decay") == {of: 0.5 if of in head else 0.01 for of in named}
    assert len(made.param_groups) == 2


@pytest.mark.parametrize("own", [None, 0.01])
def test_like_settings_are_one_group_in_the_networks_order(own):
    model = network("plain")
    training = Training(weight_decay=0.01, groups={"distribution": {"weight_decay": own}})
    (group,) = optimiser_of(model, training).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert group["weight_decay"] == 0.01


@pytest.mark.parametrize("name", NETWORKS)
def test_stacked_networks_step_as_each_by_itself_also_after_one_has_left(name):
    """With gradients whose elements do not lie in order, and rates and decays that differ between groups."""
    training = Training(
        weight_decay=0.01,
        learning_rate=0.2,
        groups={"distribution": {"weight_decay": 0.5, "learning_rate_factor": 0.5}},
    )
    torch.manual_seed(0)
    models = [network(name) for _ in range(3)]
    alone = [optimiser_of(model, training) for model in models]
    groups = StackedGradient(models[0], objective(GaussianNLL())).groups
    weights = {of: w.detach().clone() for of, w in stack_module_state(models)[0].items()}
    together = StackedAdamW(weights, training, groups=groups)
    for step in range(8):
        share = 1 / (1 + step)
        if step == 4:
            stay = torch.tensor([0, 2])
            models, alone = [models[0], models[2]], [alone[0], alone[2]]
            weights, before = {of: w[stay] for of, w in weights.items()}, together
            together = StackedAdamW(weights, training, groups=groups)
            together.state = before.state_of(stay)
        gradients = {
            of: torch.randn(*w.shape[::-1]).permute(*range(w.ndim)[::-1]) for of, w in weights.items()
        }
        together.step(gradients, share=share)
        for place, (model, its) in enumerate(zip(models, alone, strict=True)):
            for of, parameter in model.named_parameters():
                parameter.grad = gradients[of][place].contiguous()
            set_learning_rates(its, share)
            its.step()
            for of, parameter in model.named_parameters():
                torch.testing.assert_close(weights[of][place], parameter.detach(), rtol=1e-6, atol=1e-7)


def test_a_weight_without_gradient_shrinks_by_its_groups_decay_and_rate():
    """AdamW: w <- w (1 - rate decay)."""
    model = network("plain")
    halved = {"distribution": {"weight_decay": 0.5, "learning_rate_factor": 0.5}}
    made = optimiser_of(model, Training(weight_decay=0.01, learning_rate=0.2, groups=halved))
    named, head = dict(model.named_parameters()), precision_head_names(model)
    for parameter in named.values():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    set_learning_rates(made, 0.5)
    made.step()
    for name, parameter in named.items():
        shrunk = 0.05 * 0.5 if name in head else 0.1 * 0.01
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 1 - shrunk))


def test_every_part_of_a_transformer_is_in_its_group():
    """By the module that holds a parameter; what states a precision is apart."""
    found = parameter_groups(language(positions="learned"))
    attention, feed_forward = "layers.1.branch", "layers.2.branch"
    assert found["layers.0.tokens.weight"] == found["layers.0.positions.embedding.weight"] == "embedding"
    assert found["layers.1.norm.weight"] == found[f"{attention}.mix.weight"] == "attention"
    assert found[f"{attention}.potential.queries_keys.norm.gain"] == "attention"
    assert found[f"{attention}.potential.precision.log_precision.weight"] == "precision"
    assert found["layers.2.norm.weight"] == found[f"{feed_forward}.0.weight"] == "feed_forward"
    assert found["readout.0.weight"] == found["readout.1.weight"] == "readout"


def test_parameters_of_an_error_law_are_those_of_a_distribution():
    learned = PredictiveCoding(law=StudentTLaw(shape="learned"), precision=LearnedPrecision())
    taught = learner(language(), objective(CrossEntropy()), learned)
    groups = {of for name, of in parameter_groups(taught).items() if name.startswith("rule.")}
    assert groups == {"distribution"}


@pytest.mark.parametrize(
    "name", [name for name in sorted(shipped()) if not isinstance(load(name).model, Agent)]
)
def test_every_parameter_of_a_shipped_network_has_one_group_and_one_optimiser(name):
    """An agent counts: nothing of it is optimised."""
    experiment = load(name)
    model = initial(experiment, card(features=1024, buckets=12_000))
    groups, named = parameter_groups(model), dict(model.named_parameters())
    assert groups.keys() == named.keys()
    assert set(groups.values()) <= Groups.model_fields.keys()
    made = optimiser(named.items(), experiment.training, groups=groups)
    taken = [id(p) for group in made.param_groups for p in group["params"]]
    assert sorted(taken) == sorted(map(id, named.values()))


def test_muon_takes_the_matrices_of_attention_and_feed_forward_layers_alone():
    model = language()
    named = dict(model.named_parameters())
    made = optimiser_of(model, MUON)
    muon = {name for name, of in told(made, named, "muon").items() if of}
    within = "layers.1.branch.{}.weight", "layers.2.branch.{}.weight"
    expected = {within[0].format(of) for of in ("potential.queries_keys", "value.values", "mix")}
    assert muon == expected | {within[1].format(of) for of in (0, 2)}
    rates, decays = told(made, named, "peak"), told(made, named, "weight_decay")
    assert rates["layers.1.branch.mix.weight"] == 0.01
    assert rates["layers.1.branch.mix.bias"] == 0.05
    assert rates["layers.2.branch.0.weight"] == 0.02
    slow = MUON.groups.precision.learning_rate_factor
    assert rates["layers.1.branch.potential.precision.log_precision.weight"] == pytest.approx(slow * 0.1)
    assert slow < 1
    assert rates["layers.0.tokens.weight"] == rates["readout.1.weight"] == 0.1
    assert decays["layers.1.branch.mix.weight"] == 0.0
    assert decays["layers.2.branch.0.weight"] == 0.5


def test_muon_moves_a_matrix_by_the_nearest_orthogonal_one_to_its_momentum():
    """U V^T of the Nesterov momentum's U S V^T, but for singular values that are only near 1."""
    model = language()
    made = optimiser_of(model, MUON)
    wide = model.get_parameter("layers.2.branch.0.weight")
    others = [p for p in model.parameters() if p is not wide]
    momentum, generator = torch.zeros_like(wide), torch.Generator().manual_seed(1)
    for rate in (0.5, 1.0):
        for p in others:
            p.grad = torch.zeros_like(p)
        wide.grad = torch.randn(wide.shape, generator=generator)
        momentum = 0.95 * momentum + 0.05 * wide.grad
        before = wide.detach().clone()
        set_learning_rates(made, rate)
        made.step()
        left, _, right = torch.linalg.svd(0.05 * wide.grad + 0.95 * momentum, full_matrices=False)
        kept = before * (1 - rate * 0.02 * 0.5)
        moved = (kept - wide.detach()) / (rate * 0.02 * math.sqrt(32 / 8))
        singular = torch.linalg.svdvals(moved)
        assert ((singular > 0.65) & (singular < 1.25)).all()
        along = left.T @ moved @ right.T
        assert torch.linalg.norm(along - torch.diag(along.diagonal())) < 0.05 * torch.linalg.norm(along)


def test_muon_beside_adamw_goes_on_from_its_state_with_the_same_bits():
    models = [language(), language()]
    first, second = (optimiser_of(model, MUON) for model in models)

    def step(model: nn.Module, made: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=generator)
        made.step()

    step(models[0], first, 1)
    models[1].load_state_dict(models[0].state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for model, made in zip(models, (first, second), strict=True):
        step(model, made, 2)
    for mine, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(mine, other)
