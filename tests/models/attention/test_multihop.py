"""Multihop values against powers of the posterior's matrix, and the cache that keeps what tokens offer."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.heads import HeadNorm
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites

HEADS, WIDTH, TOKENS = 2, 4, 6


def made(value: object, *, prior: object = None, potential: object = None) -> Attention:
    torch.manual_seed(0)
    described = config.Attention(
        potential=potential or config.DotProduct(), prior=prior or config.Causal(), value=value
    )
    bricks = {"norm": HeadNorm(2 * HEADS, WIDTH), "rotation": Rotary(WIDTH)}
    module = attention(described, width=HEADS * WIDTH, heads=HEADS, **bricks).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module


def sites(x, present=None):
    return Sites(torch.arange(x.shape[1]), present)


def tokens(count=TOKENS):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, count, HEADS * WIDTH, generator=generator, dtype=torch.float64)


def by_powers(module, x, at, hops):
    """(P + P^2 + ... + P^h) V x, matrix by matrix."""
    matrix, values = module.posterior(x, at).probabilities(), module.value(x, at)
    total, power = torch.zeros_like(matrix), torch.eye(x.shape[1], dtype=x.dtype)
    for _ in range(hops):
        power = power @ matrix
        total = total + power
    return module.mix((total @ values).transpose(1, 2).flatten(-2))


@pytest.mark.parametrize("hops", [1, 2, 3, 5])
@pytest.mark.parametrize("prior", [config.Causal(), config.Full()])
@pytest.mark.parametrize("potential", [config.DotProduct(), config.GaussianPerKey()])
def test_hops_are_powers_of_the_posterior(hops, prior, potential):
    module = made(config.Multihop(hops=hops), prior=prior, potential=potential)
    x = tokens().requires_grad_()
    at = sites(x, torch.arange(TOKENS) < torch.tensor([[6], [4], [1]]))
    found, expected = module(x, at), by_powers(module, x, at, hops)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad((of * weights).sum(), x)[0] for of in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_one_hop_is_the_neighbour():
    one, neighbour = made(config.Multihop(hops=1)), made(config.Neighbour())
    neighbour.load_state_dict(one.state_dict())
    assert torch.equal(one(tokens(), sites(tokens())), neighbour(tokens(), sites(tokens())))


def test_hops_have_the_parameters_of_one_layer():
    shapes = {name: value.shape for name, value in made(config.Neighbour()).state_dict().items()}
    assert {name: value.shape for name, value in made(config.Multihop(hops=4)).state_dict().items()} == shapes


@pytest.mark.parametrize("prior", [config.Causal(), config.Full()])
def test_others_attend_to_what_tokens_offer(prior):
    module = made(config.Multihop(hops=3), prior=prior)
    x = tokens()
    torch.testing.assert_close(module.attend(x, sites(x), module.memory(x, sites(x))), module(x, sites(x)))


@pytest.mark.parametrize("hops", [1, 2, 4])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_cache_grows_by_what_later_tokens_offer(hops, step):
    module, x = made(config.Multihop(hops=hops)), tokens()
    whole, positions = module.memory(x, sites(x)).values, torch.arange(TOKENS)
    first = module.memory(x[:, :step], Sites(positions[:step]))
    keys, offered = first.keys, first.values
    for start in range(step, TOKENS, step):
        here, there = Sites(positions[start : start + step]), Sites(positions[: start + step])
        new = x[:, start : start + step]
        keys = torch.cat([keys, module.potential.key(new, here, first.origin)], dim=2)
        posterior = module._posterior(module.potential.query(new, here, first.origin), here, keys, there)
        later = module.value.offered(module.value(new, here), posterior, offered)
        offered = torch.cat([offered, later], dim=2)
    torch.testing.assert_close(offered, whole)


@pytest.mark.parametrize("hops", [0, -1, 1.5])
def test_a_hop_count_below_one_is_refused(hops):
    with pytest.raises(ValidationError, match="hops"):
        config.Attention.model_validate({"value": {"kind": "multihop", "hops": hops}})
