"""Sides taken apart for the kernels, and gradients of a side put together.

Numbers that are multiplied go through the matrix units with the vectors: a = a1 + a2 + a3, each part what is left of a
rounded to the vectors' dtype, so that a b = a1 b1 + a1 b2 + a2 b1 + a1 b3 + a3 b1 + a2 b2 up to 2^-24 of it: six
channels. A level l is l1 + l2 + l3 times 1, three channels. Gradients of numbers come from the same rounded gradients
of edges as those of vectors, so that what cancels between them still does.
"""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 - Triton takes one arm of a condition on constants, and what follows it in any case

from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]
from torch import Tensor

from precisionflow.models.attention.lowerings import Layout

CHANNELS = 16
"""Of numbers: the fewest that matrix units take."""
ROWS = 64
"""Tokens of a program."""
OF_PAIR = tl.constexpr(6)


class Numbers(NamedTuple):
    """How many numbers of a side are read one by one, how many are multiplied with one of the other side."""

    single: int
    pairs: int
    level: bool
    """Whether there is one more, which is added; it is 1 for every key."""

    @property
    def channels(self) -> int:
        return CHANNELS if self.pairs + self.level else 0


@triton.jit
def _part(a, number: tl.constexpr, LIKE):
    """The first, second or third part of a."""
    dtype = LIKE.dtype.element_ty
    for _ in tl.static_range(number):
        a = a - a.to(dtype).to(tl.float32)
    return a.to(dtype).to(tl.float32)


@triton.jit
def _in_channels(tile, channel, a, first: tl.constexpr, QUERIES: tl.constexpr, LIKE):
    """The tile with a number of a pair in its six channels."""
    if QUERIES:
        second, third = (channel == first + 2) | (channel == first + 5), channel == first + 4
    else:
        second, third = (channel == first + 1) | (channel == first + 5), channel == first + 3
    found = tl.where(second, _part(a, 1, LIKE), tl.where(third, _part(a, 2, LIKE), _part(a, 0, LIKE)))
    return tl.where((channel >= first) & (channel < first + OF_PAIR), found, tile)


@triton.jit
def _place(number: tl.constexpr, W, FRONT: tl.constexpr, BACK: tl.constexpr):
    """Where a number stands in a side of width W."""
    if number < FRONT:
        return number
    else:
        return W - BACK + number - FRONT


@triton.jit
def apart_kernel(
    SIDE, VECTORS, SINGLE, PARTS, T, W,
    D: tl.constexpr, FRONT: tl.constexpr, BACK: tl.constexpr, SINGLES: tl.constexpr, PAIRS: tl.constexpr,
    LEVEL: tl.constexpr, QUERIES: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, D)
    at = SIDE + (head * T + rows) * W
    vectors = tl.load(at[:, None] + FRONT + d[None, :])
    tl.store(VECTORS + (head * T + rows[:, None]) * D + d[None, :], vectors)
    for number in tl.static_range(SINGLES):
        tl.store(SINGLE + (head * SINGLES + number) * T + rows, tl.load(at + _place(number, W, FRONT, BACK)))
    if PAIRS + LEVEL > 0:
        channel = tl.arange(0, CHANNELS)[None, :]
        tile = tl.zeros([ROWS, CHANNELS], tl.float32)
        for pair in tl.static_range(PAIRS):
            a = tl.load(at + _place(SINGLES + pair, W, FRONT, BACK)).to(tl.float32)[:, None]
            tile = _in_channels(tile, channel, a, pair * OF_PAIR, QUERIES, PARTS)
        if LEVEL:
            first: tl.constexpr = PAIRS * OF_PAIR
            a = tl.load(at + _place(SINGLES + PAIRS, W, FRONT, BACK)).to(tl.float32)[:, None]
            found = a * 0.0 + 1.0
            if QUERIES:
                found = tl.where(channel == first + 1, _part(a, 1, PARTS), _part(a, 0, PARTS))
                found = tl.where(channel == first + 2, _part(a, 2, PARTS), found)
            tile = tl.where((channel >= first) & (channel < first + 3), found, tile)
        tl.store(PARTS + (head * T + rows[:, None]) * CHANNELS + channel, tile)


@triton.jit
def together_kernel(
    VECTORS, PARTS, SINGLE, SIDE, T, W, unit,
    D: tl.constexpr, FRONT: tl.constexpr, BACK: tl.constexpr, SINGLES: tl.constexpr, PAIRS: tl.constexpr,
    LEVEL: tl.constexpr, QUERIES: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, D)
    at = SIDE + (head * T + rows) * W
    tl.store(at[:, None] + FRONT + d[None, :], tl.load(VECTORS + (head * T + rows[:, None]) * D + d[None, :]))
    for number in tl.static_range(SINGLES):
        found = tl.load(SINGLE + (head * SINGLES + number) * T + rows)
        if number == 0:
            found *= unit
        tl.store(at + _place(number, W, FRONT, BACK), found)
    if PAIRS + LEVEL > 0:
        parts = PARTS + (head * T + rows) * CHANNELS
        for pair in tl.static_range(PAIRS):
            of = parts + pair * OF_PAIR
            if QUERIES:
                found = tl.load(of) + tl.load(of + 1) + tl.load(of + 3)
            else:
                found = tl.load(of) + tl.load(of + 2) + tl.load(of + 4)
            tl.store(at + _place(SINGLES + pair, W, FRONT, BACK), found)
        if LEVEL:
            found = tl.load(parts + PAIRS * OF_PAIR)
            if not QUERIES:
                found *= 0.0
            tl.store(at + _place(SINGLES + PAIRS, W, FRONT, BACK), found)


def _fixed(layout: Layout, numbers: Numbers, *, queries: bool) -> dict[str, Any]:
    return {
        "FRONT": layout[0],
        "BACK": layout[1],
        "SINGLES": numbers.single,
        "PAIRS": numbers.pairs,
        "LEVEL": numbers.level,
        "QUERIES": queries,
        "CHANNELS": CHANNELS,
        "ROWS": ROWS,
    }


def apart(
    side: Tensor, layout: Layout, numbers: Numbers, *, dtype: torch.dtype, queries: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors in a dtype, numbers read one by one as (batch, heads, numbers, tokens) in float32, parts of others."""
    *leading, width = side.shape
    batch, heads, tokens = leading
    vectors = side.new_empty(*leading, width - sum(layout), dtype=dtype)
    single = side.new_empty(batch, heads, numbers.single, tokens, dtype=torch.float32)
    parts = side.new_empty(*leading, numbers.channels, dtype=dtype)
    apart_kernel[tokens // ROWS, batch * heads](
        side.contiguous(),
        vectors,
        single,
        parts,
        tokens,
        width,
        D=vectors.shape[-1],
        **_fixed(layout, numbers, queries=queries),
    )
    return vectors, single, parts


def together(
    of: list[Tensor],
    shape: torch.Size,
    layout: Layout,
    numbers: Numbers,
    *,
    dtype: torch.dtype,
    queries: bool,
    unit: float = 1.0,
) -> Tensor:
    """The gradient of a side from those of vectors, parts and single numbers; that of the first number times `unit`."""
    side = of[0].new_empty(shape, dtype=dtype)
    batch, heads, tokens, width = shape
    together_kernel[tokens // ROWS, batch * heads](
        *of, side, tokens, width, unit, D=of[0].shape[-1], **_fixed(layout, numbers, queries=queries)
    )
    return side
