"""The prior of a configuration."""

from typing import assert_never

from torch import nn

from precisionflow.config import attention as kinds
from precisionflow.models.attention.priors.absolute import Absolute
from precisionflow.models.attention.priors.causal import Causal
from precisionflow.models.attention.priors.decay import Decay, usual_slopes
from precisionflow.models.attention.priors.full import Full
from precisionflow.models.attention.priors.geometric import Geometric
from precisionflow.models.attention.priors.graph import Graph
from precisionflow.models.attention.priors.product import Product
from precisionflow.models.attention.priors.relative import Relative
from precisionflow.models.attention.priors.window import Window


def prior(config: kinds.Prior, *, heads: int) -> nn.Module:
    """A module that is a `Prior`."""
    match config:
        case kinds.Causal():
            return Causal()
        case kinds.Full():
            return Full()
        case kinds.Window(before=before, after=after):
            return Window(before=before, after=after)
        case kinds.Graph(edges=edges, size=size):
            return Graph(edges, size=size)
        case kinds.Relative(largest=largest):
            return Relative(heads=heads, largest=largest)
        case kinds.Decay(slopes=slopes):
            return Decay(slopes or usual_slopes(heads))
        case kinds.Absolute(places=places):
            return Absolute(heads=heads, places=places)
        case kinds.Geometric(alpha=alpha, beta=beta):
            return Geometric(alpha=alpha, beta=beta)
        case kinds.Product(of=factors):
            return Product(prior(factor, heads=heads) for factor in factors)
        case _:
            assert_never(config)
