"""Cross-fitting: out-of-fold rows predicted by weights that these rows did not choose.

Early stopping takes the weights that are best on a network's out-of-fold rows, which therefore score too well there. So
the rows of each network are drawn into two halves, and either half is predicted by the weights that are best on the
other.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from precisionflow.data.streams import Use
from precisionflow.training.members import Member

Losses = Float[Tensor, "networks rows"]


class CrossFit:
    """Raw outputs of every network for its validation rows, each half by weights that the other half chose."""

    def __init__(self, members: Sequence[Member]) -> None:
        rows = max(len(member.valid) for member in members)
        self.second = torch.zeros(len(members), rows, dtype=torch.bool)
        for halves, member in zip(self.second, members, strict=True):
            random = member.stream.generator(Use.HALVES)
            halves[: len(member.valid)] = torch.from_numpy(random.permutation(len(member.valid)) % 2 == 1)
        """True where a row is in the second half."""
        self.best = torch.full((len(members), 2), torch.inf, dtype=torch.float64)
        """Lowest loss of each half so far."""
        self.raw: Float[Tensor, "networks rows outputs"] | None = None

    def see(
        self,
        networks: Sequence[int],
        raw: Float[Tensor, "networks rows outputs"],
        losses: Losses,
        used: Bool[Tensor, "networks rows"],
        *,
        going: Bool[Tensor, "networks"],
        last: bool,
    ) -> None:
        """Take in a validation: of networks still `going`, keep the best outputs, with `last` the latest."""
        if self.raw is None:
            self.raw = torch.zeros(*self.second.shape, raw.shape[-1])
        index, raw = torch.tensor(networks), raw.detach().float().cpu()
        second = self.second[index, : used.shape[1]]
        for half, chosen in enumerate((used & ~second, used & second)):
            chosen = torch.where(chosen.any(dim=1, keepdim=True), chosen, used)
            loss = torch.where(chosen, losses, 0.0).sum(dim=1) / chosen.sum(dim=1)
            better = going & (torch.ones_like(going) if last else loss < self.best[index, half])
            self.best[index, half] = torch.where(better, loss, self.best[index, half])
            other = (second if half == 0 else ~second) & better[:, None]
            kept = self.raw[index]
            kept[:, : used.shape[1]] = torch.where(other[..., None], raw, kept[:, : used.shape[1]])
            self.raw[index] = kept

    @property
    def state(self) -> dict[str, Tensor | None]:
        """Tensors for a checkpoint."""
        return {"best": self.best, "raw": self.raw}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from the tensors of a checkpoint that was written after a validation."""
        self.best, self.raw = state["best"].cpu(), None if state["raw"] is None else state["raw"].cpu()
