"""Pre-norm causal transformer over characters, assembled from bricks."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.config.networks import Transformer
from precisionflow.models.attention import attention
from precisionflow.models.networks.layered import Layered, Residual

EMBEDDING_STD = 0.3
"""Initial standard deviation of embeddings. Layer norm amplifies an error by 1 / (scale of the state), so the usual
0.02 drowns the states in predictive coding's errors (docs/predictive_coding.md has the table)."""


class TokenEmbedding(nn.Module):
    """Embedding of the token plus embedding of its position."""

    def __init__(self, vocabulary: int, context: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        nn.init.normal_(self.tokens.weight, std=EMBEDDING_STD)
        nn.init.normal_(self.positions.weight, std=EMBEDDING_STD)

    def forward(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens channels"]:
        positions = torch.arange(tokens.shape[-1], device=tokens.device)
        return self.tokens(tokens) + self.positions(positions)


def transformer(part: Transformer, *, vocabulary: int, context: int) -> Layered:
    """Embedding, then attention and feed-forward residual branches in turn; logits of the next token.

    inputs: Int "batch tokens", at most `context` tokens; output: Float "batch tokens vocabulary".
    """
    layers: list[nn.Module] = [TokenEmbedding(vocabulary, context, part.width)]
    for _ in range(part.blocks):
        attend = attention(part.attention, width=part.width, heads=part.heads)
        layers += [
            Residual(nn.LayerNorm(part.width), attend),
            Residual(nn.LayerNorm(part.width), feed_forward(part.width)),
        ]
    readout = nn.Sequential(nn.LayerNorm(part.width), nn.Linear(part.width, vocabulary))
    return Layered(layers, readout)


def feed_forward(width: int) -> nn.Module:
    """Two linear maps with a GELU between, four times as wide inside."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
