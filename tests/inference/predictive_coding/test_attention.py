"""Attention of every kind as a layer of predictive coding: one small step from zero is parallel to backprop."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.base import members_of
from precisionflow.config.learning import FixedPrecision, LearnedPrecision, PredictiveCoding
from precisionflow.config.likelihoods import CrossEntropy
from precisionflow.config.networks import Transformer
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner

VOCABULARY, CONTEXT = 5, 6
EXPANDING = config.Expanding(step=2, tolerance=0.0)
KINDS = [
    *(config.Attention(potential=kind()) for kind in members_of(config.Potential)),
    config.Attention(temperature=2.0),
    config.Attention(edges=config.Independent()),
    *(config.Attention(value=kind()) for kind in members_of(config.Value) if kind is not config.Neighbour),
    config.Attention(prior=config.Geometric(), edges=EXPANDING),
    config.Attention(prior=config.Geometric(), edges=EXPANDING, value=config.Multihop()),
]
"""Every potential, every kind of edges, every value."""


@pytest.fixture(
    params=KINDS, ids=lambda of: f"{of.potential.kind}-{of.edges.kind}-{of.value.kind}-{of.temperature}"
)
def language(request):
    """A tiny transformer in double precision whose weights are all at work, and a batch."""
    torch.manual_seed(0)
    described = Transformer(blocks=2, heads=2, width=8, attention=request.param, zero_projections=False)
    readout = partial(TokenReadout, classes=VOCABULARY)
    model = transformer(described, vocabulary=VOCABULARY, context=CONTEXT, readout=readout).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    windows = torch.randint(0, VOCABULARY, (3, CONTEXT + 1))
    return model, Batch(windows[:, :-1], windows[:, 1:])


def direction(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.flatten() / gradient.norm()


def test_every_kind_of_edges_and_of_values_is_here():
    edges = members_of(config.Attention.model_fields["edges"].annotation)
    assert {type(of.edges) for of in KINDS} == set(edges)
    assert {type(of.value) for of in KINDS} == set(members_of(config.Value))


@pytest.mark.parametrize("per", ["layer", "head"])
def test_one_small_step_teaches_each_layer_in_the_direction_of_backprop(language, per):
    """Queries, keys, precisions, temperatures and prior numbers of attention among them."""
    model, batch = language
    precision = {
        "layer": FixedPrecision(value=2.0),
        "head": LearnedPrecision(per="head", initial=2.0, lowest=0.1, highest=100.0),
    }[per]
    coding = PredictiveCoding(precision=precision, iterations=1, step_size=1e-5)
    lesson = learner(model, objective(CrossEntropy()), coding).double()(batch)
    names, weights = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(lesson.surrogate, weights)
    losses = objective(CrossEntropy()).negative_log_likelihood(model(batch.inputs), batch.target)
    backprop = torch.autograd.grad(losses.mean(), weights)
    for name, mine, reference in zip(names, found, backprop, strict=True):
        assert reference.abs().max() > 1e-8, name
        # torch's own cosine adds a number beside which these gradients are small
        assert torch.dot(direction(mine), direction(reference)) > 1 - 1e-6, name
    assert any("potential" in name for name in names)
