"""Predictive coding against backprop, autograd and the closed form of a linear network."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.learning import (
    Backpropagation,
    FixedPrecision,
    LearnedPrecision,
    PredictedPrecision,
    PredictiveCoding,
)
from precisionflow.config.likelihoods import CrossEntropy, GaussianNLL
from precisionflow.config.networks import MLP, Transformer
from precisionflow.inference.predictive_coding.energy import Clamped, EnteredOnce
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner

VOCABULARY, CONTEXT = 7, 6


@pytest.fixture
def language():
    """A tiny transformer in double precision, a batch, and its loss."""
    torch.manual_seed(0)
    config = Transformer(
        blocks=2,
        heads=2,
        width=8,
        attention=Attention(potential=GaussianPerKey()),
        zero_projections=False,
    )
    model = transformer(
        config, vocabulary=VOCABULARY, context=CONTEXT, readout=partial(TokenReadout, classes=VOCABULARY)
    ).double()
    windows = torch.randint(0, VOCABULARY, (3, CONTEXT + 1))
    return model, windows[:, :-1], windows[:, 1:], cross_entropy


@pytest.fixture
def regression():
    torch.manual_seed(0)
    model = mlp(MLP(hidden=(6, 5)), features=4, heads=density(GaussianNLL()).heads).double()
    inputs = torch.randn(9, 4, dtype=torch.float64)
    return (
        model,
        inputs,
        torch.randn(9, dtype=torch.float64),
        objective(GaussianNLL()).negative_log_likelihood,
    )


@pytest.fixture(params=["language", "regression"])
def problem(request):
    return request.getfixturevalue(request.param)


def gaussian(precision: float, **settings) -> PredictiveCoding:
    return PredictiveCoding(precision=FixedPrecision(value=precision), **settings)


def settled(model, losses, inputs, target, *, config, **total):
    clamped = Clamped(model, losses, inputs, target)
    return settle(
        clamped,
        clamped.passed(),
        laws(config, states=model.states),
        config=config,
        steps=config.steps,
        **total,
    )


def losses_under_errors(model, losses, inputs, target, errors):
    return Clamped(model, losses, inputs, target).passed(errors).loss


def local_gradients(model, losses, inputs, target, found, config):
    taught = Clamped(model, losses, inputs, target).local(found.layers, laws(config, states=model.states))
    return torch.autograd.grad(taught.surrogate, list(model.parameters()))


def layer_vectors(model: Layered, gradients) -> list[torch.Tensor]:
    """One vector of gradients for each layer and for the readout."""
    of = {id(parameter): gradient for parameter, gradient in zip(model.parameters(), gradients, strict=True)}
    parts = [*model.layers, model.readout]
    return [torch.cat([of[id(p)].flatten() for p in part.parameters()]) for part in parts]


def test_one_step_from_zero_is_parallel_to_backprop_in_every_layer(problem):
    model, inputs, target, losses = problem
    config = gaussian(2.0, iterations=1, step_size=1e-5)
    found = settled(model, losses, inputs, target, config=config)
    local = layer_vectors(model, local_gradients(model, losses, inputs, target, found, config))
    backprop = layer_vectors(
        model, torch.autograd.grad(losses(model(inputs), target).sum(), list(model.parameters()))
    )
    for mine, reference in zip(local, backprop, strict=True):
        assert torch.cosine_similarity(mine, reference, dim=0) > 1 - 1e-6
    for mine, reference in zip(local[:-1], backprop[:-1], strict=True):
        assert mine.norm() == pytest.approx(1e-5 * reference.norm().item(), rel=1e-3)


def taught_gradients(problem, learning):
    """Gradients of the weights that a way of learning gives, and the lesson."""
    model, inputs, target, _ = problem
    minimised = objective(GaussianNLL() if target.is_floating_point() else CrossEntropy())
    lesson = learner(model, minimised, learning)(Batch(inputs, target))
    return torch.autograd.grad(lesson.surrogate, list(model.parameters())), lesson


def test_at_the_settled_point_the_local_gradient_is_the_energys(problem):
    config = gaussian(300.0, iterations=150, step_size=0.3)
    local, mine = taught_gradients(problem, config)
    whole, reference = taught_gradients(problem, config.model_copy(update={"gradient": "energy"}))
    for one, other in zip(local, whole, strict=True):
        assert (one - other).abs().max() < 1e-5
    assert max(gradient.abs().max() for gradient in local) > 0.01
    torch.testing.assert_close(mine.energy, reference.energy)
    assert mine.energy < mine.loss == reference.loss


def test_the_energys_gradient_is_taken_at_the_errors_of_the_last_iteration(problem):
    """Of n iterations n - 1 take a step; the gradient is that of the output loss where these errors are added."""
    model, inputs, target, losses = problem
    config = gaussian(5.0, iterations=3, step_size=0.4, gradient="energy")
    mine, lesson = taught_gradients(problem, config)
    before = settled(model, losses, inputs, target, config=gaussian(5.0, iterations=2, step_size=0.4)).errors
    loss = losses_under_errors(model, losses, inputs, target, before)
    reference = torch.autograd.grad(loss / target.numel(), list(model.parameters()))
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other)
    law = sum(2.5 * error.square().sum() for error in before)
    torch.testing.assert_close(lesson.energy, (loss.detach() + law) / target.numel())


@pytest.mark.parametrize(("gradient", "above"), [("local", 4), ("energy", 3)])
def test_a_lesson_computes_the_first_layer_once_and_every_other_in_each_pass(problem, gradient, above):
    """Three iterations; the local gradient has a pass of its own."""
    model, calls = problem[0], []
    for layer in (0, 1):
        model.layers[layer].register_forward_hook(lambda *_, of=layer: calls.append(of))
    taught_gradients(problem, gaussian(300.0, iterations=3, gradient=gradient))
    assert (calls.count(0), calls.count(1)) == (1, above)


def test_passes_that_share_the_first_layer_teach_what_passes_of_their_own_do(problem):
    model, inputs, target, losses = problem
    config = gaussian(5.0, iterations=3, step_size=0.4)
    mine, _ = taught_gradients(problem, config)
    found = settled(model, losses, inputs, target, config=config)
    own = local_gradients(model, losses, inputs, target, found, config)
    for one, other in zip(mine, own, strict=True):
        torch.testing.assert_close(one, other / target.numel(), rtol=1e-10, atol=1e-14)
    assert mine[0].abs().max() > 1e-3


def test_errors_settle_above_a_layer_that_does_not_learn(regression):
    """The gradient is taken at states, of which the first then has no graph below it."""
    model, inputs, target, losses = regression
    before = settled(model, losses, inputs, target, config=gaussian(5.0, iterations=3)).errors
    model.layers[0].requires_grad_(False)
    after = settled(model, losses, inputs, target, config=gaussian(5.0, iterations=3)).errors
    for one, other in zip(after, before, strict=True):
        assert torch.equal(one, other)
        assert one.any()


def test_before_any_step_the_energys_gradient_is_backprops(problem):
    mine, lesson = taught_gradients(problem, PredictiveCoding(iterations=1, gradient="energy"))
    reference, plain = taught_gradients(problem, Backpropagation())
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(lesson.loss, plain.loss)


def test_energy_falls_at_every_step(problem):
    model, inputs, target, losses = problem
    energies = settled(
        model, losses, inputs, target, config=gaussian(20.0, iterations=40, step_size=0.1)
    ).energies
    assert len(energies) == 40
    assert all(after < before for before, after in itertools.pairwise(energies))


def test_tolerance_ends_settling(problem):
    model, inputs, target, losses = problem
    config = gaussian(5.0, iterations=500, step_size=0.1, tolerance=1e-3)
    energies = settled(model, losses, inputs, target, config=config).energies
    assert 2 < len(energies) < 500
    assert (energies[-2] - energies[-1]) / energies[-2].abs() <= 1e-3
    far = settled(model, losses, inputs, target, config=config, total=lambda energy: energy + 1e9)
    assert len(far.energies) == 2, "the energy of the whole batch decides, of which this rank may hold little"


def test_the_energy_that_is_told_is_the_one_after_the_last_step(problem):
    """With n iterations it is the first energy that a settling of n + 1 iterations adds."""
    model, inputs, target, losses = problem
    minimised = objective(GaussianNLL() if target.is_floating_point() else CrossEntropy())
    config = gaussian(5.0, iterations=3, step_size=0.4)
    longer = config.model_copy(update={"iterations": 4})
    expected = settled(model, losses, inputs, target, config=longer).energies[3] / target.numel()
    lesson = learner(model, minimised, config)(Batch(inputs, target))
    torch.testing.assert_close(lesson.energy, expected)
    assert lesson.energy < lesson.loss


@pytest.mark.parametrize("precision", [1e2, 1e4, 1e6])
def test_bfloat16_keeps_errors_that_are_small_beside_their_states(precision, language):
    """The readout reads the state with its error: their difference is the error, however small."""
    model, inputs, target, losses = language
    model, seen = model.float(), []
    model.readout.register_forward_pre_hook(lambda _module, read: seen.append(read[0].detach()))
    config = gaussian(precision, iterations=1)
    with torch.autocast("cpu", torch.bfloat16):
        errors = settled(model, losses, inputs, target, config=config).errors
        last = [*(torch.zeros_like(error) for error in errors[:-1]), errors[-1]]
        losses_under_errors(model, losses, inputs, target, last)
    assert errors[-1].abs().max() < 0.1 * seen[0].abs().max() / precision**0.5
    torch.testing.assert_close(seen[1] - seen[0], errors[-1], rtol=1e-2, atol=3e-7)


def squared_error(output, target):
    return 0.5 * (output - target).square().sum(-1)


def test_a_linear_network_settles_to_the_closed_form():
    """s0 = A x + e0, s1 = B s0 + e1, output C s1: e = -M^T (M M^T / p + 1)^-1 r / p, M = [C B, C], r = CBAx - y."""
    torch.manual_seed(0)
    maps = [nn.Linear(a, b, bias=False).double() for a, b in ((3, 4), (4, 5), (5, 2))]
    model = Layered(maps[:2], maps[2], states=[(4,), (5,)])
    inputs, target = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    precision = 3.0
    config = gaussian(precision, iterations=300, step_size=0.2)
    errors = settled(model, squared_error, inputs, target, config=config).errors

    first, second, out = (layer.weight.detach() for layer in maps)
    residual = inputs @ (out @ second @ first).T - target
    both = torch.cat([out @ second, out], dim=1)
    inverse = torch.linalg.inv(both @ both.T / precision + torch.eye(2, dtype=torch.float64))
    closed = -(residual @ inverse) @ both / precision
    torch.testing.assert_close(torch.cat(errors, dim=1), closed, rtol=1e-8, atol=1e-8)
    clamped = Clamped(model, squared_error, inputs, target)
    energy = clamped.energy(clamped.passed(errors), laws(config, states=model.states))
    torch.testing.assert_close(energy, 0.5 * torch.einsum("ni,ij,nj->", residual, inverse, residual))


def test_at_a_minimum_settling_ends_where_a_tolerance_says_so():
    """Output = target: the energy is 0 at every step, and no tolerance is missed."""
    maps = [nn.Linear(3, 4), nn.Linear(4, 2)]
    model, inputs = Layered(maps[:1], maps[1], states=[(4,)]), torch.ones(5, 3)
    target = model(inputs).detach()
    for tolerance, steps in ((0.0, 6), (1e-3, 2)):
        config = PredictiveCoding(iterations=6, step_size=0.5, tolerance=tolerance)
        found = settled(model, squared_error, inputs, target, config=config)
        assert [energy.item() for energy in found.energies] == [0.0] * steps
        assert not found.errors[0].any()


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
    taught = learner(model, objective(CrossEntropy()), learning).eval()
    with torch.no_grad():
        first, second = taught(Batch(inputs, target)), taught(Batch(inputs, (target + 1) % VOCABULARY))
        assert len(seen) == 2
        assert torch.equal(seen[0], seen[1])
        assert torch.equal(first, losses(seen[0], target))
    assert not torch.equal(first, second)


def test_high_precision_teaches_what_backprop_teaches(problem):
    model, inputs, target, losses = problem
    minimised = objective(GaussianNLL() if target.is_floating_point() else CrossEntropy())
    gradients = {}
    for learning in (Backpropagation(), gaussian(1e7, iterations=1, step_size=1.0)):
        taught = learner(model, minimised, learning)(Batch(inputs, target))
        gradients[learning.kind] = torch.autograd.grad(taught.surrogate, list(model.parameters()))
        assert taught.loss == pytest.approx(losses(model(inputs), target).mean().item())
    for mine, reference in zip(gradients["predictive_coding"], gradients["backprop"], strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)


def test_passes_that_share_the_first_prediction_compute_it_once_and_teach_the_same(problem):
    model, inputs, target, losses = problem
    calls = []
    handle = model.layers[0].register_forward_hook(lambda *_: calls.append(1))
    config, taught, counted = gaussian(2.0, iterations=3, step_size=0.5), [], []
    for kind in (Clamped, EnteredOnce):
        calls.clear()
        clamped, of = kind(model, losses, inputs, target), laws(config, states=model.states)
        found = settle(clamped, clamped.passed(), of, config=config, steps=3)
        surrogate = clamped.local(found.layers, of).surrogate
        taught.append(torch.autograd.grad(surrogate, list(model.parameters())))
        counted.append(len(calls))
    handle.remove()
    assert counted == [4, 1]
    for mine, other in zip(*taught, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    "precision",
    [
        FixedPrecision(value=1000.0),
        LearnedPrecision(initial=1000.0, per="channel"),
        PredictedPrecision(initial=1000.0, per="channel"),
    ],
    ids=lambda of: of.kind,
)
@pytest.mark.parametrize("gradient", ["local", "energy"])
def test_a_lesson_in_bfloat16_teaches_what_it_teaches_in_float32(precision, gradient, language):
    """All weights and all parameters of the laws, at the precision that errors beside their states have to bear."""
    model, inputs, target, _ = language
    model, batch, found = model.float(), Batch(inputs, target), []
    for dtype in ("float32", "bfloat16"):
        torch.manual_seed(0)
        coding = PredictiveCoding(precision=precision, gradient=gradient)
        made = learner(model, objective(CrossEntropy()), coding, dtype=dtype)
        for parameter in made.rule.parameters():
            nn.init.normal_(parameter, std=0.1)
        lesson = made(batch)
        assert lesson.surrogate.dtype is torch.float32
        weights, of_laws = list(made.model.parameters()), list(made.rule.parameters())
        gradients = torch.autograd.grad(lesson.surrogate, weights + of_laws)
        found.append([*layer_vectors(model, gradients[: len(weights)]), *gradients[len(weights) :]])
    for exact, rounded in zip(*found, strict=True):
        norms = exact.norm(), rounded.norm()
        assert (exact * rounded).sum() > 0.999 * norms[0] * norms[1]
        torch.testing.assert_close(*norms, rtol=0.02, atol=0)
        assert not torch.equal(exact, rounded)
