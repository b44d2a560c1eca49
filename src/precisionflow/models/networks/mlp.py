"""Fully connected networks that state a distribution (Nix & Weigend 1994)."""

from itertools import pairwise

from torch import nn

from precisionflow.config.networks import MLP
from precisionflow.models.likelihoods.density import Heads
from precisionflow.models.networks.inputs import NormalScores
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.readout import Readout

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(part: MLP, *, features: int, asked: Heads) -> Layered:
    """A trunk of hidden layers and the heads that the objective asks for.

    inputs: Float "rows features", standardised; output: Float "rows outputs", see `likelihoods.density`.
    """
    inputs = NormalScores(features) if part.inputs == "normal_scores" else None
    widths = (features * (2 if inputs else 1), *part.hidden)
    trunk = [_layer(part, narrow, wide) for narrow, wide in pairwise(widths)]
    hidden = max(1, widths[-1] // 2) if part.separate_heads else None
    return Layered(trunk, Readout(widths[-1], asked, hidden=hidden), inputs=inputs)


def _layer(part: MLP, narrow: int, wide: int) -> nn.Sequential:
    modules: list[nn.Module] = [nn.Linear(narrow, wide)]
    if part.layer_norm:
        modules.append(nn.LayerNorm(wide))
    modules.append(ACTIVATIONS[part.activation]())
    if part.dropout:
        modules.append(nn.Dropout(part.dropout))
    return nn.Sequential(*modules)
