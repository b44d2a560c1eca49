"""The mixture density network: a mixture of Gaussians (Bishop 1994)."""

from dataclasses import dataclass

from precisionflow.models.likelihoods.density import Density, Heads, Raw, limited
from precisionflow.models.likelihoods.mixture import Mixture


@dataclass(frozen=True)
class MixtureDensity(Density):
    """-log of a mixture of Gaussians; raw outputs are locations, log precisions and logits of the weights."""

    components: int

    @property
    def heads(self) -> Heads:  # type: ignore[override]
        return Heads(self.components, 2 * self.components)

    def predictive(self, raw: Raw) -> Mixture:
        location, log_precision, logits = raw.chunk(3, dim=-1)
        return Mixture("gaussian", location, limited(log_precision), logits.log_softmax(-1))
