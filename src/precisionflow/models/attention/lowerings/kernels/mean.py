"""The posterior mean: blocks of queries go through all keys (Dao 2023, algorithm 1)."""

# mypy: disable-error-code="no-untyped-def"

import torch
import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]
from torch import Tensor

from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Given
from precisionflow.models.attention.lowerings.kernels.scores import (
    band,
    ends,
    highest,
    other,
    own,
    power,
    score,
    with_prior,
)


@triton.jit
def _mean_steps(
    mean, total, top, q, qn, w, s0, s1, a0, a1, K, KN, VALUES, OTHER, BIAS, TABLE, beyond, offs_m, first, last, TK,
    least,
    D: tl.constexpr, V: tl.constexpr, STEP: tl.constexpr, MASKED: tl.constexpr, FORM: tl.constexpr,
    PARTS: tl.constexpr, KEYED: tl.constexpr, ZONE: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    for start in range(first, last, STEP):
        offs_n = start + tl.arange(0, STEP)
        k = tl.load(K + offs_n[:, None] * D + d[None, :])
        b0, b1 = other(OTHER, offs_n[None, :], TK, FORM)
        z = tl.dot(q, tl.trans(k))
        if PARTS > 0:
            kn = tl.load(KN + offs_n[:, None] * PARTS + tl.arange(0, PARTS)[None, :])
            z = tl.dot(qn, tl.trans(kn), z)
        s, m0, _m1 = score(z, w, s0, s1, a0, a1, b0, b1, least, 0.0, FORM)
        offset = offs_m[:, None] - offs_n[None, :]
        bias = 0.0
        if KEYED:
            bias = tl.load(BIAS + offs_n)[None, :]
        s = with_prior(s, offset, bias, TABLE, beyond, MASKED, KEYED, ZONE, LARGEST)
        if FORM == 3:
            m0 = with_prior(m0, offset, bias, TABLE, beyond, MASKED, KEYED, ZONE, LARGEST)
        higher = tl.maximum(top, highest(s, m0, FORM))
        p = power(s, higher[:, None], m0, FORM)
        shrunk = tl.exp2(top - higher)
        total = total * shrunk + tl.sum(p, 1)
        v = tl.load(VALUES + offs_n[:, None] * V + c[None, :])
        mean = tl.dot(p.to(v.dtype), v, mean * shrunk[:, None])
        top = higher
    return mean, total, top


@triton.jit
def _mean_kernel(
    Q, K, VALUES, OWN, OTHER, QN, KN, BIAS, TABLE, MEAN, LOGSUM, TQ, TK, HEADS, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
    CAUSAL: tl.constexpr, FORM: tl.constexpr, PARTS: tl.constexpr, KEYED: tl.constexpr,
    TABLED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_m, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    q = tl.load(Q + head * TQ * D + offs_m[:, None] * D + d[None, :])
    qn = 0.0
    if PARTS > 0:
        qn = tl.load(QN + (head * TQ + offs_m[:, None]) * PARTS + tl.arange(0, PARTS)[None, :])
    w, s0, s1, a0, a1 = own(OWN + head * OWNS * TQ, offs_m[:, None], TQ, FORM)
    mean, total = tl.zeros([ROWS, V], tl.float32), tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], float("-inf"), tl.float32)
    K += head * TK * D
    VALUES += head * TK * V
    KN += head * TK * PARTS
    OTHER += head * 2 * TK
    BIAS += (head % HEADS) * TK
    TABLE += (head % HEADS) * (2 * LARGEST + 1)
    behind, before = ends(TABLE, TABLED, LARGEST)
    WHOLE: tl.constexpr = 4 * (TABLED == 2)
    end = TK
    if CAUSAL:
        end = first
    if TABLED == 1:
        near, far = band(first, end, ROWS, STEP, LARGEST)
        mean, total, top = _mean_steps(
            mean, total, top, q, qn, w, s0, s1, a0, a1, K, KN, VALUES, OTHER, BIAS, TABLE, before, offs_m,
            0, near, TK, least,
            D, V, STEP, False, FORM, PARTS, KEYED, 1, LARGEST,
        )  # fmt: skip
        mean, total, top = _mean_steps(
            mean, total, top, q, qn, w, s0, s1, a0, a1, K, KN, VALUES, OTHER, BIAS, TABLE, 0.0, offs_m,
            near, far, TK, least,
            D, V, STEP, False, FORM, PARTS, KEYED, 2, LARGEST,
        )  # fmt: skip
        if not CAUSAL:
            mean, total, top = _mean_steps(
                mean, total, top, q, qn, w, s0, s1, a0, a1, K, KN, VALUES, OTHER, BIAS, TABLE, behind, offs_m,
                far, end,
                TK, least,
                D, V, STEP, False, FORM, PARTS, KEYED, 3, LARGEST,
            )  # fmt: skip
    else:
        mean, total, top = _mean_steps(
            mean, total, top, q, qn, w, s0, s1, a0, a1, K, KN, VALUES, OTHER, BIAS, TABLE, 0.0, offs_m,
            0, end, TK, least,
            D, V, STEP, False, FORM, PARTS, KEYED, WHOLE, LARGEST,
        )  # fmt: skip
    if CAUSAL:
        mean, total, top = _mean_steps(
            mean, total, top, q, qn, w, s0, s1, a0, a1, K, KN, VALUES, OTHER, BIAS, TABLE, 0.0, offs_m,
            first, first + ROWS,
            TK, least,
            D, V, STEP, True, FORM, PARTS, KEYED, WHOLE + 2 * (TABLED == 1), LARGEST,
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
        *given[:9], mean, log_sum, *lengths, heads, given.least, **given.fixed(blocks)
    )
    return mean, log_sum
