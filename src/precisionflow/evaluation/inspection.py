"""Looking inside: whom the tokens of a text attend to, how sure of it they are, and how far each symbol is trusted."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor, nn

from precisionflow.models.attention.inspection import edges, looks, of_symbols
from precisionflow.records.schemas import ATTENTION, EDGES, without

Windows = Int[Tensor, "_windows _tokens"]
WINDOWS, AT_ONCE = 64, 8
"""Windows of a text that are looked at, and how many of them at once."""
MAPPED = 24
"""Tokens whose edges are kept."""


def first_windows(tokens: Int[np.ndarray, "tokens"], *, context: int) -> list[Windows]:
    """The first windows of a text, of `context` tokens each, in batches; a shorter text is one window."""
    text = torch.from_numpy(tokens.astype(np.int64))
    whole = len(text) // context * context
    return list(text[:whole].view(-1, context)[:WINDOWS].split(AT_ONCE)) if whole else [text[None]]


def attention_table(model: nn.Module, batches: Iterable[Windows], *, symbols: Sequence[str]) -> pa.Table:
    """A records.schemas.ATTENTION of windows of tokens, whose ids are places in `symbols`."""
    found = of_symbols(model, ((windows, None) for windows in batches), symbols=len(symbols))
    rows = [of._asdict() | {"symbol": symbols[of.symbol]} for of in found]
    stated = not any(math.isnan(of.log_precision) for of in found)
    return pa.Table.from_pylist(rows, schema=ATTENTION if stated else without(ATTENTION, "log_precision"))


def sharpest_head(found: pa.Table) -> tuple[int, int]:
    """Layer and head of the least mean entropy in a records.schemas.ATTENTION."""
    entropies = Counter[tuple[int, int]]()
    for row in found.to_pylist():
        entropies[row["layer"], row["head"]] += row["n"] * row["entropy"]
    return min(entropies, key=entropies.__getitem__)


def edges_table(
    model: nn.Module, windows: Windows, *, symbols: Sequence[str], layer: int, head: int
) -> pa.Table:
    """A records.schemas.EDGES of one head over the first `MAPPED` tokens of the first window."""
    window = windows[:1, :MAPPED]
    of_head = edges(looks(model, window)[layer])[0, head].cpu().numpy()
    texts = [symbols[token] for token in window[0].tolist()]
    rows = [
        {
            "layer": layer,
            "head": head,
            "query": query,
            "key": key,
            "token": texts[query],
            "attended": texts[key],
            "probability": probability,
        }
        for (query, key), probability in np.ndenumerate(of_head)
    ]
    return pa.Table.from_pylist(rows, schema=EDGES)
