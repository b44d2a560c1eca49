"""Iterated attention: latent nodes descend the free energy F that is left once the edges are summed out.

F(z) = -ln sum over edges of p(x, z, edge) has the gradient E_(edge | x, z)[-grad ln p(x, z, edge)]: attention whose
value is a gradient (Singh & Buckley 2023, equations 4-7). Every model here has a step to the minimum of a quadratic
bound that touches F at z, so that F never rises: the convex-concave procedure where edges are inner products,
expectation maximisation where they are Gaussians (appendix 7.1). One file each.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

State = Float[Tensor, "*problems nodes width"]
Energies = Float[Tensor, "*problems"]


@runtime_checkable
class Descending(Protocol):
    """A model of latent nodes with a step that never makes their free energy larger."""

    def free_energy(self, state: State) -> Energies:
        """F in nats, of every problem by itself; up to a constant that does not depend on the state."""
        ...

    def step(self, state: State) -> State:
        """The state at the minimum of the bound of F that touches F at `state`."""
        ...
