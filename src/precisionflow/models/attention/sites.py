"""Sites of tokens: their positions, and which of them are real."""

from bisect import bisect_left
from collections.abc import Sequence
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
    span: range | None = None
    """The positions where they are consecutive and known without a look at the device."""

    @classmethod
    def of(
        cls, tokens: Int[Tensor, "batch tokens *bag"], mask: Bool[Tensor, "batch tokens"] | None
    ) -> "Sites":
        """Sites of whole sequences, from their first token on."""
        places = tokens.shape[1]
        return cls(torch.arange(places, device=tokens.device), mask, range(places))

    def first(self, count: int) -> "Sites":
        """Sites of the first tokens alone."""
        present, span = self.present, self.span
        return Sites(
            self.positions[:count],
            None if present is None else present[:, :count],
            None if span is None else span[:count],
        )

    def follows(self, others: "Sites") -> bool:
        """Whether it is known that none of the `others` stands after the first of these."""
        return bool(self.span and others.span and others.span[-1] <= self.span[0])

    def mirrored(self) -> "Sites":
        """Sites at the negative positions: a rotation by them turns back."""
        return self._replace(positions=-self.positions, span=None)

    def position(self, place: int) -> int:
        """Position of the token at a place."""
        return self._known[place]

    def first_from(self, position: int) -> int:
        """The first place whose token stands at this position or later; positions ascend."""
        return bisect_left(self._known, position)

    @property
    def _known(self) -> Sequence[int]:
        return self.positions.tolist() if self.span is None else self.span
