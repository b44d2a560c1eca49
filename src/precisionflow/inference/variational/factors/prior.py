"""A prior with numbers as its parameters."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Message, Variable
from precisionflow.inference.variational.families import ExponentialFamily, Plates


@dataclass(frozen=True, eq=False)
class Prior:
    """log p(child) of a member of the child's own family."""

    child: Variable
    family: ExponentialFamily

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def plates(self) -> Plates:
        return self.child.plates

    @property
    def variables(self) -> tuple[Variable, ...]:
        return (self.child,)

    def energy(self, beliefs: Beliefs) -> Float[Tensor, "*plates"]:
        """-<log p(child)> of the family."""
        return self.family.energy(beliefs[self.child])

    def message(self, to: Variable, beliefs: Beliefs) -> Message:  # noqa: ARG002
        """The natural parameters."""
        return Message(self.family.natural)
