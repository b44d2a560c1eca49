"""Every potential against its density term by term: values, gradients, scales, offsets, and a first training."""

import math

import pytest
import torch
from naive_potentials import FORMS, Given, tempered
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.optimiser import Groups
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.log_prior import EVERY_EDGE
from precisionflow.models.attention.lowerings.head_by_head import made as side_made
from precisionflow.models.attention.potentials.gaussian_separable import GaussianSeparable
from precisionflow.models.attention.sites import Sites
from precisionflow.models.networks.groups import parameter_groups

HEADS, WIDTH = 2, 8


TEMPERED = (
    config.DotProduct(),
    config.GaussianMixture(components=3),
    config.StudentTIsotropic(),
    config.LaplaceByChannel(),
)
"""One for each lowering."""
NAIVE = {config.Attention(potential=kind): form for kind, form in FORMS.items()} | {
    config.Attention(potential=kind, temperature=2.0): tempered(FORMS[kind]) for kind in TEMPERED
}
ABSOLUTE = (config.DotProduct(), config.DotProductKeyBias(), config.PairPrecision())
"""Potentials that are no functions of a difference."""
PRIORS = (config.Causal(), config.Full())


def made(described: config.Attention, prior: config.Prior) -> Attention:
    """Attention with weights that are all at work."""
    torch.manual_seed(0)
    described = described.model_copy(update={"prior": prior})
    module = attention(described, width=HEADS * WIDTH, heads=HEADS)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def sites(x: torch.Tensor, first: int = 0, present: torch.Tensor | None = None) -> Sites:
    return Sites(torch.arange(first, first + x.shape[1]), present)


def naive(module: Attention, described: config.Attention, x, y, *, causal, present=None):
    """Attention of the last tokens of `y`, which `x` are, to all of `y`."""
    inner = module.potential if described.temperature is None else module.potential.potential
    queries = inner.queries_keys(x, sites(x, y.shape[1] - x.shape[1]), "query")
    keys = inner.queries_keys(y, sites(y), "key")
    log_potential = NAIVE[described](Given(module.potential, queries, keys, x, y))
    rows = torch.arange(y.shape[1] - x.shape[1], y.shape[1])
    if causal:
        log_potential = log_potential.masked_fill(torch.arange(y.shape[1]) > rows[:, None], -math.inf)
    if present is not None:
        log_potential = log_potential.masked_fill(~present[:, None, None], -math.inf)
    mixed = log_potential.softmax(-1) @ module.value(y, sites(y))
    return module.mix(mixed.transpose(1, 2).flatten(-2))


@pytest.fixture(params=PRIORS, ids=lambda prior: prior.kind)
def prior(request):
    return request.param


@pytest.fixture(
    params=list(NAIVE), ids=lambda of: of.potential.kind + "-tempered" * (of.temperature is not None)
)
def described(request):
    return request.param


def test_float32_is_the_naive_form_in_float64_to_a_hundred_thousandth(described, prior):
    module, x = made(described, prior), torch.randn(2, 13, HEADS * WIDTH)
    found = module(x, sites(x))
    module.double()
    expected = naive(module, described, x.double(), x.double(), causal=prior.causal)
    assert (found.double() - expected).abs().max() < 1e-5


def test_gradients_of_every_parameter_are_those_of_the_naive_form(described, prior):
    module, x = made(described, prior).double(), torch.randn(2, 9, HEADS * WIDTH, dtype=torch.float64)
    inputs = [x.requires_grad_(), *module.parameters()]
    found = torch.autograd.grad(module(x, sites(x)).square().sum(), inputs)
    expected = torch.autograd.grad(naive(module, described, x, x, causal=prior.causal).square().sum(), inputs)
    names = ["x", *(name for name, _ in module.named_parameters())]
    for name, mine, theirs in zip(names, found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")
        assert theirs.abs().max() > 1e-6, name


@pytest.mark.parametrize("kind", list(FORMS), ids=lambda of: of.kind)
def test_independent_edges_go_with_the_log_potentials_that_leave_out_no_constant_of_a_query(kind):
    """What a head leaves out of all alike is its prior odds."""
    described = config.Attention(potential=kind)
    module, x = made(described, config.Full()).double(), torch.randn(1, 5, HEADS * WIDTH).double()
    queries, keys = (side_made(side) for side in module.potential(x, sites(x)))
    found = module.potential.lowering.log_potentials(queries, keys)
    inner = module.potential.queries_keys
    given = Given(module.potential, inner(x, sites(x), "query"), inner(x, sites(x), "key"), x, x)
    left_out = FORMS[kind](given) - found
    whole = bool((left_out - left_out[..., :1, :1]).abs().max() < 1e-9)
    assert whole == isinstance(kind, config.Independent.potentials)


def test_padding_and_the_last_tokens_alone(described, prior):
    module, y = made(described, prior).double(), torch.randn(2, 7, HEADS * WIDTH, dtype=torch.float64)
    present = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])
    found = module(y, sites(y, present=present))
    expected = naive(module, described, y, y, causal=prior.causal, present=present)
    torch.testing.assert_close(found[present], expected[present])
    x, here = y[:, 4:], sites(y[:, 4:], 4)
    torch.testing.assert_close(
        module.attend(x, here, module.memory(y, sites(y))),
        naive(module, described, x, y, causal=prior.causal),
    )


def test_one_key_gets_all_of_the_posterior(described, prior):
    module, x = made(described, prior), torch.randn(3, 1, HEADS * WIDTH)
    expected = module.mix(module.value(x, sites(x)).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(module(x, sites(x)), expected)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_values_and_gradients_are_finite_at_every_scale(described, scale):
    module = made(described, config.Causal())
    x = (scale * torch.randn(2, 7, HEADS * WIDTH)).requires_grad_()
    found = module(x, sites(x))
    assert found.isfinite().all()
    found.sum().backward()
    for name, gradient in [("x", x.grad), *((name, p.grad) for name, p in module.named_parameters())]:
        assert gradient.isfinite().all(), name


def test_equal_tokens_attend_alike(described):
    module, x = made(described, config.Full()), torch.randn(2, 1, HEADS * WIDTH).expand(2, 5, HEADS * WIDTH)
    expected = module.mix(module.value(x, sites(x)).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(module(x, sites(x)), expected)


@pytest.mark.parametrize("offset", [3.0, 30.0, 1000.0])
@pytest.mark.parametrize("kind", [kind for kind in FORMS if kind not in ABSOLUTE], ids=lambda kind: kind.kind)
def test_a_common_offset_of_queries_and_keys_costs_no_accuracy(kind, offset):
    """Float32 against the naive form in float64 of the very queries and keys that the layer makes."""
    described = config.Attention(potential=kind)
    module, x = made(described, config.Causal()), torch.randn(2, 9, HEADS * WIDTH)
    potential = module.potential
    potential.queries_keys.bias.data += offset
    both = potential.queries_keys(x, sites(x)).double()
    found = module(x, sites(x))
    module.double()
    potential.queries_keys.forward = lambda *given: both.chunk(2, dim=1)[given[2] == "key"]
    expected = naive(module, described, x.double(), x.double(), causal=True)
    assert (found.double() - expected).abs().max() < 1e-5


def test_precisions_are_made_in_float32_inside_bfloat16(described):
    module, x = made(described, config.Causal()), torch.randn(2, 9, HEADS * WIDTH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        queries, keys = module.potential(x, sites(x))
        found = module(x, sites(x))
    assert module.potential.lowering.log_potentials(queries, keys).dtype == torch.float32
    torch.testing.assert_close(found.float(), module(x, sites(x)), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.kind)
def test_a_first_training_finds_the_token_that_is_like_the_last(kind):
    """The class that stands beside the one earlier token with the same name: what attention is for."""
    torch.manual_seed(0)
    module = attention(config.Attention(potential=kind), width=HEADS * WIDTH, heads=HEADS)
    network, usual = nn.ModuleList([module]), Groups()
    groups = parameter_groups(network)
    optimiser = torch.optim.AdamW(
        {"params": [parameter], "lr": 0.02 * usual[groups[name]].learning_rate_factor}
        for name, parameter in network.named_parameters()
    )
    names = torch.randn(6, HEADS * WIDTH - 2)
    losses = []
    for _ in range(80):
        order = torch.stack([torch.randperm(6)[:4] for _ in range(16)])
        classes = torch.randint(2, (16, 4))
        shown = torch.cat([names[order], nn.functional.one_hot(classes, 2)], dim=-1)
        asked = torch.cat([names[order[:, 1:2]], torch.zeros(16, 1, 2)], dim=-1)
        x = torch.cat([shown, asked], dim=1)
        loss = nn.functional.cross_entropy(module(x, sites(x))[:, -1, :2], classes[:, 1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.45
    assert max(losses) < 3 * losses[0]


@pytest.mark.parametrize("components", [2, 3])
def test_precisions_of_a_mixture_lie_around_the_first_one_by_equal_factors(components):
    kind = config.GaussianMixture(components=components, initial_precision=2.0)
    module = attention(config.Attention(potential=kind), width=WIDTH, heads=HEADS)
    logarithms = module.potential.log_precision.detach()
    torch.testing.assert_close(logarithms.mean(-1), torch.full((HEADS,), math.log(2.0)))
    torch.testing.assert_close(logarithms.diff(dim=-1), torch.full((HEADS, components - 1), math.log(4.0)))


FIRST = {
    config.GaussianIsotropic: WIDTH**-0.5,
    config.GaussianPerKey: WIDTH**-0.5,
    config.GaussianPerQuery: WIDTH**-0.5,
    config.GaussianSeparable: WIDTH**-0.5,
    config.GaussianMixture: WIDTH**-0.5,
    config.StudentTIsotropic: WIDTH**-0.5,
    config.LaplaceByChannel: 1 / WIDTH,
    config.LaplaceElliptical: 2.0,
}
"""Precision of each potential before training, where none is given."""


@pytest.mark.parametrize("given", [None, 0.25, 3.0])
@pytest.mark.parametrize("kind", FIRST)
def test_a_precision_begins_with_what_is_given_or_with_the_scale_of_its_potential(kind, given):
    described = config.Attention(potential=kind(initial_precision=given))
    potential = attention(described, width=HEADS * WIDTH, heads=HEADS).potential
    x = torch.randn(3, 5, HEADS * WIDTH)
    if isinstance(potential, GaussianSeparable):
        sides = potential.precision_of_query(x), potential.precision_of_key(x)
        torch.testing.assert_close(*sides)
        found = sum(sides)
    elif hasattr(potential, "precision"):
        found = potential.precision(x)
    else:
        found = potential.log_precision.mean(-1)
    torch.testing.assert_close(
        found, torch.full_like(found, math.log(FIRST[kind] if given is None else given))
    )


@pytest.mark.parametrize("given", [1.001, 1.5, 4.0, 30.0, 709.0, 1000.0, 1e6])
def test_degrees_of_freedom_and_temperature_begin_with_what_is_given(given):
    kind = config.StudentTIsotropic(initial_degrees_of_freedom=given)
    described = config.Attention(potential=kind, temperature=given)
    tempered = attention(described, width=HEADS * WIDTH, heads=HEADS).potential
    torch.testing.assert_close(tempered.potential.degrees(), torch.full((HEADS, 1, 1), given))
    torch.testing.assert_close(tempered.temperature(), torch.full((HEADS, 1, 1), given))


def test_the_map_of_a_pair_begins_as_torchs_linear_maps_of_both_sides():
    """Uniform within 1 / sqrt(inputs), a query and a key side by side."""
    torch.manual_seed(0)
    described, width = config.Attention(potential=config.PairPrecision()), 64
    pair = attention(described, width=HEADS * width, heads=HEADS).potential.log_precision
    for parameter in (pair.of_query, pair.of_key, pair.bias):
        assert 0.97 < parameter.abs().max().item() * math.sqrt(2 * width) <= 1


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.kind)
def test_gradients_of_few_queries_and_many_keys_are_those_of_finite_differences(kind):
    """Each lowering has its own way back; of as many queries as keys a sum over the wrong ones has the right shape."""
    potential = made(config.Attention(potential=kind), config.Full()).double().potential
    y = 0.5 * torch.randn(2, 4, HEADS * WIDTH, dtype=torch.float64)
    queries, keys = (side.detach() for side in potential(y, sites(y)))
    values = torch.randn(2, HEADS, 4, 2, dtype=torch.float64)
    sides = [side.requires_grad_() for side in (queries[:, :, :3], keys, values)]
    assert torch.autograd.gradcheck(
        lambda *of: potential.lowering.expectation(*of, EVERY_EDGE), sides, fast_mode=True
    )
