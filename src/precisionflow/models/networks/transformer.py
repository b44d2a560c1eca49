"""Pre-norm transformer over tokens, assembled from bricks."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config.networks import Transformer
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.sites import Sites
from precisionflow.models.networks.layered import Residual, TokenNetwork, TokenWise

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

    def forward(
        self, tokens: Int[Tensor, "batch tokens *bag"], at: Sites
    ) -> Float[Tensor, "batch tokens channels"]:
        """A token that is a bag of ids has the sum of their embeddings, without those of id 0."""
        if tokens.ndim == 3:
            flat = functional.embedding_bag(
                tokens.flatten(0, 1), self.tokens.weight, mode="sum", padding_idx=0
            )
            return flat.view(*tokens.shape[:2], -1) + self.positions(at.positions)
        return self.tokens(tokens) + self.positions(at.positions)


class PooledReadout(nn.Module):
    """Logits of a sequence from the mean over its real tokens."""

    def __init__(self, width: int, *, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.classes = nn.Linear(width, classes)

    def forward(self, x: Float[Tensor, "batch tokens channels"], at: Sites) -> Float[Tensor, "batch classes"]:
        present = at.present
        if present is None:
            present = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        real = present[..., None].to(x.dtype)
        mean = (self.norm(x) * real).sum(dim=1) / real.sum(dim=1)
        return self.classes(mean)  # type: ignore[no-any-return]


def token_readout(width: int, *, classes: int) -> nn.Module:
    """Logits at every token, of the next token or of the token's tag: output Float "batch tokens classes"."""
    return TokenWise(nn.LayerNorm(width), nn.Linear(width, classes))


def transformer(
    config: Transformer, *, vocabulary: int, context: int, readout: Callable[[int], nn.Module]
) -> TokenNetwork:
    """Embedding, then attention and feed-forward residual branches in turn, then the `readout` of that width.

    inputs: Int "batch tokens", at most `context` tokens; output: what the readout gives.
    """
    layers: list[nn.Module] = [TokenEmbedding(vocabulary, context, config.width)]
    for _ in range(config.blocks):
        attend = attention(config.attention, width=config.width, heads=config.heads)
        layers += [
            Residual(nn.LayerNorm(config.width), attend),
            Residual(nn.LayerNorm(config.width), feed_forward(config.width)),
        ]
    return TokenNetwork(layers, readout(config.width))


def feed_forward(width: int) -> nn.Module:
    """Two linear maps with a GELU between, four times as wide inside."""
    return TokenWise(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
