"""A network that stores the training part's patterns and retrieves those that queries are of."""

import math
from functools import partial
from typing import assert_never

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from precisionflow.config.memories import AssociativeMemory
from precisionflow.config.tasks import Retrieval
from precisionflow.models.attention.iterated.hopfield import Hopfield
from precisionflow.models.attention.iterated.quadratic import Quadratic
from precisionflow.models.attention.iterated.settle import Settled, settle
from precisionflow.models.networks.layered import Layered

Numbers = Float[Tensor, "rows twice_width"]
"""A pattern, then a query of it."""
Queries = Float[Tensor, "queries width"]
Stored = Float[Tensor, "*#queries patterns width"]
"""Patterns of all queries, or of each its own."""
FURTHEST = 10.0
"""Furthest that the logarithm of a learned precision gets from where it begins."""
STANDS = 1e-6
"""Relative change of the free energy at which a query stands."""


class Memory(nn.Module):
    """Patterns as they were stored, and the precision of queries about them; computed in float64."""

    def __init__(self, config: AssociativeMemory, *, patterns: int, width: int) -> None:
        super().__init__()
        self.config = config
        self.patterns: Tensor
        self.register_buffer("patterns", torch.zeros(patterns, width))
        self.log_factor = nn.Parameter(torch.zeros(()))

    def fit(self, features: Float32[np.ndarray, "rows twice_width"]) -> None:
        """Store the patterns of the training rows."""
        self.patterns.copy_(torch.from_numpy(features[:, : self.patterns.shape[1]]))

    @property
    def precision(self) -> Float[Tensor, ""]:
        """b: what the configuration states, times what was learned."""
        factor = float(self.config.learned) * self.log_factor.double()
        return self.config.precision * factor.clamp(-FURTHEST, FURTHEST).exp()

    def forward(self, numbers: Numbers) -> Float[Tensor, "rows 1"]:
        """log mean_j N(query; x_j, I / b) over the width, in nats."""
        queries, width = self.queries(numbers), self.patterns.shape[1]
        far = torch.cdist(queries, self.patterns.double()).square()
        mean = (-self.precision / 2 * far).logsumexp(-1) - math.log(len(self.patterns))
        log_likelihood = mean + width / 2 * (self.precision / (2 * math.pi)).log()
        return (log_likelihood / width).to(numbers.dtype)[:, None]

    def queries(self, numbers: Numbers) -> Queries:
        """In float64, without the pattern that each is of."""
        return numbers[:, self.patterns.shape[1] :].double()

    @torch.no_grad()
    def settled(self, queries: Queries, stored: Stored) -> Settled:
        """Where queries come to rest among stored patterns, each by itself: problems of one latent node.

        Of the quadratic energy, from the states that are nearest to them.
        """
        rest = partial(settle, iterations=self.config.iterations, tolerance=STANDS)
        match self.config.energy:
            case "exponential":
                return rest(self.retrieval(stored), queries[:, None])
            case "quadratic":
                model = Quadratic(stored)
                return rest(model, model.nearest(queries[:, None]))
            case _:
                assert_never(self.config.energy)

    def retrieval(self, stored: Stored) -> Hopfield:
        """The exponential energy at the precision."""
        return Hopfield(stored, float(self.precision.detach()))


def memory(config: AssociativeMemory, task: Retrieval) -> Layered:
    """inputs: Float "rows twice_width"; output: Float "rows 1", log p(query) over the width."""
    layer = Memory(config, patterns=task.source.patterns, width=task.source.width)
    return Layered([layer], nn.Identity(), states=[(1,)])
