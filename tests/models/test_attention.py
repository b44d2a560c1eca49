"""Lowered attention against the naive form, its invariances, and causality."""

import math

import oracles
import pytest
import torch

from precisionflow.config import attention as config
from precisionflow.models.attention import attention
from precisionflow.models.attention.kernels import attend
from precisionflow.models.attention.potential import DotProduct, GaussianPerKey

SHAPE = {"batch": 2, "heads": 3, "tokens": 11, "width": 8}


@pytest.fixture
def qkvl():
    """Queries, keys, values and log precisions that require gradients."""
    generator = torch.Generator().manual_seed(1)
    tensors = torch.randn(4, *SHAPE.values(), generator=generator, dtype=torch.float64)
    return [tensor.clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("causal", [True, False])
def test_gaussian_per_key_equals_the_naive_form(qkvl, causal):
    queries, keys, values, log_precision = qkvl
    fast = attend(GaussianPerKey.lower(queries, keys, log_precision), values, causal=causal)
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
    fast = attend(GaussianPerKey.lower(queries, keys, log_precision), values, causal=True)
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
    potential = DotProduct(24, heads=3).double()
    x = torch.randn(2, 11, 24, dtype=torch.float64)
    queries, keys = potential(x)
    projected_queries, projected_keys = potential.queries_keys(x).chunk(2, dim=-1)
    torch.testing.assert_close(queries[:, 1] * math.sqrt(8), projected_queries[..., 8:16])
    torch.testing.assert_close(keys[:, 2], projected_keys[..., 16:24])


def test_equal_precision_at_every_key_forgets_the_normaliser(qkvl):
    queries, keys, values, _ = qkvl
    low, high = (
        attend(GaussianPerKey.lower(queries, keys, torch.full_like(keys, level)), values, causal=False)
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
    before = attend(GaussianPerKey.lower(queries, keys, log_precision), values, causal=False)
    after = attend(
        GaussianPerKey.lower(queries, keys[:, :, order], log_precision[:, :, order]),
        values[:, :, order],
        causal=False,
    )
    torch.testing.assert_close(before, after)


def test_a_key_with_its_own_precision_gets_its_own_gradient():
    torch.manual_seed(0)
    module = attention(config.Attention(potential=config.GaussianPerKey()), width=16, heads=2)
    x = torch.randn(1, 5, 16)
    module(x).square().sum().backward()
    gradient = module.potential.log_precision.weight.grad
    assert gradient.abs().sum() > 0


def test_initial_precision_is_what_the_keys_start_with():
    module = GaussianPerKey(16, heads=2, initial_precision=3.0)
    torch.testing.assert_close(module.log_precision(torch.randn(1, 5, 16)).exp(), torch.full((1, 5, 16), 3.0))


def test_the_full_prior_sees_later_tokens():
    torch.manual_seed(0)
    module = attention(config.Attention(prior=config.Full()), width=16, heads=2)
    x = torch.randn(1, 5, 16)
    changed = x.clone()
    changed[:, -1] += 1
    assert not torch.equal(module(x)[:, 0], module(changed)[:, 0])
