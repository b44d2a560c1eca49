"""What tokens of a patch are worth, in nats: w/2 ln(1 + k rho), concave in their number k."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.allocation.checks import require_axes, require_finite

Each = Float[Tensor, "*rows patches"]


class Utility(NamedTuple):
    """u(k) = w/2 ln(1 + k rho) of every patch.

    A patch's content has the precision tau_0 before it is read, each token is a reading of the precision tau_1; k
    tokens tell 1/2 ln(1 + k tau_1 / tau_0) nats of it, which count w times.
    """

    weight: Each
    """w >= 0: how much a nat about the patch counts."""
    ratio: Each
    """rho = tau_1 / tau_0 >= 0."""

    @classmethod
    def of_precisions(cls, weight: Each, *, prior: Each, token: Each) -> "Utility":
        """With tau_0 `prior` and tau_1 `token`.

        Two rules are corners of it. Tokens of one precision: the surer a patch is beforehand, the fewer it gets
        (allocation by uncertainty). Patches that are alike beforehand: the more precise its tokens, the more a patch
        gets, as long as k rho is not far above 1 (allocation by expected precision).
        """
        return cls(weight, token / prior)

    @property
    def counts(self) -> Tensor:
        """Whether a patch gains by tokens at all."""
        return (self.weight > 0) & (self.ratio > 0)

    def value(self, tokens: Each) -> Each:
        """u(k), in nats."""
        return self.weight / 2 * torch.log1p(tokens * self.ratio)

    def total(self, tokens: Each) -> Float[Tensor, "*rows"]:
        """Sum over patches, in nats."""
        return self.value(tokens).sum(-1)

    def gain(self, tokens: Each) -> Each:
        """u(k + 1) - u(k): what one more token is worth, in nats; it falls with k."""
        return self.weight / 2 * torch.log1p(self.ratio / (1 + tokens * self.ratio))

    def relative(self) -> "Utility":
        """With weights over the largest of their row: shares of a budget depend on no common factor."""
        most = self.weight.detach().amax(-1, keepdim=True)
        return Utility(self.weight / torch.where(most > 0, most, 1), self.ratio)

    def double(self) -> "Utility":
        """In float64; ValueError for what is negative or not finite, with its place, and for unlike shapes, TypeError
        for what is no tensor."""
        for name, values in self._asdict().items():
            require_axes(f"utility: {name}", values, "...", "patches")
            require_finite(f"utility: {name}", values, least=0)
        if self.weight.shape != self.ratio.shape:
            raise ValueError(
                f"utility: weight has the shape {tuple(self.weight.shape)}, ratio {tuple(self.ratio.shape)}; give a "
                "number of each for every patch"
            )
        return Utility(self.weight.double(), self.ratio.double())
