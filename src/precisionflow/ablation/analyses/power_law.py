"""Power laws with an offset, fitted by least squares; of one size, and of parameters and data together."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from precisionflow.ablation.statistics import ROUNDING

STEEPEST, FLATTEST = 4.0, 0.02
"""Exponents that are looked at."""
_GRID = np.geomspace(FLATTEST, STEEPEST, 120)
LARGEST_LOGARITHM = 300.0
"""Of a best number of parameters: laws that hardly fall are best far beyond all runs."""
_GOLDEN = (np.sqrt(5) - 1) / 2
_ROUNDS = 44
Draws = Float[np.ndarray, "draws sizes"]


class PowerLaw(NamedTuple):
    """y = offset + factor * x^exponent of every draw."""

    offset: Float[np.ndarray, " draws"]
    factor: Float[np.ndarray, " draws"]
    exponent: Float[np.ndarray, " draws"]

    def at(self, x: float) -> Float[np.ndarray, " draws"]:
        """What every draw says at a size."""
        return self.offset + self.factor * x**self.exponent


def power_law(x: Float[np.ndarray, " sizes"], y: Draws, *, falls: bool) -> PowerLaw:
    """Least squares of y over x, 4 sizes or more; the exponent is below 0 where the law `falls` to its offset.

    For each exponent the other two follow in closed form; the exponent by a grid of logarithms, then golden sections.
    The size of the exponent is between FLATTEST and STEEPEST: one at an end is not determined by the sizes.
    """
    assert len(x) > 3
    sign, scale = (-1.0 if falls else 1.0), float(np.exp(np.log(x).mean()))
    z = x / scale
    places = np.log(_GRID)
    errors = np.stack([_squares(z, y, np.full(len(y), sign * size)) for size in _GRID], axis=1)
    best = errors.argmin(axis=1)
    low, high = places[np.maximum(best - 1, 0)], places[np.minimum(best + 1, len(places) - 1)]
    for _ in range(_ROUNDS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        lower = _squares(z, y, sign * np.exp(left)) < _squares(z, y, sign * np.exp(right))
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    exponent = sign * np.exp((low + high) / 2)
    offset, factor, _ = _linear(z, y, exponent)
    return PowerLaw(offset, factor * scale**-exponent, exponent)


def _linear(
    z: Float[np.ndarray, " sizes"], y: Draws, exponent: Float[np.ndarray, " draws"]
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"], Draws]:
    """Offset, factor and residuals of every draw at its exponent."""
    basis = z[None, :] ** exponent[:, None]
    centred, mean = basis - basis.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    factor = (centred * (y - mean)).sum(axis=1) / np.square(centred).sum(axis=1)
    offset = mean[:, 0] - factor * basis.mean(axis=1)
    return offset, factor, y - offset[:, None] - factor[:, None] * basis


def _squares(
    z: Float[np.ndarray, " sizes"], y: Draws, exponent: Float[np.ndarray, " draws"]
) -> Float[np.ndarray, " draws"]:
    return np.square(_linear(z, y, exponent)[2]).sum(axis=1)


class JointLaw(NamedTuple):
    """L = offset + a * N^-alpha + b * D^-beta of parameters N and rows or tokens of data D (Hoffmann et al. 2022)."""

    offset: float
    a: float
    alpha: float
    b: float
    beta: float

    def at(self, parameters: float, data: float) -> float:
        """The loss."""
        return float(self.offset + self.a * parameters**-self.alpha + self.b * data**-self.beta)

    def optimum(self, product: float) -> tuple[float, float]:
        """N and D of the lowest loss where N * D is given: alpha a N^-alpha = beta b D^-beta."""
        of_both = math.log(product)
        pull = math.log(self.alpha * self.a) - math.log(self.beta * self.b) + self.beta * of_both
        n = min(max(pull / (self.alpha + self.beta), -LARGEST_LOGARITHM), LARGEST_LOGARITHM)
        return math.exp(n), math.exp(of_both - n)


def joint_law(
    parameters: Float[np.ndarray, " runs"],
    data: Float[np.ndarray, " runs"],
    loss: Float[np.ndarray, " runs"],
    *,
    near: JointLaw | None = None,
) -> JointLaw | None:
    """Least squares of the losses of 6 runs or more; none where the loss does not fall with both.

    For each pair of exponents the other three numbers follow in closed form; the pair by a grid, or from
    the law that it is `near`, then Nelder and Mead.
    """
    scales = [float(np.exp(np.log(of).mean())) for of in (parameters, data)]
    n, d = parameters / scales[0], data / scales[1]

    def solved(alpha: float, beta: float) -> tuple[Float[np.ndarray, " 3"], float]:
        rows = np.column_stack([np.ones(len(n)), n**-alpha, d**-beta])
        found, *_ = np.linalg.lstsq(rows, loss, rcond=None)
        return found, float(np.square(loss - rows @ found).sum())

    if near is None:
        grid = np.geomspace(FLATTEST, STEEPEST, 16)
        start = min(((a, b) for a in grid for b in grid), key=lambda pair: solved(*pair)[1])
    else:
        start = (near.alpha, near.beta)
    size = float(np.square(loss - loss.mean()).sum()) or 1.0

    def error(places: Float[np.ndarray, " 2"]) -> float:
        bounded = np.clip(np.exp(places), FLATTEST, STEEPEST)
        return solved(*bounded)[1] / size

    found = minimize(
        error, np.log(start), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-14, "maxiter": 400}
    )
    alpha, beta = np.clip(np.exp(found.x), FLATTEST, STEEPEST)
    (offset, a, b), _ = solved(alpha, beta)
    if min(a * np.ptp(n**-alpha), b * np.ptp(d**-beta)) <= ROUNDING * np.abs(loss).max():
        return None
    return JointLaw(
        float(offset), float(a * scales[0] ** alpha), float(alpha), float(b * scales[1] ** beta), float(beta)
    )
