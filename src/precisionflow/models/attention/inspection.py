"""What attention does with each symbol: the entropy of its edges and the precision that it states, over its tokens."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.observed import Look, observed

Tokens = Int[Tensor, "_texts _tokens *bag"]
Mask = Bool[Tensor, "_texts _tokens"]
PerHead = Float[np.ndarray, "heads symbols"]


class OfSymbol(NamedTuple):
    """Means over the tokens of one symbol in one head; layers, heads and symbols count from 0."""

    layer: int
    head: int
    symbol: int
    n: int
    """Tokens."""
    entropy: float
    """Of their edges, in nats."""
    log_precision: float
    """That they state, over channels too; NaN where no token states one."""


@runtime_checkable
class Distributed(Protocol):
    """A part of attention with a distribution of each head, whatever its tokens are."""

    def distribution(self) -> dict[str, Float[Tensor, "heads"]]:
        """What its numbers are called -> the number of every head, in units of queries and keys."""
        ...


@torch.no_grad()
def distributions(model: nn.Module) -> list[dict[str, list[float]]]:
    """Numbers that the heads of each attention module have learned of their distributions; empty where there are none.

    Precisions, degrees of freedom, weights, precisions and lengths of the shifts of a mixture, temperatures; expected
    edges of a query where edges are independent and log potentials are 0.
    """
    return [
        {
            name: of.double().tolist()
            for part in attention.modules()
            if isinstance(part, Distributed)
            for name, of in part.distribution().items()
        }
        for attention in model.modules()
        if isinstance(attention, Attention)
    ]


def looks(model: nn.Module, tokens: Tokens, mask: Mask | None = None) -> list[Look]:
    """One look at each attention module of the model while it reads some texts."""
    with torch.no_grad(), observed(model) as found:
        model(tokens, mask)
    return found


@torch.no_grad()
def edges(look: Look) -> Float[Tensor, "batch heads queries keys"]:
    """p(edge) that the value is a mean by, float64."""
    return look.posterior.probabilities().double()


def entropy(look: Look) -> Float[Tensor, "batch heads queries"]:
    """-sum_j p_ij log p_ij of the edges of each query, in nats; edges that are independent count by their shares."""
    p = edges(look)
    return torch.special.entr(p / p.sum(-1, keepdim=True)).sum(-1)


def of_symbols(
    model: nn.Module,
    batches: Iterable[tuple[Tokens, Mask | None]],
    *,
    symbols: int,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> list[OfSymbol]:
    """Every layer, head and symbol of some texts whose tokens are one id each, below `symbols`.

    `total` sums a copy over processes that read other texts each.
    """
    layers: list[Sums] = []
    for tokens, mask in batches:
        ids = tokens.view(tokens.shape[:2])
        present = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        for place, look in enumerate(looks(model, tokens, mask)):
            if place == len(layers):
                heads = look.posterior.queries.shape[1]
                layers.append(Sums(np.zeros(symbols), np.zeros((heads, symbols))))
            layers[place].add(look, ids[present].cpu().numpy(), present)
    for of in layers:
        of.share(lambda sums: total(torch.from_numpy(sums).to(tokens.device)).cpu().numpy())
    return [
        OfSymbol(layer, head, symbol, int(of.count[symbol]), *of.means(head, symbol))
        for layer, of in enumerate(layers)
        for head in range(len(of.entropy))
        for symbol in np.flatnonzero(of.count).tolist()
    ]


@dataclass
class Sums:
    """Sums over tokens of one layer, by head and symbol."""

    count: Float[np.ndarray, "symbols"]
    entropy: PerHead
    log_precision: PerHead | None = field(default=None)

    def add(self, look: Look, symbols: Int[np.ndarray, "_tokens"], present: Mask) -> None:
        """Add what a look at some texts says of the symbols that stand where they are `present`."""
        size = len(self.count)
        self.count += np.bincount(symbols, minlength=size)
        self.entropy += _by_symbol(entropy(look), symbols, present, size)
        if look.log_precision is not None:
            stated = _by_symbol(look.log_precision, symbols, present, size)
            self.log_precision = stated if self.log_precision is None else self.log_precision + stated

    def share(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Make the sums those of all processes; `total` sums an array over them."""
        self.count, self.entropy = total(self.count), total(self.entropy)
        self.log_precision = None if self.log_precision is None else total(self.log_precision)

    def means(self, head: int, symbol: int) -> tuple[float, float]:
        """Entropy and log precision of a symbol."""
        n = self.count[symbol]
        stated = np.nan if self.log_precision is None else self.log_precision[head, symbol] / n
        return float(self.entropy[head, symbol] / n), float(stated)


def _by_symbol(
    values: Float[Tensor, "batch heads tokens"],
    symbols: Int[np.ndarray, "_tokens"],
    present: Mask,
    size: int,
) -> PerHead:
    """Sum of the values of each head over the tokens of each symbol."""
    by_head = values.double().transpose(1, 2)[present].T.cpu().numpy()
    return np.stack([np.bincount(symbols, weights=head, minlength=size) for head in by_head])
