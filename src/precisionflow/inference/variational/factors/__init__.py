"""Factors, one file each: -<log p(child given parents)> under beliefs, and the messages that beliefs are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import ExponentialFamily, Natural, Plates


@dataclass(frozen=True, eq=False)
class Variable:
    """A latent batch of one family; itself is the key of its belief."""

    name: str
    plates: Plates
    start: ExponentialFamily
    """The belief before the first update."""

    @property
    def family(self) -> type[ExponentialFamily]:
        """Family of the beliefs."""
        return type(self.start)

    @property
    def kind(self) -> str:
        """Name of the family."""
        return self.family.__name__


Beliefs = Mapping[Variable, Any]
"""What is believed about every variable: a member of its family, or a `Point`."""


class Message(NamedTuple):
    """What a factor says about a variable."""

    natural: Natural
    times: float = 1.0
    """How often it says so."""


class Factor(Protocol):
    """log p(child given parents), conjugate to every variable in it."""

    @property
    def name(self) -> str:
        """Of the child."""
        ...

    @property
    def child(self) -> Variable | None:
        """None where it is observed."""
        ...

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Latent ones, the child among them."""
        ...

    @property
    def plates(self) -> Plates:
        """Of its energies; data share those of their parents."""
        ...

    def energy(self, beliefs: Beliefs) -> Float[Tensor, "*plates"]:
        """-<log p(child given parents)> of each plate, in nats; it broadcasts to `plates`."""
        ...

    def message(self, to: Variable, beliefs: Beliefs) -> Message:
        """<log p> as natural parameters of the variable's family: it is linear in T(variable)."""
        ...
