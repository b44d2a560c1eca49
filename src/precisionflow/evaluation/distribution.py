"""Predicted distributions: for each row a mixture of Gaussian, Student-t or Laplace components.

One component is the plain distribution; several are a mixture density, or the members of an ensemble of equal weights.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float
from scipy import special

from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse

Family = Literal["gaussian", "student_t", "laplace"]
Components = Float[np.ndarray, "rows components"]
"""One number for each component of each row."""

PARAMETERS = ("location", "scale", "weight", "degrees_of_freedom", "location_std")
"""The arrays of a distribution."""
WEIGHT_TOLERANCE = 1e-6
"""How far from 1 the weights of a row may sum."""


@dataclass(frozen=True)
class Distribution:
    """p(y) = sum_k weight_k f((y - location_k) / scale_k) / scale_k in the target's units, f the family's density.

    f is the standard normal density, Student's t with `degrees_of_freedom`, or exp(-|z|) / 2. ValueError for arrays of
    unequal shapes, values that are not finite, scales or degrees that are not positive, weights that do not sum to 1.
    """

    family: Family
    location: Components
    scale: Components
    weight: Components
    degrees_of_freedom: Components | None = None
    """Degrees of freedom of Student's t; None in the other families."""
    location_std: Components | None = None
    """Std of the location itself, which `scale` includes; of Gaussians alone. None: the location is certain."""

    def __post_init__(self) -> None:
        rows = self.location.shape
        if (self.degrees_of_freedom is None) != (self.family != "student_t"):
            raise ValueError(f"family {self.family!r}: degrees_of_freedom belong to 'student_t' alone")
        if self.location_std is not None and self.family != "gaussian":
            raise ValueError(f"family {self.family!r}: location_std belongs to 'gaussian' alone")
        for name in PARAMETERS:
            values = getattr(self, name)
            if values is None:
                continue
            if values.ndim != 2 or values.shape != rows or 0 in rows:
                raise ValueError(
                    f"{name} has the shape {values.shape}, location {rows}; should both be (rows, components)"
                )
            finite = np.isfinite(values.sum(axis=1))
            refuse(~finite, name, values, wanted="every component should be a finite number")
        refuse(self.scale.min(axis=1) <= 0, "scale", self.scale, wanted="should be positive")
        refuse(self.weight.min(axis=1) < 0, "weight", self.weight, wanted="should not be negative")
        total = self.weight.sum(axis=1)
        refuse(np.abs(total - 1) > WEIGHT_TOLERANCE, "weight", total, wanted="should sum to 1")
        if self.degrees_of_freedom is not None:
            low = self.degrees_of_freedom.min(axis=1) <= 0
            refuse(low, "degrees_of_freedom", self.degrees_of_freedom, wanted="should be positive")
        if self.location_std is not None:
            wrong = (self.location_std.min(axis=1) < 0) | ((self.scale - self.location_std).min(axis=1) < 0)
            refuse(wrong, "location_std", self.location_std, wanted="should lie between 0 and scale")

    @property
    def components(self) -> int:
        """Number of components of each row."""
        return self.location.shape[1]

    def rows(self, chosen: slice | np.ndarray) -> "Distribution":
        """The distributions of some rows, without checking them again."""
        part = object.__new__(Distribution)
        for name in PARAMETERS:
            values = getattr(self, name)
            object.__setattr__(part, name, None if values is None else values[chosen])
        object.__setattr__(part, "family", self.family)
        return part

    def log_density(self, target: Rows) -> Rows:
        """log p(target), in nats."""
        z = self._standardised(target)
        parts = _log_density(self.family, z, self.degrees_of_freedom) - np.log(self.scale)
        if self.components == 1:
            return parts[:, 0]
        highest = parts.max(axis=1)
        return highest + np.log(np.einsum("nk,nk->n", self.weight, np.exp(parts - highest[:, None])))

    def cdf(self, target: Rows) -> Rows:
        """P(y <= target): the probability integral transform of a target."""
        below = _cdf(self.family, self._standardised(target), self.degrees_of_freedom)
        return np.clip(np.einsum("nk,nk->n", self.weight, below), 0.0, 1.0)

    def quantile(self, probability: float) -> Rows:
        """The y with P(Y <= y) = probability, to 1e-8 of the narrowest component's scale.

        One component: the closed form. Several: Halley's steps on the normal score of the distribution function, nearly
        straight, between the lowest and the highest of the components' quantiles, where the mixture's must lie.
        ValueError for a probability outside (0, 1).
        """
        z = _quantile(self.family, fraction("probability", probability), self.degrees_of_freedom)
        ends = self.location + self.scale * z
        if self.components == 1:
            return ends[:, 0]
        found = np.empty(len(ends))
        for first in range(0, len(ends), BLOCK):
            rows = slice(first, first + BLOCK)
            found[rows] = _mixture_quantile(self.rows(rows), probability, ends[rows])
        return found

    def interval(self, level: float) -> tuple[Rows, Rows]:
        """Ends of the central interval of probability `level`: the quantiles (1 -+ level) / 2."""
        tail = (1 - fraction("level", level)) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def sample(self, random: np.random.Generator) -> Rows:
        """One draw for each row."""
        rows = np.arange(len(self.location))
        chosen = (random.random((len(rows), 1)) > np.cumsum(self.weight, axis=1)[:, :-1]).sum(axis=1)
        match self.family:
            case "gaussian":
                z = random.standard_normal(len(rows))
            case "laplace":
                z = random.laplace(size=len(rows))
            case "student_t":
                assert self.degrees_of_freedom is not None
                z = random.standard_t(self.degrees_of_freedom[rows, chosen])
            case _:
                assert_never(self.family)
        return self.location[rows, chosen] + self.scale[rows, chosen] * z

    @cached_property
    def mean(self) -> Rows:
        """sum_k weight_k location_k. ValueError where Student's t has none (degrees_of_freedom <= 1)."""
        self._need_moment(1, "mean")
        return np.einsum("nk,nk->n", self.weight, self.location)

    @cached_property
    def aleatoric(self) -> Rows:
        """Mean of the components' variances: the noise, in squared units of the target.

        ValueError where Student's t has no variance (degrees_of_freedom <= 2).
        """
        self._need_moment(2, "variance")
        match self.family:
            case "gaussian":
                unit: np.ndarray | float = 1.0
            case "laplace":
                unit = 2.0
            case "student_t":
                assert self.degrees_of_freedom is not None
                unit = self.degrees_of_freedom / (self.degrees_of_freedom - 2)
            case _:
                assert_never(self.family)
        uncertain = 0.0 if self.location_std is None else self.location_std**2
        return np.einsum("nk,nk->n", self.weight, unit * self.scale**2 - uncertain)

    @cached_property
    def epistemic(self) -> Rows:
        """Variance of the components' locations, how far members disagree, and of each location itself."""
        uncertain = 0.0 if self.location_std is None else self.location_std**2
        return np.einsum("nk,nk->n", self.weight, (self.location - self.mean[:, None]) ** 2 + uncertain)

    @property
    def std(self) -> Rows:
        """sqrt(aleatoric + epistemic) (law of total variance)."""
        return np.sqrt(self.aleatoric + self.epistemic)

    def _standardised(self, target: Rows) -> Components:
        (target,) = aligned(target=target)
        if len(target) != len(self.location):
            raise ValueError(
                f"{len(target)} targets for {len(self.location)} predictions; give one for each row"
            )
        return (target[:, None] - self.location) / self.scale

    def _need_moment(self, order: int, name: str) -> None:
        if self.degrees_of_freedom is not None:
            low = self.degrees_of_freedom.min(axis=1) <= order
            refuse(
                low, "degrees_of_freedom", self.degrees_of_freedom, wanted=f"a {name} needs more than {order}"
            )


BLOCK = 4096
"""Rows that are worked on at once, so that they stay in the processor's cache."""
_MOST_STEPS = 100
CUBIC = 1e-3
"""A step of Halley's method this small beside the narrowest component leaves about its cube as error."""


def _mixture_quantile(mixture: Distribution, probability: float, ends: Components) -> Rows:
    """Where the mixture's distribution function is `probability`; `ends` are its components' quantiles."""
    wanted = special.ndtri(probability)
    low, high = ends.min(axis=1), ends.max(axis=1)
    close = CUBIC * mixture.scale.min(axis=1)
    centre = np.einsum("nk,nk->n", mixture.weight, mixture.location)
    half = np.einsum("nk,nk->n", mixture.weight, ends) - centre
    apart = np.einsum("nk,nk->n", mixture.weight, (mixture.location - centre[:, None]) ** 2)
    found = np.clip(centre + np.copysign(np.sqrt(half**2 + wanted**2 * apart), wanted), low, high)
    active = np.flatnonzero(high > low)
    for _ in range(_MOST_STEPS):
        if not len(active):
            break
        part, y = mixture.rows(active), found[active]
        below, step = _halley_step(part, y, wanted)
        low[active] = np.where(below < probability, y, low[active])
        high[active] = np.where(below < probability, high[active], y)
        inside = (y - step > low[active]) & (y - step < high[active])
        following = np.where(inside, y - step, 0.5 * (low[active] + high[active]))
        found[active] = following
        active = active[~inside & (high[active] > low[active]) | (np.abs(following - y) > close[active])]
    return found


def _halley_step(mixture: Distribution, y: Rows, wanted: float) -> tuple[Rows, Rows]:
    """F(y), and Halley's step towards where the normal score of F is `wanted`; not finite where F has no slope."""
    z = (y[:, None] - mixture.location) / mixture.scale
    below = np.einsum("nk,nk->n", mixture.weight, _cdf(mixture.family, z, mixture.degrees_of_freedom))
    density = np.exp(_log_density(mixture.family, z, mixture.degrees_of_freedom)) * mixture.weight
    density /= mixture.scale
    bend = _score(mixture.family, z, mixture.degrees_of_freedom) / mixture.scale
    score = special.ndtri(np.clip(below, 1e-300, 1 - 1e-16))
    unit = np.exp(0.5 * score**2) * math.sqrt(2 * math.pi)
    slope = density.sum(axis=1) * unit
    curvature = np.einsum("nk,nk->n", density, bend) * unit + score * slope**2
    miss = score - wanted
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return below, 2 * miss * slope / (2 * slope**2 - miss * curvature)


def gaussian(mean: Rows, std: Rows) -> Distribution:
    """N(mean, std^2), one component a row."""
    mean, std = aligned(mean=mean, std=std)
    return Distribution("gaussian", mean[:, None], std[:, None], np.ones((len(mean), 1)))


def _log_density(family: Family, z: Components, degrees: Components | None) -> Components:
    match family:
        case "gaussian":
            return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
        case "laplace":
            return -np.abs(z) - math.log(2)
        case "student_t":
            assert degrees is not None
            normaliser = 0.5 * np.log(degrees) + special.betaln(0.5, 0.5 * degrees)
            return -normaliser - 0.5 * (degrees + 1) * np.log1p(z**2 / degrees)
        case _:
            assert_never(family)


def _score(family: Family, z: Components, degrees: Components | None) -> Components:
    """d log f / dz of the family's density f."""
    match family:
        case "gaussian":
            return -z
        case "laplace":
            return -np.sign(z)
        case "student_t":
            assert degrees is not None
            return -(degrees + 1) * z / (degrees + z**2)
        case _:
            assert_never(family)


def _cdf(family: Family, z: Components, degrees: Components | None) -> Components:
    match family:
        case "gaussian":
            return special.ndtr(z)
        case "laplace":
            tail = 0.5 * np.exp(-np.abs(z))
            return np.where(z < 0, tail, 1 - tail)
        case "student_t":
            return special.stdtr(degrees, z)
        case _:
            assert_never(family)


def _quantile(family: Family, probability: float, degrees: Components | None) -> Components | float:
    match family:
        case "gaussian":
            return float(special.ndtri(probability))
        case "laplace":
            return math.log(2 * probability) if probability < 0.5 else -math.log(2 * (1 - probability))
        case "student_t":
            return special.stdtrit(degrees, probability)
        case _:
            assert_never(family)
