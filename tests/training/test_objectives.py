"""Losses against torch.distributions, their shapes, and the number formats in which they are computed."""

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.distributions import Categorical, Normal

from precisionflow.config.model import Attention, GaussianPerKey, MeanPrecisionNetwork, Transformer
from precisionflow.config.objective import Backpropagation, CrossEntropy, GaussianNLL, PredictiveCoding
from precisionflow.models.heteroscedastic import mean_precision_network
from precisionflow.models.transformer import transformer
from precisionflow.training.learner import learner
from precisionflow.training.objectives import cross_entropy, gaussian_nll, losses


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_gaussian_nll_is_that_of_the_normal_distribution(generator):
    mean, log_precision, target = torch.randn(3, 50, generator=generator, dtype=torch.float64) * 2
    expected = -Normal(mean, torch.exp(-0.5 * log_precision)).log_prob(target)
    torch.testing.assert_close(losses(GaussianNLL())((mean, log_precision), target), expected)


def test_the_best_log_precision_is_minus_the_log_of_the_squared_error(generator):
    mean, target = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    best = -(target - mean).square().log().requires_grad_()
    (gradient,) = torch.autograd.grad(gaussian_nll((mean, best), target).sum(), best)
    assert gradient.abs().max() < 1e-12


def test_cross_entropy_is_that_of_the_categorical_distribution(generator):
    logits = torch.randn(4, 6, 9, generator=generator, dtype=torch.float64) * 3
    target = torch.randint(0, 9, (4, 6), generator=generator)
    expected = -Categorical(logits=logits).log_prob(target)
    torch.testing.assert_close(losses(CrossEntropy())(logits, target), expected)


@pytest.mark.parametrize("wrong", ["mean", "log_precision", "target"])
def test_a_column_against_a_row_is_refused(wrong, generator):
    """(n, 1) against (n,) would broadcast to (n, n) and train on pairs that don't belong together."""
    values = dict(
        zip(("mean", "log_precision", "target"), torch.randn(3, 5, generator=generator), strict=True)
    )
    values[wrong] = values[wrong][:, None]
    with pytest.raises(TypeCheckError):
        gaussian_nll((values["mean"], values["log_precision"]), values["target"])


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
    part = Transformer(blocks=1, heads=2, width=8, attention=Attention(potential=GaussianPerKey()))
    model = transformer(part, vocabulary=7, context=6)
    windows = torch.randint(0, 7, (3, 7), generator=torch.Generator().manual_seed(0))
    potential = type(next(m for m in model.modules() if type(m).__name__ == "GaussianPerKey"))
    return model, windows[:, :-1], windows[:, 1:], cross_entropy, potential


def table():
    model = mean_precision_network(MeanPrecisionNetwork(hidden=(8,)), features=4)
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    return model, rows[:, :4], rows[:, 4], gaussian_nll, type(model.readout)


@pytest.mark.parametrize("learning", [Backpropagation(), PredictiveCoding()])
@pytest.mark.parametrize("problem", [language, table])
def test_bfloat16_computes_maps_in_half_and_precisions_and_losses_in_full(problem, learning):
    torch.manual_seed(0)
    model, inputs, target, loss, with_precision = problem()
    taught = learner(model, loss, learning, dtype="bfloat16")
    half = seen_dtypes(model, nn.Linear, inputs, lambda x: taught(x, target))
    full = seen_dtypes(model, with_precision, inputs, lambda x: taught(x, target))
    assert half == {torch.bfloat16}
    assert full == {torch.float32}
    lesson = taught(inputs, target)
    assert {part.dtype for part in lesson} == {torch.float32}
    assert taught.eval()(inputs, target).dtype is torch.float32
    lesson.surrogate.backward()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
