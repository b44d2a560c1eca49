"""Functions of modules against the modules: the same numbers, no hook, no look for weights."""

import pytest
import torch
from torch import nn

from precisionflow.models.attention.bare import bare


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
        nn.RMSNorm(4),
        nn.RMSNorm(4, eps=0.5),
        nn.LayerNorm(4),
        nn.GELU(),
    ],
)
def test_a_bare_module_computes_what_the_module_computes(module):
    randomised(module)
    x = torch.randn(2, 5, 4)
    assert torch.equal(bare(module)(x), module(x))


def test_a_bare_embedding_gives_the_rows_of_its_table():
    module, ids = randomised(nn.Embedding(7, 4)), torch.tensor([[3, 0, 6]])
    assert torch.equal(bare(module)(ids), module.weight[ids])


def test_a_bare_module_calls_no_hook():
    module, told = nn.Linear(4, 3), []
    module.register_forward_pre_hook(lambda *_: told.append(1))
    bare(module)(torch.randn(2, 4))
    assert not told
