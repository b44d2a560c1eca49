"""Functions of modules against the modules: the same numbers, no hook, no look for weights."""

import pytest
import torch
from torch import nn

from precisionflow.models.attention.bare import bare
from precisionflow.models.attention.heads import HeadMaps, split_heads
from precisionflow.models.attention.memory import Room


class Doubled(nn.Linear):
    """A linear map with a forward pass of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def randomised(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize(
    "module",
    [
        nn.Identity(),
        nn.Linear(4, 3),
        nn.Linear(4, 3, bias=False),
        Doubled(4, 3),
        nn.LayerNorm(4),
        nn.GELU(),
    ],
)
def test_a_bare_module_computes_what_the_module_computes(module):
    randomised(module)
    x = torch.randn(2, 5, 4)
    assert torch.equal(bare(module)(x), module(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("eps", [None, 0.5])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e6])
def test_a_bare_rms_norm_is_torchs(scale, eps, dtype):
    module = randomised(nn.RMSNorm(4, eps=eps, dtype=dtype))
    x = scale * (torch.randn(2, 5, 4, dtype=dtype) + 3)
    torch.testing.assert_close(bare(module)(x), module(x))


def test_maps_to_heads_are_one_product_of_the_same_tokens(monkeypatch):
    maps, x = HeadMaps(Room.of(5, device=torch.device("cpu"))), torch.randn(2, 5, 6)
    linears, counts, calls = [nn.Linear(6, 8), nn.Linear(6, 4)], [4, 2], []
    mapped = [maps.of(of, heads=heads) for of, heads in zip(linears, counts, strict=True)]
    product = nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda *given: calls.append(1) or product(*given))
    found = [[of(given) for of in mapped] for given in (x, x + 1)]
    assert len(calls) == 2
    for given, of_maps in zip((x, x + 1), found, strict=True):
        for linear, heads, part in zip(linears, counts, of_maps, strict=True):
            torch.testing.assert_close(part, split_heads(product(given, linear.weight, linear.bias), heads))


def test_a_bare_embedding_gives_the_rows_of_its_table():
    module, ids = randomised(nn.Embedding(7, 4)), torch.tensor([[3, 0, 6]])
    assert torch.equal(bare(module)(ids), module.weight[ids])


def test_a_bare_module_calls_no_hook():
    module, told = nn.Linear(4, 3), []
    module.register_forward_pre_hook(lambda *_: told.append(1))
    bare(module)(torch.randn(2, 4))
    assert not told
