"""Lowered attention against the naive form, its invariances, and causality."""

import math

import oracles
import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.heads import HeadNorm, QueriesAndKeys
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import inner_product
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials.dot_product import DotProduct
from precisionflow.models.attention.potentials.gaussian_per_key import GaussianPerKey
from precisionflow.models.attention.priors.causal import Causal
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites

SHAPE = {"batch": 2, "heads": 3, "tokens": 11, "width": 8}


def lowered(queries, keys, log_precision):
    return GaussianPerKey.augmented_queries(queries), GaussianPerKey.augmented_keys(keys, log_precision)


def attend(sides, values, *, causal):
    return Posterior(InnerProduct(), *sides, LogPrior(causal=causal)).expectation(values)


def sites(x, present=None):
    return Sites(torch.arange(x.shape[1]), present)


@pytest.fixture
def qkvl():
    """Queries, keys, values and log precisions that require gradients."""
    generator = torch.Generator().manual_seed(1)
    tensors = torch.randn(4, *SHAPE.values(), generator=generator, dtype=torch.float64)
    return [tensor.clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("causal", [True, False])
def test_gaussian_per_key_equals_the_naive_form(qkvl, causal):
    queries, keys, values, log_precision = qkvl
    fast = attend(lowered(queries, keys, log_precision), values, causal=causal)
    naive = oracles.naive_attention(
        oracles.gaussian_log_potential(queries, keys, log_precision), values, causal=causal
    )
    torch.testing.assert_close(fast, naive, rtol=1e-9, atol=1e-9)
    weights = torch.randn(fast.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for fast_gradient, naive_gradient in zip(
        torch.autograd.grad((fast * weights).sum(), qkvl),
        torch.autograd.grad((naive * weights).sum(), qkvl),
        strict=True,
    ):
        torch.testing.assert_close(fast_gradient, naive_gradient, rtol=1e-8, atol=1e-8)


def test_float32_stays_within_a_hundred_thousandth(qkvl):
    queries, keys, values, log_precision = (tensor.detach().float().requires_grad_() for tensor in qkvl)
    log_precision = (log_precision - 0.5 * math.log(SHAPE["width"])).detach().requires_grad_()
    fast = attend(lowered(queries, keys, log_precision), values, causal=True)
    naive = oracles.naive_attention(
        oracles.gaussian_log_potential(queries, keys, log_precision), values, causal=True
    )
    assert (fast - naive).abs().max() < 1e-5
    inputs = (queries, keys, values, log_precision)
    pairs = zip(
        torch.autograd.grad(fast.sum(), inputs), torch.autograd.grad(naive.sum(), inputs), strict=True
    )
    assert max((a - b).abs().max().item() for a, b in pairs) < 1e-5


def test_dot_product_is_scaled_dot_product_attention():
    torch.manual_seed(0)
    potential = DotProduct(QueriesAndKeys(24, heads=3)).double()
    x = torch.randn(2, 11, 24, dtype=torch.float64)
    queries, keys = potential(x, sites(x))
    projection = potential.queries_keys
    projected = torch.nn.functional.linear(x, projection.weight, projection.bias)
    projected_queries, projected_keys = projected.chunk(2, dim=-1)
    torch.testing.assert_close(queries[:, 1] * math.sqrt(8), projected_queries[..., 8:16])
    torch.testing.assert_close(keys[:, 2], projected_keys[..., 16:24])


def test_equal_precision_at_every_key_forgets_the_normaliser(qkvl):
    queries, keys, values, _ = qkvl
    low, high = (
        attend(lowered(queries, keys, torch.full_like(keys, level)), values, causal=False)
        for level in (-60.0, math.log(1e4))
    )
    torch.testing.assert_close(low, values.mean(2, keepdim=True).expand_as(values), rtol=1e-9, atol=1e-9)
    nearest = torch.cdist(queries, keys).argmin(-1)
    torch.testing.assert_close(
        high, values.gather(2, nearest[..., None].expand_as(values)), rtol=1e-6, atol=1e-6
    )


def test_permuting_keys_changes_nothing_without_an_order(qkvl):
    queries, keys, values, log_precision = qkvl
    order = torch.randperm(SHAPE["tokens"], generator=torch.Generator().manual_seed(3))
    before = attend(lowered(queries, keys, log_precision), values, causal=False)
    after = attend(
        lowered(queries, keys[:, :, order], log_precision[:, :, order]),
        values[:, :, order],
        causal=False,
    )
    torch.testing.assert_close(before, after)


def test_a_key_with_its_own_precision_gets_its_own_gradient():
    torch.manual_seed(0)
    module = attention(config.Attention(potential=config.GaussianPerKey()), width=16, heads=2)
    x = torch.randn(1, 5, 16)
    module(x, sites(x)).square().sum().backward()
    gradient = module.potential.precision.log_precision.weight.grad
    assert gradient.abs().sum() > 0


def test_initial_precision_is_what_the_keys_start_with():
    module = GaussianPerKey(QueriesAndKeys(16, heads=2), config.GaussianPerKey(initial_precision=3.0))
    torch.testing.assert_close(module.precision(torch.randn(1, 5, 16)).exp(), torch.full((1, 2, 5, 8), 3.0))


def test_the_full_prior_sees_later_tokens():
    torch.manual_seed(0)
    module = attention(config.Attention(prior=config.Full()), width=16, heads=2)
    x = torch.randn(1, 5, 16)
    changed = x.clone()
    changed[:, -1] += 1
    assert not torch.equal(module(x, sites(x))[:, 0], module(changed, sites(changed))[:, 0])


EVERY_ATTENTION = [
    (config.Attention(potential=potential, prior=prior), turned)
    for potential in (config.DotProduct(), config.GaussianIsotropic(), config.GaussianPerKey())
    for prior in (config.Causal(), config.Full())
    for turned in (False, True)
]


@pytest.fixture(
    params=EVERY_ATTENTION, ids=lambda c: f"{c[0].potential.kind}-{c[0].prior.kind}{'-rotary' * c[1]}"
)
def module(request):
    torch.manual_seed(0)
    described, turned = request.param
    bricks = {"norm": HeadNorm(4, 8), "rotation": Rotary(8)} if turned else {}
    made = attention(described, width=16, heads=2, **bricks).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def test_sides_made_apart_attend_as_tokens_do_to_themselves(module):
    """What a cache keeps: the key side of each token, made when the token came."""
    x = torch.randn(2, 7, 16, dtype=torch.float64)
    whole, at = module(x, sites(x)), sites(x)
    torch.testing.assert_close(module.attend(x, at, module.memory(x, at)), whole)
    for token in range(7) if isinstance(module.prior, Causal) else ():
        seen, here = Sites(at.positions[: token + 1]), Sites(at.positions[token : token + 1])
        one = module.attend(x[:, token : token + 1], here, module.memory(x[:, : token + 1], seen))
        torch.testing.assert_close(one, whole[:, token : token + 1])


def test_padding_changes_nothing_at_real_tokens(module):
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    longer = torch.cat([x, torch.randn(2, 3, 16, dtype=torch.float64) * 50], dim=1)
    present = torch.arange(8) < torch.tensor([[5], [5]])
    torch.testing.assert_close(module(longer, sites(longer, present))[:, :5], module(x, sites(x)))


def test_the_posterior_is_a_distribution_whose_expectation_is_the_kernels(module):
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    at = sites(x, torch.arange(6) < torch.tensor([[6], [4]]))
    memory = module.memory(x, at)
    prior = module.prior.log(at, at) * padding(at, at)
    queries = module.potential.query(x, at, memory.origin)
    posterior = Posterior(module.potential.lowering, queries, memory.keys, prior)
    weights = posterior.probabilities()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert not weights[1, :, :4, 4:].any()
    torch.testing.assert_close(weights @ memory.values, posterior.expectation(memory.values))


@pytest.mark.parametrize("offset", [0.0, 3.0, 30.0, 1000.0])
@pytest.mark.parametrize("potential", [config.GaussianPerKey(), config.GaussianIsotropic()])
def test_a_common_offset_of_queries_and_keys_costs_no_accuracy(potential, offset):
    """Float32 against the naive form in float64, of the very queries and keys that the layer makes."""
    torch.manual_seed(0)
    module = attention(config.Attention(potential=potential), width=16, heads=2).potential
    nn.init.normal_(module.queries_keys.bias)
    module.queries_keys.bias.data += offset
    x, values = torch.randn(2, 9, 16), torch.randn(2, 2, 9, 8)
    with torch.no_grad():
        found = Posterior(module.lowering, *module(x, sites(x)), LogPrior(causal=True)).expectation(values)
        queries, keys = module.queries_keys(x, sites(x)).double().chunk(2, dim=1)
        if isinstance(module, GaussianPerKey):
            log_precision = module.precision(x).double()
        else:
            log_precision = module.log_precision.double().expand_as(keys)
        naive = oracles.gaussian_log_potential(queries, keys, log_precision)
        expected = oracles.naive_attention(naive, values.double(), causal=True)
    assert (found.double() - expected).abs().max() < 1e-5


@pytest.mark.parametrize("token", range(1, 6))
def test_a_later_token_does_not_change_a_bit_of_what_earlier_ones_get(token):
    torch.manual_seed(0)
    module = attention(config.Attention(potential=config.GaussianPerKey()), width=16, heads=2)
    x = torch.randn(2, 6, 16) + 10
    changed = x.clone()
    changed[:, token:] *= -7
    assert torch.equal(module(x, sites(x))[:, :token], module(changed, sites(x))[:, :token])


def test_values_may_be_wider_than_keys():
    queries, keys, values = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 9)
    found = InnerProduct().expectation(queries, keys, values, LogPrior())
    torch.testing.assert_close(found, (queries @ keys.mT).softmax(-1) @ values)


@pytest.mark.parametrize(
    ("keys", "values", "aligned"), [(4, 9, 16), (16, 8, 16), (17, 8, 24), (8, 8, 8), (1, 1, 8)]
)
def test_sides_get_zeros_up_to_one_aligned_width(keys, values, aligned):
    """As a GPU's fused kernel is given them: what it computes is what it computes without the zeros."""
    sides = torch.randn(1, 2, 3, keys), torch.randn(1, 2, 5, keys), torch.randn(1, 2, 5, values)
    wide = inner_product._of_one_width(*sides)
    for side, padded in zip(sides, wide, strict=True):
        assert padded.shape == (*side.shape[:-1], aligned)
        assert torch.equal(padded[..., : side.shape[-1]], side)
        assert not padded[..., side.shape[-1] :].any()
    found = nn.functional.scaled_dot_product_attention(*wide, scale=1.0)[..., :values]
    torch.testing.assert_close(found, (sides[0] @ sides[1].mT).softmax(-1) @ sides[2])


@pytest.mark.parametrize("values", [8, 5])
@pytest.mark.parametrize(
    "above",
    [
        lambda of: of.repeat(1, 1, 1, 2)[..., of.shape[-1] :],
        lambda of: of.mT.contiguous().mT,
        torch.ones_like,
    ],
)
def test_a_fused_kernel_of_a_device_sees_no_gaps(values, above, monkeypatch):
    """Sides and the gradient of the mean are contiguous there, whatever their callers and readers made of them."""
    fused, seen = inner_product.scaled_dot_product_attention, []

    def looked_at(*sides, **rest):
        seen.extend(side.is_contiguous() for side in sides)
        output = fused(*sides, **rest)
        output.register_hook(lambda gradient: seen.append(gradient.is_contiguous()))
        return output

    monkeypatch.setattr(inner_product, "scaled_dot_product_attention", looked_at)
    shapes = (2, 6, 3, 8), (2, 7, 3, 8), (2, 7, 3, values)
    sides = [torch.randn(shape, device="meta", requires_grad=True).transpose(1, 2) for shape in shapes]
    mean = InnerProduct().expectation(*sides, LogPrior())
    assert mean.shape == (2, 3, 6, values)
    gradient = above(mean.detach())
    mean.backward(gradient)
    assert seen == [True] * 4
