"""Schedules: which may update at once, what never rises, and what diverges where they are ignored."""

from itertools import pairwise

import pytest
import torch

from precisionflow.inference.variational import (
    Categorical,
    Gamma,
    Gaussian,
    Model,
    categorical,
    coloured,
    infer,
    linear,
    normal,
    sequential,
)
from precisionflow.inference.variational.elbo import free_energy
from precisionflow.inference.variational.exact import exact
from precisionflow.inference.variational.factors.gaussian import GaussianFactor
from precisionflow.inference.variational.staged import infer_staged
from precisionflow.inference.variational.updates import start, updated
from tests.random_models import rises

COUPLING = 0.9


def coupled() -> Model:
    """Three Gaussians of precision 1 and coupling 0.9, data on none, each written by those before it."""
    c = COUPLING
    # the precision of the first two, once the third is integrated out
    own, between = 1 - c**2, c - c**2
    model = Model()
    far = Gaussian.of(1.0, 1.0)
    first = model.latent(Gaussian.of(0.0, own - between**2 / own), start=far, name="first")
    second = model.latent(normal(linear((-between / own, first)), own), start=far, name="second")
    model.latent(normal(linear((-c, first), (-c, second)), 1.0), start=far, name="third")
    return model


def energies(model, classes, *, steps, step=1.0):
    beliefs, found = start(model), []
    for _ in range(steps):
        found.append(free_energy(model, beliefs).item())
        beliefs = updated(model, beliefs, classes, step=step)
    return [*found, free_energy(model, beliefs).item()]


def test_the_three_gaussians_have_this_precision():
    expected = torch.full((3, 3), COUPLING).double().fill_diagonal_(1.0)
    torch.testing.assert_close(exact(coupled()).precision, expected)


def test_parallel_updates_without_colours_diverge():
    """The means' map has the spectral radius 2 * 0.9: every belief answers to where the others were."""
    model = coupled()
    at_once = energies(model, [model.variables], steps=5)
    assert all(b > a for a, b in pairwise(at_once[1:]))
    assert at_once[-1] > at_once[0] + 100
    in_turn = energies(model, sequential(model), steps=50)
    assert all(b <= a + 1e-12 for a, b in pairwise(in_turn))
    assert in_turn[-1] < at_once[0]


def test_such_a_schedule_is_refused():
    model = coupled()
    with pytest.raises(ValueError, match=r"first and (second|third) share a factor and are updated at once"):
        infer(model, schedule=lambda of: [of.variables])
    with pytest.raises(ValueError, match="has to have every variable of the model once"):
        infer(model, schedule=lambda of: [of.variables[:1]])
    with pytest.raises(ValueError, match="has to have every variable of the model once"):
        infer(model, schedule=lambda of: [*sequential(of), of.variables[:1]])


def chain(length: int) -> Model:
    model = Model()
    here = model.latent(Gaussian.of(0.0, 1.0))
    for _ in range(length - 1):
        here = model.latent(normal(linear((0.9, here)), 2.0))
    model.observe(normal(here, 1.0), [1.0, 2.0])
    return model


def test_colours_of_a_chain_are_even_and_odd():
    model = chain(7)
    assert coloured(model) == [model.variables[::2], model.variables[1::2]]


def test_a_common_parent_makes_neighbours_of_all_parents_of_a_child():
    """Variables that share a child share its factor, whether anything connects them or not."""
    model = Model()
    one, two = (model.latent(Gaussian.of(0.0, 1.0)) for _ in range(2))
    noise = model.latent(Gamma.of(1.0, 1.0))
    apart = model.latent(Gaussian.of(0.0, 1.0))
    model.observe(normal(linear((1.0, one), (1.0, two)), noise), [0.0])
    model.observe(normal(apart, 1.0), [0.0])
    assert coloured(model) == [[one, apart], [two], [noise]]


@pytest.mark.parametrize("step", [1.0, 0.3])
def test_colours_and_steps_end_at_the_same_beliefs(step):
    model = chain(5)
    one = infer(model, tolerance=1e-15, iterations=5000)
    two = infer(model, schedule=coloured, step=step, tolerance=1e-15, iterations=5000)
    assert one.elbo == pytest.approx(two.elbo, rel=1e-10)
    for variable in model.variables:
        torch.testing.assert_close(one[variable].mean, two[variable].mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(24))
def test_the_free_energy_never_rises(seed):
    """benchmarks/variational.py tries 10^5 such models."""
    worst, _ = rises(seed, 25)
    assert worst <= 1e-10


def test_without_tolerance_every_iteration_is_taken_and_f_is_computed_once():
    found = infer(chain(5), iterations=3, tolerance=0)
    assert len(found.free_energies) == 1
    assert not found.converged
    assert found.free_energies == infer(chain(5), iterations=3, tolerance=1e-300).free_energies[-1:]


def slow(*, impossible: bool) -> Model:
    """A chain that is read at its end alone, and known slowly; beside it, what cannot be."""
    model = Model()
    here = model.latent(Gaussian.of(0.0, 1e-6))
    for _ in range(4):
        here = model.latent(normal(here, 1.0))
    model.observe(normal(here, 1.0), [10.0])
    if impossible:
        state = model.latent(Categorical.of([1.0, 0.0]), name="state")
        model.observe(categorical([[1.0, 0.0], [0.0, 1.0]], given=(state,)), 1, name="never")
    return model


@pytest.mark.parametrize("way", [infer, lambda of, **given: infer_staged(of, [of.variables], **given)])
def test_it_stops_where_beliefs_end_whatever_the_size_of_the_free_energy(way):
    """A datum of probability 0 has 1e8 nats, of which a share of 1e-8 is a whole nat."""
    known = exact(slow(impossible=False))
    plain, beside = (way(slow(impossible=of), tolerance=1e-8) for of in (False, True))
    means = [torch.stack([of[x].mean for x in of.beliefs if x.family is Gaussian]) for of in (plain, beside)]
    away = (means[0] - known.mean).square() * known.precision.diagonal()
    assert away.max() < 2e-8
    assert torch.equal(*means)
    assert plain.converged
    assert beside.converged
    assert beside.elbo < -0.9e8
    assert (plain.impossible, beside.impossible) == ((), ("state", "never"))


@pytest.mark.parametrize("step", [0.0, -0.5, 1.5])
def test_steps_lie_above_0_and_at_most_at_1(step):
    with pytest.raises(ValueError, match=r"step: has to lie in \(0, 1\], given"):
        infer(chain(2), step=step)


def test_work_grows_with_the_variables_of_a_model_and_not_with_their_square(monkeypatch):
    """Factors that are looked at by building a chain, scheduling it and one iteration: as many of each variable."""
    looked = []
    variables = GaussianFactor.variables.fget
    monkeypatch.setattr(GaussianFactor, "variables", property(lambda of: looked.append(1) or variables(of)))
    counts = []
    for length in (20, 200):
        looked.clear()
        model = Model()
        state = model.latent(Gaussian.of(0.0, 1.0))
        for _ in range(length):
            state = model.latent(normal(state, 1.0))
        infer(model, schedule=coloured, iterations=1)
        counts.append(len(looked) / length)
    assert counts[1] < 1.1 * counts[0]
