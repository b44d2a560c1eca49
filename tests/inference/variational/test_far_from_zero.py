"""Data far from 0, components far apart, units from 1e-6 to 1e6: the same beliefs, the same evidence in nats."""

import math

import pytest
import torch

from precisionflow.inference.variational import (
    Categorical,
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianVector,
    Model,
    Wishart,
    categorical,
    infer,
    linear,
    normal,
)
from precisionflow.inference.variational.elbo import (
    energy_and_entropy,
    evidence_less_divergence,
    likelihood_less_divergence,
)
from precisionflow.inference.variational.exact import exact

COUNT = 200
FAR = pytest.mark.parametrize("far", [0.0, 1e3, 1e6, -1e8])
UNIT = pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def number(y, at, unit):
    """Mean and precision of numbers around `at`, in units of `unit`."""
    model = Model()
    mean = model.latent(Gaussian.of(at, 1e-3 / unit**2))
    precision = model.latent(Gamma.of(1e-3, 1e-3 * unit**2))
    model.observe(normal(mean, precision), at + unit * y)
    return model, mean


def vector(y, at, unit):
    """The same of vectors."""
    eye = torch.eye(2, dtype=torch.float64)
    model = Model()
    mean = model.latent(GaussianVector.of(torch.full((2,), at), 1e-3 / unit**2 * eye))
    precision = model.latent(Wishart.of(3.0, unit**2 * eye))
    model.observe(normal(mean, precision), at + unit * y)
    return model, mean


MADE = pytest.mark.parametrize(("made", "width"), [(number, ()), (vector, (2,))], ids=["numbers", "vectors"])


@FAR
@MADE
def test_the_elbo_does_not_depend_on_where_data_lie(made, width, far):
    y = drawn(COUNT, *width)
    found, moved = (infer(made(y, at, 1.0)[0]) for at in (0.0, far))
    assert moved.converged
    assert moved.elbo == pytest.approx(found.elbo, abs=1e-6)


@UNIT
@MADE
def test_the_elbo_changes_with_the_unit_as_a_density_does(made, width, unit):
    y = drawn(COUNT, *width)
    found, scaled = (infer(made(y, 0.0, of)[0]) for of in (1.0, unit))
    assert scaled.elbo + y.numel() * math.log(unit) == pytest.approx(found.elbo, rel=1e-9)


@FAR
def test_the_three_forms_of_the_elbo_agree_far_from_zero(far):
    model = Model()
    top = model.latent(Gaussian.of(far, 2.0))
    low = model.latent(normal(linear((0.5, top), offset=0.5 * far), 3.0))
    model.observe(normal(low, 4.0), far + drawn(5))
    both = model.latent(GaussianVector.of([far, -far], torch.eye(2)))
    model.observe(normal(both, 5 * torch.eye(2)), torch.tensor([far, -far]) + drawn(3, 2))
    found = infer(model, tolerance=1e-14)
    for form in (energy_and_entropy, likelihood_less_divergence):
        assert form(model, found.beliefs).item() == pytest.approx(found.elbo, abs=1e-6)
    assert evidence_less_divergence(exact(model), found.beliefs).item() == pytest.approx(found.elbo, abs=1e-6)


@FAR
def test_the_exact_evidence_is_that_of_data_at_zero(far):
    y = drawn(5)
    evidences = []
    for at in (0.0, far):
        model = Model()
        mean = model.latent(Gaussian.of(at, 0.5))
        model.observe(normal(mean, 4.0), at + y)
        evidences.append(exact(model).log_evidence.item())
    assert evidences[1] == pytest.approx(evidences[0], abs=1e-6)


def mixture_of_numbers(y, apart):
    """Two components at -apart and apart, both of variance about 1."""
    model = Model()
    which = model.latent(categorical(model.latent(Dirichlet.of(torch.ones(2)))), plates=(len(y),))
    at = torch.tensor([-apart, apart], dtype=torch.float64)
    means = model.latent(Gaussian.of(at, 1e-3))
    precisions = model.latent(Gamma.of(torch.ones(2), 1.0))
    values = y + at.repeat_interleave(len(y) // 2)
    return model, which, means, precisions, values


def mixture_of_vectors(y, apart):
    eye = torch.eye(2, dtype=torch.float64)
    model = Model()
    which = model.latent(categorical(model.latent(Dirichlet.of(torch.ones(2)))), plates=(len(y),))
    at = torch.tensor([[-apart, apart], [apart, 2 * apart]], dtype=torch.float64)
    means = model.latent(GaussianVector.of(at, 1e-3 * eye))
    precisions = model.latent(Wishart.of(torch.full((2,), 3.0), eye))
    values = torch.stack([y, y.flip(0)], dim=1) + at.repeat_interleave(len(y) // 2, dim=0)
    return model, which, means, precisions, values


MIXTURES = pytest.mark.parametrize("made", [mixture_of_numbers, mixture_of_vectors])


@pytest.mark.parametrize("apart", [1e3, 1e5, 1e7, 1e9])
@pytest.mark.parametrize("hidden", [False, True])
@MIXTURES
def test_a_mixture_has_the_same_precisions_however_far_its_components_lie_apart(made, hidden, apart):
    y = drawn(COUNT)
    found = []
    for of in (100.0, apart):
        model, which, means, precisions, values = made(y, of)
        if hidden:
            noisy = torch.full((1,), 1e4) if values.ndim == 1 else 1e4 * torch.eye(2)
            start = (
                Gaussian.of(values, 1e4)
                if values.ndim == 1
                else GaussianVector.of(values, 1e4 * torch.eye(2))
            )
            latent = model.latent(normal(means, precisions), which=which, start=start)
            model.observe(normal(latent, noisy), values)
        else:
            model.observe(normal(means, precisions), values, which=which)
        after = infer(model, iterations=200)
        assert after.converged
        found.append((after.elbo, after[precisions].mean, after[which].mean))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(found[1][2], found[0][2], rtol=0, atol=1e-6)


@MIXTURES
def test_a_mixture_counts_its_squares_the_same_both_ways(made, monkeypatch):
    """Overlapping components, so that every chance is between 0 and 1."""
    model, which, means, precisions, values = made(drawn(COUNT), 0.5)
    model.observe(normal(means, precisions), values, which=which)
    quick = infer(model, tolerance=0, iterations=20)
    monkeypatch.setattr("precisionflow.inference.variational.factors.values.NEAR", 0.0)
    careful = infer(model, tolerance=0, iterations=20)
    assert quick.elbo == pytest.approx(careful.elbo, abs=1e-9)
    for variable in (which, means, precisions):
        torch.testing.assert_close(quick[variable].mean, careful[variable].mean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("away", "possible"), [(10.0, 0), (1e3, 0), (1.4e4, 0), (2e4, 1)])
def test_a_state_of_probability_zero_is_impossible_unless_data_speak_by_more_than_1e8_nats(away, possible):
    """A value speaks for its component by away^2 / 2 nats."""
    model = Model()
    which = model.latent(categorical([1.0, 0.0]), plates=(2,))
    means = model.latent(Gaussian.of([0.0, away], 1e12))
    model.observe(normal(means, torch.ones(2)), [0.0, away], which=which)
    assert infer(model)[which].mean[:, 1].max() == possible


@pytest.mark.parametrize("mean", [1.0, 1e4, -1e8])
@pytest.mark.parametrize("precision", [1e-4, 1.0, 1e12])
@pytest.mark.parametrize("kind", [Gaussian, GaussianVector])
def test_a_density_is_off_by_the_rounding_of_its_mean_alone(kind, mean, precision):
    """eps |mean| sqrt(precision) standard deviations, of a value about one of them away."""
    value, precision = mean + 0.7 / precision**0.5, torch.tensor(precision, dtype=torch.float64)
    shape = (1,) * sum(kind.axes[:1])
    belief = kind.of(torch.full(shape, mean), precision.reshape(shape * 2))
    found = belief.log_density(torch.full(shape, value, dtype=torch.float64)).item()
    square = precision.item() * (value - mean) ** 2
    away = 8 * torch.finfo(torch.float64).eps * abs(mean) * precision.item() ** 0.5
    wanted = 0.5 * (math.log(precision.item()) - math.log(2 * math.pi) - square)
    assert found == pytest.approx(wanted, rel=1e-14, abs=away * (square**0.5 + away))


def test_a_zero_of_a_table_is_kept_against_many_data():
    """State 1 never follows state 0, though 2,000 data that both share speak for it."""
    model = Model()
    first = model.latent(Categorical.of([1.0, 0.0]))
    second = model.latent(categorical([[1.0, 0.0], [0.5, 0.5]], given=(first,)))
    model.observe(categorical([[0.9, 0.1], [0.1, 0.9]], given=(second,)), torch.ones(2000, dtype=torch.long))
    assert infer(model)[second].mean[1] == 0


def test_a_free_energy_that_is_not_finite_is_refused():
    model = Model()
    mean = model.latent(Gaussian.of(0.0, 1e-300))
    model.observe(normal(mean, model.latent(Gamma.of(1.0, 1.0))), [1e200, -1e200])
    with pytest.raises(
        ValueError, match=r"free energy is (inf|nan) after 1 iterations; numbers .* too far apart"
    ):
        infer(model)


@pytest.mark.parametrize("prior", [1e-13, 1e-20])
def test_what_rounding_has_made_singular_is_refused(prior):
    """Two numbers that are the same in all data, and two sums that are: what priors say of the difference is lost."""
    eye = torch.eye(2, dtype=torch.float64)
    same, both = Model(), Model()
    mean = same.latent(GaussianVector.of(torch.zeros(2), 1e-6 * eye))
    precision = same.latent(Wishart.of(3.0, prior * eye))
    same.observe(normal(mean, precision), 10 * drawn(COUNT, 1) * torch.ones(2))
    terms = both.latent(GaussianVector.of(torch.zeros(2), prior / 10 * eye))
    both.observe(normal(linear((torch.ones(2, 2), terms)), eye), torch.ones(1, 2))
    for model in (same, both):
        with pytest.raises(
            ValueError, match=r"is singular but for rounding: .*give a stronger prior, or leave one"
        ):
            infer(model)
    with pytest.raises(ValueError, match="exact: precision of all variables is singular but for rounding"):
        exact(both)


@pytest.mark.parametrize("start", [None, torch.tensor([-1.0, 1.0])])
def test_a_mixture_whose_components_begin_alike_is_refused(start):
    model = Model()
    which = model.latent(categorical([0.5, 0.5]), plates=(COUNT,))
    begin = None if start is None else Gaussian.of(start, 1.0)
    means = model.latent(Gaussian.of(torch.zeros(2), 0.1), start=begin, name="means")
    model.observe(normal(means, 1.0), torch.cat([drawn(COUNT // 2) - 4, drawn(COUNT // 2) + 4]), which=which)
    if start is None:
        with pytest.raises(
            ValueError, match=r"all states of which= begin with the same means.*give these a start="
        ):
            infer(model)
    else:
        assert infer(model)[means].mean.tolist() == pytest.approx([-4, 4], abs=0.5)


@pytest.mark.parametrize("far", [0.0, 1e8])
@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("states", [2, 3, 7])
def test_what_begins_alike_is_refused_whatever_rounding_does_to_it(states, width, far):
    model = Model()
    which = model.latent(categorical(model.latent(Dirichlet.of(torch.ones(states)))), plates=(COUNT,))
    eye = torch.eye(width, dtype=torch.float64)
    means = model.latent(GaussianVector.of(torch.zeros(states, width), 1e-3 * eye))
    precisions = model.latent(Wishart.of(torch.full((states,), width + 1.0), eye))
    model.observe(normal(means, precisions), far + 3 * drawn(COUNT, width), which=which)
    with pytest.raises(ValueError, match=r"begin with the same GaussianVector 2 and Wishart 3"):
        infer(model)


def of_two(values, start, precision):
    """Two components of known precision and equal weight, begun at `start`."""
    model = Model()
    which = model.latent(categorical([0.5, 0.5]), plates=(len(values),))
    kind = Gaussian if values.ndim == 1 else GaussianVector
    prior = kind.of(values.mean(dim=0).expand(2, *values.shape[1:]), 1e-6 * precision)
    means = model.latent(prior, start=kind.of(start, precision))
    model.observe(normal(means, precision), values, which=which)
    return model, means


def test_components_that_start_apart_may_come_to_lie_together():
    """Data narrower than a component: every step takes the means to a quarter of their distance."""
    model, means = of_two(0.5 * drawn(COUNT), torch.tensor([-1.0, 1.0]), torch.tensor(1.0))
    one, other = infer(model, tolerance=0, iterations=200)[means].mean.tolist()
    assert one == pytest.approx(other, abs=1e-12)


def test_components_that_lie_near_each_other_and_far_from_zero_are_two():
    """Ten standard deviations apart, 1e-13 of where they are."""
    at = 1e8 + torch.tensor([-5e-6, 5e-6], dtype=torch.float64)
    values = at.repeat_interleave(COUNT // 2) + 1e-6 * drawn(COUNT)
    model, means = of_two(values, at, torch.tensor(1e12))
    one, other = infer(model)[means].mean.tolist()
    assert other - one == pytest.approx(1e-5, rel=0.1)


def test_a_large_coordinate_hides_no_small_one_that_tells_components_apart():
    at = torch.tensor([[1e9, -5e-6], [1e9, 5e-6]], dtype=torch.float64)
    values = at.repeat_interleave(COUNT // 2, dim=0) + 1e-6 * drawn(COUNT, 2)
    model, means = of_two(values, at, 1e12 * torch.eye(2))
    one, other = infer(model)[means].mean[:, 1].tolist()
    assert other - one == pytest.approx(1e-5, rel=0.1)


def test_means_that_begin_alike_are_told_apart_by_a_start_of_the_states():
    states = torch.arange(2).repeat_interleave(COUNT // 2)
    values = drawn(COUNT) + torch.tensor([-4.0, 4.0])[states]
    model = Model()
    means = model.latent(Gaussian.of(torch.zeros(2), 0.1))
    chances = 0.1 + 0.8 * torch.nn.functional.one_hot(states)
    which = model.latent(categorical([0.5, 0.5]), plates=(COUNT,), start=Categorical.of(chances))
    model.observe(normal(means, 1.0), values, which=which)
    assert infer(model)[means].mean.tolist() == pytest.approx([-4, 4], abs=0.5)
