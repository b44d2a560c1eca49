"""Every model of iterated attention against its definition: free energy, gradient, descent, covariance."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch

from precisionflow.models.attention.iterated import Descending
from precisionflow.models.attention.iterated.block_slots import BlockSlots
from precisionflow.models.attention.iterated.hopfield import Hopfield
from precisionflow.models.attention.iterated.predictive_coding import PredictiveCoding
from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.attention.iterated.slots import DotProductSlots, GaussianSlots

SCALES = (1e-6, 1e-3, 1.0, 30.0, 1e6)


class Problem(NamedTuple):
    model: Descending
    state: torch.Tensor


def random(*shape: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def hopfield(*, seed: int = 0, scale: float = 1.0, count: int = 5, nodes: int = 2) -> Problem:
    patterns = random(3, count, 4, seed=seed, scale=scale)
    return Problem(Hopfield(patterns, precision=1.3), random(3, nodes, 4, seed=seed + 1, scale=scale))


def dot_product_slots(*, seed: int = 0, scale: float = 1.0, count: int = 5, nodes: int = 2) -> Problem:
    observations = random(3, count, 4, seed=seed, scale=scale)
    return Problem(DotProductSlots(observations), random(3, nodes, 4, seed=seed + 1, scale=scale))


def gaussian_slots(*, seed: int = 0, scale: float = 1.0, count: int = 5, nodes: int = 2) -> Problem:
    observations = random(3, count, 4, seed=seed, scale=scale)
    start = random(3, nodes, 4, seed=seed + 1, scale=scale)
    precision = torch.tensor([1.7, 0.9, 2.3], dtype=torch.float64)[:, None, None]
    return Problem(GaussianSlots(observations, precision=precision, prior_precision=0.4), start)


def free_gaussian_slots(**given: int | float) -> Problem:
    model, state = gaussian_slots(**given)
    return Problem(GaussianSlots(model.observations, precision=0.6), state)


def block_slots(*, seed: int = 0, scale: float = 1.0, count: int = 5, nodes: int = 2) -> Problem:
    observations, memory = (
        random(3, count, 4, seed=seed, scale=scale),
        random(3, 2, 3, 2, seed=seed + 2, scale=scale),
    )
    return Problem(BlockSlots(observations, memory), random(3, nodes, 4, seed=seed + 1, scale=scale))


def predictive_coding(*, seed: int = 0, scale: float = 1.0, count: int = 5, nodes: int = 2) -> Problem:
    sizes = (3, nodes, count)
    weights = [random(3, upper, lower, seed=seed + 3 + upper) for lower, upper in itertools.pairwise(sizes)]
    precisions = [random(3, upper, seed=seed + 9 + upper).exp() for upper in sizes[1:]]
    observed, mean = random(3, count, 4, seed=seed, scale=scale), random(3, 3, 4, seed=seed + 7, scale=scale)
    model = PredictiveCoding(observed, weights, precisions, mean, prior_precision=0.8)
    return Problem(model, random(3, 3 + nodes, 4, seed=seed + 1, scale=scale))


MODELS = [hopfield, dot_product_slots, gaussian_slots, free_gaussian_slots, block_slots, predictive_coding]
Make = Callable[..., Problem]
PRESENT = torch.tensor([[True, False, True, True, True], [True] * 5, [False, True, True, False, False]])


def padded(make: Make) -> Make:
    """The same problems, without some of their observations."""

    def made(**given: int | float) -> Problem:
        model, state = make(**given)
        return Problem(replace(model, present=PRESENT), state)

    made.__name__ = f"padded_{make.__name__}"
    return made


PADDED = [*MODELS, *(padded(make) for make in MODELS if make is not hopfield)]


def edges_of(model: Descending, state: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """(sum of the node potentials, log p of the edges of each factor) of one problem, from the definition."""
    match model:
        case Hopfield(patterns=x, precision=b):
            return -b / 2 * (state**2).sum(), [b * x @ z for z in state]
        case DotProductSlots(observations=x):
            return -(state**2).sum() / 2, [state @ row for row in x]
        case GaussianSlots(observations=x, precision=b, prior_precision=weight):
            node = -weight / 2 * ((state - x.mean(0)) ** 2).sum()
            return node, [-b / 2 * ((row - state) ** 2).sum(-1) for row in x]
        case BlockSlots(observations=x, memory=memory):
            blocks = [part for row in state for part in zip(row.chunk(len(memory)), memory, strict=True)]
            return -(state**2).sum() / 2, [*(state @ row for row in x), *(m @ z for z, m in blocks)]
        case PredictiveCoding():
            layers = [*state.split([w.shape[1] for w in model.weights]), model.observed]
            factors = [
                0.5 * z.numel() * k.log() - k / 2 * ((z - w[:, None] * below) ** 2).sum(-1)
                for below, above, weights, precisions in zip(
                    layers, layers[1:], model.weights, model.precisions, strict=False
                )
                for z, w, k in zip(above, weights, precisions, strict=True)
            ]
            return -model.prior_precision / 2 * ((layers[0] - model.mean) ** 2).sum(), factors


def alone(model: Descending, problem: int) -> Descending:
    """The model of one of the problems, padding taken out."""
    if isinstance(model, Hopfield):
        return replace(model, patterns=model.patterns[problem])
    kept = slice(None) if model.present is None else model.present[problem]
    if isinstance(model, PredictiveCoding):
        own = {name: [of[problem] for of in getattr(model, name)] for name in ("weights", "precisions")}
        lists = {name: [*of[:-1], of[-1][kept]] for name, of in own.items()}
        observed, mean = model.observed[problem][kept], model.mean[problem]
        return replace(model, observed=observed, mean=mean, **lists, present=None)
    learned = {name: getattr(model, name, None) for name in ("precision", "memory")}
    own = {name: of[problem] for name, of in learned.items() if isinstance(of, torch.Tensor)}
    return replace(model, observations=model.observations[problem][kept], **own, present=None)


def naive(model: Descending, state: torch.Tensor) -> torch.Tensor:
    """-ln of the node potentials times the mean over the edges of each factor."""
    nodes, factors = edges_of(model, state)
    return -nodes - sum(factor.exp().mean().log() for factor in factors)


@pytest.mark.parametrize("make", PADDED)
@pytest.mark.parametrize("seed", range(3))
def test_free_energy_and_gradient_are_those_of_the_definition(make: Make, seed: int) -> None:
    model, state = make(seed=seed)
    found, gradient = model.free_energy(state), model.gradient(state)
    for problem in range(len(state)):
        one = state[problem].clone().requires_grad_()
        expected = naive(alone(model, problem), one)
        torch.testing.assert_close(found[problem], expected.detach())
        torch.testing.assert_close(gradient[problem], torch.autograd.grad(expected, one)[0])


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(4))
def test_the_free_energy_never_rises(make: Make, scale: float, seed: int) -> None:
    """Over shapes down to one observation and one node; rounding is that of the squares that F adds up."""
    model, start = make(seed=seed, scale=scale, count=(1, 2, 7, 20)[seed], nodes=(3, 1, 2, 4)[seed])
    settled = settle(model, start, iterations=40, tolerance=0.0)
    assert (settled.energies.diff(dim=0) <= 1e-12 * (1 + scale**2)).all()
    assert settled.energies.isfinite().all()


@pytest.mark.parametrize("make", MODELS)
def test_equal_observations_and_equal_nodes_stay_finite(make: Make) -> None:
    model, start = make(scale=0.0)
    settled = settle(model, start, iterations=5, tolerance=0.0)
    assert settled.state.isfinite().all()
    assert (settled.energies.diff(dim=0) <= 0).all()


@pytest.mark.parametrize("make", MODELS)
def test_what_stands_is_stationary(make: Make) -> None:
    model, start = make(seed=5)
    settled = settle(model, start, iterations=5000, tolerance=0.0)
    assert (settled.steps < 5000).all()
    torch.testing.assert_close(model.gradient(settled.state), torch.zeros_like(start), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("make", PADDED)
def test_the_covariance_is_the_inverse_of_the_curvature(make: Make) -> None:
    """Against autograd, away from the minimum too, where the curvature may have either sign."""
    model, state = make(seed=3)
    state = settle(model, state, iterations=2, tolerance=0.0).state
    found = model.covariance(state)
    for problem in range(len(state)):
        one = alone(model, problem)
        hessian = torch.autograd.functional.hessian(
            lambda flat, one=one: naive(one, flat.view(state.shape[1:])), state[problem].flatten()
        )
        covariance = found[problem]
        if isinstance(model, Hopfield):
            covariance = torch.block_diag(*covariance)
        torch.testing.assert_close(covariance @ hessian, torch.eye(hessian.shape[0], dtype=hessian.dtype))


@pytest.mark.parametrize("make", [hopfield, gaussian_slots])
def test_a_minimum_has_a_covariance(make: Make) -> None:
    model, start = make(seed=2)
    settled = settle(model, start, iterations=5000, tolerance=0.0)
    assert (torch.linalg.eigvalsh(model.covariance(settled.state)) > 0).all()


@pytest.mark.parametrize("make", MODELS)
def test_a_problem_does_not_depend_on_those_beside_it(make: Make) -> None:
    model, start = make(seed=8)
    together = settle(model, start, iterations=50, tolerance=1e-4)
    assert len(set(together.steps.tolist())) > 1
    for problem in range(len(start)):
        one = settle(alone(model, problem), start[problem], iterations=50, tolerance=1e-4)
        torch.testing.assert_close(one.state, together.state[problem])
        assert one.steps == together.steps[problem]
        torch.testing.assert_close(one.energies, together.energies[: len(one.energies), problem])
        assert (
            together.energies[len(one.energies) :, problem] == together.energies[one.steps, problem]
        ).all()


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_a_tolerance_is_the_relative_change_of_the_last_step(tolerance: float) -> None:
    model, start = gaussian_slots(seed=4)
    settled = settle(model, start, iterations=10_000, tolerance=tolerance)
    for problem, steps in enumerate(settled.steps.tolist()):
        changes = (
            -settled.energies[: steps + 1, problem].diff() / settled.energies[1 : steps + 1, problem].abs()
        )
        assert changes[-1] <= tolerance
        assert (changes[:-1] > tolerance).all()


def test_no_iteration_leaves_the_start() -> None:
    model, start = hopfield()
    settled = settle(model, start, iterations=0, tolerance=0.0)
    assert torch.equal(settled.state, start)
    assert settled.energies.shape == (1, 3)
    assert not settled.steps.any()


def test_gradients_pass_through_the_steps() -> None:
    patterns = random(4, 3, seed=1).requires_grad_()
    start = random(1, 3, seed=2).requires_grad_()

    def ended(patterns: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        return settle(Hopfield(patterns, precision=0.9), start, iterations=3, tolerance=0.0).state

    assert torch.autograd.gradcheck(ended, (patterns, start))


def test_the_energy_is_that_of_ramsauer() -> None:
    """E = -1/b ln sum_j exp(b <z, x_j>) + |z|^2 / 2 + ln(n) / b + M^2 / 2, M the length of the longest pattern."""
    (model, state), b = hopfield(nodes=1), 1.3
    for patterns, z, found in zip(model.patterns, state[:, 0], model.free_energy(state), strict=True):
        longest = patterns.norm(dim=-1).max()
        energy = (
            -(b * patterns @ z).exp().sum().log() / b
            + z @ z / 2
            + math.log(len(patterns)) / b
            + longest**2 / 2
        )
        torch.testing.assert_close(found / b, energy - longest**2 / 2)


@pytest.mark.parametrize("seed", range(5))
def test_retrieval_keeps_the_exponential_bound(seed: int) -> None:
    """|step(z) - x_i| <= 2 M (n - 1) exp(-b (D_i - 2 M |z - x_i|)), D_i the least <x_i, x_i - x_j>.

    Ramsauer et al. 2021, theorem 5; M is the largest length of a pattern, here 1.
    """
    patterns = torch.nn.functional.normalize(random(6, 12, seed=seed), dim=-1)
    noise = 0.05 * random(6, 12, seed=seed + 50)
    overlap = patterns @ patterns.mT
    separation = (1 - overlap.masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)).min(-1).values
    for precision in (1.0, 10.0, 100.0):
        model = Hopfield(patterns, precision=precision)
        wrong = (model.step(patterns + noise) - patterns).norm(dim=-1)
        bound = 2 * 5 * torch.exp(-precision * (separation - 2 * noise.norm(dim=-1)))
        assert (wrong <= bound).all()


@pytest.mark.parametrize("far", [5.0, 15.5, 40.0])
def test_a_gaussian_slot_goes_to_the_mean_of_what_it_has_though_all_is_far(far: float) -> None:
    """Of shares below the normal numbers of float32, mean and gradients are those of float64."""
    observations, near = random(7, 4, seed=1), random(2, 4, seed=2)
    slots, weights, found = torch.cat([near, far * torch.eye(4)[:1]]), random(3, 4, seed=3), []
    for dtype in (torch.float32, torch.float64):
        given = [of.to(dtype).requires_grad_() for of in (observations, slots, torch.ones(1, 1))]
        stepped = GaussianSlots(given[0], precision=given[2]).step(given[1])
        found.append([stepped, *torch.autograd.grad((stepped * weights).sum(), given)])
    torch.testing.assert_close([of.double() for of in found[0]], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("errors", [False, True])
def test_a_common_offset_moves_slots_alone(errors: bool) -> None:
    """Of competing errors with weights 1 as of Gaussian edges."""
    observations, start = random(9, 3, seed=1).float(), random(2, 3, seed=2).float()

    def stepped(offset: float) -> torch.Tensor:
        seen, slots, ones = observations + offset, start + offset, torch.ones(9, 2)
        model = (
            PredictiveCoding(seen, [ones], [2 * ones[:, 0]], slots, prior_precision=1.0)
            if errors
            else GaussianSlots(seen, precision=2.0)
        )
        return model.step(slots)

    torch.testing.assert_close(stepped(1024) - 1024, stepped(0), rtol=1e-3, atol=1e-3)
