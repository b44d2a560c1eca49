"""Attention as the minimum of a free energy of precision-weighted errors, found by descent that knows no softmax.

Edge j of a query has the error -ln p(x | edge j); a belief has shares q_j of the edges and values m_j under each:
F = sum_j q_j (-ln p(x | edge j) + a / 2 |m_j - v_j|^2 + ln q_j - ln p(edge j)).
"""

import math

import oracles
import pytest
import torch
from naive_potentials import FORMS, Given
from torch import Tensor, nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.sites import Sites

HEADS, WIDTH, TOKENS = 2, 4, 4
AT = Sites(torch.arange(TOKENS))
PRIORS = [config.Full(), config.Relative(largest=2)]
every_potential = pytest.mark.parametrize("potential", FORMS, ids=lambda potential: potential.kind)


def made(potential: config.Potential, prior: config.Prior) -> Attention:
    torch.manual_seed(0)
    module = attention(
        config.Attention(potential=potential, prior=prior), width=HEADS * WIDTH, heads=HEADS
    ).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def tokens() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, TOKENS, HEADS * WIDTH, generator=generator, dtype=torch.float64)


def sides(module: Attention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys of every head before any lowering."""
    return tuple(module.potential.queries_keys(x, AT, side) for side in ("query", "key"))


def errors(module: Attention, potential: config.Potential, x: Tensor) -> Tensor:
    """-ln p(x | edge i -> j) pair by pair, from the definition."""
    return -FORMS[potential](Given(module.potential, *sides(module, x), x, x))


def log_prior(module: Attention) -> Tensor:
    return module.prior.log(AT, AT).matrix(TOKENS, TOKENS, device=torch.device("cpu"), dtype=torch.float64)


def free_energy(shares: Tensor, means: Tensor, given: tuple[Tensor, Tensor, Tensor], precision: float):
    """F, summed over queries; `means` are of each edge, (..., keys, width), or one of all, (..., 1, width)."""
    error, values, prior = given
    of_values = 0.5 * precision * (means - values[:, :, None]).square().sum(-1)
    return (shares * (error + of_values + shares.log() - prior)).sum()


def descended(
    given: tuple[Tensor, Tensor, Tensor], *, precision: float, one: bool, steps: int = 90
) -> tuple[Tensor, Tensor, Tensor]:
    """Shares, means and F where descent ends, from even shares and values of 0.

    Shares move by exponentiated gradient, q <- q exp(-dF/dq / 2) / sum, means by half of a gradient over curvature.
    """
    error = given[0]
    shares = torch.full_like(error, 1 / TOKENS)
    means = torch.zeros(*error.shape[:3], 1 if one else TOKENS, WIDTH, dtype=error.dtype)
    for _ in range(steps):
        shares.requires_grad_(), means.requires_grad_()
        energy = free_energy(shares, means, given, precision)
        of_shares, of_means = torch.autograd.grad(energy, (shares, means))
        curvature = precision * shares.detach()[..., None].sum_to_size(*means.shape[:-1], 1)
        means = means.detach() - 0.5 * of_means / curvature
        shares = shares.detach() * torch.exp(-0.5 * (of_shares - of_shares.amin(-1, keepdim=True)))
        shares = shares / shares.sum(-1, keepdim=True)
    return shares, means, free_energy(shares, means, given, precision)


@every_potential
@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
def test_attention_minimises_precision_weighted_errors(potential, prior):
    """A value under each edge: shares are the module's, their mean of the values is its output, F is -ln p(x)."""
    module, x = made(potential, prior), tokens()
    with torch.no_grad():
        given = errors(module, potential, x), module.value(x, AT), log_prior(module)
    for precision in (0.3, 30.0):
        shares, means, energy = descended(given, precision=precision, one=False)
        with torch.no_grad():
            torch.testing.assert_close(shares, module.posterior(x, AT).probabilities(), atol=1e-7, rtol=1e-6)
            averaged = (shares[..., None] * means).sum(-2)
            torch.testing.assert_close(
                module.mix(averaged.transpose(1, 2).flatten(-2)), module(x, AT), atol=1e-7, rtol=1e-6
            )
        error, _, weighed = given
        torch.testing.assert_close(energy, -torch.logsumexp(weighed - error, dim=-1).sum())


@every_potential
def test_one_value_for_all_edges_votes_on_the_edges_by_its_precision(potential):
    """q_j ~ p(x, edge j) exp(-a / 2 |v - v_j|^2), v = sum_j q_j v_j: attention as a vanishes, by a distance like a."""
    module, x = made(potential, config.Full()), tokens()
    with torch.no_grad():
        given = errors(module, potential, x), module.value(x, AT), log_prior(module)
        attended = module.value.mean(given[1], module.posterior(x, AT), AT)
    error, values, weighed = given
    distances = []
    for precision in (0.001, 0.01, 0.3):
        shares, mean, _ = descended(given, precision=precision, one=True, steps=200)
        votes = -0.5 * precision * (mean - values[:, :, None]).square().sum(-1)
        torch.testing.assert_close(shares, (weighed - error + votes).softmax(-1), atol=1e-7, rtol=1e-5)
        torch.testing.assert_close(mean[..., 0, :], shares @ values, atol=1e-7, rtol=1e-5)
        distances.append((mean[..., 0, :] - attended).norm().item())
    assert distances[1] / distances[0] == pytest.approx(10, rel=0.1)
    assert distances[2] > 0.005


def test_the_dot_product_is_a_gaussian_error_where_long_keys_are_expected_more():
    """<q, k> / sqrt(d) = -l / 2 |q - k|^2 + l / 2 |k|^2 + l / 2 |q|^2 with the precision l = 1 / sqrt(d)."""
    module, x = made(config.DotProduct(), config.Full()), tokens()
    queries, keys = sides(module, x)
    precision = 1 / math.sqrt(WIDTH)
    log_precision = torch.full_like(keys, math.log(precision))
    gaussian = oracles.gaussian_log_potential(queries, keys, log_precision)
    longer = 0.5 * precision * keys.square().sum(-1)[:, :, None]
    torch.testing.assert_close((gaussian + longer).softmax(-1), module.posterior(x, AT).probabilities())


def weights_of_errors(module: Attention, potential: config.Potential, x: Tensor) -> Tensor:
    """Precision l_ij of each edge and channel with which its error q_i - k_j pulls at the query."""
    queries, keys = sides(module, x)
    pairs = (*queries.shape[:3], TOKENS, WIDTH)
    match potential:
        case config.DotProduct():
            return torch.full(pairs, 1 / math.sqrt(WIDTH), dtype=x.dtype)
        case config.GaussianPerKey():
            return module.potential.precision(x).exp()[:, :, None].expand(pairs)
        case config.StudentTIsotropic():
            precision = module.potential.log_precision.exp()[..., None]
            degrees = module.potential.degrees()[..., None]
            squares = (queries[:, :, :, None] - keys[:, :, None]).square().sum(-1, keepdim=True)
            return ((degrees + WIDTH) * precision / (degrees + precision * squares)).expand(pairs)
    raise AssertionError(potential)


@pytest.mark.parametrize(
    "potential",
    [config.DotProduct(), config.GaussianPerKey(), config.StudentTIsotropic()],
    ids=lambda potential: potential.kind,
)
@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
def test_at_the_minimum_a_query_is_pulled_by_its_errors_each_weighed_by_share_and_precision(potential, prior):
    """dF / d query_i = sum_j q_ij l_ij (query_i - key_j), the module's own log potentials differentiated by autograd.

    Of a dot product the pull of the query itself, a constant of the edges, is left out.
    """
    module, x = made(potential, prior), tokens()
    memory, moved = module.memory(x, AT), x.clone().requires_grad_()
    lowered = module.potential.query(moved, AT, memory.origin)
    log_joint = module.potential.lowering.log_potentials(lowered, memory.keys) + log_prior(module)
    (found,) = torch.autograd.grad(-torch.logsumexp(log_joint, dim=-1).sum(), moved)
    queries, keys = sides(module, x)
    shares = module.posterior(x, AT).probabilities()[..., None]
    differences = queries[:, :, :, None] * (not isinstance(potential, config.DotProduct)) - keys[:, :, None]
    pulls = (shares * weights_of_errors(module, potential, x) * differences).sum(-2)
    again = module.potential.queries_keys(moved, AT, "query")
    (expected,) = torch.autograd.grad(again, moved, grad_outputs=pulls)
    torch.testing.assert_close(found, expected)


def test_a_precision_learns_from_the_share_of_its_edge_times_what_its_errors_leave():
    """dF / d ln l_jc = sum_i q_ij / 2 (l_jc (q_ic - k_jc)^2 - 1): 0 at the inverse variance, weighed by shares."""
    potential = config.GaussianPerKey()
    module, x = made(potential, config.Full()), tokens()
    queries, keys = (side.detach() for side in sides(module, x))
    log_precision = module.potential.precision(x).detach().requires_grad_()
    lowered = (
        module.potential.augmented_queries(queries),
        module.potential.augmented_keys(keys, log_precision),
    )
    log_potentials = module.potential.lowering.log_potentials(*lowered)
    (found,) = torch.autograd.grad(-torch.logsumexp(log_potentials, dim=-1).sum(), log_precision)
    weighed = log_precision.exp()[:, :, None] * (queries[:, :, :, None] - keys[:, :, None]).square()
    shares = module.posterior(x, AT).probabilities()[..., None]
    torch.testing.assert_close(found, (0.5 * shares * (weighed - 1)).sum(2))
