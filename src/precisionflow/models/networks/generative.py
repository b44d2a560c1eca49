"""Networks that predict images from above: class, states, image."""

from itertools import pairwise

from torch import nn

from precisionflow.config.networks import Generative
from precisionflow.models.networks.layered import Layered

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "identity": nn.Identity}


def generative(config: Generative, *, classes: int, pixels: int) -> Layered:
    """s_L = M class, s_{l-1} = W_l activation(s_l) + b_l, without the activation of s_L; the readout gives the image.

    M has a column for each class. inputs: Int "images", their classes; output: Float "images pixels", the mean.
    """
    highest, *lower = config.states
    prior = nn.Embedding(classes, highest)
    maps = [
        _map(config, above, below, first=place == 0)
        for place, (above, below) in enumerate(pairwise((highest, *lower, pixels)))
    ]
    return Layered(
        [prior, *maps[:-1]],
        maps[-1],
        states=[(width,) for width in config.states],
        layer_kinds=config.layer_kinds,
    )


def _map(config: Generative, above: int, below: int, *, first: bool) -> nn.Module:
    linear = nn.Linear(above, below)
    return linear if first else nn.Sequential(ACTIVATIONS[config.activation](), linear)
