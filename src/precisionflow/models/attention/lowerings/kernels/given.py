"""What the kernels are given, and how many tokens they take at once."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from precisionflow.models.attention.lowerings import Layout
from precisionflow.models.attention.lowerings.kernels.scores import FORMS


class Blocks(NamedTuple):
    """Tokens of a program, tokens of a step of it, warps, stages."""

    rows: int
    step: int
    warps: int
    stages: int


BLOCKS = dict.fromkeys(("mean", "keys", "queries"), Blocks(64, 64, 4, 3))
"""Of the mean, of gradients of keys and values, of gradients of queries: chosen by `benchmarks/attention_gpu.py`."""


class Given(NamedTuple):
    """What the mean is of: vectors in the dtype of the values, numbers as (batch, heads, numbers, tokens)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    of_query: Tensor
    of_key: Tensor
    bias: Tensor
    """Log prior of a key, (heads, keys); empty: none."""
    table: Tensor
    """Log prior by offset, from -largest to largest, (heads, entries); empty: none."""
    form: str
    least: float
    causal: bool

    def fixed(self, blocks: Blocks) -> dict[str, Any]:
        """Constants of a kernel."""
        return {
            "D": self.queries.shape[-1],
            "V": self.values.shape[-1],
            "OWNS": self.of_query.shape[2],
            "ROWS": blocks.rows,
            "STEP": blocks.step,
            "CAUSAL": self.causal,
            "FORM": FORMS[self.form],
            "PAIRS": self.of_key.shape[2],
            "KEYED": self.bias.numel() > 0,
            "TABLED": self.table.numel() > 0,
            "LARGEST": self.table.shape[-1] // 2,
            "num_warps": blocks.warps,
            "num_stages": blocks.stages,
        }


def given_of(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    table: Tensor | None,
    layouts: tuple[Layout, Layout],
    **rest: Any,
) -> Given:
    """Sides as they come, taken apart."""
    vectors, numbers = [], []
    for side, (front, back) in zip((queries, keys), layouts, strict=True):
        width = side.shape[-1]
        vectors.append(side[..., front : width - back].to(values.dtype).contiguous())
        apart = torch.cat([side[..., :front], side[..., width - back :]], dim=-1)
        numbers.append(apart.transpose(-1, -2).float().contiguous())
    (queries, keys), (own, other) = vectors, numbers
    none = own.new_empty(0)
    keyed, tabled = (none if of is None else of.float().contiguous() for of in (bias, table))
    return Given(queries, keys, values.contiguous(), own, other, keyed, tabled, **rest)
