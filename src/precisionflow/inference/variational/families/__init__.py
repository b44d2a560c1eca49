"""Exponential families, one file each: p(x) = exp(sum_i <natural_i, T_i(x)> - log normaliser), of base measure 1.

Natural parameters are those of a product of densities added up: T is chosen so that they are what the field names, such
as precision and rate. Everything before the axes of an event is a plate, and plates broadcast. Numbers are float64.
"""

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from types import UnionType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Natural = tuple[Tensor, ...]
Plates = tuple[int, ...]
Numbers = Tensor | float | Sequence[float] | Sequence[Sequence[float]]
ROUNDED = 8 * torch.finfo(torch.float64).eps
"""Share of a mean, or of what it is a sum of, that rounding may take away or add."""
LEAST_OWN = 1e-13
"""Share of a number's precision that those before it do not tell; float64 rounds it by about 2e-16."""


@dataclass(frozen=True, eq=False)
class ExponentialFamily(ABC):
    """A batch of densities of one family."""

    natural: Natural
    axes: ClassVar[tuple[int, ...]]
    """Axes of an event in each natural parameter; those before them are plates."""

    @property
    def plates(self) -> Plates:
        """Shape of the batch."""
        each = (a.shape[: a.ndim - axes] for a, axes in zip(self.natural, self.axes, strict=True))
        return tuple(np.broadcast_shapes(*each))

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of the last natural parameter of one density."""
        last = self.natural[-1].shape
        return tuple(last[len(last) - self.axes[-1] :])

    @cached_property
    @abstractmethod
    def statistics(self) -> Natural:
        """<T(x)>, which is the gradient of the log normaliser."""

    @cached_property
    @abstractmethod
    def log_normaliser(self) -> Float[Tensor, "*plates"]:
        """log integral of exp(sum_i <natural_i, T_i(x)>)."""

    @staticmethod
    @abstractmethod
    def statistics_of(value: Tensor) -> Natural:
        """T(x)."""

    @abstractmethod
    def require_proper(self, name: str) -> None:
        """ValueError where the integral diverges; `name` is what the message begins with."""

    def log_density(self, value: Tensor) -> Float[Tensor, "*plates"]:
        """log p(x), in nats."""
        return self.inner(self.natural, self.statistics_of(value)) - self.log_normaliser

    def energy(self, belief: Any) -> Float[Tensor, "*plates"]:
        """-<log p(x)> under a belief of the same family, or a `Point`, in nats."""
        return self.log_normaliser - self.inner(self.natural, belief.statistics)

    def entropy(self) -> Float[Tensor, "*plates"]:
        """-<log p(x)>, in nats."""
        return self.energy(self)

    def kl(self, other: Self) -> Float[Tensor, "*plates"]:
        """<log p(x) - log other(x)> under p, in nats."""
        difference = tuple(a - b for a, b in zip(self.natural, other.natural, strict=True))
        return self.inner(difference, self.statistics) - self.log_normaliser + other.log_normaliser

    def change(self, before: Self) -> Float[Tensor, "*plates"]:
        """KL from before and back (Jeffreys), in nats: <natural - before, <T> - before>.

        What rounding changes in a mean counts as none.
        """
        natural, statistics = (
            tuple(a - b for a, b in zip(now, then, strict=True))
            for now, then in ((self.natural, before.natural), (self.statistics, before.statistics))
        )
        return self.inner(natural, statistics)

    def damped(self, to: Self, step: float) -> Self:
        """(1 - step) of these natural parameters and step of others; at step 1 the others themselves."""
        if step == 1:
            return to
        return type(self)(tuple(a + step * (b - a) for a, b in zip(self.natural, to.natural, strict=True)))

    def inner(self, natural: Natural, statistics: Natural) -> Float[Tensor, "*plates"]:
        """sum_i <natural_i, statistics_i>."""
        each = [
            (a * b).flatten(start_dim=-axes).sum(dim=-1) if axes else a * b
            for a, b, axes in zip(natural, statistics, self.axes, strict=True)
        ]
        return reduce(torch.add, each)


def fitting(axes: Sequence[int], **given: Numbers) -> list[Tensor]:
    """Parameters as float64, each with so many axes of an event; ValueError where their shapes do not fit together."""
    found = [numbers(each, name) for name, each in given.items()]
    parts = list(zip(found, axes, strict=True))
    widths = {width for each, event in parts for width in each.shape[max(each.ndim - event, 0) :]}
    if (
        len(widths) > 1
        or any(each.ndim < event for each, event in parts)
        or not _broadcast([each.shape[: each.ndim - event] for each, event in parts])
    ):
        shapes = " and ".join(
            f"{name} of shape {tuple(each.shape)}" for name, each in zip(given, found, strict=True)
        )
        raise ValueError(f"{shapes} do not fit one another; give one width, and plates that broadcast")
    return found


def _broadcast(shapes: Sequence[torch.Size]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def numbers(given: Numbers, name: str) -> Tensor:
    """As float64; ValueError for what is no array of numbers, and where one of them is NaN or infinite."""
    found = array(given, name, torch.float64)
    if not bool(found.isfinite().all()):
        raise ValueError(f"{name}: has NaN or infinite numbers; every one has to be finite")
    return found


def array(given: Numbers, name: str, dtype: torch.dtype | None = None) -> Tensor:
    """As a tensor, of the type that it has where none is given; ValueError for what is no array of numbers.

    A tensor stays where it lies.
    """
    if isinstance(given, Tensor):
        return given if dtype is None else given.to(dtype)
    try:
        return torch.as_tensor(given, dtype=dtype)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"{name}: given {reprlib.repr(given)}; give a number, or rows of equally many numbers"
        ) from None


def require_kind(given: object, kinds: type | UnionType | tuple[type, ...], name: str, what: str) -> None:
    """TypeError for what is of another kind; the message says what to give."""
    if not isinstance(given, kinds):
        raise TypeError(f"{name}: given {reprlib.repr(given)}, which is {type(given).__name__}; give {what}")


def require_positive(given: Tensor, name: str, what: str) -> None:
    """ValueError where a number is not above 0."""
    if not bool((given > 0).all()):
        raise ValueError(f"{name}: {what} has to be above 0, given {given.min().item():g}")


def root_of(matrix: Float[Tensor, "*plates width width"], name: str) -> Float[Tensor, "*plates width width"]:
    """Lower Cholesky factor; ValueError where rounding has left none of what was positive definite."""
    root, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed.any()):
        raise ValueError(_singular(name))
    return root


def require_digits(root: Float[Tensor, "*plates width width"], name: str) -> None:
    """ValueError where the inverse of a matrix with this Cholesky factor has lost all but three digits to rounding."""
    own = root.diagonal(dim1=-2, dim2=-1).square() / root.square().sum(dim=-1)
    if bool((own < LEAST_OWN).any()):
        raise ValueError(_singular(name))


def _singular(name: str) -> str:
    return (
        f"{name} is singular but for rounding: some numbers of its vectors tell the same, and its prior is lost beside "
        "them; give a stronger prior, or leave one of them out"
    )


def is_symmetric(matrix: Float[Tensor, "*plates width width"]) -> bool:
    """Whether |a_ij - a_ji| <= 1e-9 sqrt(a_ii a_jj): what sums have rounded, in units of each number's own scale."""
    scale = matrix.diagonal(dim1=-2, dim2=-1).abs().sqrt()
    return bool(((matrix - matrix.mT).abs() <= 1e-9 * scale[..., :, None] * scale[..., None, :]).all())


def require_positive_definite(given: Tensor, name: str, what: str) -> None:
    """ValueError where a matrix is not square, symmetric and positive definite."""
    if given.ndim < 2 or given.shape[-1] != given.shape[-2] or not given.shape[-1]:
        raise ValueError(
            f"{name}: {what} has to be a square matrix of one row or more, given shape {tuple(given.shape)}"
        )
    if not is_symmetric(given) or bool(torch.linalg.cholesky_ex(given).info.any()):
        raise ValueError(f"{name}: {what} has to be symmetric and positive definite")
