"""Looking inside: whom the tokens of a text attend to, how sure of it they are, and how far each symbol is trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.models.attention.observed import Look, looked_into
from precisionflow.records.schemas import ATTENTION

Windows = Int[Tensor, "_windows _tokens"]
WINDOWS, AT_ONCE = 64, 8
"""Windows of a text that are looked at, and how many of them at once."""
PerHead = Float[np.ndarray, "heads symbols"]


def first_windows(tokens: Int[np.ndarray, "tokens"], *, context: int) -> list[Windows]:
    """The first windows of a text, of `context` tokens each, in batches; a shorter text is one window."""
    text = torch.from_numpy(tokens.astype(np.int64))
    whole = len(text) // context * context
    return list(text[:whole].view(-1, context)[:WINDOWS].split(AT_ONCE)) if whole else [text[None]]


def looks(model: nn.Module, windows: Windows) -> list[Look]:
    """One look at each attention module of the model while it reads some windows."""
    with torch.no_grad(), looked_into(model) as found:
        model(windows)
    return found


@torch.no_grad()
def edges(look: Look) -> Float[Tensor, "batch heads queries keys"]:
    """p(edge), float64."""
    return look.posterior.probabilities().double()


def entropy(look: Look) -> Float[Tensor, "batch heads queries"]:
    """-sum_j p_ij log p_ij of the edges of each query, in nats; edges that are independent count by their shares."""
    p = edges(look)
    return torch.special.entr(p / p.sum(-1, keepdim=True)).sum(-1)


@dataclass
class Sums:
    """Sums over tokens of one layer, by head and symbol."""

    count: Float[np.ndarray, "symbols"]
    entropy: PerHead
    log_precision: PerHead | None = field(default=None)

    def add(self, look: Look, symbols: Int[np.ndarray, "_tokens"]) -> None:
        """Add what a look at some windows says of the symbols in them."""
        size = len(self.count)
        self.count += np.bincount(symbols, minlength=size)
        self.entropy += _by_symbol(entropy(look), symbols, size)
        if look.log_precision is not None:
            stated = _by_symbol(look.log_precision, symbols, size)
            self.log_precision = stated if self.log_precision is None else self.log_precision + stated


def attention_table(model: nn.Module, batches: Iterable[Windows], *, symbols: Sequence[str]) -> pa.Table:
    """A records.schemas.ATTENTION of windows of tokens, whose ids are places in `symbols`."""
    layers: list[Sums] = []
    for windows in batches:
        ids = windows.flatten().cpu().numpy()
        for place, look in enumerate(looks(model, windows)):
            if place == len(layers):
                heads = look.posterior.queries.shape[1]
                layers.append(Sums(np.zeros(len(symbols)), np.zeros((heads, len(symbols)))))
            layers[place].add(look, ids)
    rows = [
        {"layer": layer, "head": head, "symbol": symbols[symbol], "n": int(of.count[symbol])}
        | {name: sums[head, symbol] / of.count[symbol] for name, sums in _measured(of)}
        for layer, of in enumerate(layers)
        for head in range(len(of.entropy))
        for symbol in np.flatnonzero(of.count).tolist()
    ]
    names = [name for name in ATTENTION.names if name in rows[0]]
    return pa.table(
        {name: pa.array([row[name] for row in rows], ATTENTION.field(name).type) for name in names}
    )


def _measured(of: Sums) -> list[tuple[str, PerHead]]:
    precision = [] if of.log_precision is None else [("log_precision", of.log_precision)]
    return [("entropy", of.entropy), *precision]


def _by_symbol(
    values: Float[Tensor, "batch heads tokens"], symbols: Int[np.ndarray, "_tokens"], size: int
) -> PerHead:
    """Sum of the values of each head over the tokens of each symbol."""
    by_head = values.double().transpose(0, 1).flatten(1).cpu().numpy()
    return np.stack([np.bincount(symbols, weights=head, minlength=size) for head in by_head])
