"""Sums of a geometric series behind a window, to the last digits wherever its ratio lies."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

SERIES = 1e-3
"""Largest |n log q| of n terms whose mean is taken from a series: it leaves 1e-12 n out, where the poles of the closed
form cost digits."""


class Beyond(NamedTuple):
    """The part of a geometric series behind a window, in float64."""

    log_mass: Float[Tensor, "rows"]
    """log sum of q^k over the distances k from the window's end on; -inf where there is none."""
    distance: Float[Tensor, "rows"]
    """Their mean k."""

    @classmethod
    def of(cls, log_q: Float[Tensor, "rows"], *, first: int, available: Int[Tensor, "rows"]) -> "Beyond":
        log_q = log_q.double().clamp(max=-torch.finfo(torch.float64).tiny)
        rest = (available - first).clamp(min=0).double()
        end = rest * log_q
        own, all_of_them = log_q.expm1(), end.expm1()
        log_mass = first * log_q + (all_of_them / own).log()
        closed = rest * (1 + 1 / all_of_them) - 1 - 1 / own
        series = (rest - 1) / 2 + log_q * (rest.square() - 1) / 12
        return cls(log_mass, first + torch.where(end < -SERIES, closed, series))
