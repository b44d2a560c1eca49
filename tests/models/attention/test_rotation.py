"""Rotations by position and norms of queries and keys: what they leave as it is, and a cache of rotated keys."""

import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.heads import HeadNorm, QueriesAndKeys
from precisionflow.models.attention.rotation import BASE, Rotary
from precisionflow.models.attention.sites import Sites

HEADS, WIDTH, TOKENS = 2, 8, 7
RELATIVE = (config.DotProduct(), config.GaussianIsotropic())


def turned(potential: object, prior: object) -> nn.Module:
    """Attention with normed, rotated queries and keys, and weights that are all at work."""
    torch.manual_seed(0)
    made = attention(
        config.Attention(potential=potential, prior=prior),
        width=HEADS * WIDTH,
        heads=HEADS,
        norm=HeadNorm(2 * HEADS, WIDTH),
        rotation=Rotary(WIDTH),
    ).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def test_a_pair_of_channels_turns_as_a_complex_number():
    """(x_c + i x_{c + d/2}) exp(i position BASE^(-2c/d))."""
    x, positions = torch.randn(2, 3, TOKENS, WIDTH, dtype=torch.float64), torch.arange(TOKENS) * 5 + 2
    found = Rotary(WIDTH).double()(x, Sites(positions))
    half = WIDTH // 2
    angles = positions[:, None] * BASE ** (-2 * torch.arange(half, dtype=torch.float64) / WIDTH)
    expected = torch.complex(x[..., :half], x[..., half:]) * torch.exp(1j * angles)
    torch.testing.assert_close(found, torch.cat([expected.real, expected.imag], dim=-1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior", [config.Causal(), config.Full()])
@pytest.mark.parametrize("potential", RELATIVE)
def test_attention_depends_on_relative_positions_alone(potential, prior):
    module, x = turned(potential, prior), torch.randn(2, TOKENS, HEADS * WIDTH, dtype=torch.float64)
    here, there = Sites(torch.arange(TOKENS)), Sites(torch.arange(TOKENS) + 31)
    torch.testing.assert_close(module(x, there), module(x, here), rtol=1e-5, atol=1e-6)
    stretched = Sites(2 * torch.arange(TOKENS))
    assert (module(x, stretched) - module(x, here)).abs().max() > 1e-3


def test_precisions_of_single_channels_see_where_a_pair_stands():
    module = turned(config.GaussianPerKey(), config.Causal())
    x = torch.randn(2, TOKENS, HEADS * WIDTH, dtype=torch.float64)
    here, there = (Sites(torch.arange(TOKENS) + start) for start in (0, 31))
    assert (module(x, there) - module(x, here)).abs().max() > 1e-3


@pytest.mark.parametrize("potential", [*RELATIVE, config.GaussianPerKey()])
def test_a_cache_keeps_rotated_keys_and_the_origin_of_the_first(potential):
    """Key sides made token by token, each measured from the first key, against all at once."""
    module, x = turned(potential, config.Causal()), torch.randn(2, TOKENS, HEADS * WIDTH, dtype=torch.float64)
    positions = torch.arange(TOKENS)
    whole, first = module(x, Sites(positions)), module.memory(x[:, :1], Sites(positions[:1]))
    keys, values = [first.keys], [first.values]
    for token in range(TOKENS):
        here, one = Sites(positions[token : token + 1]), x[:, token : token + 1]
        if token:
            keys.append(module.potential.key(one, here, first.origin))
            values.append(module.value(one, here))
        seen = Sites(positions[: token + 1])
        memory = first._replace(keys=torch.cat(keys, 2), values=torch.cat(values, 2), at=seen)
        torch.testing.assert_close(module.attend(one, here, memory), whole[:, token : token + 1])


def test_a_head_norm_is_torchs_rms_norm_of_each_head():
    norm, x = HeadNorm(2 * HEADS, WIDTH), 3 * torch.randn(2, 2 * HEADS, TOKENS, WIDTH) + 1
    nn.init.normal_(norm.gain)
    for head in range(2 * HEADS):
        theirs = nn.RMSNorm(WIDTH)
        theirs.weight.data = norm.gain[head, 0].detach()
        torch.testing.assert_close(norm(x, slice(None))[:, head], theirs(x[:, head]))
    torch.testing.assert_close(norm(x[:, HEADS:], slice(HEADS, None)), norm(x, slice(None))[:, HEADS:])


def test_each_side_has_its_own_gain():
    made = QueriesAndKeys(HEADS * WIDTH, heads=HEADS, norm=HeadNorm(2 * HEADS, WIDTH))
    nn.init.normal_(made.norm.gain)
    x, at = torch.randn(2, TOKENS, HEADS * WIDTH), Sites(torch.arange(TOKENS))
    both = made(x, at)
    torch.testing.assert_close(made(x, at, "query"), both[:, :HEADS])
    torch.testing.assert_close(made(x, at, "key"), both[:, HEADS:])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_norm_and_rotation_keep_the_dtype(dtype):
    x, at = torch.randn(1, 2 * HEADS, TOKENS, WIDTH, dtype=dtype), Sites(torch.arange(TOKENS))
    assert Rotary(WIDTH)(x, at).dtype is dtype
    assert HeadNorm(2 * HEADS, WIDTH)(x, slice(None)).dtype is dtype


def test_layers_that_share_a_rotation_turn_by_the_same_tensors():
    """Until the positions are others, or the frequencies have another dtype."""
    rotation, positions = Rotary(WIDTH), torch.arange(TOKENS)
    first = rotation._turn(positions)
    assert rotation._turn(positions) is first
    later = rotation._turn(positions + 1)
    assert not torch.equal(later[0], first[0])
    in_double = rotation.double()._turn(positions)
    assert in_double[0].dtype is torch.float64
    torch.testing.assert_close(in_double, first, check_dtype=False)
