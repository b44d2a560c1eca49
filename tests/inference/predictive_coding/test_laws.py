"""Every error law: its log density, its step, and what layers learn under it."""

import itertools
import math

import pytest
import torch
from lowest_energy import fit
from scipy import stats
from torch import distributions as known
from torch import nn

from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    LaplaceLaw,
    LearnedPrecision,
    MixtureLaw,
    PredictedPrecision,
    PredictiveCoding,
    StudentTLaw,
)
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws, layer_law
from precisionflow.inference.predictive_coding.parameters import SHARE_OF_GRADIENT
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.networks.layered import Layered

LAWS = [GaussianLaw(), LaplaceLaw(), StudentTLaw(degrees_of_freedom=3.0), MixtureLaw()]
VALUES = {"gaussian": 20.0, "laplace": 0.3, "student_t": 20.0, "mixture": 20.0}
"""Precisions under which errors move the states: of Laplace's so low that the loss pulls harder than the law."""
AT = torch.linspace(-30, 30, 41, dtype=torch.float64)[:, None]
every_scale = pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 1e3, 1e6])
every_precision = pytest.mark.parametrize("kind", ["fixed", "predicted"])
every_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)


def density(law, precision: float) -> known.Distribution:
    """The law as torch knows it."""
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    match law:
        case GaussianLaw():
            return known.Normal(zero, one / math.sqrt(precision))
        case LaplaceLaw():
            return known.Laplace(zero, one / math.sqrt(2 * precision))
        case StudentTLaw(degrees_of_freedom=degrees):
            return known.StudentT(degrees * one, zero, one / math.sqrt(precision))
        case MixtureLaw(shares=shares, ratios=ratios):
            weights = torch.tensor([1 - sum(shares), *shares], dtype=torch.float64)
            scales = (precision * torch.tensor([1.0, *ratios], dtype=torch.float64)) ** -0.5
            return known.MixtureSameFamily(known.Categorical(weights), known.Normal(torch.zeros(2), scales))


def of_scipy(law, scale):
    """The distribution function of errors whose precision is 1 / scale^2, as scipy knows it."""
    match law:
        case GaussianLaw():
            return stats.norm(scale=scale).cdf
        case LaplaceLaw():
            return stats.laplace(scale=scale / math.sqrt(2)).cdf
        case StudentTLaw(degrees_of_freedom=degrees):
            return stats.t(degrees, scale=scale).cdf
        case MixtureLaw(shares=shares, ratios=ratios):
            parts = zip((1 - sum(shares), *shares), (1.0, *ratios), strict=True)
            components = [(share, stats.norm(scale=scale / math.sqrt(ratio)).cdf) for share, ratio in parts]
            return lambda errors: sum(share * cdf(errors) for share, cdf in components)


def of_one_layer(law, precision):
    return layer_law(law, precision, state=(1,)).double()


@every_law
@every_scale
def test_energy_and_normaliser_are_the_log_density(law, scale):
    precision, errors = scale**-2.0, scale * AT
    made, stated = of_one_layer(law, FixedPrecision(value=precision)), torch.full((1,), precision).double()
    found = made.law.energy(errors, stated) + made.law.log_normaliser(stated)
    torch.testing.assert_close(found, -density(law, precision).log_prob(errors), rtol=1e-6, atol=1e-6)


@every_law
@every_scale
def test_the_distribution_function_is_that_of_scipy(law, scale):
    """Also in the tails, where it is small."""
    errors = scale * AT
    made = of_one_layer(law, FixedPrecision(value=scale**-2.0))
    found, _ = made.pit_and_dispersion(errors, errors)
    torch.testing.assert_close(found.numpy(), of_scipy(law, scale)(errors.numpy()), rtol=1e-10, atol=0.0)


@every_law
def test_errors_times_scores_are_1_on_average_under_the_law(law):
    """By quadrature over the density."""
    errors = torch.linspace(-3000, 3000, 2_000_001, dtype=torch.float64)[:, None]
    made = of_one_layer(law, FixedPrecision(value=2.0))
    _, products = made.pit_and_dispersion(errors, errors)
    shares = (-made.negative_log_density(errors, errors)).exp()
    mean = torch.trapezoid((products * shares)[:, 0], errors[:, 0])
    assert float(mean) == pytest.approx(1, abs=1e-4)


@every_law
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), (5, 2, 1), (5, 2, 3)], ids=str)
def test_the_total_energy_is_the_sum_of_all(law, shape):
    """Of one precision, one of each channel or place, and of what a state predicts."""
    torch.manual_seed(0)
    errors, stated = torch.randn(5, 2, 3, dtype=torch.float64), torch.rand(shape, dtype=torch.float64) + 0.5
    made = of_one_layer(law, FixedPrecision(value=1.0)).law
    torch.testing.assert_close(made.total_energy(errors, stated), made.energy(errors, stated).sum())


@every_law
@every_scale
def test_a_step_follows_the_slope_of_the_energy(law, scale):
    """Without a loss a step below 1 never passes 0, and the score after it is the derivative there."""
    errors, stated = scale * AT, torch.full((1,), scale**-2.0, dtype=torch.float64)
    made = of_one_layer(law, FixedPrecision(value=scale**-2.0))
    after, score = made.law.stepped(errors, torch.zeros_like(errors), stated, step_size=0.5)
    assert (after * errors >= 0).all()
    assert (after.abs() <= errors.abs()).all()
    slope = after.clone().requires_grad_()
    (derivative,) = torch.autograd.grad(made.law.energy(slope, stated).sum(), slope)
    moved = after != 0
    assert moved.sum() > len(errors) / 2
    torch.testing.assert_close(score[moved], derivative[moved], rtol=1e-6, atol=0)


@every_law
@every_scale
def test_a_learned_precision_is_where_errors_times_scores_are_one_on_average(law, scale):
    """d/d log precision of -log p(e) is (e score(e) - 1) / 2 in every law that has the precision as scale."""
    torch.manual_seed(0)
    errors = scale * torch.randn(2000, 1, dtype=torch.float64) ** 3
    bounds = {"initial": 0.3 / scale**2, "lowest": 1e-18, "highest": 1e18}
    made = of_one_layer(law, LearnedPrecision(**bounds))
    value = fitted(made, errors)["precision"]
    slope = errors.clone().requires_grad_()
    (score,) = torch.autograd.grad(made.law.energy(slope, torch.full((1,), value).double()).sum(), slope)
    assert (errors * score).mean().item() == pytest.approx(1, rel=1e-5)
    if law == LaplaceLaw():
        assert value == pytest.approx(1 / (2 * errors.abs().mean().item() ** 2), rel=1e-5)


@every_scale
def test_a_step_of_laplaces_law_is_the_lowest_point_of_its_proximal_energy(scale):
    """|x| / b + (x - u)^2 / 2 rate, u = e - rate gradient, searched over a fine grid."""
    precision, size = torch.full((1,), scale**-2.0, dtype=torch.float64), 0.3
    rate = size / precision
    made = of_one_layer(LaplaceLaw(), FixedPrecision(value=scale**-2.0))
    grid = scale * torch.linspace(-4, 4, 80_001, dtype=torch.float64)
    for error, gradient in ((1.5, -0.4), (0.1, 0.0), (-0.2, 3.0), (2.0, 6.0)):
        at, slope = (torch.full((1, 1), of, dtype=torch.float64) for of in (error * scale, gradient / scale))
        found, _ = made.law.stepped(at, slope, precision, step_size=size)
        energies = (2 * precision).sqrt() * grid.abs() + (grid - (at - rate * slope)) ** 2 / (2 * rate)
        assert float(found) == pytest.approx(float(grid[energies.argmin()]), abs=2e-4 * scale)


@pytest.mark.parametrize(
    "law", [law for law in LAWS if not isinstance(law, LaplaceLaw)], ids=lambda law: law.kind
)
def test_the_curvature_is_the_largest_of_the_energy(law):
    """Of a mixture it is a bound: that of the narrow component, as if it were alone."""
    precision = torch.full((1,), 7.0, dtype=torch.float64)
    made = of_one_layer(law, FixedPrecision(value=7.0))
    errors = torch.linspace(-3, 3, 2001, dtype=torch.float64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(made.law.energy(errors, precision).sum(), errors, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), errors)
    stated = float(made.law.curvature(precision))
    if isinstance(law, MixtureLaw):
        assert float(second.max()) <= stated
    else:
        assert float(second.max()) == pytest.approx(stated, rel=1e-6)


def fitted(made, errors) -> dict[str, float]:
    """Parameters of a law where the energy of these errors is lowest."""
    fit(made, lambda: made.energy(errors, errors) / len(errors))
    return {"precision": made.precision(errors).item()}


def test_learned_degrees_of_freedom_are_those_that_scipy_finds():
    torch.manual_seed(0)
    errors = (
        torch.randn(3000, 1, dtype=torch.float64) / torch.randn(3000, 1, dtype=torch.float64).abs().sqrt()
    )
    made = of_one_layer(StudentTLaw(shape="learned"), LearnedPrecision(initial=1.0, lowest=1e-3, highest=1e3))
    precision = fitted(made, errors)["precision"]
    degrees, _, scale = stats.t.fit(errors.flatten().numpy(), floc=0)
    assert made.law.degrees_of_freedom(errors).item() == pytest.approx(degrees, rel=1e-3)
    assert precision == pytest.approx(scale**-2, rel=1e-3)


def test_a_learned_mixture_is_at_a_fixed_point_of_expectation_maximisation():
    """share_k is the mean of p(k | e), 1 / (ratio_k precision) the mean of e^2 weighed by it; the truth is near."""
    torch.manual_seed(0)
    wide = torch.rand(4000, 1, dtype=torch.float64) < 0.3
    errors = torch.where(wide, 5.0, 1.0) * torch.randn(4000, 1, dtype=torch.float64)
    made = of_one_layer(MixtureLaw(shape="learned"), LearnedPrecision(initial=2.0, lowest=1e-3, highest=1e3))
    precision = fitted(made, errors)["precision"]
    shares, ratios = made.law.log_shares(errors).exp().detach(), made.law.ratios(errors).detach()
    heights = shares * ratios.sqrt() * torch.exp(-0.5 * precision * ratios * errors.square())
    belongs = heights / heights.sum(dim=1, keepdim=True)
    torch.testing.assert_close(belongs.mean(dim=0), shares, rtol=1e-4, atol=0)
    variances = (belongs * errors.square()).sum(dim=0) / belongs.sum(dim=0)
    torch.testing.assert_close(1 / variances, ratios * precision, rtol=1e-4, atol=0)
    assert shares[1].item() == pytest.approx(0.3, abs=0.05)
    assert (ratios[1] * precision).item() == pytest.approx(1 / 25, rel=0.15)


@pytest.fixture
def network():
    """A network of rows with curved layers, its inputs and targets."""
    torch.manual_seed(0)
    maps = [nn.Linear(a, b).double() for a, b in ((3, 6), (6, 5), (5, 2))]
    layers = [nn.Sequential(of, nn.Tanh()) for of in maps[:2]]
    model = Layered(layers, maps[2], states=[(6,), (5,)])
    return model, torch.randn(8, 3, dtype=torch.float64), 2 * torch.randn(8, 2, dtype=torch.float64)


def squared_error(output, target):
    return 0.5 * (output - target).square().sum(-1)


def settled(network, config):
    model, inputs, target = network
    clamped, made = Clamped(model, squared_error, inputs, target), laws(config, states=model.states).double()
    for law in made.layers:
        for parameter in law.precision.parameters():
            nn.init.normal_(parameter, std=0.1)
    return clamped, made, settle(clamped, clamped.passed(), made, config=config, steps=config.steps)


def moving(law, kind: str, **settings) -> PredictiveCoding:
    value = VALUES[law.kind]
    precision = {
        "fixed": FixedPrecision(value=value),
        "predicted": PredictedPrecision(initial=value, lowest=value / 10, highest=value * 10),
    }[kind]
    return PredictiveCoding(law=law, precision=precision, **settings)


@every_law
@every_precision
def test_energy_falls_at_every_step(network, law, kind):
    config = moving(law, kind, iterations=20, step_size=0.3)
    _, _, found = settled(network, config)
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(found.energies))
    assert found.energies[-1] < found.energies[0] - 1e-3


@every_law
@every_precision
def test_at_the_settled_point_the_local_gradient_is_autograds_of_the_energy(network, law, kind):
    """Of a law without a slope at 0 too: its score there is what holds the loss in balance."""
    config = moving(law, kind, iterations=300, step_size=0.3)
    clamped, made, found = settled(network, config)
    weights, of_laws = list(clamped.model.parameters()), list(made.parameters())
    local = torch.autograd.grad(clamped.local(found.layers, made).surrogate, weights + of_laws)
    whole = torch.autograd.grad(clamped.energy(clamped.passed(found.errors), made), weights + of_laws)
    shares = [1.0] * len(weights) + [SHARE_OF_GRADIENT] * len(of_laws)
    for mine, reference, share in zip(local, whole, shares, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-3, atol=1e-4 * share)
    assert max(gradient.abs().max() for gradient in local) > 0.1
    assert any(error.abs().max() > 1e-2 for error in found.errors), "something settled"


@every_law
def test_one_step_from_zero_is_parallel_to_backprop_in_every_layer(network, law):
    config = PredictiveCoding(law=law, precision=FixedPrecision(value=1e4), iterations=1, step_size=1e-5)
    clamped, made, found = settled(network, config)
    model, inputs, target = network
    local = torch.autograd.grad(clamped.local(found.layers, made).surrogate, list(model.layers.parameters()))
    backprop = torch.autograd.grad(
        squared_error(model(inputs), target).sum(), list(model.layers.parameters())
    )
    for mine, reference in zip(local, backprop, strict=True):
        assert torch.cosine_similarity(mine.flatten(), reference.flatten(), dim=0) > 1 - 1e-6


def test_the_pull_of_a_large_error_is_bounded_unless_the_law_is_gaussian():
    """Scores at 1 and at 1,000 standard deviations: in proportion, constant, vanishing."""
    errors, one = torch.tensor([[1.0], [1000.0]], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    pulls = {}
    for law in LAWS:
        slope = errors.clone().requires_grad_()
        made = of_one_layer(law, FixedPrecision(value=1.0))
        (score,) = torch.autograd.grad(made.law.energy(slope, one).sum(), slope)
        pulls[law.kind] = (score[1] / score[0]).item()
    assert pulls["gaussian"] == pytest.approx(1000)
    assert pulls["laplace"] == pytest.approx(1)
    assert pulls["student_t"] < 0.01
    assert pulls["mixture"] < 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": (0.1, 0.2)}, "should have as many shares as ratios, not 2 and 1; give one of each"),
        (
            {"shares": (0.5, 0.5), "ratios": (0.1, 0.2)},
            "should have shares below 1 in sum, not .*; lower them",
        ),
    ],
)
def test_components_that_make_no_mixture_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureLaw(**settings)


@pytest.mark.parametrize(
    "law", [StudentTLaw(degrees_of_freedom=3.0), MixtureLaw(shares=(0.2, 0.1), ratios=(0.1, 0.01))]
)
def test_a_learned_shape_starts_as_the_configuration_says(law):
    fixed, learned = (
        of_one_layer(type(law).model_validate(law.model_dump() | {"shape": shape}), FixedPrecision(value=2.0))
        for shape in ("fixed", "learned")
    )
    assert list(learned.law.parameters())
    precision = torch.full((1,), 2.0, dtype=torch.float64)
    torch.testing.assert_close(learned.law.energy(AT, precision), fixed.law.energy(AT, precision))
    torch.testing.assert_close(learned.law.log_normaliser(precision), fixed.law.log_normaliser(precision))
