"""The Gaussian factor: log N(child; mean, precision^-1), of numbers or vectors, chosen by a categorical or not.

Under beliefs it is count / 2 <log|X / 2 pi|> - tr(<X> residual), residual = scatter + count / 2 (Cov(mean) + d d^T) and
d = <mean> - centre. Count, centre and scatter are those of the child's values: no difference of large squares.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Message, Variable
from precisionflow.inference.variational.factors.algebra import LOG_2_PI
from precisionflow.inference.variational.factors.normal import Normal
from precisionflow.inference.variational.factors.plates import onto
from precisionflow.inference.variational.factors.values import Child, Chosen, Moments, chances, mixed
from precisionflow.inference.variational.families import Natural, Plates

UNDECIDED = 1e-8
"""Difference of the chances of two states below which nothing tells them apart, rounding included."""


@dataclass(frozen=True, eq=False)
class GaussianFactor:
    """log N(child; mean, precision^-1)."""

    name: str
    normal: Normal
    values: Child
    plates: Plates
    """Of the moments."""

    @property
    def child(self) -> Variable | None:
        return self.values.child

    @property
    def variables(self) -> tuple[Variable, ...]:
        return (*self.values.variables, *self.normal.variables)

    def alike(self, beliefs: Beliefs) -> bool:
        """Whether it is a mixture of two states or more whose latent parents are equal to the last bit."""
        states = self.normal.plates
        latent = any(variable.plates for variable in self.normal.variables)
        if not isinstance(self.values, Chosen) or not latent or len(states) != 1 or states[0] < 2:
            return False
        precision = self.normal.precision_under(beliefs).mean
        each = zip((self.normal.mean.mean(beliefs), precision), self.normal.algebra.axes, strict=True)
        return all(part.ndim == axes or bool((part == part[:1]).all()) for part, axes in each)

    def undecided(self, beliefs: Beliefs) -> bool:
        """Whether it is a mixture of which every value is believed to be in each state alike."""
        if not isinstance(self.values, Chosen):
            return False
        each = chances(self.values.which, beliefs)
        return bool((each.amax(dim=1) - each.amin(dim=1) <= UNDECIDED).all())

    def energy(self, beliefs: Beliefs) -> Float[Tensor, "*plates"]:
        """-count / 2 <log|X / 2 pi|> + tr(<X> residual)."""
        moments, precision = self.values.moments(beliefs), self.normal.precision_under(beliefs)
        log_det = precision.log_mean - LOG_2_PI * self.normal.algebra.width(moments.centre)
        quadratic = self.normal.algebra.trace(precision.mean, self._residual(moments, beliefs))
        return quadratic - moments.half * log_det

    def message(self, to: Variable, beliefs: Beliefs) -> Message:
        """To the child (<X> <mean>, <X>), to the mean count (<X> centre, <X>), to X (count / 2, residual)."""
        algebra, normal = self.normal.algebra, self.normal
        precision = normal.precision_under(beliefs)
        if to in self.values.variables:
            mean = normal.mean.mean(beliefs)
            if not isinstance(self.values, Chosen):
                return Message((algebra.times(precision.mean, mean), precision.mean))
            if to is self.child:
                return Message(mixed(self.values.which, (mean, precision), algebra, beliefs))
            spread = normal.mean.spread(beliefs)
            return Message((self.values.log_densities(precision, mean, spread, beliefs),))
        moments = self.values.moments(beliefs)
        if to is normal.precision:
            return self._sent(to, algebra.to_precision(moments.half, self._residual(moments, beliefs)))
        each = algebra.times(precision.mean, moments.centre), precision.mean
        if moments.times is not None:
            return self._sent(to, normal.mean.message(to, each, beliefs), times=moments.times)
        weighted = tuple(
            each_of * moments.count.reshape(*moments.count.shape, *(1,) * axes)
            for each_of, axes in zip(each, algebra.axes, strict=True)
        )
        return self._sent(to, normal.mean.message(to, weighted, beliefs))

    def _sent(self, to: Variable, natural: Natural, times: float = 1.0) -> Message:
        """Summed over plates that the variable lacks."""
        summed = (
            onto(each, plates=self.plates, to=to.plates, axes=axes)
            for each, axes in zip(natural, to.start.axes, strict=True)
        )
        return Message(tuple(summed), times)

    def _residual(self, moments: Moments, beliefs: Beliefs) -> Tensor:
        algebra, mean = self.normal.algebra, self.normal.mean
        squares = algebra.outer(mean.mean(beliefs) - moments.centre, to=mean.spread(beliefs))
        return algebra.plus(moments.scatter, moments.half, squares)
