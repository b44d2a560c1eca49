"""Slots: each observation has one edge, to one of the latent nodes, which compete for it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from precisionflow.models.attention.iterated import Energies, State
from precisionflow.models.attention.iterated.curvature import variance

Observations = Float[Tensor, "*problems observations width"]
Shares = Float[Tensor, "*problems nodes observations"]
Covariance = Float[Tensor, "*problems size size"]
Present = Bool[Tensor, "*#problems observations"]
"""True where an observation is there, False where it is padding, which has no edge."""


def kept(of: Tensor, where: Tensor | None) -> Tensor:
    """A tensor, 0 where it is not to be kept; none: all of it is."""
    return of if where is None else torch.where(where, of, 0.0)


def rows(present: Present | None) -> Bool[Tensor, "*#problems 1 observations"] | None:
    """The same for what has a row of observations for each node."""
    return None if present is None else present[..., None, :]


@dataclass(frozen=True)
class DotProductSlots:
    """F(z) = 1/2 sum_i |z_i|^2 - sum_j ln (1 / m) sum_i exp(<z_i, x_j>).

    A step is z_i <- sum_j p(i | x_j) x_j, p(i | x_j) = softmax_i(<z_i, x_j>): a sum, which grows with the number of
    observations. Singh & Buckley 2023, section 4.3.
    """

    observations: Observations
    present: Present | None = None

    def free_energy(self, state: State) -> Energies:
        evidence = (state @ self.observations.mT).logsumexp(-2) - math.log(state.shape[-2])
        return 0.5 * state.square().sum((-2, -1)) - kept(evidence, self.present).sum(-1)

    def posterior(self, state: State) -> Shares:
        """p(edge j -> i | x_j, z): what each slot has of each observation, 0 of padding."""
        return kept((state @ self.observations.mT).softmax(-2), rows(self.present))

    def step(self, state: State) -> State:
        return self.posterior(state) @ self.observations

    def gradient(self, state: State) -> State:
        """dF / dz_i = z_i - sum_j p(i | x_j) x_j."""
        return state - self.step(state)

    def covariance(self, state: State) -> Covariance:
        """Of all slots together, slot by slot."""
        size = state.shape[-2] * state.shape[-1]
        expected = torch.eye(size, dtype=state.dtype, device=state.device)
        pulls = self.observations[..., :, None, :].expand(*self.observations.shape[:-1], *state.shape[-2:])
        return torch.linalg.inv(expected - variance(self.posterior(state).mT, of_all_slots(pulls)))


@dataclass(frozen=True)
class GaussianSlots:
    """F(z) = l / 2 sum_i |z_i - c|^2 - sum_j ln (1 / m) sum_i exp(-b / 2 |x_j - z_i|^2), c the observations' mean.

    A step is z_i <- (l c + b sum_j p(i | x_j) x_j) / (l + b sum_j p(i | x_j)): the weighted mean of slot attention
    (Locatello et al. 2020, algorithm 1), here the exact step of expectation maximisation for a mixture of Gaussians
    whose means have a prior of precision l. b is `precision`, l is `prior_precision`, in units of 1 / observations^2.
    """

    observations: Observations
    precision: float | Float[Tensor, "*#problems 1 1"]
    prior_precision: float = 0.0
    present: Present | None = None

    def free_energy(self, state: State) -> Energies:
        evidence = self._log_potentials(state).logsumexp(-2) - math.log(state.shape[-2])
        centred = state - self._centre
        node = 0.5 * self.prior_precision * centred.square().sum((-2, -1))
        return node - kept(evidence, self.present).sum(-1)

    def posterior(self, state: State) -> Shares:
        """p(edge j -> i | x_j, z): what each slot has of each observation, 0 of padding."""
        return kept(self._log_potentials(state).softmax(-2), rows(self.present))

    def step(self, state: State) -> State:
        """What a slot has is taken over its largest share: the mean of far observations is known as well as of near.

        Without observations a slot stays where it is if its prior has no precision.
        """
        log_shares, there = self._log_potentials(state).log_softmax(-2), rows(self.present)
        if there is not None:
            log_shares = log_shares.masked_fill(~there, torch.finfo(log_shares.dtype).min)
        of_prior = self._log_share_of_prior(like=log_shares)
        largest = log_shares.amax(-1, keepdim=True).maximum(of_prior).detach()
        shares, centre = kept((log_shares - largest).exp(), there), self._centre
        weight = shares.sum(-1, keepdim=True) + (of_prior - largest).exp()
        pulled = shares @ (self.observations - centre)
        return torch.where(weight > 0, centre + pulled / torch.where(weight > 0, weight, 1.0), state)

    def gradient(self, state: State) -> State:
        """dF / dz_i = l (z_i - c) - b sum_j p(i | x_j) (x_j - z_i)."""
        shares, centre = self.posterior(state), self._centre
        pull = shares @ (self.observations - centre) - shares.sum(-1, keepdim=True) * (state - centre)
        return self.prior_precision * (state - centre) - self.precision * pull

    def covariance(self, state: State) -> Covariance:
        """Of all slots together, slot by slot."""
        shares = self.posterior(state)
        weight = self.precision * shares.sum(-1, keepdim=True) + self.prior_precision
        expected = torch.diag_embed(weight.expand(state.shape).flatten(-2))
        errors = self.observations[..., :, None, :] - state[..., None, :, :]
        pulled = self.precision**2 * variance(shares.mT, of_all_slots(errors))
        return torch.linalg.inv(expected - pulled)

    def _log_share_of_prior(self, *, like: Tensor) -> Float[Tensor, "*#problems"]:
        """ln (l / b): the prior is as good as so much of an observation at c."""
        if not self.prior_precision:
            return like.new_tensor(-math.inf)
        return math.log(self.prior_precision) - torch.as_tensor(self.precision).to(like).log()

    @property
    def _centre(self) -> Float[Tensor, "*problems 1 width"]:
        """c."""
        if self.present is None:
            return self.observations.mean(-2, keepdim=True)
        count = self.present.sum(-1)[..., None, None].clamp(min=1)
        return kept(self.observations, self.present[..., None]).sum(-2, keepdim=True) / count

    def _log_potentials(self, state: State) -> Shares:
        """-b / 2 |x_j - z_i|^2 from what lies around the observations' mean: a common offset costs no accuracy."""
        centre = self._centre
        observed, slots = self.observations - centre, state - centre
        lengths = slots.square().sum(-1, keepdim=True) + observed.square().sum(-1)[..., None, :]
        return -0.5 * self.precision * (lengths - 2 * slots @ observed.mT)


def of_all_slots(
    pulls: Float[Tensor, "*problems observations nodes width"],
) -> Float[Tensor, "*problems observations nodes size"]:
    """The gradient of edge j -> i in all slots side by side: `pulls` in the place of slot i, 0 in the others."""
    nodes = pulls.shape[-2]
    own = torch.eye(nodes, dtype=pulls.dtype, device=pulls.device)
    return (own[:, :, None] * pulls[..., None, :]).flatten(-2)
