"""Groups of the optimiser: one for each weight decay, the precision head's apart where it has its own."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import stack_module_state

from precisionflow.config.likelihoods import GaussianNLL, Homoscedastic
from precisionflow.config.networks import MLP
from precisionflow.config.training import Training
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.readout import precision_head_names
from precisionflow.training.optimiser import adamw, set_learning_rate
from precisionflow.training.rules.stacked_gradient import StackedGradient

TRAINING = Training(weight_decay=0.01, learning_rate=0.2)
NETWORKS = {
    "plain": (MLP(hidden=(4,)), GaussianNLL()),
    "separate heads": (MLP(hidden=(4,), separate_heads=True), GaussianNLL()),
    "one shared precision": (MLP(hidden=(4,)), Homoscedastic()),
}


def network(name: str) -> nn.Module:
    config, likelihood = NETWORKS[name]
    return mlp(config, features=2, heads=density(likelihood).heads)


def decays(optimiser: torch.optim.Optimizer, named: dict[str, Any]) -> dict[str, float]:
    """name -> weight decay of its group."""
    name_of = {id(tensor): name for name, tensor in named.items()}
    return {
        name_of[id(p)]: group["weight_decay"] for group in optimiser.param_groups for p in group["params"]
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_precision_head_decays_by_its_own(name):
    model = network(name)
    named, head = dict(model.named_parameters()), precision_head_names(model)
    assert head
    assert all(".precision_head." in f".{of}" for of in head)
    optimiser = adamw(named.items(), TRAINING, precision_head=head, precision_weight_decay=0.5)
    assert decays(optimiser, named) == {of: 0.5 if of in head else 0.01 for of in named}
    assert len(optimiser.param_groups) == 2


@pytest.mark.parametrize("own", [None, 0.01])
def test_one_decay_is_one_group_in_the_networks_order(own):
    model = network("plain")
    head = precision_head_names(model)
    optimiser = adamw(model.named_parameters(), TRAINING, precision_head=head, precision_weight_decay=own)
    (group,) = optimiser.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert group["weight_decay"] == 0.01


def test_no_decay_of_the_precision_head_is_a_decay_of_its_own():
    model = network("plain")
    named, head = dict(model.named_parameters()), precision_head_names(model)
    optimiser = adamw(named.items(), TRAINING, precision_head=head, precision_weight_decay=0.0)
    assert {decays(optimiser, named)[of] for of in head} == {0.0}


@pytest.mark.parametrize("name", NETWORKS)
def test_stacked_networks_have_the_groups_of_one(name):
    models = [network(name) for _ in range(3)]
    stacked, _ = stack_module_state(models)
    rule = StackedGradient(models[0], objective(GaussianNLL(precision_weight_decay=0.5)))
    optimiser = adamw(
        stacked.items(),
        TRAINING,
        precision_head=rule.precision_head,
        precision_weight_decay=rule.precision_weight_decay,
    )
    one = dict(models[0].named_parameters())
    alone = adamw(
        one.items(), TRAINING, precision_head=precision_head_names(models[0]), precision_weight_decay=0.5
    )
    assert decays(optimiser, stacked) == decays(alone, one)


def test_a_weight_without_gradient_shrinks_by_its_groups_decay():
    """AdamW: w <- w (1 - rate decay)."""
    model = network("plain")
    named, head = dict(model.named_parameters()), precision_head_names(model)
    optimiser = adamw(named.items(), TRAINING, precision_head=head, precision_weight_decay=0.5)
    for parameter in named.values():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    set_learning_rate(optimiser, 0.1)
    optimiser.step()
    for name, parameter in named.items():
        decay = 0.5 if name in head else 0.01
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 1 - 0.1 * decay))
