"""What the kernels are given, and how many tokens they take at once."""

from typing import Any, NamedTuple

from torch import Tensor

from precisionflow.models.attention.lowerings import Layout
from precisionflow.models.attention.lowerings.kernels.scores import FORMS, IN_BITS
from precisionflow.models.attention.lowerings.kernels.sides import Numbers, apart


class Blocks(NamedTuple):
    """Tokens of a program, tokens of a step of it, warps, stages."""

    rows: int
    step: int
    warps: int
    stages: int


BLOCKS = dict.fromkeys(("mean", "backward"), Blocks(64, 64, 4, 3))
"""Of the mean, and of gradients: chosen by `benchmarks/attention_gpu.py`. Rows are a multiple of a step's tokens."""


class Given(NamedTuple):
    """What the mean is of: vectors in the dtype of the values, and numbers (see `sides`)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    of_query: Tensor
    """Numbers that are read one by one, (batch, heads, numbers, tokens)."""
    of_key: Tensor
    query_parts: Tensor
    """Parts of the others, (batch, heads, tokens, channels)."""
    key_parts: Tensor
    bias: Tensor
    """Log prior of a key, (heads, keys), as a score takes it (`IN_BITS`); empty: none."""
    table: Tensor
    """Log prior by offset, from -largest to largest, (heads, entries), as a score takes it; empty: none."""
    form: str
    least: float
    causal: bool

    def fixed(self, blocks: Blocks, *, learned: bool = False) -> dict[str, Any]:
        """Constants of a kernel; `learned`: the table gets a gradient."""
        largest, tokens = self.table.shape[-1] // 2, max(self.queries.shape[-2], self.keys.shape[-2])
        whole = largest >= tokens - 1 and not learned
        return {
            "D": self.queries.shape[-1],
            "V": self.values.shape[-1],
            "OWNS": self.of_query.shape[2],
            "PARTS": self.query_parts.shape[-1],
            "ROWS": blocks.rows,
            "STEP": blocks.step,
            "CAUSAL": self.causal,
            "FORM": FORMS[self.form],
            "KEYED": self.bias.numel() > 0,
            "TABLED": 0 if self.table.numel() == 0 else 1 + whole,
            "LARGEST": largest,
            "num_warps": blocks.warps,
            "num_stages": blocks.stages,
        }


class Layouts(NamedTuple):
    """How a score's sides are made up."""

    form: str
    level: bool
    of_query: Layout
    of_key: Layout

    def numbers(self) -> tuple[Numbers, Numbers]:
        """Those of a query, and of a key."""
        own, other = sum(self.of_query), sum(self.of_key)
        if FORMS[self.form] >= FORMS["log_sum"]:
            return Numbers(own, 0, level=False), Numbers(other, 0, level=False)
        pairs = other - self.level
        return Numbers(own - pairs - self.level, pairs, self.level), Numbers(0, pairs, self.level)


def given_of(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    table: Tensor | None,
    layouts: Layouts,
    *,
    least: float,
    causal: bool,
) -> Given:
    """Sides as they come, taken apart."""
    own, other = layouts.numbers()
    query, single, parts = apart(queries, layouts.of_query, own, dtype=values.dtype, queries=True)
    key, of_key, key_parts = apart(keys, layouts.of_key, other, dtype=values.dtype, queries=False)
    none, heads = single.new_empty(0), queries.shape[1]
    keyed, tabled = (
        none if of is None else (IN_BITS[layouts.form] * of.float()).expand(heads, -1).contiguous()
        for of in (bias, table)
    )
    numbers = (single, of_key, parts, key_parts, keyed, tabled)
    return Given(query, key, values.contiguous(), *numbers, layouts.form, least, causal)
