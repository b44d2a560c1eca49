"""What a lesson costs: products of matrices, forward and backward, against the formulas of the passes."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from linear_network import squared_error
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.learning import FixedPrecision, PredictiveCoding
from precisionflow.config.networks import Transformer
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws import Stepped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.gradient import Backpropagation
from precisionflow.training.rules.predictive_coding import predictive_coding

ROWS, INSIDE = 6, 7
SIZES = (3, 5, 4, 6, 2)
"""Of the inputs, the states of three layers, and the output."""


class Problem(NamedTuple):
    model: Layered
    losses: Losses
    batch: Batch


class Passes(NamedTuple):
    """Operations of each."""

    forward: int
    """F, of all layers and the readout."""
    first: int
    """F_0, the first layer's share."""
    to_states: int
    """A, from the loss to every state."""
    inside: int
    """A', from each error to the weights of its layer, without what the first layer takes."""
    to_weights: int
    """W, with what the first layer takes to reach its weights."""


def counted(compute: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops()


def rows() -> Problem:
    """Layers of two maps with a tanh between them."""
    torch.manual_seed(0)
    layers = [
        nn.Sequential(nn.Linear(a, INSIDE, bias=False), nn.Tanh(), nn.Linear(INSIDE, b, bias=False))
        for a, b in pairwise(SIZES[:-1])
    ]
    readout = nn.Linear(SIZES[-2], SIZES[-1], bias=False)
    model = Layered(layers, readout, states=[(width,) for width in SIZES[1:-1]])
    return Problem(model, squared_error, Batch(torch.randn(ROWS, SIZES[0]), torch.randn(ROWS, SIZES[-1])))


def tokens() -> Problem:
    torch.manual_seed(0)
    config = Transformer(blocks=2, heads=2, width=8, attention=Attention(potential=GaussianPerKey()))
    model = transformer(config, vocabulary=7, context=6, readout=partial(TokenReadout, classes=7))
    windows = torch.randint(0, 7, (3, 7))
    return Problem(model, cross_entropy, Batch(windows[:, :-1], windows[:, 1:]))


def measured(problem: Problem) -> Passes:
    """Each pass by itself, none shared."""
    model, losses, batch = problem
    weights = list(model.parameters())
    clamped = Clamped(model, losses, batch.inputs, batch.target)
    forward = counted(clamped.passed)
    passed = clamped.passed()
    to_states = counted(lambda: torch.autograd.grad(passed.loss, passed.variables, retain_graph=True))
    whole = counted(lambda: torch.autograd.grad(passed.loss, weights))
    settled = [Stepped(torch.ones_like(state), torch.ones_like(state)) for state in passed.errors]
    surrogate = clamped.local(settled, laws(PredictiveCoding(), states=model.states)).surrogate
    to_weights = whole - to_states
    inside = counted(lambda: torch.autograd.grad(surrogate, weights)) - to_weights
    first = counted(lambda: model.layers[0](model.enter(batch.inputs), *model.where(batch.inputs, None)))
    return Passes(forward, first, to_states, inside, to_weights)


def test_passes_of_maps_are_counted_from_their_sizes():
    """2 x rows x inputs x outputs of each map forward, to its input and to its weights; inputs need no gradient."""
    of_layers = [2 * ROWS * INSIDE * (a + b) for a, b in pairwise(SIZES[:-1])]
    upper = [2 * ROWS * INSIDE * width for width in SIZES[1:-1]]
    readout = 2 * ROWS * SIZES[-2] * SIZES[-1]
    forward = sum(of_layers) + readout
    expected = Passes(
        forward=forward,
        first=of_layers[0],
        to_states=forward - of_layers[0],
        inside=sum(upper[1:]),
        to_weights=forward + upper[0],
    )
    assert measured(rows()) == expected


@pytest.mark.parametrize("problem", [rows, tokens], ids=["rows", "tokens"])
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_a_lesson_takes_the_passes_of_its_formula(problem, iterations):
    """Local: k (F + A - F_0) + F + A' + W; energy: k (F + A) - (k - 1) F_0 + W; backprop: F + A + W."""
    given = problem()
    f, f_0, a, inside, w = measured(given)
    weights = list(given.model.parameters())

    def taken(rule: nn.Module) -> int:
        return counted(lambda: torch.autograd.grad(rule(*given).surrogate, weights))

    def coding(gradient: str) -> nn.Module:
        settling = PredictiveCoding(
            precision=FixedPrecision(value=300.0), iterations=iterations, gradient=gradient
        )
        return predictive_coding(settling, states=given.model.states)

    k = iterations
    assert taken(Backpropagation()) == f + a + w
    assert taken(coding("local")) == k * (f + a - f_0) + f + inside + w
    assert taken(coding("energy")) == k * (f + a) - (k - 1) * f_0 + w
    assert min(f, a, inside, w) > 0
