"""The categorical factor: log p(child given states of parents), whose probabilities are a table or Dirichlet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase as LETTERS

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from precisionflow.inference.variational.factors import Beliefs, Message, Variable
from precisionflow.inference.variational.factors.plates import joined, onto, require_plates
from precisionflow.inference.variational.families import Numbers, Plates, require_kind
from precisionflow.inference.variational.families.categorical import LOG_TINY, Categorical, log_probabilities
from precisionflow.inference.variational.families.dirichlet import Dirichlet


@dataclass(frozen=True, eq=False)
class Conditional:
    """p(child = k given parents in states i, j, ...) = table[..., i, j, ..., k], of which a model makes a factor."""

    logs: Tensor | Variable
    """Logarithms of the table, or a Dirichlet variable whose last plates are the parents' states."""
    given: tuple[Variable, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the table: plates, states of the parents, states of the child."""
        if isinstance(self.logs, Variable):
            return (*self.logs.plates, *self.logs.start.event)
        return tuple(self.logs.shape)

    @property
    def states(self) -> int:
        """Of the child."""
        return self.shape[-1]

    @property
    def plates(self) -> Plates:
        """Those of table and parents together."""
        own = self.shape[: len(self.shape) - len(self.given) - 1]
        return joined(own, *(parent.plates for parent in self.given), name="categorical")


def categorical(probabilities: Variable | Numbers, *, given: Sequence[Variable] = ()) -> Conditional:
    """Probabilities of the child's states, in the last axis; of `given` parents an axis of states before it each.

    They are numbers that sum to 1, or a Dirichlet variable with the parents' states as its last plates.
    """
    require_kind(given, (tuple, list), "categorical: given", "a tuple of Categorical variables, such as (x,)")
    for parent in given:
        require_kind(parent, Variable, "categorical: given", "a Categorical variable")
        if parent.family is not Categorical:
            raise ValueError(
                f"categorical: given {parent.name} is {parent.kind}, parents have to be Categorical variables"
            )
    if len(set(given)) < len(given):
        raise ValueError(
            "categorical: a parent stands twice in given; take the diagonal of the table and name it once"
        )
    if isinstance(probabilities, Variable) and probabilities.family is not Dirichlet:
        raise ValueError(
            f"categorical: probabilities {probabilities.name} is {probabilities.kind}, which has no conjugate "
            "update; take a Dirichlet variable or numbers"
        )
    if isinstance(probabilities, Variable):
        found = Conditional(probabilities, tuple(given))
    else:
        found = Conditional(log_probabilities(probabilities, "categorical: probabilities"), tuple(given))
    wanted = tuple(parent.start.event[0] for parent in given)
    if len(found.shape) <= len(wanted) or found.shape[-1 - len(wanted) : -1] != wanted:
        raise ValueError(
            f"categorical: probabilities have shape {found.shape}; before the last axis they need those of the "
            f"parents' states, {wanted}"
        )
    return found


@dataclass(frozen=True, eq=False)
class CategoricalFactor:
    """log p(child given parents)."""

    name: str
    conditional: Conditional
    values: Variable | Float[Tensor, "*plates states"]
    """The child; of data one-hot states, or how often each came up."""
    plates: Plates

    @property
    def child(self) -> Variable | None:
        return self.values if isinstance(self.values, Variable) else None

    @property
    def variables(self) -> tuple[Variable, ...]:
        of = (self.values, *self.conditional.given, self.conditional.logs)
        return tuple(each for each in of if isinstance(each, Variable))

    def energy(self, beliefs: Beliefs) -> Float[Tensor, "*plates"]:
        """-sum over states of their probabilities and <log p>."""
        return -self._contracted(None, beliefs)

    def impossible(self, beliefs: Beliefs) -> Float[Tensor, "*plates"]:
        """Expected number of states of the child that the table gives probability 0."""
        logs = self.conditional.logs
        if isinstance(logs, Variable):
            return beliefs[logs].log_mean.new_zeros(())
        of_zeros = replace(self.conditional, logs=(logs <= LOG_TINY).to(logs.dtype))
        return replace(self, conditional=of_zeros)._contracted(None, beliefs)

    def message(self, to: Variable, beliefs: Beliefs) -> Message:
        """<log p> over all others; to the Dirichlet expected counts."""
        if to is self.conditional.logs:
            rows = len(self.conditional.given)
            counts, plates = self._counts(beliefs), to.plates[: len(to.plates) - rows]
            return Message((onto(counts, plates=self.plates, to=plates, axes=rows + 1),))
        found = self._contracted(to, beliefs)
        return Message((onto(found, plates=self.plates, to=to.plates, axes=1),))

    def _contracted(self, kept: Variable | None, beliefs: Beliefs) -> Tensor:
        """<log p> over all but one."""
        logs = self.conditional.logs
        table = beliefs[logs].log_mean if isinstance(logs, Variable) else logs
        axes = LETTERS[: len(self.conditional.given) + 1]
        others = [
            (letter, _mean(each, beliefs))
            for letter, each in zip(axes, self._each, strict=True)
            if each is not kept
        ]
        out = "".join(letter for letter, each in zip(axes, self._each, strict=True) if each is kept)
        inputs = ",".join([f"...{axes}", *(f"...{letter}" for letter, _ in others)])
        return torch.einsum(f"{inputs}->...{out}", table, *(mean for _, mean in others))

    def _counts(self, beliefs: Beliefs) -> Tensor:
        """Joint probabilities of the states of parents and child."""
        axes = LETTERS[: len(self._each)]
        inputs = ",".join(f"...{letter}" for letter in axes)
        return torch.einsum(f"{inputs}->...{axes}", *(_mean(each, beliefs) for each in self._each))

    @property
    def _each(self) -> tuple[Variable | Tensor, ...]:
        return (*self.conditional.given, self.values)


def _mean(of: Variable | Tensor, beliefs: Beliefs) -> Tensor:
    return beliefs[of].mean if isinstance(of, Variable) else of  # type: ignore[no-any-return]


def counted(values: Tensor, conditional: Conditional, name: str) -> CategoricalFactor:
    """The factor of observed states; of a table without parents counts are all that it needs."""
    whole = not values.is_floating_point() and values.numel() > 0
    if not whole or not 0 <= int(values.min()) <= int(values.max()) < conditional.states:
        raise ValueError(f"{name}: states have to be whole numbers from 0 to {conditional.states - 1}")
    plates, parents = tuple(values.shape), conditional.plates
    require_plates(plates, parents, name)
    hot = one_hot(values.long(), conditional.states).to(torch.float64)
    if conditional.given:
        return CategoricalFactor(name, conditional, hot, plates)
    return CategoricalFactor(name, conditional, onto(hot, plates=plates, to=parents, axes=1), parents)
