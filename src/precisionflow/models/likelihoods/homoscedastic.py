"""The homoscedastic Gaussian: one learned precision for all rows, the baseline."""

from precisionflow.models.likelihoods.density import Density, Heads


class Homoscedastic(Density):
    """-log N(y; mean, 1 / precision), the log precision a single weight."""

    heads = Heads(1, 0)
