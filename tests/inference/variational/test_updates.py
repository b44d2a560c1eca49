"""Inference against closed forms, quadrature, exact posteriors and scikit-learn's form of a mixture."""

import math

import pytest
import torch
from scipy import integrate, special

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
    free_energies,
    free_energy,
    likelihood_less_divergence,
)
from precisionflow.inference.variational.exact import Point, exact, log_joint

M0, LAMBDA0, A0, B0 = 0.5, 0.1, 2.0, 3.0


@pytest.fixture
def y():
    torch.manual_seed(0)
    return 1.0 + 0.5 * torch.randn(20, dtype=torch.float64)


def normal_gamma(y, **settings):
    model = Model()
    mean = model.latent(Gaussian.of(M0, LAMBDA0))
    precision = model.latent(Gamma.of(A0, B0))
    model.observe(normal(mean, precision), y)
    return model, mean, precision, infer(model, tolerance=1e-14, **settings)


def closed_form(y):
    """Fixed point of the Gaussian-Gamma formulas, and its ELBO term by term."""
    n, total = len(y), y.sum().item()
    tau = A0 / B0
    for _ in range(200):
        lam = LAMBDA0 + n * tau
        m = (LAMBDA0 * M0 + tau * total) / lam
        a, b = A0 + n / 2, B0 + (y - m).square().sum().item() / 2 + n / (2 * lam)
        tau = a / b
    log_tau, log_2_pi = special.digamma(a) - math.log(b), math.log(2 * math.pi)
    squares = (y - m).square().sum().item() + n / lam
    elbo = n / 2 * (log_tau - log_2_pi) - tau / 2 * squares
    elbo += 0.5 * (math.log(LAMBDA0) - log_2_pi) - LAMBDA0 / 2 * ((m - M0) ** 2 + 1 / lam)
    elbo += A0 * math.log(B0) - special.gammaln(A0) + (A0 - 1) * log_tau - B0 * tau
    elbo += 0.5 * (log_2_pi + 1 - math.log(lam))
    elbo += a - math.log(b) + special.gammaln(a) + (1 - a) * special.digamma(a)
    return m, lam, a, b, elbo


def test_gaussian_and_gamma_are_those_of_the_formulas(y):
    _, mean, precision, found = normal_gamma(y)
    m, lam, a, b, elbo = closed_form(y)
    assert found.converged
    assert found[mean].mean.item() == pytest.approx(m, rel=1e-9)
    assert 1 / found[mean].variance.item() == pytest.approx(lam, rel=1e-7)
    assert found[precision].shape.item() == pytest.approx(a)
    assert found[precision].rate.item() == pytest.approx(b, rel=1e-7)
    assert found.elbo == pytest.approx(elbo, rel=1e-12)


def test_the_three_forms_of_the_elbo_agree_with_quadrature(y):
    """log p(y) and the divergence from the posterior are integrals over the precision and the mean."""
    model, mean, precision, found = normal_gamma(y)
    n, average, scatter = len(y), y.mean().item(), (y - y.mean()).square().sum().item()
    q, r = found[mean], found[precision]

    def marginal(tau):
        """log of p(tau) times the integral of p(y, mean given tau) over the mean."""
        log = A0 * math.log(B0) - special.gammaln(A0) + (A0 - 1) * math.log(tau) - B0 * tau
        log += 0.5 * n * math.log(tau / (2 * math.pi)) - 0.5 * tau * scatter + 0.5 * math.log(LAMBDA0)
        lam = LAMBDA0 + n * tau
        return log - 0.5 * math.log(lam) - 0.5 * LAMBDA0 * n * tau / lam * (average - M0) ** 2

    peak = max(marginal(0.05 * step) for step in range(1, 400))
    area, _ = integrate.quad(
        lambda tau: math.exp(marginal(tau) - peak), 0, 60, points=(2, 4, 6, 8), limit=200
    )
    evidence = peak + math.log(area)

    def divergence(tau):
        """log q(tau) + <log q(mean)> - <log p(mean, tau given y)> at one precision."""
        log_tau = torch.tensor(tau, dtype=torch.float64)
        lam = LAMBDA0 + n * tau
        centre = (LAMBDA0 * M0 + tau * n * average) / lam
        away = q.variance.item() + (q.mean.item() - centre) ** 2
        conditional = 0.5 * math.log(lam / (2 * math.pi)) - 0.5 * lam * away
        log_q = r.log_density(log_tau).item()
        return math.exp(log_q) * (log_q - q.entropy().item() - conditional - marginal(tau) + evidence)

    apart, _ = integrate.quad(divergence, 1e-6, 60, points=(2, 4, 6, 8), limit=200)
    assert apart > 1e-4
    assert evidence - apart == pytest.approx(found.elbo, abs=1e-6)
    for form in (energy_and_entropy, likelihood_less_divergence):
        assert form(model, found.beliefs).item() == pytest.approx(found.elbo, rel=1e-12)


def linear_gaussian():
    """Two numbers and a vector, each on those before, with data on two of them."""
    torch.manual_seed(1)
    model = Model()
    top = model.latent(Gaussian.of([0.3, -0.2, 1.0], 2.0), name="top")
    low = model.latent(normal(linear((0.7, top), offset=0.1), 3.0), name="low")
    last = model.latent(normal(linear((-0.4, low), (1.2, top)), [1.0, 2.0, 3.0]), name="last")
    model.observe(normal(last, 4.0), torch.randn(5, 3, dtype=torch.float64))
    model.observe(normal(low, 0.5), torch.randn(3, dtype=torch.float64))
    return model


def vectors():
    torch.manual_seed(2)
    model = Model()
    mix = torch.randn(3, 2, dtype=torch.float64)
    high = model.latent(GaussianVector.of([0.5, -0.5], [[2.0, 0.3], [0.3, 1.0]]), plates=(4,))
    low = model.latent(normal(linear((mix, high), offset=[0.1, 0.2, 0.3]), 2.0 * torch.eye(3)))
    model.observe(
        normal(linear((mix.T, low)), [[1.0, 0.2], [0.2, 3.0]]), torch.randn(6, 4, 2, dtype=torch.float64)
    )
    return model


def states():
    torch.manual_seed(3)
    table = torch.randn(2, 3, dtype=torch.float64).softmax(dim=-1)
    model = Model()
    first = model.latent(categorical([0.3, 0.7]), plates=(2,))
    second = model.latent(categorical(table, given=(first,)))
    both = torch.randn(2, 3, 2, dtype=torch.float64).softmax(dim=-1)
    model.observe(categorical(both, given=(first, second)), [1, 0])
    model.observe(Gaussian.of([-1.0, 0.0, 1.0], 2.0), [0.4, -0.3], which=second)
    return model


@pytest.mark.parametrize("made", [linear_gaussian, vectors, states], ids=lambda made: made.__name__)
def test_the_three_forms_of_the_elbo_agree_where_the_evidence_is_known(made):
    model = made()
    found, known = infer(model, iterations=3, tolerance=0), exact(model)
    assert known.divergence(found.beliefs) > 1e-4
    for form in (
        energy_and_entropy(model, found.beliefs),
        evidence_less_divergence(known, found.beliefs),
        likelihood_less_divergence(model, found.beliefs),
        -sum(free_energies(model, found.beliefs).values()),
    ):
        assert form.item() == pytest.approx(found.elbo, rel=1e-12, abs=1e-11)


def test_means_of_gaussians_settle_at_the_exact_ones():
    for model in (linear_gaussian(), vectors()):
        found = infer(model, tolerance=1e-15, iterations=3000)
        means = torch.cat(
            [found[x].mean.expand(*x.plates, *x.start.event[:1]).flatten() for x in model.variables]
        )
        torch.testing.assert_close(means, exact(model).mean, rtol=1e-6, atol=1e-6)


def test_one_variable_has_the_exact_posterior(y):
    """A tree of one variable: F = -log p(data), here that of a Gaussian with all correlations."""
    model = Model()
    mean = model.latent(Gaussian.of(M0, LAMBDA0))
    model.observe(normal(mean, 4.0), y)
    found = infer(model)
    covariance = torch.eye(len(y), dtype=torch.float64) / 4 + 1 / LAMBDA0
    evidence = torch.distributions.MultivariateNormal(torch.full_like(y, M0), covariance).log_prob(y)
    assert found.elbo == pytest.approx(evidence.item(), rel=1e-12)
    assert exact(model).log_evidence.item() == pytest.approx(evidence.item(), rel=1e-12)


def test_dirichlet_and_observed_states_are_conjugate():
    """log p(data) = log B(concentration + counts) - log B(concentration), rows by a parent's state."""
    states, groups = torch.tensor([0, 2, 2, 1, 2]), torch.tensor([0, 0, 1, 1, 1])
    model = Model()
    weights = model.latent(Dirichlet.of([1.0, 2.0, 0.5]))
    model.observe(categorical(weights), states)
    found = infer(model)
    after = torch.tensor([2.0, 3.0, 3.5], dtype=torch.float64)
    torch.testing.assert_close(found[weights].concentration, after)
    ratio = Dirichlet.of(after).log_normaliser - Dirichlet.of([1.0, 2.0, 0.5]).log_normaliser
    assert found.elbo == pytest.approx(ratio.item())

    rows = Model()
    table = rows.latent(Dirichlet.of([1.0, 2.0, 0.5]), plates=(2,))
    group = rows.latent(categorical([0.5, 0.5]), plates=(5,))
    rows.observe(categorical(table, given=(group,)), states)
    known = torch.nn.functional.one_hot(groups, 2).double().clamp(min=1e-9)
    rows.observe(categorical(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), given=(group,)), groups)
    torch.testing.assert_close(
        infer(rows)[table].concentration,
        torch.tensor([[2.0, 2.0, 1.5], [1.0, 3.0, 2.5]], dtype=torch.float64),
    )
    torch.testing.assert_close(infer(rows)[group].mean, known, rtol=0, atol=1e-8)


def mixture(values, means, *, scalar=False, origin=0.0):
    model, states = Model(), len(means)
    weights = model.latent(Dirichlet.of(torch.ones(states)))
    which = model.latent(categorical(weights), plates=(len(values),))
    if scalar:
        start = Gaussian.of(means, 1.0)
        centres = model.latent(Gaussian.of(torch.full((states,), origin), 0.01), start=start)
        precisions = model.latent(Gamma.of(torch.full((states,), 1.0), 1.0))
    else:
        width = values.shape[1]
        eye = torch.eye(width, dtype=torch.float64)
        start = GaussianVector.of(means, eye)
        centres = model.latent(
            GaussianVector.of(torch.full((states, width), origin), 0.01 * eye), start=start
        )
        precisions = model.latent(Wishart.of(torch.full((states,), width + 1.0), eye))
    model.observe(normal(centres, precisions), values, which=which)
    return model, which, centres, precisions


def test_a_mixture_of_one_width_is_that_of_numbers():
    """A Wishart of width 1 and degrees n is a Gamma of shape n / 2, rate 1 / (2 V)."""
    torch.manual_seed(4)
    values = torch.cat([torch.randn(15) - 3, torch.randn(25) + 3]).double()
    centres = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    numbers, *of_numbers = mixture(values, centres, scalar=True)
    # degrees 2 and V^-1 = 2 are shape 1 and rate 1
    vectors = Model()
    weights = vectors.latent(Dirichlet.of(torch.ones(2)))
    which = vectors.latent(categorical(weights), plates=(40,))
    means = vectors.latent(
        GaussianVector.of(torch.zeros(2, 1), [[0.01]]), start=GaussianVector.of(centres[:, None], [[1.0]])
    )
    matrices = vectors.latent(Wishart.of([2.0, 2.0], [[2.0]]))
    vectors.observe(normal(means, matrices), values[:, None], which=which)
    one, two = infer(numbers), infer(vectors)
    assert one.elbo == pytest.approx(two.elbo, rel=1e-9)
    torch.testing.assert_close(one[of_numbers[0]].mean, two[which].mean)
    torch.testing.assert_close(one[of_numbers[1]].mean, two[means].mean[:, 0])
    torch.testing.assert_close(one[of_numbers[2]].mean, two[matrices].mean[:, 0, 0])


def test_a_mixture_of_40_components_has_each_value_in_its_own():
    """Each is far from all others and has one value, whose mean and precision are the closed form."""
    at = 100 * torch.arange(40, dtype=torch.float64)
    model = Model()
    which = model.latent(categorical(model.latent(Dirichlet.of(torch.ones(40)))), plates=(40,))
    centres = model.latent(Gaussian.of(at - 2, 0.5))
    precisions = model.latent(Gamma.of(torch.ones(40), 1.0))
    model.observe(normal(centres, precisions), at, which=which)
    found = infer(model, tolerance=1e-14)
    assert found.converged
    torch.testing.assert_close(found[which].mean, torch.eye(40, dtype=torch.float64))
    tau = found[precisions].mean
    torch.testing.assert_close(found[centres].mean, at - 2 * 0.5 / (tau + 0.5))
    residual = (at - found[centres].mean).square() + found[centres].variance
    torch.testing.assert_close(tau, 1.5 / (1 + residual / 2), rtol=1e-5, atol=0)


def test_a_mixture_finds_its_components_far_from_the_origin():
    torch.manual_seed(5)
    true = 1e4 + torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]], dtype=torch.float64)
    chosen = torch.arange(90) % 3
    values = true[chosen] + torch.randn(90, 2, dtype=torch.float64)
    model, which, centres, precisions = mixture(values, values[:3], origin=1e4)
    found = infer(model)
    assert found.converged
    assert (found[which].mean.argmax(dim=1) == chosen).all()
    for state in range(3):
        data = found[precisions].mean[state]
        shrunk = 0.01 * torch.eye(2, dtype=torch.float64) + 30 * data
        pull = data @ (values[chosen == state] - 1e4).sum(dim=0)
        mean = found[centres].mean[state] - 1e4
        torch.testing.assert_close(mean, torch.linalg.solve(shrunk, pull), rtol=1e-3, atol=1e-3)


def test_energies_at_points_are_densities():
    """-energy of certain beliefs is the log joint that torch.distributions gives."""
    torch.manual_seed(6)
    values = torch.randn(4, 2, dtype=torch.float64)
    model, which, centres, precisions = mixture(values, values[:2])
    weights = model.variables[0]
    of = torch.distributions
    drawn = {
        weights: torch.tensor([0.3, 0.7], dtype=torch.float64),
        which: torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0]],
        centres: torch.randn(2, 2, dtype=torch.float64),
        precisions: torch.tensor([[[2.0, 0.3], [0.3, 1.0]], [[0.5, -0.1], [-0.1, 3.0]]], dtype=torch.float64),
    }
    states = drawn[which].argmax(dim=1)
    data = of.MultivariateNormal(drawn[centres][states], precision_matrix=drawn[precisions][states])
    wanted = (
        of.Dirichlet(torch.ones(2).double()).log_prob(drawn[weights])
        + drawn[weights].log()[states].sum()
        + of.MultivariateNormal(torch.zeros(2).double(), 100 * torch.eye(2).double())
        .log_prob(drawn[centres])
        .sum()
        + of.Wishart(torch.tensor(3.0).double(), torch.eye(2).double()).log_prob(drawn[precisions]).sum()
        + data.log_prob(values).sum()
    )
    torch.testing.assert_close(log_joint(model, drawn), wanted)
    assert Point(Gamma, torch.tensor(2.0)).log_mean.item() == pytest.approx(math.log(2))


def test_plates_are_models_side_by_side(y):
    """A batch of models gives each what it gets alone, whichever plates its data have."""
    many = torch.stack([y, 2 * y, y - 3], dim=1)
    model = Model()
    mean = model.latent(Gaussian.of([M0] * 3, LAMBDA0))
    precision = model.latent(Gamma.of(A0, B0), plates=(3,))
    model.observe(normal(mean, precision), many)
    found = infer(model, tolerance=1e-14)
    alone = [normal_gamma(many[:, plate]) for plate in range(3)]
    torch.testing.assert_close(found[mean].mean, torch.stack([each[3][each[1]].mean for each in alone]))
    torch.testing.assert_close(found[precision].mean, torch.stack([each[3][each[2]].mean for each in alone]))
    assert found.elbo == pytest.approx(sum(each[3].elbo for each in alone))


def test_a_shared_parent_gathers_the_messages_of_all_plates():
    """Latent values under one mean: the mean's belief is that of data with both noises, and so is the evidence."""
    torch.manual_seed(7)
    y = torch.randn(6, dtype=torch.float64)
    model = Model()
    mean = model.latent(Gaussian.of(0.0, 0.5))
    each = model.latent(normal(mean, 2.0), plates=(6,))
    model.observe(normal(each, 3.0), y)
    found = infer(model, tolerance=1e-15)
    both = 1 / (1 / 2.0 + 1 / 3.0)
    assert found[mean].mean.item() == pytest.approx(both * y.sum().item() / (0.5 + 6 * both), rel=1e-6)
    covariance = torch.eye(6).double() / both + 1 / 0.5
    evidence = torch.distributions.MultivariateNormal(torch.zeros(6).double(), covariance).log_prob(y)
    assert exact(model).log_evidence.item() == pytest.approx(evidence.item(), rel=1e-12)


def test_free_energies_of_factors_are_named_and_sum_to_all(y):
    model, *_, found = normal_gamma(y)
    parts = free_energies(model, found.beliefs)
    assert list(parts) == ["Gaussian 0", "Gamma 1", "data 2"]
    assert sum(parts.values()).item() == pytest.approx(free_energy(model, found.beliefs).item())


def test_a_belief_that_plates_share_counts_once_for_each():
    model = Model()
    one = model.latent(Gaussian.of(0.0, 2.0), plates=(5,), start=Gaussian.of(1.0, 2.0))
    assert free_energy(model, {one: one.start}).item() == pytest.approx(5 * 1.0)


def test_certain_states_keep_a_finite_free_energy():
    model = Model()
    first = model.latent(categorical([1.0, 0.0]), plates=(3,))
    model.observe(categorical([[1.0, 0.0], [0.0, 1.0]], given=(first,)), [0, 0, 0])
    found = infer(model)
    assert found.elbo == pytest.approx(0.0, abs=1e-9)
    assert isinstance(found[first], Categorical)


def hidden_mixture(values, noise, *, start):
    """A mixture of vectors that are read with noise, each number by itself."""
    model, states, width = Model(), len(start), values.shape[1]
    eye = torch.eye(width, dtype=torch.float64)
    weights = model.latent(Dirichlet.of(torch.ones(states)))
    which = model.latent(categorical(weights), plates=(len(values),))
    means = model.latent(
        GaussianVector.of(torch.zeros(states, width), 0.01 * eye), start=GaussianVector.of(start, eye)
    )
    precisions = model.latent(Wishart.of(torch.full((states,), width + 1.0), eye))
    hidden = model.latent(
        normal(means, precisions), which=which, start=GaussianVector.of(values, noise * eye)
    )
    model.observe(normal(hidden, noise * eye), values)
    return model, which, means, precisions, hidden


def test_a_mixture_over_hidden_values_that_are_read_exactly_is_the_mixture():
    torch.manual_seed(8)
    values = torch.cat([torch.randn(12, 2) - 4, torch.randn(18, 2) + 4]).double()
    start = values[[0, -1]]
    model, *of = hidden_mixture(values, 1e8, start=start)
    known, *wanted = mixture(values, start)
    found, seen = infer(model), infer(known)
    torch.testing.assert_close(found[of[3]].mean, values, rtol=0, atol=1e-6)
    for mine, theirs in zip(of[:3], wanted, strict=True):
        torch.testing.assert_close(found[mine].mean, seen[theirs].mean, rtol=1e-4, atol=1e-4)
    assert found.elbo == pytest.approx(seen.elbo, rel=1e-4)


@pytest.mark.parametrize("scalar", [False, True])
def test_every_belief_about_a_hidden_mixture_is_where_the_free_energy_is_flat(scalar):
    torch.manual_seed(9)
    model, states, count = Model(), 3, 7
    which = model.latent(
        categorical(torch.full((states,), 1 / 3)),
        plates=(count,),
        start=Categorical.of(torch.rand(count, 3).softmax(1)),
    )
    if scalar:
        means = model.latent(Gaussian.of(torch.randn(states), 0.5))
        hidden = model.latent(normal(means, torch.tensor([1.0, 2.0, 3.0])), which=which)
        model.observe(normal(hidden, 4.0), torch.randn(2, count))
    else:
        eye = torch.eye(2, dtype=torch.float64)
        means = model.latent(GaussianVector.of(torch.randn(states, 2), eye))
        hidden = model.latent(normal(means, 2 * eye), which=which)
        model.observe(normal(hidden, 4 * eye), torch.randn(count, 2))
    found = infer(model, tolerance=1e-15, iterations=3000)
    for variable in model.variables:
        natural = tuple(part.clone().requires_grad_() for part in found[variable].natural)
        beliefs = {**found.beliefs, variable: variable.family(natural)}
        slopes = torch.autograd.grad(free_energy(model, beliefs), natural)
        assert max(slope.abs().max() for slope in slopes) < 1e-5, variable.name
    assert hidden.plates == (count,)


def test_what_chooses_no_parents_of_a_variable_is_refused():
    model = Model()
    which = model.latent(categorical([0.5, 0.5]), plates=(4,))
    mean = model.latent(Gaussian.of([0.0, 1.0, 2.0], 1.0))
    with pytest.raises(
        ValueError, match=r"latent: which= has 2 states; parents need plates \(2,\), not \(3,\)"
    ):
        model.latent(normal(mean, 1.0), which=which)
    with pytest.raises(ValueError, match="which= chooses between parents of normal"):
        model.latent(Gaussian.of(0.0, 1.0), which=which)
    with pytest.raises(ValueError, match="it has to be a Categorical variable"):
        model.latent(normal(mean, 1.0), which=mean)
