"""The value of a neighbour: a linear map of the token that is attended to."""

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import split_heads
from precisionflow.models.attention.sites import Sites


class Neighbour(nn.Module):
    """v_j = V x_j."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.values = nn.Linear(width, width)

    def forward(
        self,
        y: Float[Tensor, "batch tokens channels"],
        at: Sites,  # noqa: ARG002 - every position alike
    ) -> Float[Tensor, "batch heads tokens width"]:
        return split_heads(self.values(y), self.heads)
