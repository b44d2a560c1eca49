"""Fully connected networks that state a distribution (Nix & Weigend 1994)."""

from itertools import pairwise

from torch import nn

from precisionflow.config.networks import MLP
from precisionflow.models.likelihoods.density import Heads
from precisionflow.models.networks.dropout import Dropout
from precisionflow.models.networks.inputs import NormalScores
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.readout import Readout, head

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(config: MLP, *, features: int, heads: Heads | int) -> Layered:
    """A trunk of hidden layers and the heads that the objective asks for; a number of classes asks for their logits.

    inputs: Float "rows features", standardised; output: Float "rows outputs", see `likelihoods.density`.
    """
    inputs = NormalScores(features) if config.inputs == "normal_scores" else None
    widths = (features * (2 if inputs else 1), *config.hidden)
    trunk = [_layer(config, *pair, layer=layer) for layer, pair in enumerate(pairwise(widths))]
    hidden = max(1, widths[-1] // 2) if config.separate_heads else None
    if isinstance(heads, int):
        readout: nn.Module = head(widths[-1], heads, hidden=hidden)
    else:
        readout = Readout(widths[-1], heads, hidden=hidden)
    return Layered(
        trunk,
        readout,
        states=[(width,) for width in config.hidden],
        layer_kinds=config.layer_kinds,
        inputs=inputs,
    )


def _layer(config: MLP, narrow: int, wide: int, *, layer: int) -> nn.Sequential:
    modules: list[nn.Module] = [nn.Linear(narrow, wide)]
    if config.layer_norm:
        modules.append(nn.LayerNorm(wide))
    modules.append(ACTIVATIONS[config.activation]())
    if config.dropout:
        modules.append(Dropout(config.dropout, layer=layer))
    return nn.Sequential(*modules)
