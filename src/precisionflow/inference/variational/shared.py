"""Inference over ranks: each has the factors of its own data and beliefs about its own variables, some are shared.

A shared variable has the same belief on every rank: from the messages of its own prior, which every rank has, and the
sum over ranks of all others. Every rank has a factor whose child is shared; other factors are of one rank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Factor, Message, Variable
from precisionflow.inference.variational.families import Natural, require_kind
from precisionflow.inference.variational.model import Model

Total = Callable[[Tensor], Tensor]
"""Elementwise sum over ranks of a tensor, which it may change; the same tensor on every rank."""

ALIKE = 1e-12
"""Relative difference of a number from its mean over ranks, more than rounding makes, by which ranks differ."""


@dataclass(frozen=True)
class Shared:
    """Variables that all ranks share, and the sum over ranks; beliefs start alike on every rank."""

    variables: Sequence[Variable]
    total: Total

    def everywhere(self, factor: Factor) -> bool:
        """Whether every rank has this factor, so that it counts once."""
        return factor.child is not None and factor.child in self.variables

    def require_shared_parents(self, model: Model) -> None:
        """ValueError for a shared variable that no model has, or that variables of one rank predict."""
        if not self.variables:
            raise ValueError("shared: has no variable; name those that all ranks share")
        for variable in self.variables:
            require_kind(variable, Variable, "shared", "a variable of the model")
            if variable not in model.variables:
                raise ValueError(f"shared: {variable.name} is no variable of this model")
        for factor in filter(self.everywhere, model.factors):
            for parent in factor.variables:
                if parent not in self.variables:
                    raise ValueError(
                        f"shared: {factor.name} is predicted by {parent.name}, which is not shared; share it too"
                    )

    def require_alike(self, beliefs: Beliefs) -> None:
        """ValueError on every rank where shared beliefs are other ones on one of them; three sums."""
        own = torch.cat([part.flatten() for variable in self.variables for part in beliefs[variable].natural])
        ranks, numbers, squares = self.total(own.new_tensor([1.0, len(own), len(own) ** 2])).tolist()
        if ranks * squares == numbers**2:
            mean = self.total(own) / ranks
            off = (own - mean).abs() > ALIKE * mean.abs()
            if not self.total(off.any().to(own.dtype)):
                return
        raise ValueError(
            "shared: shared variables do not start alike on all ranks, so that each would go another way; make them, "
            "their start= too, from the same numbers everywhere"
        )

    def every(self, true: bool, *, like: Tensor) -> bool:
        """Whether it is true on every rank, by one sum of a number that lies where another does."""
        return not self.total(like.new_tensor(float(not true))).item()

    def naturals(
        self, model: Model, together: Sequence[Variable], beliefs: Beliefs
    ) -> dict[Variable, Natural]:
        """Natural parameters of the optima of the shared ones of a class, by one sum over ranks."""
        here = [variable for variable in together if variable in self.variables]
        if not here:
            return {}
        own, sent = [], []
        for variable in here:
            factors = model.factors_of(variable)
            own.append(_sum(variable, factors, beliefs, chosen=self.everywhere))
            sent.append(_sum(variable, factors, beliefs, chosen=lambda factor: not self.everywhere(factor)))
        flat = self.total(torch.cat([part.flatten() for natural in sent for part in natural]))
        parts = iter(flat.split([part.numel() for natural in sent for part in natural]))
        return {
            variable: tuple(mine + next(parts).view_as(mine) for mine in natural)
            for variable, natural in zip(here, own, strict=True)
        }


def _sum(
    variable: Variable, factors: Sequence[Factor], beliefs: Beliefs, *, chosen: Callable[[Factor], bool]
) -> Natural:
    """Messages of some factors, over all plates of the variable."""
    shapes = [
        (*variable.plates, *part.shape[part.ndim - axes :])
        for part, axes in zip(variable.start.natural, variable.start.axes, strict=True)
    ]
    total = [part.new_zeros(shape) for part, shape in zip(variable.start.natural, shapes, strict=True)]
    for factor in filter(chosen, factors):
        message: Message = factor.message(variable, beliefs)
        for place, part in enumerate(message.natural):
            total[place] = torch.add(total[place], part, alpha=message.times)
    return tuple(total)
