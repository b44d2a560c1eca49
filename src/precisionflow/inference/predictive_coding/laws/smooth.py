"""What laws with a derivative everywhere share: the gradient step."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.inference.predictive_coding.laws import Errors, Precisions, Stepped, StepSize


class Smooth(nn.Module, ABC):
    """A law with a score."""

    @abstractmethod
    def energy(self, error: Errors, precision: Precisions) -> Errors:
        """-log p(e) + log p(0) of each error."""

    def total_energy(self, error: Errors, precision: Precisions) -> Float[Tensor, ""]:
        """The sum of all of them."""
        return self.energy(error, precision).sum()

    @abstractmethod
    def score(self, error: Errors, precision: Precisions) -> Errors:
        """d -log p(e) / de."""

    @abstractmethod
    def cdf(self, error: Errors, precision: Precisions) -> Errors:
        """P(E <= e) of each error."""

    @abstractmethod
    def curvature(self, precision: Precisions) -> Precisions:
        """Largest d^2 -log p(e) / de^2."""

    def stepped(
        self, error: Errors, gradient: Errors, precision: Precisions, *, step_size: StepSize
    ) -> Stepped:
        """e - step_size / curvature (score(e) + gradient)."""
        descent = self.score(error, precision) + gradient
        after = error - step_size / self.curvature(precision) * descent
        return Stepped(after, self.score(after, precision))
