"""Looking inside: whom the tokens of a text attend to, how sure of it they are, and how far each symbol is trusted."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor, nn

from precisionflow.models.attention.inspection import of_symbols
from precisionflow.records.schemas import ATTENTION, without

Windows = Int[Tensor, "_windows _tokens"]
WINDOWS, AT_ONCE = 64, 8
"""Windows of a text that are looked at, and how many of them at once."""


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
