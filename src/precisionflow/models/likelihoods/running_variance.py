"""A running variance: squared error, and one variance for all rows that follows the squared residuals."""

from precisionflow.models.likelihoods.density import Density, Heads, Rows, squared_errors, without_location
from precisionflow.models.likelihoods.mixture import Mixture


class RunningVariance(Density):
    """(y - mean)^2 / 2 - log N(y; [mean], 1 / precision), [.] a constant: the variance teaches the mean nothing."""

    heads = Heads(1, 0)

    def losses(self, predictive: Mixture, target: Rows) -> Rows:
        return squared_errors(predictive, target) - without_location(predictive).log_density(target)
