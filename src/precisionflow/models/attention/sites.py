"""Sites of tokens: their positions, and which of them are real."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Sites(NamedTuple):
    """Positions of the tokens of a batch; padding stands at places that are not `present`."""

    positions: Int[Tensor, "tokens"]
    """0 for the first token of a sequence, the same for every sequence of the batch."""
    present: Bool[Tensor, "batch tokens"] | None = None
    """True at real tokens; none: every token is real."""

    @classmethod
    def of(
        cls, tokens: Int[Tensor, "batch tokens *bag"], mask: Bool[Tensor, "batch tokens"] | None
    ) -> "Sites":
        """Sites of whole sequences, from their first token on."""
        return cls(torch.arange(tokens.shape[1], device=tokens.device), mask)

    def first(self, count: int) -> "Sites":
        """Sites of the first tokens alone."""
        return Sites(self.positions[:count], None if self.present is None else self.present[:, :count])
