"""Predicted distributions: for each row a mixture of Gaussian, Student-t or Laplace components.

One component is the plain distribution; several are a mixture density, or the members of an ensemble of equal weights.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import numpy as np
from jaxtyping import Float
from scipy import special

from precisionflow.evaluation import families, quantiles
from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse
from precisionflow.evaluation.families import Components, Draw, Family

PARAMETERS = ("location", "scale", "weight", "degrees_of_freedom", "location_std")
"""The arrays of a distribution."""
WEIGHT_TOLERANCE = 1e-6
"""How far from 1 the weights of a row may sum; they are divided by their sum."""
ROUNDING = 4e-16
"""How far from 1 rounding takes a sum, for each component."""
STD_TOLERANCE = 1e-5
"""How far above its scale, relatively, the std of a location may be by rounding; it is taken as equal to it."""


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
        if np.any(np.abs(total - 1) > ROUNDING * self.components):
            object.__setattr__(self, "weight", self.weight / total[:, None])
        if self.degrees_of_freedom is not None:
            low = self.degrees_of_freedom.min(axis=1) <= 0
            refuse(low, "degrees_of_freedom", self.degrees_of_freedom, wanted="should be positive")
        if self.location_std is not None:
            room = self.scale * (1 + STD_TOLERANCE) - self.location_std
            wrong = np.minimum(self.location_std, room).min(axis=1) < 0
            refuse(wrong, "location_std", self.location_std, wanted="should lie between 0 and scale")
            object.__setattr__(self, "location_std", np.minimum(self.location_std, self.scale))

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

    @property
    def mirrored(self) -> "Distribution":
        """The distributions of -y."""
        part = self.rows(slice(None))
        object.__setattr__(part, "location", -self.location)
        return part

    def log_density(self, target: Rows) -> Rows:
        """log p(target), in nats; -inf where it is below the range of floats."""
        z = self._standardised(target)
        parts = families.log_density(self.family, z, self.degrees_of_freedom) - np.log(self.scale)
        if self.components == 1:
            return parts[:, 0]
        with np.errstate(divide="ignore"):
            parts += np.log(self.weight)
        highest = parts.max(axis=1)
        some = np.where(np.isfinite(highest), highest, 0.0)
        with np.errstate(divide="ignore"):
            return some + np.log(np.exp(parts - some[:, None]).sum(axis=1))

    def cdf(self, target: Rows) -> Rows:
        """P(y <= target): the probability integral transform of a target."""
        below = families.cdf(self.family, self._standardised(target), self.degrees_of_freedom)
        return np.clip(np.einsum("nk,nk->n", self.weight, below), 0.0, 1.0)

    def normal_score(self, target: Rows) -> Rows:
        """Phi^-1(P(y <= target)), also far in the tails, where the probability rounds to 0 or 1.

        (target - location) / scale of a single Gaussian.
        """
        z = self._standardised(target)
        if self.family == "gaussian" and self.components == 1:
            return z[:, 0]
        return quantiles.normal_score(self, np.asarray(target, dtype=np.float64))

    def quantile(self, probability: float) -> Rows:
        """The lowest y with P(Y <= y) >= probability, to 1e-8 of the narrowest component's scale.

        One component: the closed form. Several: steps that the distribution function confirms, else halving. ValueError
        for a probability outside (0, 1).
        """
        return self.quantile_at(float(special.ndtri(fraction("probability", probability))))

    def quantile_at(self, normal_score: float) -> Rows:
        """The quantile of the probability Phi(normal_score), also where that rounds to 0 or 1."""
        if self.components > 1:
            return quantiles.mixture_quantile(self, normal_score)
        z = families.quantile(self.family, normal_score, self.degrees_of_freedom)
        return (self.location + self.scale * z)[:, 0]

    def interval(self, level: float) -> tuple[Rows, Rows]:
        """Ends of the central interval of probability `level`: the quantiles (1 -+ level) / 2."""
        tail = (1 - fraction("level", level)) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def sample(self, random: np.random.Generator) -> Rows:
        """One draw for each row."""
        shape = (1, len(self.location))
        return self.drawn(lambda stream: 1 - random.random(shape))[0]  # noqa: ARG005

    def drawn(self, uniform: Draw) -> Float[np.ndarray, "draws rows"]:
        """Targets of each row, drawn by uniform values."""
        rows = np.arange(len(self.location))
        chosen: int | np.ndarray = 0
        if self.components > 1:
            chosen = (uniform(2)[..., None] >= np.cumsum(self.weight, axis=1)[:, :-1]).sum(axis=-1)
        degrees = None if self.degrees_of_freedom is None else self.degrees_of_freedom[rows, chosen]
        return self.location[rows, chosen] + self.scale[rows, chosen] * families.drawn(
            self.family, uniform, degrees
        )

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


def gaussian(mean: Rows, std: Rows) -> Distribution:
    """N(mean, std^2), one component a row."""
    mean, std = aligned(mean=mean, std=std)
    return Distribution("gaussian", mean[:, None], std[:, None], np.ones((len(mean), 1)))
