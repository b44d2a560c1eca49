"""Learned precisions against the inverse variance of the errors, and of a linear network against its closed form."""

import math

import pytest
import torch
from linear_network import squared_error
from lowest_energy import fit
from torch import nn

from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    LearnedPrecision,
    PredictedPrecision,
    PredictiveCoding,
    StudentTLaw,
)
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import LayerLaw, laws, layer_law
from precisionflow.inference.predictive_coding.parameters import SHARE_OF_GRADIENT
from precisionflow.inference.predictive_coding.precision import Learned
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.networks.layered import Layered

BATCH, PLACES, CHANNELS = 5, 4, 3
WIDE = {"lowest": 1e-16, "highest": 1e16, "initial": 1.0}
SHARED = {"layer": (0, 1, 2), "channel": (0, 1), "position": (0, 2)}
"""Axes of errors "batch places channels" that share a precision."""


def gaussian_law(**settings) -> LayerLaw:
    return layer_law(GaussianLaw(), LearnedPrecision(**settings), state=(PLACES, CHANNELS)).double()


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("per", list(SHARED))
def test_at_the_optimum_a_precision_is_the_inverse_variance_of_its_errors(per, scale):
    torch.manual_seed(0)
    errors = scale * torch.randn(BATCH, PLACES, CHANNELS, dtype=torch.float64)
    law = gaussian_law(per=per, **WIDE | {"initial": 2 / scale**2})
    fit(law, lambda: law.energy(errors, errors) / errors.numel())
    found = law.precision(errors).detach()
    expected = 1 / errors.square().mean(dim=SHARED[per], keepdim=True)
    torch.testing.assert_close(found.expand_as(errors), expected.expand_as(errors), rtol=1e-5, atol=0)


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_a_predicted_precision_is_as_exact_inside_autocast(per):
    """Of which a bfloat16 logarithm knows 3 %."""
    torch.manual_seed(0)
    law = layer_law(GaussianLaw(), PredictedPrecision(per=per), state=(PLACES, CHANNELS))
    with torch.no_grad():
        law.precision.bias.fill_(0.013)
        law.precision.weight.normal_(std=0.1)
    prediction = torch.randn(BATCH, PLACES, CHANNELS)
    expected = law.precision(prediction)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(law.precision(prediction), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("per", list(SHARED))
def test_padded_places_teach_no_precision(per):
    torch.manual_seed(0)
    errors = torch.randn(BATCH, PLACES, CHANNELS, dtype=torch.float64)
    present = torch.arange(PLACES) < torch.tensor([4, 1, 2, 3, 1])[:, None]
    zero = torch.where(present[..., None], errors, 0.0)
    law = gaussian_law(per=per, **WIDE)
    fit(law, lambda: law.energy(zero, zero, present) / errors.numel())
    found = law.precision(errors).detach()
    counted = present[..., None].double().expand_as(errors).sum(dim=SHARED[per], keepdim=True)
    expected = counted / zero.square().sum(dim=SHARED[per], keepdim=True)
    torch.testing.assert_close(found.expand_as(errors), expected.expand_as(errors), rtol=1e-5, atol=0)


def test_shorter_sequences_have_the_precisions_of_the_first_places():
    learned = Learned(LearnedPrecision(per="position"), state=(PLACES, CHANNELS))
    nn.init.normal_(learned.offset)
    whole = learned(torch.zeros(2, PLACES, CHANNELS))
    assert torch.equal(learned(torch.zeros(2, 2, CHANNELS)), whole[:2])


@pytest.mark.parametrize("initial", [1.5, 1000.0, 9e5])
def test_a_precision_starts_at_its_initial_value_moves_at_the_rate_of_its_offset_and_keeps_its_bounds(
    initial,
):
    learned = Learned(LearnedPrecision(initial=initial), state=(CHANNELS,)).double()
    state = torch.zeros(1, CHANNELS, dtype=torch.float64)
    assert learned(state).item() == pytest.approx(initial)
    learned(state).log().backward()
    assert learned.offset.grad.item() == pytest.approx(SHARE_OF_GRADIENT / CHANNELS)
    for offset, bound in ((-1e9, 1.0), (1e9, 1e6)):
        nn.init.constant_(learned.offset, offset)
        assert learned(state).item() == pytest.approx(bound)


def test_with_its_normaliser_an_energy_is_the_log_density():
    """-log p(e) from torch's normal distribution; told is its difference to -log p(0) at the initial precision."""
    errors = torch.randn(BATCH, CHANNELS, dtype=torch.float64)
    law = layer_law(GaussianLaw(), LearnedPrecision(initial=4.0), state=(CHANNELS,)).double()
    nn.init.constant_(law.precision.offset, 0.3)
    value = law.precision(errors).item()
    at, start = (
        torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1 / math.sqrt(of))
        for of in (value, 4.0)
    )
    expected = (start.log_prob(torch.zeros_like(errors)) - at.log_prob(errors)).sum()
    torch.testing.assert_close(law.energy(errors, errors), expected)


def learned_with_settling(model, losses, inputs, target, *, config, steps, rate=0.3):
    """Laws after alternating settling and gradient steps on their parameters, and the last errors."""
    clamped, assigned = (
        Clamped(model, losses, inputs, target),
        laws(config, states=model.states).double(),
    )
    optimiser = torch.optim.SGD(assigned.parameters(), lr=rate / SHARE_OF_GRADIENT)
    for _ in range(steps):
        found = settle(clamped, clamped.passed(), assigned, config=config, steps=config.steps)
        optimiser.zero_grad()
        (clamped.local(found.layers, assigned).surrogate / len(inputs)).backward()
        optimiser.step()
    return assigned, found


def test_precision_and_error_of_a_linear_network_settle_to_the_closed_form():
    """One map and the identity: e = -r / (1 + p), so p e^2 = 1 is p^2 + (2 - v) p + 1 = 0 with v the mean of r^2.

    The smaller root is the minimum; there is one where v > 4, the residuals are large.
    """
    torch.manual_seed(0)
    first, out = nn.Linear(3, 1, bias=False).double(), nn.Identity()
    model = Layered([first], out, states=[(1,)])
    inputs = torch.randn(40, 3, dtype=torch.float64)
    residual = 2.4 * torch.randn(40, 1, dtype=torch.float64)
    target = first(inputs).detach() - residual
    config = PredictiveCoding(
        iterations=25, step_size=0.3, precision=LearnedPrecision(initial=0.5, lowest=1e-4, highest=1e4)
    )
    assigned, found = learned_with_settling(
        model, squared_error, inputs, target, config=config, steps=50, rate=1.0
    )
    v = residual.square().mean().item()
    closed = (v - 2 - math.sqrt((v - 2) ** 2 - 4)) / 2
    learned = assigned[0].precision(found.errors[0]).item()
    assert learned == pytest.approx(closed, rel=1e-4)
    assert learned == pytest.approx(1 / found.errors[0].square().mean().item(), rel=1e-4)
    torch.testing.assert_close(found.errors[0], -residual / (1 + learned), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("deviation", "grows"), [(0.3, True), (1.9, True), (2.1, False)])
def test_up_to_residuals_of_variance_four_a_learned_precision_grows_to_its_upper_bound(deviation, grows):
    """p e^2 = 1 with e = -r / (1 + p) nowhere: v = mean of r^2 and (1 + p)^2 > v p at every p, where v <= 4."""
    torch.manual_seed(0)
    first = nn.Linear(3, 1, bias=False).double()
    model = Layered([first], nn.Identity(), states=[(1,)])
    inputs, residual = torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 1, dtype=torch.float64)
    residual = deviation * residual / residual.square().mean().sqrt()
    target = first(inputs).detach() - residual
    lowest, highest = 0.3, 30.0
    config = PredictiveCoding(
        iterations=25, step_size=0.1, precision=LearnedPrecision(initial=0.6, lowest=lowest, highest=highest)
    )
    assigned, found = learned_with_settling(
        model, squared_error, inputs, target, config=config, steps=400, rate=1.0
    )
    learned = assigned[0].precision(found.errors[0]).item()
    if grows:
        assert learned > 0.98 * highest
    else:
        assert lowest < learned < 1


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_where_the_state_is_observed_the_learned_precision_is_that_of_the_noise(scale):
    """y = A x + noise, observed a hundred times as precisely: the error is 100 / 101 of the noise."""
    torch.manual_seed(0)
    true = nn.Linear(3, 2, bias=False).double()
    model = Layered([true], nn.Identity(), states=[(2,)])
    inputs = torch.randn(3000, 3, dtype=torch.float64)
    deviations = scale * torch.tensor([1.0, 2.0], dtype=torch.float64)
    target = true(inputs).detach() + deviations * torch.randn(3000, 2, dtype=torch.float64)

    def loss(output, target):
        return (50 * ((output - target) / deviations).square()).sum(-1)

    config = PredictiveCoding(
        iterations=12,
        step_size=0.009,
        precision=LearnedPrecision(per="channel", initial=0.5 / scale**2, lowest=1e-6, highest=1e6),
    )
    assigned, _ = learned_with_settling(model, loss, inputs, target, config=config, steps=25, rate=1.0)
    learned = assigned[0].precision(target).detach()
    torch.testing.assert_close(learned, deviations**-2, rtol=0.05, atol=0)


def test_a_predicted_precision_finds_the_noise_of_each_state():
    """Errors of deviation 1 and 3 after two unlike predictions: precisions 1 and 1 / 9, whatever the scale of these."""
    torch.manual_seed(0)
    which = torch.arange(6000) % 2
    predictions = 1e3 * torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)[which]
    errors = torch.tensor([1.0, 3.0], dtype=torch.float64)[which][:, None] * torch.randn_like(predictions)
    config = PredictedPrecision(initial=0.5, lowest=1e-3, highest=1e3)
    law = layer_law(GaussianLaw(), config, state=(2,)).double()
    fit(law, lambda: law.energy(errors, predictions) / errors.numel())
    found = law.precision(predictions[:2]).detach().flatten()
    expected = [1 / errors[which == of].square().mean() for of in (0, 1)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=0)
    assert found[0] / found[1] == pytest.approx(9, rel=0.1)


def test_bounds_that_exclude_the_start_are_refused_in_one_line():
    with pytest.raises(
        ValueError, match="should have its initial 1000 between lowest 1 and highest 100; move"
    ):
        LearnedPrecision(highest=100.0)


@pytest.mark.parametrize(
    "learned", [{"precision": LearnedPrecision()}, {"law": StudentTLaw(shape="learned")}]
)
def test_errors_that_stay_zero_cannot_teach_a_law(learned):
    with pytest.raises(ValueError, match=r"learning\.iterations: after 1 with"):
        PredictiveCoding(iterations=1, gradient="energy", **learned)


def test_a_fixed_precision_is_no_parameter():
    assert not list(laws(PredictiveCoding(precision=FixedPrecision(value=3.0)), states=[(2,)]).parameters())
