"""How variables descend: where the gradient is taken, and how far a step goes."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Protocol, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.config import learning as kinds
from precisionflow.inference.predictive_coding.energy import Pass
from precisionflow.inference.predictive_coding.laplace import curvature, root
from precisionflow.inference.predictive_coding.laws import Errors, Stepped, StepSize
from precisionflow.inference.predictive_coding.variables import Variables
from precisionflow.models.numerics import at_least_float32

Products = Float[Tensor, "two parts"]
"""<dx, dg> and <dx, dx> of each part of a layer: of the whole, or of each channel."""


class Descent(Protocol):
    """A way down the energy, which remembers the steps before."""

    beside: ClassVar[bool]
    """Whether the gradient is taken beside the values."""

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Where the gradient is taken, from the values after the last step."""
        ...

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        """All variables after one step, from the pass before it."""
        ...


class Gradient:
    """The gradient at the values themselves, and the law's curvature alone."""

    beside: ClassVar[bool] = False

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        return list(values)

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        sizes = self.sizes(variables, passed, gradients, step_size=step_size)
        return [
            variables.stepped(passed, layer, gradient, size)
            for layer, (gradient, size) in enumerate(zip(gradients, sizes, strict=True))
        ]

    def sizes(
        self,
        variables: Variables,  # noqa: ARG002
        passed: Pass,  # noqa: ARG002
        gradients: Sequence[Tensor],
        *,
        step_size: float,
    ) -> list[StepSize]:
        """Of each layer, the size of its step in units of 1 / its law's curvature."""
        return [step_size] * len(gradients)


class Momentum(Gradient):
    """x + share (x - x before): Nesterov's point (Beck & Teboulle 2009 for laws without a slope)."""

    beside: ClassVar[bool] = True

    def __init__(self, share: float) -> None:
        self.share = share
        self.before: list[Tensor] = []

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        before, self.before = self.before or list(values), list(values)
        return [value.lerp(last, -self.share) for value, last in zip(values, before, strict=True)]


class Secant(Gradient):
    """<dx, dg> / <dx, dx> over a layer or over one of its channels, dx the last move and dg what it changed in dE/dx.

    0 where that of the layer is below it. A channel that has not moved, or in which it is not above 0, has its layer's.
    Both products are of all ranks' shares of a batch, so that each takes the steps of the whole.
    """

    def __init__(
        self, per: Literal["layer", "channel"] = "layer", *, total: Callable[[Tensor], Tensor] = torch.clone
    ) -> None:
        """`total` sums a copy over ranks."""
        self.per = per
        self.total = total
        self.last: list[tuple[Tensor, Tensor]] = []

    def sizes(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[StepSize]:
        added = self.curvatures(variables.values(passed), gradients, counting=variables.clamped.counting)
        return [
            step_size / (1 + of / variables.laws[layer].curvature(passed.predictions[layer]))
            for layer, of in enumerate(added)
        ]

    def curvatures(
        self,
        points: Sequence[Tensor],
        gradients: Sequence[Tensor],
        *,
        counting: Callable[[Errors], Errors] = torch.clone,
    ) -> list[Tensor]:
        """Of each layer, or each channel, the curvature that its law's is raised by: at the first step 0.

        `counting`: see `Clamped.counting`.
        """
        here = [(x.detach(), g) for x, g in zip(points, gradients, strict=True)]
        last, self.last = self.last, here
        if not last:
            return [gradient.new_zeros(()) for gradient in gradients]
        products = [self._products(x - y, g - h, counting) for (x, g), (y, h) in zip(here, last, strict=True)]
        summed = self.total(torch.cat(products, dim=1))
        return [_ratios(of) for of in summed.split([of.shape[1] for of in products], dim=1)]

    def _products(self, move: Tensor, change: Tensor, counting: Callable[[Errors], Errors]) -> Products:
        move, change, counted = (at_least_float32(of) for of in (move, change, counting(move)))
        over = tuple(range(move.ndim - (self.per == "channel")))
        return torch.stack([(counted * of).sum(dim=over).view(-1) for of in (change, move)])


HALVINGS = 4
"""Halvings of a step of Gauss-Newton that are tried before a sample stays where it is."""


class GaussNewton(Gradient):
    """e - size H^-1 dE/de, H the curvature of the whole energy of a sample (`laplace.curvature`).

    The size of each sample is step_size, or that halved up to `HALVINGS` times, or 0: the one of the lowest energy, so
    that no step raises it. A sample whose H has no root in its dtype stays too.
    """

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        clamped, laws, errors = variables.clamped, variables.laws, passed.errors
        slopes = [
            laws[layer].score(error, prediction) + of
            for layer, (error, prediction, of) in enumerate(
                zip(errors, passed.predictions, gradients, strict=True)
            )
        ]
        lower = root(curvature(clamped, errors, laws))
        moves = torch.cholesky_solve(torch.cat(slopes, dim=-1)[..., None], lower)[..., 0]
        moves = moves.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        each = moves.split([error.shape[-1] for error in errors], dim=-1)
        sizes = [0.0, *(step_size / 2**halvings for halvings in reversed(range(HALVINGS + 1)))]
        tried = [
            clamped.passed([error - size * move for error, move in zip(errors, each, strict=True)])
            for size in sizes
        ]
        energies = torch.stack([clamped.energies(one, laws) for one in tried])
        best = energies.nan_to_num(nan=math.inf).argmin(dim=0)
        size = energies.new_tensor(sizes)[best][:, None]
        after = [error - size * move for error, move in zip(errors, each, strict=True)]
        found = clamped.passed(after)
        return [
            Stepped(error, laws[layer].score(error, prediction))
            for layer, (error, prediction) in enumerate(zip(after, found.predictions, strict=True))
        ]


def _ratios(products: Products) -> Float[Tensor, "parts"]:
    """Of each part <dx, dg> / <dx, dx> where it is above 0, else that of all together, or 0."""
    along, square = products
    whole = _ratio(along.sum(), square.sum())
    return torch.where(along > 0, _ratio(along, square), whole)


def _ratio(along: Tensor, square: Tensor) -> Tensor:
    return torch.where(square > 0, along / square, 0.0).clamp(min=0)


def descent(config: kinds.Descent, *, total: Callable[[Tensor], Tensor] = torch.clone) -> Descent:
    """A descent that has taken no step; `total` sums a copy over ranks."""
    match config:
        case kinds.Gradient():
            return Gradient()
        case kinds.Momentum(share=share):
            return Momentum(share)
        case kinds.Secant(per=per):
            return Secant(per, total=total)
        case kinds.GaussNewton():
            return GaussNewton()
        case _:
            assert_never(config)
