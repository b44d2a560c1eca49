"""A network of linear maps, whose settled errors have a closed form, and a batch."""

from itertools import pairwise

import torch
from torch import nn

from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import Batch


def squared_error(output, target):
    """Half of it, of each row or place."""
    return 0.5 * (output - target).square().sum(-1)


def linear_network(*sizes: int) -> tuple[Layered, Batch]:
    """Maps between these widths, the last one the readout: s_i = M_i s_(i-1) + e_i; six rows, in double precision."""
    torch.manual_seed(0)
    maps = [nn.Linear(a, b, bias=False).double() for a, b in pairwise(sizes)]
    inputs = torch.randn(6, sizes[0], dtype=torch.float64)
    target = torch.randn(6, sizes[-1], dtype=torch.float64)
    return Layered(maps[:-1], maps[-1], states=[(width,) for width in sizes[1:-1]]), Batch(inputs, target)
