"""Sums of a geometric series behind a window, to the last digits wherever its ratio lies."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

SERIES = 0.1
"""Largest |x| whose 1 / (e^x - 1) is taken from its series: four terms leave 1e-13 out, where the poles cost digits."""


class Beyond(NamedTuple):
    """The part of a geometric series behind a window."""

    log_mass: Float[Tensor, "rows"]
    """log sum of q^k over the distances k from the window's end on; -inf where there is none."""
    distance: Float[Tensor, "rows"]
    """Their mean k."""

    @classmethod
    def of(cls, log_q: Float[Tensor, "rows"], *, first: int, available: Int[Tensor, "rows"]) -> "Beyond":
        rest = (available - first).clamp(min=0).to(log_q.dtype)
        end = rest * log_q
        log_mass = first * log_q + rest.log() + _mean_power(end).log() - _mean_power(log_q).log()
        passed = _less_pole(log_q) - rest * _less_pole(end)
        return cls(log_mass, first + passed)


def _mean_power(x: Float[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """(e^x - 1) / x, the mean of e^t over t from 0 to x; 1 at 0."""
    return torch.where(x == 0, 1.0, torch.expm1(x) / torch.where(x == 0, 1.0, x))


def _less_pole(x: Float[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """1 / (e^-x - 1) + 1 / x for x <= 0, whose poles at 0 cancel: there the beginning of its series."""
    near, square = x.abs() < SERIES, x.square()
    far = torch.where(near, -1.0, x)
    series = -0.5 - x / 12 * (1 - square / 60 * (1 - square / 42))
    return torch.where(near, series, 1 / torch.expm1(-far) + 1 / far)
