"""What laws with a derivative everywhere share: the gradient step."""

from abc import ABC, abstractmethod

from torch import nn

from precisionflow.inference.predictive_coding.laws import Errors, Precisions, Stepped, StepSize


class Smooth(nn.Module, ABC):
    """A law with a score."""

    @abstractmethod
    def score(self, error: Errors, precision: Precisions) -> Errors:
        """d -log p(e) / de."""

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
