"""The geometric prior with a Beta hyper-prior: an edge passes each nearer token with a probability of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, LogPrior, Offsets
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
        return LogPrior(factors=(Passing(Offsets(queries, keys), self.alpha, self.beta),))


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
        distance = self.offsets.block(queries, keys).double()
        beta = distance.clamp(min=0) + self.beta
        log = torch.lgamma(beta) - torch.lgamma(beta + self.alpha + 1)
        start = torch.tensor([self.alpha, self.alpha + self.beta, self.beta], dtype=torch.float64).lgamma()
        constant = torch.tensor(self.alpha + 1).double().lgamma() - start[0] + start[1] - start[2]
        return (log + constant).masked_fill(distance < 0, float("-inf"))[None, None]
