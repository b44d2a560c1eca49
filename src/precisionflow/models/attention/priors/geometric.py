"""The geometric prior with a Beta hyper-prior: an edge passes each nearer token with a probability of its own."""

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior, Offsets
from precisionflow.models.attention.sites import Sites


class Geometric(nn.Module):
    """p(k | q) = (1 - q) q^k of the distance k = position of i - position of j >= 0, q ~ Beta(beta, alpha).

    A query has a q of its own, so that it can be integrated out: log p(edge i -> j) =
    log B(beta + k, alpha + 1) - log B(beta, alpha). The mean of q is beta / (alpha + beta), and with that q the mean
    distance is beta / alpha (Singh & Buckley 2023, section 5.2 and table 1).
    """

    horizon = None

    def __init__(self, *, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        offsets = Offsets(queries, keys)
        return LogPrior(offsets.same, factors=(Passing(offsets, self.alpha, self.beta),))


@dataclass(frozen=True)
class Passing:
    """log p(distance), -inf where it is negative."""

    offsets: Offsets
    alpha: float
    beta: float
    keeps_self = True
    learned: tuple[Tensor, ...] = ()

    def reach(self, queries: slice, keys: int) -> slice:
        return self.offsets.reach(queries, keys, before=None, after=0)

    def block(self, queries: slice, keys: slice) -> Block:
        distance = self.offsets.block(queries, keys)
        return self._log(distance).masked_fill(distance < 0, float("-inf"))[None, None]

    def of_heads(self, heads: slice) -> "Passing":  # noqa: ARG002 - all heads alike
        return self

    def edgewise(self) -> Edgewise:
        offset, known_by, by_distance = self.offsets.edgewise(), self.offsets.known_by, self._by_distance
        return Edgewise(
            log=lambda batch, head, query, key: by_distance[offset(query, key).clamp(min=0)],  # noqa: ARG005
            possible=lambda batch, head, query, key: offset(query, key) >= 0,  # noqa: ARG005
            known_by=known_by and (Passing, known_by),
            by_place=torch.cat([by_distance[1:].flip(0), by_distance])[None] if self.offsets.same else None,
        )

    @functools.cached_property
    def _by_distance(self) -> Float[Tensor, "distances"]:
        """log p of every distance that occurs; a pass asks for it several times."""
        largest = self.offsets.queries.position(-1) - self.offsets.keys.position(0)
        places = torch.arange(max(0, largest) + 1, device=self.offsets.keys.positions.device)
        return self._log(places).float()

    def _log(self, distance: Int[Tensor, "*edges"]) -> Float[Tensor, "*edges"]:
        """log p(distance) in float64, of negative distances that of 0."""
        beta = distance.double().clamp(min=0) + self.beta
        log = torch.lgamma(beta) - torch.lgamma(beta + self.alpha + 1)
        start = torch.tensor([self.alpha, self.alpha + self.beta, self.beta], dtype=torch.float64).lgamma()
        constant = torch.tensor(self.alpha + 1).double().lgamma() - start[0] + start[1] - start[2]
        return log + constant
