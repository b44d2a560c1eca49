"""Slots with a memory: each block of a slot has an edge of its own, to one of the block's memory nodes."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.iterated import Energies, State
from precisionflow.models.attention.iterated.curvature import variance
from precisionflow.models.attention.iterated.slots import (
    Covariance,
    DotProductSlots,
    Observations,
    Present,
    of_all_slots,
)


@dataclass(frozen=True)
class BlockSlots:
    """F(z) = F of the slots - sum_i sum_b ln (1 / k) sum_k exp(<z_ib, m_bk>), z_ib block b of slot i.

    A step adds to that of the slots, in each block, sum_k r(k | z_ib) m_bk, r(k | z_ib) = softmax_k(<z_ib, m_bk>): what
    retrieval from the memory gives. The memory is an empirical prior (Singh & Buckley 2023, figure 1, after Singh et
    al. 2022); table 1 states its potential m_k^T W z_i.
    """

    observations: Observations
    memory: Float[Tensor, "*#problems blocks memories block"]
    present: Present | None = None

    @property
    def _slots(self) -> DotProductSlots:
        return DotProductSlots(self.observations, self.present)

    def free_energy(self, state: State) -> Energies:
        evidence = self._log_potentials(state).logsumexp(-1) - math.log(self.memory.shape[-2])
        return self._slots.free_energy(state) - evidence.sum((-2, -1))

    def posterior(self, state: State) -> Float[Tensor, "*problems nodes observations"]:
        """p(edge j -> i | x_j, z): what each slot has of each observation, 0 of padding."""
        return self._slots.posterior(state)

    def recalled(self, state: State) -> Float[Tensor, "*problems nodes blocks memories"]:
        """r(k | z_ib): which memory node each block is taken for."""
        return self._log_potentials(state).softmax(-1)

    def step(self, state: State) -> State:
        retrieved = torch.einsum("...ibk,...bkc->...ibc", self.recalled(state), self.memory)
        return self._slots.step(state) + retrieved.flatten(-2)

    def gradient(self, state: State) -> State:
        """dF / dz = z - step(z)."""
        return state - self.step(state)

    def covariance(self, state: State) -> Covariance:
        """Of all slots together, slot by slot."""
        pulls = self.observations[..., :, None, :].expand(*self.observations.shape[:-1], *state.shape[-2:])
        of_slots = variance(self.posterior(state).mT, of_all_slots(pulls))
        recalled = self.recalled(state).flatten(-3, -2)
        of_memory = variance(recalled, self._pulls_of_memory(state.shape[-2]))
        expected = torch.eye(of_slots.shape[-1], dtype=state.dtype, device=state.device)
        return torch.linalg.inv(expected - of_slots - of_memory)

    def _pulls_of_memory(self, slots: int) -> Float[Tensor, "*#problems factors memories size"]:
        """The gradient of <z_ib, m_bk> in all slots side by side, for every slot and block."""
        memory = torch.cat([self.memory] * slots, dim=-3)
        places = torch.eye(memory.shape[-3], dtype=memory.dtype, device=memory.device)
        return (places[:, None, :, None] * memory[..., None, :]).flatten(-2)

    def _log_potentials(self, state: State) -> Float[Tensor, "*problems nodes blocks memories"]:
        blocks = state.unflatten(-1, (self.memory.shape[-3], -1))
        return torch.einsum("...ibc,...bkc->...ibk", blocks, self.memory)
