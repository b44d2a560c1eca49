"""Predictive coding against backprop, autograd and the closed form of a linear network."""

import itertools

import pytest
import torch
from torch import nn

from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.learning import Backpropagation, PredictiveCoding
from precisionflow.config.likelihoods import CrossEntropy, GaussianNLL
from precisionflow.config.networks import MLP, Transformer
from precisionflow.inference.predictive_coding.energy import (
    local_surrogate,
    losses_under_errors,
    prior_energy,
)
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.likelihoods import heads
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import transformer
from precisionflow.training.learner import learner
from precisionflow.training.objectives import cross_entropy, validation_losses

VOCABULARY, CONTEXT = 7, 6


@pytest.fixture
def language():
    """A tiny transformer in double precision, a batch, and its loss."""
    torch.manual_seed(0)
    part = Transformer(blocks=2, heads=2, width=8, attention=Attention(potential=GaussianPerKey()))
    model = transformer(part, vocabulary=VOCABULARY, context=CONTEXT).double()
    windows = torch.randint(0, VOCABULARY, (3, CONTEXT + 1))
    return model, windows[:, :-1], windows[:, 1:], cross_entropy


@pytest.fixture
def regression():
    torch.manual_seed(0)
    model = mlp(MLP(hidden=(6, 5)), features=4, asked=heads(GaussianNLL())).double()
    inputs = torch.randn(9, 4, dtype=torch.float64)
    return model, inputs, torch.randn(9, dtype=torch.float64), validation_losses(GaussianNLL())


@pytest.fixture(params=["language", "regression"])
def problem(request):
    return request.getfixturevalue(request.param)


def local_gradients(model, losses, inputs, target, errors, precision):
    surrogate = local_surrogate(model, losses, inputs, target, errors, precision=precision)
    return torch.autograd.grad(surrogate, list(model.parameters()))


def layer_vectors(model: Layered, gradients) -> list[torch.Tensor]:
    """One vector of gradients for each layer and for the readout."""
    of = {id(parameter): gradient for parameter, gradient in zip(model.parameters(), gradients, strict=True)}
    parts = [*model.layers, model.readout]
    return [torch.cat([of[id(p)].flatten() for p in part.parameters()]) for part in parts]


def test_one_step_from_zero_is_parallel_to_backprop_in_every_layer(problem):
    model, inputs, target, losses = problem
    part = PredictiveCoding(iterations=1, step_size=1e-5, precision=2.0)
    errors = settle(model, losses, inputs, target, part=part).errors
    local = layer_vectors(model, local_gradients(model, losses, inputs, target, errors, 2.0))
    backprop = layer_vectors(
        model, torch.autograd.grad(losses(model(inputs), target).sum(), list(model.parameters()))
    )
    for mine, reference in zip(local, backprop, strict=True):
        assert torch.cosine_similarity(mine, reference, dim=0) > 1 - 1e-6
    for mine, reference in zip(local[:-1], backprop[:-1], strict=True):
        assert mine.norm() == pytest.approx(1e-5 * reference.norm().item(), rel=1e-3)


def test_at_the_settled_point_the_local_gradient_is_the_energys(problem):
    model, inputs, target, losses = problem
    part = PredictiveCoding(iterations=150, step_size=0.3, precision=300.0)
    errors = settle(model, losses, inputs, target, part=part).errors
    local = local_gradients(model, losses, inputs, target, errors, part.precision)
    full = torch.autograd.grad(
        losses_under_errors(model, losses, inputs, target, errors), list(model.parameters())
    )
    for mine, reference in zip(local, full, strict=True):
        assert (mine - reference).abs().max() < 1e-4
    assert max(gradient.abs().max() for gradient in local) > 0.1


def test_energy_falls_at_every_step(problem):
    model, inputs, target, losses = problem
    energies = settle(
        model, losses, inputs, target, part=PredictiveCoding(iterations=40, step_size=0.1, precision=5.0)
    ).energies
    assert len(energies) == 40
    assert all(after < before for before, after in itertools.pairwise(energies))


def test_tolerance_ends_settling(problem):
    model, inputs, target, losses = problem
    part = PredictiveCoding(iterations=500, step_size=0.1, precision=5.0, tolerance=1e-3)
    energies = settle(model, losses, inputs, target, part=part).energies
    assert 2 < len(energies) < 500
    assert (energies[-2] - energies[-1]) / energies[-2].abs() <= 1e-3
    far = settle(model, losses, inputs, target, part=part, total=lambda energy: energy + 1e9)
    assert len(far.energies) == 2, "the energy of the whole batch decides, of which this rank may hold little"


def squared_error(output, target):
    return 0.5 * (output - target).square().sum(-1)


def test_a_linear_network_settles_to_the_closed_form():
    """s0 = A x + e0, s1 = B s0 + e1, output C s1: e = -M^T (M M^T / p + 1)^-1 r / p, M = [C B, C], r = CBAx - y."""
    torch.manual_seed(0)
    maps = [nn.Linear(a, b, bias=False).double() for a, b in ((3, 4), (4, 5), (5, 2))]
    model = Layered(maps[:2], maps[2])
    inputs, target = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    precision = 3.0
    part = PredictiveCoding(iterations=300, step_size=0.2, precision=precision)
    errors = settle(model, squared_error, inputs, target, part=part).errors

    first, second, out = (layer.weight.detach() for layer in maps)
    residual = inputs @ (out @ second @ first).T - target
    both = torch.cat([out @ second, out], dim=1)
    inverse = torch.linalg.inv(both @ both.T / precision + torch.eye(2, dtype=torch.float64))
    closed = -(residual @ inverse) @ both / precision
    torch.testing.assert_close(torch.cat(errors, dim=1), closed, rtol=1e-8, atol=1e-8)
    energy = prior_energy(errors, precision=precision) + losses_under_errors(
        model, squared_error, inputs, target, errors
    )
    torch.testing.assert_close(energy, 0.5 * torch.einsum("ni,ij,nj->", residual, inverse, residual))


def test_a_later_token_does_not_change_earlier_logits(language):
    model, inputs, _, _ = language
    model = model.float()
    changed = inputs.clone()
    changed[:, 4] = (changed[:, 4] + 1) % VOCABULARY
    before, after = model(inputs), model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4], after[:, 4])


@pytest.mark.parametrize("learning", [Backpropagation(), PredictiveCoding()])
def test_evaluation_is_one_forward_pass_that_sees_no_target(language, learning):
    model, inputs, target, losses = language
    seen = []
    model.register_forward_hook(lambda _model, _inputs, output: seen.append(output.detach().clone()))
    taught = learner(model, CrossEntropy(), learning).eval()
    with torch.no_grad():
        first, second = taught(inputs, target), taught(inputs, (target + 1) % VOCABULARY)
        assert len(seen) == 2
        assert torch.equal(seen[0], seen[1])
        assert torch.equal(first, losses(seen[0], target))
    assert not torch.equal(first, second)


def test_high_precision_teaches_what_backprop_teaches(problem):
    model, inputs, target, losses = problem
    objective = GaussianNLL() if target.is_floating_point() else CrossEntropy()
    gradients = {}
    for learning in (Backpropagation(), PredictiveCoding(iterations=1, step_size=1.0, precision=1e7)):
        taught = learner(model, objective, learning)(inputs, target)
        gradients[learning.kind] = torch.autograd.grad(taught.surrogate, list(model.parameters()))
        assert taught.loss == pytest.approx(losses(model(inputs), target).mean().item())
    for mine, reference in zip(gradients["predictive_coding"], gradients["backprop"], strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)
