"""Losses against torch.distributions, their shapes, and the number formats in which they are computed."""

from functools import partial

import pytest
import scoringrules
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.distributions import Categorical, Normal

from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.learning import Backpropagation, PredictiveCoding
from precisionflow.config.likelihoods import (
    CRPS,
    CrossEntropy,
    Faithful,
    GaussianNLL,
    Homoscedastic,
    Natural,
    RunningVariance,
)
from precisionflow.config.networks import MLP, Transformer
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner


def validation_losses(config):
    return objective(config).negative_log_likelihood


def teaching_losses(config, *, progress):
    return objective(config).losses(progress=progress)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_gaussian_nll_is_that_of_the_normal_distribution(generator):
    mean, log_precision, target = torch.randn(3, 50, generator=generator, dtype=torch.float64) * 2
    expected = -Normal(mean, torch.exp(-0.5 * log_precision)).log_prob(target)
    raw = torch.stack([mean, log_precision], dim=-1)
    torch.testing.assert_close(validation_losses(GaussianNLL())(raw, target), expected)
    torch.testing.assert_close(teaching_losses(GaussianNLL(), progress=0.0)(raw, target), expected)


def test_the_best_log_precision_is_minus_the_log_of_the_squared_error(generator):
    mean, target = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    best = -(target - mean).square().log().requires_grad_()
    losses = validation_losses(GaussianNLL())(torch.stack([mean, best], dim=-1), target)
    (gradient,) = torch.autograd.grad(losses.sum(), best)
    assert gradient.abs().max() < 1e-12


def test_cross_entropy_is_that_of_the_categorical_distribution(generator):
    logits = torch.randn(4, 6, 9, generator=generator, dtype=torch.float64) * 3
    target = torch.randint(0, 9, (4, 6), generator=generator)
    expected = -Categorical(logits=logits).log_prob(target)
    torch.testing.assert_close(validation_losses(CrossEntropy())(logits, target), expected)


@pytest.mark.parametrize("wrong", ["raw", "target"])
def test_a_column_against_a_row_is_refused(wrong, generator):
    """(n, 1) against (n,) would broadcast to (n, n) and train on pairs that don't belong together."""
    given = {"raw": torch.randn(5, 2, generator=generator), "target": torch.randn(5, generator=generator)}
    given[wrong] = given[wrong][:, None]
    with pytest.raises(TypeCheckError):
        validation_losses(GaussianNLL())(given["raw"], given["target"])


def gradients(config, raw, target, *, progress=1.0):
    raw = raw.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(teaching_losses(config, progress=progress)(raw, target).sum(), raw)
    return gradient


@pytest.fixture
def rows(generator):
    return torch.randn(40, 2, generator=generator, dtype=torch.float64), torch.randn(
        40, generator=generator, dtype=torch.float64
    )


def test_beta_goes_from_the_likelihood_to_the_squared_error(rows):
    raw, target = rows
    error, precision = raw[:, 0] - target, raw[:, 1].exp()
    for beta in (0.0, 0.5, 1.0):
        mean = gradients(GaussianNLL(beta=beta), raw, target)[:, 0]
        torch.testing.assert_close(mean, precision ** (1 - beta) * error)


def test_a_faithful_mean_learns_as_from_the_squared_error(rows):
    raw, target = rows
    gradient, plain = gradients(Faithful(), raw, target), gradients(GaussianNLL(), raw, target)
    torch.testing.assert_close(gradient[:, 0], raw[:, 0] - target)
    torch.testing.assert_close(gradient[:, 1], plain[:, 1])


def test_natural_parameters_state_the_same_gaussian(rows):
    raw, target = rows
    mean, log_precision = raw.unbind(-1)
    natural = torch.stack([mean * log_precision.exp(), log_precision], dim=-1)
    torch.testing.assert_close(
        validation_losses(Natural())(natural, target), validation_losses(GaussianNLL())(raw, target)
    )


def test_crps_is_that_of_an_independent_library(rows):
    raw, target = rows
    expected = scoringrules.crps_normal(
        target.numpy(), raw[:, 0].numpy(), torch.exp(-0.5 * raw[:, 1]).numpy()
    )
    found = teaching_losses(CRPS(), progress=1.0)(raw, target)
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_the_warm_up_is_a_squared_error_until_its_share(rows):
    raw, target = rows
    config = GaussianNLL(mean_warmup=0.25)
    before, after = (
        gradients(config, raw, target, progress=0.2499),
        gradients(config, raw, target, progress=0.25),
    )
    torch.testing.assert_close(before, torch.stack([raw[:, 0] - target, torch.zeros(40).double()], dim=-1))
    torch.testing.assert_close(after, gradients(GaussianNLL(), raw, target))


def test_the_penalty_is_the_variance(rows):
    raw, target = rows
    config = GaussianNLL(variance_penalty=0.3)
    extra = gradients(config, raw, target) - gradients(GaussianNLL(), raw, target)
    torch.testing.assert_close(extra[:, 1], -0.3 * torch.exp(-raw[:, 1]))
    assert not extra[:, 0].any()


def test_a_running_variance_rests_at_the_mean_squared_residual(rows):
    raw, target = rows
    raw[:, 1] = -(raw[:, 0] - target).square().mean().log()
    gradient = gradients(RunningVariance(), raw, target)
    assert gradient[:, 1].sum().abs() < 1e-12
    torch.testing.assert_close(gradient[:, 0], raw[:, 0] - target)


def test_the_likelihood_is_validated_whatever_is_minimised(rows):
    raw, target = rows
    expected = validation_losses(GaussianNLL())(raw, target)
    for config in (CRPS(), Faithful(), GaussianNLL(beta=1.0), Homoscedastic(), RunningVariance()):
        torch.testing.assert_close(validation_losses(config)(raw, target), expected)


def seen_dtypes(model: nn.Module, kind: type[nn.Module], inputs: torch.Tensor, run) -> set[torch.dtype]:
    """Number formats of everything that modules of a kind put out while `run` runs."""
    seen: set[torch.dtype] = set()

    def note(_module, _inputs, output) -> None:
        seen.update(part.dtype for part in (output if isinstance(output, tuple) else (output,)))

    hooks = [module.register_forward_hook(note) for module in model.modules() if isinstance(module, kind)]
    run(inputs)
    for hook in hooks:
        hook.remove()
    return seen


def language():
    config = Transformer(blocks=1, heads=2, width=8, attention=Attention(potential=GaussianPerKey()))
    model = transformer(config, vocabulary=7, context=6, readout=partial(TokenReadout, classes=7))
    windows = torch.randint(0, 7, (3, 7), generator=torch.Generator().manual_seed(0))
    potential = type(next(m for m in model.modules() if type(m).__name__ == "GaussianPerKey"))
    return model, windows[:, :-1], windows[:, 1:], CrossEntropy(), potential


def table():
    model = mlp(MLP(hidden=(8,)), features=4, heads=density(GaussianNLL()).heads)
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    return model, rows[:, :4], rows[:, 4], GaussianNLL(), type(model.readout)


@pytest.mark.parametrize("learning", [Backpropagation(), PredictiveCoding()])
@pytest.mark.parametrize("problem", [language, table])
def test_bfloat16_computes_maps_in_half_and_precisions_and_losses_in_full(problem, learning):
    torch.manual_seed(0)
    model, inputs, target, loss, with_precision = problem()
    taught = learner(model, objective(loss), learning, dtype="bfloat16")
    half = seen_dtypes(model, nn.Linear, inputs, lambda x: taught(Batch(x, target)))
    full = seen_dtypes(model, with_precision, inputs, lambda x: taught(Batch(x, target)))
    assert half == {torch.bfloat16}
    assert full == {torch.float32}
    lesson = taught(Batch(inputs, target))
    assert {part.dtype for part in lesson[:3]} == {torch.float32}
    assert taught.eval()(Batch(inputs, target)).dtype is torch.float32
    lesson.surrogate.backward()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
