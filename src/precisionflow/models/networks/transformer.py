"""Pre-norm transformer over tokens, assembled from bricks."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config.attention import Attention, LatentNodes, StatedPrecision
from precisionflow.config.networks import Transformer
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.bare import bare
from precisionflow.models.attention.heads import HeadNorm
from precisionflow.models.attention.iterated.nodes import latent_attention
from precisionflow.models.attention.memory import Room, Step
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.shared import share_precisions
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.beside import Beside
from precisionflow.models.networks.dropout import Dropout, TokenDropout
from precisionflow.models.networks.layered import Recomputed, Residual, TokenNetwork, TokenWise
from precisionflow.models.numerics import at_least_float32

EMBEDDING_STD = 0.3
"""Initial standard deviation of embeddings. A norm amplifies an error by 1 / (scale of the state), so the usual
0.02 drowns the states in predictive coding's errors (docs/predictive_coding.md has the table). The sum of n ids starts
sqrt(n) times as large, 1.1 for the mean word of UD English EWT: above, not below."""
TOKENS = -1
"""Layer of the masks of token ids, before all layers."""
NORMS = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}

Ids = Int[Tensor, "batch tokens"]
Channels = Float[Tensor, "batch tokens channels"]
LinearMap = Callable[[int, int], nn.Linear]
"""(inputs, outputs) -> the last linear map of a branch or a readout."""
MakeReadout = Callable[[nn.Module, nn.Embedding, LinearMap], nn.Module]
"""(norm, embedding of the tokens, linear map) -> readout."""


class SquaredReLU(nn.Module):
    """max(x, 0)^2 (So et al. 2021)."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x).square()


ACTIVATIONS = {"squared_relu": SquaredReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class LearnedPositions(nn.Module):
    """x + an embedding of the position."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(context, width)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)

    def forward(self, x: Channels, at: Sites) -> Channels:
        return x + self.embedding(at.positions)


class NoPositions(nn.Module):
    """x, wherever the token stands."""

    def forward(self, x: Channels, at: Sites) -> Channels:  # noqa: ARG002
        return x


class TokenEmbedding(nn.Module):
    """Embedding of the token, and what `positions` make of it."""

    group: ClassVar[GroupName] = "embedding"

    def __init__(
        self,
        vocabulary: int,
        width: int,
        *,
        positions: nn.Module,
        dropout: nn.Module,
        token_dropout: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.token_dropout = token_dropout or nn.Identity()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = positions
        self.dropout = dropout
        nn.init.normal_(self.tokens.weight, std=EMBEDDING_STD)

    def begin(self, room: Room) -> Step:  # noqa: ARG002 - nothing to remember
        embedded, positions, dropout = bare(self.tokens), bare(self.positions), bare(self.dropout)

        def step(tokens: Ids, at: Sites) -> Channels:
            return dropout(positions(embedded(tokens), at))

        return step

    def forward(self, tokens: Int[Tensor, "batch tokens *bag"], at: Sites) -> Channels:
        """A token that is a bag of ids has the sum of their embeddings, without those of id 0."""
        tokens = self.token_dropout(tokens)
        if tokens.ndim == 3:
            flat = functional.embedding_bag(
                tokens.flatten(0, 1), self.tokens.weight, mode="sum", padding_idx=0
            )
            embedded = flat.view(*tokens.shape[:2], -1)
        else:
            embedded = self.tokens(tokens)
        return self.dropout(self.positions(embedded, at))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """y_t = b + sum_k W_k x_(t + k - before) over real tokens, each W_k "width width"; other places count as 0."""

    group: ClassVar[GroupName] = "attention"

    def __init__(self, width: int, last: LinearMap, *, places: int, before: int) -> None:
        """`before` of the places lie before the token."""
        super().__init__()
        self.mix = last(places * width, width)
        self.places = places
        self.before = before

    def forward(self, x: Channels, at: Sites) -> Channels:
        if at.present is not None:
            x = torch.where(at.present[..., None], x, 0.0)
        return self._mixed(functional.pad(x, (0, 0, self.before, self.places - 1 - self.before)))

    def begin(self, room: Room) -> Step:  # noqa: ARG002 - its places are enough
        """The convolution that remembers the tokens before; none of its places lies after the token."""
        assert self.before == self.places - 1, "a causal convolution"
        before: Channels | None = None

        def step(x: Channels, at: Sites) -> Channels:  # noqa: ARG001 - a text has no padding
            nonlocal before
            past = x.new_zeros(len(x), self.before, x.shape[2]) if before is None else before
            wide = torch.cat([past, x], dim=1)
            before = wide[:, -self.before :]
            return self._mixed(wide)

        return step

    def _mixed(self, wide: Float[Tensor, "batch wide channels"]) -> Channels:
        """One linear map of all places, for every token that has all of them."""
        tokens = wide.shape[1] - self.places + 1
        return self.mix(torch.cat([wide[:, k : k + tokens] for k in range(self.places)], dim=-1))  # type: ignore[no-any-return]


class FeedForward(TokenWise):
    """Two linear maps with an activation between, four times as wide inside.

    With `SlotSoftmax` between them the rows of the first are keys of persistent slots, its biases their log prior, the
    columns of the second their values (Sukhbaatar et al. 2019): a head of slots chooses one, the heads add up.
    """

    group: ClassVar[GroupName] = "feed_forward"


class SlotSoftmax(nn.Module):
    """softmax over the slots of each head: between two linear maps, attention over learned keys and values."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Float[Tensor, "batch tokens slots"]) -> Float[Tensor, "batch tokens slots"]:
        return at_least_float32(x).unflatten(-1, (self.heads, -1)).softmax(-1).flatten(-2).to(x.dtype)


class TokenReadout(TokenWise):
    """Logits at every token: output Float "batch tokens classes"."""

    group: ClassVar[GroupName] = "readout"

    def __init__(
        self, norm: nn.Module, embedding: nn.Embedding, last: LinearMap = nn.Linear, *, classes: int
    ) -> None:
        super().__init__(norm, last(embedding.embedding_dim, classes))


class AuxiliaryReadout(nn.Module):
    """Logits at every token; while training those of auxiliary columns too, from the same normed state."""

    group: ClassVar[GroupName] = "readout"

    def __init__(
        self,
        norm: nn.Module,
        embedding: nn.Embedding,
        last: LinearMap = nn.Linear,
        *,
        classes: int,
        auxiliary: Sequence[tuple[int, float]],
    ) -> None:
        """`auxiliary` are the number of classes of each further column and the factor of its loss."""
        super().__init__()
        width = embedding.embedding_dim
        self.norm = norm
        self.classes = last(width, classes)
        self.auxiliary = nn.ModuleList(last(width, count) for count, _ in auxiliary)
        self.factors = [factor for _, factor in auxiliary]

    def forward(self, x: Channels, at: Sites) -> Float[Tensor, "batch tokens classes"] | Beside:  # noqa: ARG002
        normed = self.norm(x)
        logits = self.classes(normed)
        if not self.training:
            return logits  # type: ignore[no-any-return]
        return Beside(logits, [of(normed) for of in self.auxiliary], self.factors)


class TiedLogits(nn.Module):
    """<x, embedding of a token> / sqrt(width), which has the embeddings' scale where x has unit variance."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.weight = embedding.weight

    def forward(self, x: Channels) -> Float[Tensor, "batch tokens vocabulary"]:
        return functional.linear(x / math.sqrt(x.shape[-1]), self.weight)


class TiedReadout(TokenWise):
    """Logits of the next token by the embedding's own weights (Press & Wolf 2017)."""

    group: ClassVar[GroupName] = "readout"

    def __init__(self, norm: nn.Module, embedding: nn.Embedding, last: LinearMap = nn.Linear) -> None:  # noqa: ARG002
        super().__init__(norm, TiedLogits(embedding))


class PooledReadout(nn.Module):
    """Logits of a sequence from the mean and the largest value of each channel over its real tokens."""

    group: ClassVar[GroupName] = "readout"

    def __init__(
        self, norm: nn.Module, embedding: nn.Embedding, last: LinearMap = nn.Linear, *, classes: int
    ) -> None:
        super().__init__()
        self.norm = norm
        self.classes = last(2 * embedding.embedding_dim, classes)

    def forward(self, x: Channels, at: Sites) -> Float[Tensor, "batch classes"]:
        return self.classes(self.pooled(x, at))  # type: ignore[no-any-return]

    def pooled(self, x: Channels, at: Sites) -> Float[Tensor, "batch wide"]:
        """Mean and largest value of each channel, side by side."""
        present = at.present
        if present is None:
            present = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        normed, real = self.norm(x), present[..., None]
        mean = torch.where(real, normed, 0.0).sum(dim=1) / real.sum(dim=1)
        largest = normed.masked_fill(~real, -torch.inf).amax(dim=1)
        return torch.cat([mean, largest], dim=-1)


def transformer(config: Transformer, *, vocabulary: int, context: int, readout: MakeReadout) -> TokenNetwork:
    """Embedding, then attention and feed-forward residual branches in turn, then the readout.

    inputs: Int "batch tokens", at most `context` tokens; output: what the readout gives.
    """
    width, norm = config.width, NORMS[config.norm]
    last: LinearMap = _zero_linear if config.zero_projections else nn.Linear
    embedding = TokenEmbedding(
        vocabulary,
        width,
        positions=positions_of(config, context),
        dropout=dropout_of(config, layer=0),
        token_dropout=TokenDropout(config.token_dropout, layer=TOKENS) if config.token_dropout else None,
    )
    layers = [embedding, *residual_layers(config)]
    states = [(context, width)] * len(layers)
    return TokenNetwork(
        layers, readout(norm(width), embedding.tokens, last), states=states, layer_kinds=config.layer_kinds
    )


def residual_layers(config: Transformer) -> list[nn.Module]:
    """The branches of all blocks, the layers behind an embedding."""
    last: LinearMap = _zero_linear if config.zero_projections else nn.Linear
    rotation = Rotary(config.width // config.heads) if config.positions == "rotary" else None
    layer_of = Recomputed if config.recompute else Residual
    layers: list[nn.Module] = []
    for _ in range(config.blocks):
        layers += [
            layer_of(NORMS[config.norm](config.width), branch, dropout=dropout_of(config, layer=layer))
            for layer, branch in enumerate(_branches(config, last, rotation), start=len(layers) + 1)
        ]
    match config.attention:
        case Attention(potential=StatedPrecision(shared=True)):
            share_precisions(layers)
    return layers


def positions_of(config: Transformer, context: int) -> nn.Module:
    """What tells an embedding where its token stands."""
    match config.positions:
        case "learned":
            return LearnedPositions(context, config.width)
        case "rotary" | "none":
            return NoPositions()
        case _:
            assert_never(config.positions)


def _attention(config: Transformer, last: LinearMap, rotation: nn.Module | None) -> nn.Module:
    width, heads, mix = config.width, config.heads, last(config.width, config.width)

    def norm(of: int) -> nn.Module | None:
        return HeadNorm(of, width // heads) if config.query_key_norm else None

    match config.attention:
        case Attention() as edges:
            normed = norm(2 * heads)
            return attention(edges, width=width, heads=heads, norm=normed, rotation=rotation, mix=mix)
        case LatentNodes() as nodes:
            normed = norm(heads)
            return latent_attention(nodes, width=width, heads=heads, norm=normed, rotation=rotation, mix=mix)
        case _:
            assert_never(config.attention)


def _branches(config: Transformer, last: LinearMap, rotation: nn.Module | None) -> list[nn.Module]:
    """The branches of a block in their order, each a residual layer."""
    branches = {"attention": _attention(config, last, rotation), "feed_forward": _feed_forward(config, last)}
    if config.convolution is not None:
        places = config.convolution
        before = places - 1 if config.attention.causal else places // 2
        branches["convolution"] = Convolution(config.width, last, places=places, before=before)
    return [branches[kind] for kind in config.block]


def _feed_forward(config: Transformer, last: LinearMap) -> nn.Module:
    width = config.width
    match config.feed_forward:
        case "mlp":
            between: nn.Module = ACTIVATIONS[config.activation]()
        case "memory":
            between = SlotSoftmax(config.heads)
        case _:
            assert_never(config.feed_forward)
    return FeedForward(nn.Linear(width, 4 * width), between, last(4 * width, width))


def dropout_of(config: Transformer, *, layer: int) -> nn.Module:
    """What sets channels of a layer to 0 while training."""
    return Dropout(config.dropout, layer=layer) if config.dropout else nn.Identity()


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear map that starts at 0."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
