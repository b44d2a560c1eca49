"""What attention is claimed to be, each side of an identity from its own definition."""

import itertools

import oracles
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.iterated.predictive_coding import PredictiveCoding
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials.gaussian_per_key import GaussianPerKey
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.categorical import Categorical
from precisionflow.models.networks.transformer import TokenReadout

HEADS, WIDTH, TOKENS = 2, 4, 4
AT = Sites(torch.arange(TOKENS))
GRAPHS = torch.tensor(list(itertools.product(range(TOKENS), repeat=TOKENS)))
"""Every graph in which each token has one edge: the key of each query."""
PRIORS = [
    config.Full(),
    config.Causal(),
    config.Product(of=(config.Causal(), config.Relative(largest=2))),
]


def made(prior: object, potential: object) -> Attention:
    torch.manual_seed(0)
    module = attention(
        config.Attention(potential=potential, prior=prior), width=HEADS * WIDTH, heads=HEADS
    ).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.6)
    return module


def tokens(seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, TOKENS, HEADS * WIDTH, generator=generator, dtype=torch.float64)


def log_likelihood(module: Attention, x: torch.Tensor) -> torch.Tensor:
    """ln p(x | edge i -> j) pair by pair, from the queries and keys before any lowering."""
    queries, keys = module.potential.queries_keys(x, AT).chunk(2, dim=1)
    if isinstance(module.potential, GaussianPerKey):
        return oracles.gaussian_log_potential(queries, keys, module.potential.precision(x))
    return torch.einsum("bhic,bhjc->bhij", queries, keys) / WIDTH**0.5


def log_edges(module: Attention) -> torch.Tensor:
    """ln p(edge i -> j) pair by pair."""
    return module.prior.log(AT, AT).matrix(TOKENS, TOKENS, device=torch.device("cpu"), dtype=torch.float64)


def log_joint(module: Attention, x: torch.Tensor) -> torch.Tensor:
    """ln p(x, graph) up to a constant: the sum over the edges of each graph. (batch, heads, graphs)."""
    pairs = log_likelihood(module, x) + log_edges(module)
    return pairs[:, :, torch.arange(TOKENS), GRAPHS].sum(-1)


@pytest.mark.parametrize("potential", [config.DotProduct(), config.GaussianPerKey()])
@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
def test_the_softmax_is_the_posterior_over_graphs(prior: object, potential: object) -> None:
    """p(graph | x) = p(x, graph) / sum over graphs, and the posterior of one edge is its marginal (equation 1)."""
    module, x = made(prior, potential), tokens()
    joint = log_joint(module, x).exp()
    enumerated = joint / joint.sum(-1, keepdim=True)
    found = module.posterior(x, AT).probabilities()
    marginals = torch.einsum("bhg,gij->bhij", enumerated, one_hot(GRAPHS, TOKENS).double())
    torch.testing.assert_close(found, marginals)
    products = found[:, :, torch.arange(TOKENS), GRAPHS].prod(-1)
    torch.testing.assert_close(products, enumerated)


@pytest.mark.parametrize("potential", [config.DotProduct(), config.GaussianPerKey()])
@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
def test_attention_is_the_mean_over_graphs(prior: object, potential: object) -> None:
    """sum over graphs of p(graph | x) v(x, graph), v a sum of values of single edges (equation 2)."""
    module, x = made(prior, potential), tokens()
    probability = log_joint(module, x).softmax(-1)
    of_graph = module.value(x, AT)[:, :, GRAPHS]
    expected = torch.einsum("bhg,bhgic->bhic", probability, of_graph)
    torch.testing.assert_close(module(x, AT), module.mix(expected.transpose(1, 2).flatten(-2)))


def test_factors_marginalise_apart_only_where_the_prior_factorises() -> None:
    """A prior over permutations ties the edges together: the softmax of each query is not its marginal any more."""
    module, x = made(config.Full(), config.DotProduct()), tokens()
    permutations = GRAPHS.sort(-1).values.eq(torch.arange(TOKENS)).all(-1)
    tied = log_joint(module, x).masked_fill(~permutations, -torch.inf).softmax(-1)
    marginals = torch.einsum("bhg,gij->bhij", tied, one_hot(GRAPHS, TOKENS).double())
    torch.testing.assert_close(marginals.sum(-2), torch.ones(2, HEADS, TOKENS, dtype=torch.float64))
    assert (marginals - module.posterior(x, AT).probabilities()).abs().max() > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_attention_weights_are_normalised_precisions_and_gains(seed: int) -> None:
    """Three definitions: a softmax of scores, a generalised least squares estimate, the responses of a settled rate.

    They agree where the scores are log precisions of sources with independent noise about one cause.
    """
    generator = torch.Generator().manual_seed(seed)
    log_precision = 1.5 * torch.randn(5, generator=generator, dtype=torch.float64)
    sources = torch.randn(5, generator=generator, dtype=torch.float64)

    queries, keys = torch.ones(1, 1, 1, 1, dtype=torch.float64), log_precision[None, None, :, None]
    attended = Posterior(InnerProduct(), queries, keys).expectation(
        torch.eye(5, dtype=torch.float64)[None, None]
    )

    covariance = torch.diag((-log_precision).exp())
    design = torch.ones(5, 1, dtype=torch.float64)
    whitened = torch.linalg.solve(covariance, design)
    estimator = torch.linalg.solve(design.T @ whitened, whitened.T)

    def settled(inputs: torch.Tensor) -> torch.Tensor:
        """ds/dt = sum_j g_j (x_j - s) with g_j = exp(log precision), by small steps of time."""
        rate, gains = torch.zeros((), dtype=torch.float64), log_precision.exp()
        for _ in range(2000):
            rate = rate + 0.01 * (gains * (inputs - rate)).sum()
        return rate

    responses = torch.autograd.functional.jacobian(settled, sources)
    torch.testing.assert_close(attended.flatten(), estimator.flatten())
    torch.testing.assert_close(responses, estimator.flatten(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(settled(sources), (estimator @ sources)[0], rtol=1e-6, atol=1e-8)


def test_the_weight_of_a_neighbour_is_its_gain_whatever_the_potential() -> None:
    """d out_i / d v_j = p(edge i -> j | x): the matrix of probabilities is the response to the values."""
    module, x = made(config.Causal(), config.GaussianPerKey()), tokens()
    posterior = module.posterior(x, AT)
    values = module.value(x, AT)[0, 0].detach()
    responses = torch.autograd.functional.jacobian(
        lambda given: posterior.expectation(given.expand(2, HEADS, -1, -1))[0, 0, :, 0], values
    )
    torch.testing.assert_close(responses[..., 0], posterior.probabilities()[0, 0].detach())
    assert not responses[..., 1:].any()


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0, 100.0])
def test_a_temperature_tempers_the_likelihood_and_leaves_the_prior(temperature: float) -> None:
    """p(graph | x) ~ p(x | graph)^(1 / T) p(graph) (generalised Bayes), by enumeration; keys are divided by T."""
    module, x = made(PRIORS[-1], config.DotProduct()), tokens()
    likelihood, prior = log_likelihood(module, x).exp(), log_edges(module).exp()
    choice = torch.arange(TOKENS), GRAPHS
    joint = (likelihood[:, :, *choice] ** (1 / temperature) * prior[:, :, *choice]).prod(-1)
    enumerated = joint / joint.sum(-1, keepdim=True)
    marginals = torch.einsum("bhg,gij->bhij", enumerated, one_hot(GRAPHS, TOKENS).double())
    queries, keys = module.potential(x, AT)
    tempered = Posterior(InnerProduct(), queries, keys / temperature, module.prior.log(AT, AT))
    torch.testing.assert_close(tempered.probabilities(), marginals)


def test_relative_positions_are_a_prior() -> None:
    """A bias of the offset, and Bayes' rule with the categorical distribution of which it is the logarithm."""
    module, x = made(config.Relative(largest=2), config.DotProduct()), tokens()
    alike = made(config.Full(), config.DotProduct())
    alike.potential.load_state_dict(module.potential.state_dict())
    table = module.prior.log_prior[:, 0].softmax(-1)
    offsets = (torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)).clamp(-2, 2) + 2
    weighed = alike.posterior(x, AT).probabilities() * table[:, offsets]
    torch.testing.assert_close(
        module.posterior(x, AT).probabilities(), weighed / weighed.sum(-1, keepdim=True)
    )


def test_the_classification_layer_is_attention_over_class_nodes() -> None:
    """Query: the last state; keys: a row of weights and a bias for each class; value: the class itself (table 1)."""
    torch.manual_seed(0)
    readout = TokenReadout(nn.LayerNorm(6), nn.Embedding(3, 6), classes=5).double()
    states = torch.randn(2, 3, 6, dtype=torch.float64)
    target = torch.randint(5, (2, 3))
    stated = Categorical().negative_log_likelihood(readout(states, AT.first(3)), target)

    linear = next(part for part in readout.modules() if isinstance(part, nn.Linear))
    normed = nn.functional.layer_norm(states, (6,))
    queries = torch.cat([normed, torch.ones(2, 3, 1, dtype=torch.float64)], dim=-1)[:, None]
    nodes = torch.cat([linear.weight, linear.bias[:, None]], dim=-1).expand(2, 1, -1, -1)
    classes = torch.eye(5, dtype=torch.float64).expand(2, 1, -1, -1)
    expected = Posterior(InnerProduct(), queries, nodes).expectation(classes)[:, 0]
    torch.testing.assert_close(stated, -expected.gather(-1, target[..., None])[..., 0].log())


def test_errors_that_compete_are_errors_with_precisions_where_one_edge_dominates() -> None:
    """PCN whose edges are latent against a PCN whose edges are known, by the gradient of its Gaussian energy."""
    model, state, parents = _one_parent_each()
    layers = [part.requires_grad_() for part in state.split([3, 2], dim=-2)]
    below, above = layers
    energy = 0.5 * model.prior_precision * (below - model.mean).square().sum()
    for upper, lower, weights, precisions, own in zip(
        (above, model.observed), (below, above), model.weights, model.precisions, parents, strict=True
    ):
        nodes = torch.arange(len(own))
        errors = upper - weights[nodes, own][:, None] * lower[..., own, :]
        energy = energy + (0.5 * precisions[:, None] * errors.square()).sum()
    expected = torch.cat(torch.autograd.grad(energy, layers), dim=-2)
    torch.testing.assert_close(model.gradient(state.detach()), expected, rtol=1e-6, atol=1e-9)
    shares = model.posterior(state.detach())
    for share, own in zip(shares, parents, strict=True):
        assert (share[..., torch.arange(len(own)), own] > 1 - 1e-9).all()


def test_competing_errors_differ_from_precisions_where_edges_are_alike() -> None:
    """The other end: two parents that predict the same share a child, each with half of its precision."""
    weights = [torch.ones(1, 2, dtype=torch.float64)]
    precision, observed = torch.tensor([3.0], dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)
    model = PredictiveCoding(observed, weights, [precision], torch.zeros(2, 1, dtype=torch.float64), 1.0)
    pulls = model.gradient(torch.zeros(1, 2, 1, dtype=torch.float64))
    torch.testing.assert_close(pulls, torch.full((1, 2, 1), -1.5, dtype=torch.float64))


def _one_parent_each() -> tuple[PredictiveCoding, torch.Tensor, list[torch.Tensor]]:
    """Layers of 3, 2 and 4 nodes of width 3 in which one parent explains each node, the others not at all."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    parents = [torch.tensor([2, 0]), torch.tensor([1, 0, 0, 1])]
    weights = [1 + 0.1 * normal(2, 3), 1 + 0.1 * normal(4, 2)]
    precisions = [normal(2).exp(), normal(4).exp()]
    first = 40 * normal(1, 3, 3)
    second = weights[0][torch.arange(2), parents[0]][:, None] * first[:, parents[0]] + 0.3 * normal(1, 2, 3)
    observed = weights[1][torch.arange(4), parents[1]][:, None] * second[:, parents[1]] + 0.3 * normal(
        1, 4, 3
    )
    model = PredictiveCoding(observed, weights, precisions, mean=normal(3, 3), prior_precision=0.5)
    return model, torch.cat([first, second], dim=-2), parents
