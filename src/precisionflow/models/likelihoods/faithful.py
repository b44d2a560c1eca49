"""The faithful Gaussian: the mean learns by squared error alone, the precision by the likelihood (Stirn 2023)."""

from precisionflow.models.likelihoods.density import Density, Heads, Rows, squared_errors, without_location
from precisionflow.models.likelihoods.mixture import Mixture


class Faithful(Density):
    """(y - mean)^2 / 2 - log N(y; [mean], 1 / precision), [.] a constant; the precision teaches no layer below."""

    heads = Heads(1, 1, stops_gradients=True)

    def losses(self, predictive: Mixture, target: Rows) -> Rows:
        return squared_errors(predictive, target) - without_location(predictive).log_density(target)
