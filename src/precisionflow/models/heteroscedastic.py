"""Regression networks of a mean and a log precision (Nix & Weigend 1994)."""

from itertools import pairwise
from typing import assert_never

from torch import nn

from precisionflow.config.model import MeanPrecisionNetwork
from precisionflow.models.heads import HeteroscedasticHead, HomoscedasticHead
from precisionflow.models.layered import Layered


def mean_precision_network(part: MeanPrecisionNetwork, *, features: int) -> Layered:
    """A trunk of SiLU layers and a head of mean and log precision.

    inputs: Float "rows features", standardised; output: mean and log precision of the standardised target,
    Float "rows" each.
    """
    widths = (features, *part.hidden)
    trunk = [nn.Sequential(nn.Linear(narrow, wide), nn.SiLU()) for narrow, wide in pairwise(widths)]
    match part.noise:
        case "heteroscedastic":
            head: nn.Module = HeteroscedasticHead(widths[-1])
        case "homoscedastic":
            head = HomoscedasticHead(widths[-1])
        case _:
            assert_never(part.noise)
    return Layered(trunk, head)
