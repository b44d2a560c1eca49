"""The posterior mean: blocks of queries go through all keys (Dao 2023, algorithm 1)."""

# mypy: disable-error-code="no-untyped-def"

import torch
import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]
from torch import Tensor

from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Given
from precisionflow.models.attention.lowerings.kernels.scores import band, ends, other, own, score, with_prior


@triton.jit
def _mean_steps(
    mean, total, top, q, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE, level, offs_m, first, last, TK, least,
    D: tl.constexpr, V: tl.constexpr, STEP: tl.constexpr, MASKED: tl.constexpr, FORM: tl.constexpr,
    PAIRS: tl.constexpr, KEYED: tl.constexpr, ZONE: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    for start in range(first, last, STEP):
        offs_n = start + tl.arange(0, STEP)
        k = tl.load(K + offs_n[:, None] * D + d[None, :])
        b0, b1 = other(OTHER, offs_n[None, :], TK, PAIRS)
        z = tl.dot(q, tl.trans(k))
        s, _m0, _m1 = score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        offset = offs_m[:, None] - offs_n[None, :]
        s = with_prior(s, offset, offs_n[None, :], BIAS, TABLE, level, KEYED, ZONE, LARGEST)
        if MASKED:
            s = tl.where(offs_m[:, None] >= offs_n[None, :], s, float("-inf"))
        higher = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2(s - higher[:, None])
        shrunk = tl.exp2(top - higher)
        total = total * shrunk + tl.sum(p, 1)
        v = tl.load(VALUES + offs_n[:, None] * V + c[None, :])
        mean = tl.dot(p.to(v.dtype), v, mean * shrunk[:, None])
        top = higher
    return mean, total, top


@triton.jit
def _mean_kernel(
    Q, K, VALUES, OWN, OTHER, BIAS, TABLE, MEAN, LOGSUM, TQ, TK, HEADS, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
    CAUSAL: tl.constexpr, FORM: tl.constexpr, PAIRS: tl.constexpr, KEYED: tl.constexpr,
    TABLED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_m, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    q = tl.load(Q + head * TQ * D + offs_m[:, None] * D + d[None, :])
    w, s0, s1, a0, a1 = own(OWN + head * OWNS * TQ, offs_m[:, None], TQ, FORM, PAIRS)
    mean, total = tl.zeros([ROWS, V], tl.float32), tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], float("-inf"), tl.float32)
    K += head * TK * D
    VALUES += head * TK * V
    OTHER += head * PAIRS * TK
    BIAS += (head % HEADS) * TK
    TABLE += (head % HEADS) * (2 * LARGEST + 1)
    behind, before = ends(TABLE, TABLED, LARGEST)
    end = TK
    if CAUSAL:
        end = first
    if TABLED:
        near, far = band(first, end, ROWS, STEP, LARGEST)
        mean, total, top = _mean_steps(
            mean, total, top, q, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE, before, offs_m, 0, near, TK, least,
            D, V, STEP, False, FORM, PAIRS, KEYED, 1, LARGEST,
        )  # fmt: skip
        mean, total, top = _mean_steps(
            mean, total, top, q, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE, 0.0, offs_m, near, far, TK, least,
            D, V, STEP, False, FORM, PAIRS, KEYED, 2, LARGEST,
        )  # fmt: skip
        if not CAUSAL:
            mean, total, top = _mean_steps(
                mean, total, top, q, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE, behind, offs_m, far, end,
                TK, least,
                D, V, STEP, False, FORM, PAIRS, KEYED, 3, LARGEST,
            )  # fmt: skip
    else:
        mean, total, top = _mean_steps(
            mean, total, top, q, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE, 0.0, offs_m, 0, end, TK, least,
            D, V, STEP, False, FORM, PAIRS, KEYED, 0, LARGEST,
        )  # fmt: skip
    if CAUSAL:
        mean, total, top = _mean_steps(
            mean, total, top, q, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE, 0.0, offs_m, first, first + ROWS,
            TK, least,
            D, V, STEP, True, FORM, PAIRS, KEYED, 2 * TABLED, LARGEST,
        )  # fmt: skip
    tl.store(MEAN + head * TQ * V + offs_m[:, None] * V + c[None, :], mean / total[:, None])
    tl.store(LOGSUM + head * TQ + offs_m, top + tl.log2(total))


def mean_of(given: Given) -> tuple[Tensor, Tensor]:
    """sum_j p_ij v_j, and log2 sum_j exp(score_ij)."""
    batch, heads, rows, _ = given.queries.shape
    mean = given.values.new_empty(batch, heads, rows, given.values.shape[-1])
    log_sum = torch.empty(batch, heads, rows, device=mean.device, dtype=torch.float32)
    blocks, lengths = BLOCKS["mean"], (rows, given.keys.shape[-2])
    _mean_kernel[rows // blocks.rows, batch * heads](
        *given[:7], mean, log_sum, *lengths, heads, given.least, **given.fixed(blocks)
    )
    return mean, log_sum
