"""What attention averages."""

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.potential import split_heads


class Neighbour(nn.Module):
    """v_j = V x_j, a linear map of the token at the other end of the edge."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.values = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch heads tokens width"]:
        return split_heads(self.values(x), self.heads)
