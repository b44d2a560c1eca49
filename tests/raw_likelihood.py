"""A likelihood that states what the network gives."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Raw:
    """Its predictions are the network's raw outputs."""

    def predictive(self, raw: Tensor) -> Tensor:
        return raw

    def pooled(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.stack([*parts]).mean(dim=0)
