"""Posterior means of a `Score` on a GPU and their gradients, in Triton.

Numbers that a score reads of queries and keys get gradients that are sums over keys and over queries. FlexAttention
adds them with one atomic operation for every edge. Here each block of keys goes through all queries and each block of
queries through all keys (Dao 2023, algorithms 1 and 2, the second as two kernels), so that the sums are those of a
block's own rows. Scores are taken times log2 e. Import it where there is a GPU.
"""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 - Triton takes one arm of a condition on constants, and what follows it in any case
from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]
from torch import Tensor

from precisionflow.models.attention.lowerings import Layout

FORMS = {"sum": 0, "log": 1, "root": 2, "log_sum": 3}
"""Forms of a score: x = z + a b + a' b', -w log max(x, least), -w sqrt(max(x, least)), and
w log(exp(s z + a + b) + exp(s' z + a' + b'))."""
LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


class Blocks(NamedTuple):
    """Tokens of a program, tokens of a step of it, warps, stages."""

    rows: int
    step: int
    warps: int
    stages: int


MEAN, OF_KEYS, OF_QUERIES = Blocks(128, 64, 4, 3), Blocks(128, 64, 8, 3), Blocks(128, 64, 8, 3)
"""Of the mean, of gradients of keys and values, of gradients of queries."""


@triton.jit
def _linear(z, a0, a1, b0, b1, PAIRS: tl.constexpr):
    x = z
    if PAIRS > 0:
        x += a0 * b0
    if PAIRS > 1:
        x += a1 * b1
    return x


@triton.jit
def _score(z, w, s0, s1, a0, a1, b0, b1, least, FORM: tl.constexpr, PAIRS: tl.constexpr):
    """The score times log2 e, and two numbers that its gradient takes."""
    if FORM == 0:
        return _linear(z, a0, a1, b0, b1, PAIRS) * LOG2E, z, z
    elif FORM == 1:
        x = tl.maximum(_linear(z, a0, a1, b0, b1, PAIRS), least)
        log = tl.log2(x)
        return -w * log, x, log
    elif FORM == 2:
        x = tl.maximum(_linear(z, a0, a1, b0, b1, PAIRS), least)
        inverse = tl.rsqrt(x)
        root = x * inverse
        return -(w * LOG2E) * root, inverse, root
    else:
        t0 = (s0 * LOG2E) * z + a0 * LOG2E + b0 * LOG2E
        t1 = (s1 * LOG2E) * z + a1 * LOG2E + b1 * LOG2E
        less = tl.exp2(-tl.abs(t1 - t0))
        whole = tl.maximum(t0, t1) + tl.log2(1.0 + less)
        share = tl.where(t1 > t0, 1.0, less) / (1.0 + less)
        return w * whole, share, whole


@triton.jit
def _pulled(g, z, m0, m1, w, s0, s1, a0, a1, b0, b1, FORM: tl.constexpr):
    """Gradients of z, w, s0, s1, a0, a1, b0, b1, edge by edge; those of w without the factor `_unit`."""
    if FORM == 0:
        return g, g, g, g, g * b0, g * b1, g * a0, g * a1
    elif FORM == 1:
        of_x = -(w * g) / m0
        return of_x, g * m1, g, g, of_x * b0, of_x * b1, of_x * a0, of_x * a1
    elif FORM == 2:
        of_x = -(0.5 * w) * g * m0
        return of_x, g * m1, g, g, of_x * b0, of_x * b1, of_x * a0, of_x * a1
    else:
        g1 = w * g * m0
        g0 = w * g - g1
        return s0 * g0 + s1 * g1, g * m1, g0 * z, g1 * z, g0, g1, g0, g1


@triton.jit
def _unit(FORM: tl.constexpr):
    if FORM == 1:
        return -LN2
    elif FORM == 2:
        return -1.0
    else:
        return LN2


@triton.jit
def _with_prior(
    s, offset, offs, BIAS, TABLE, level, KEYED: tl.constexpr, ZONE: tl.constexpr, LARGEST: tl.constexpr
):
    """The score and the log prior: of the key, and by its offset, which is the same beyond the largest."""
    if KEYED:
        s += tl.load(BIAS + offs) * LOG2E
    if ZONE == 2:
        s += tl.load(TABLE + tl.minimum(tl.maximum(offset, -LARGEST), LARGEST) + LARGEST) * LOG2E
    elif ZONE > 0:
        s += level
    return s


@triton.jit
def _band(first, length, ROWS: tl.constexpr, STEP: tl.constexpr, LARGEST: tl.constexpr):
    """Where the other side's tokens are near a block: before it and behind it the log prior is one number."""
    begin = tl.maximum(first - LARGEST + 1, 0) // STEP * STEP
    end = tl.minimum((first + ROWS - 1 + LARGEST + STEP - 1) // STEP * STEP, length)
    return begin, end


@triton.jit
def _ends(TABLE, TABLED: tl.constexpr, LARGEST: tl.constexpr):
    """The log prior of keys far behind a query and far before it, times log2 e."""
    if TABLED:
        return tl.load(TABLE) * LOG2E, tl.load(TABLE + 2 * LARGEST) * LOG2E
    else:
        return 0.0, 0.0


@triton.jit
def _own(OWN, offs, T, FORM: tl.constexpr, PAIRS: tl.constexpr):
    """w, s0, s1, a0, a1 of some queries; those that a form has not are anything."""
    if FORM == 0 and PAIRS == 0:
        none = offs * 0.0
        return none, none, none, none, none
    elif FORM == 0:
        first = tl.load(OWN + offs)
        second = tl.load(OWN + (PAIRS - 1) * T + offs)
        return first, first, first, first, second
    elif FORM == 3:
        w, s0, s1 = tl.load(OWN + offs), tl.load(OWN + T + offs), tl.load(OWN + 2 * T + offs)
        return w, s0, s1, tl.load(OWN + 3 * T + offs), tl.load(OWN + 4 * T + offs)
    else:
        w = tl.load(OWN + offs)
        a0, a1 = tl.load(OWN + T + offs), tl.load(OWN + PAIRS * T + offs)
        return w, w, w, a0, a1


@triton.jit
def _other(OTHER, offs, T, PAIRS: tl.constexpr):
    """b0, b1 of some keys."""
    if PAIRS == 0:
        return offs * 0.0, offs * 0.0
    else:
        return tl.load(OTHER + offs), tl.load(OTHER + (PAIRS - 1) * T + offs)


@triton.jit
def _column(number: tl.constexpr, W, FRONT: tl.constexpr, BACK: tl.constexpr):
    """The channel of a side of width W where a number stands."""
    if number < FRONT:
        return number
    else:
        return W - BACK + number - FRONT


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
        b0, b1 = _other(OTHER, offs_n[None, :], TK, PAIRS)
        z = tl.dot(q, tl.trans(k))
        s, _m0, _m1 = _score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        offset = offs_m[:, None] - offs_n[None, :]
        s = _with_prior(s, offset, offs_n[None, :], BIAS, TABLE, level, KEYED, ZONE, LARGEST)
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
    w, s0, s1, a0, a1 = _own(OWN + head * OWNS * TQ, offs_m[:, None], TQ, FORM, PAIRS)
    mean, total = tl.zeros([ROWS, V], tl.float32), tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], float("-inf"), tl.float32)
    K += head * TK * D
    VALUES += head * TK * V
    OTHER += head * PAIRS * TK
    BIAS += (head % HEADS) * TK
    TABLE += (head % HEADS) * (2 * LARGEST + 1)
    behind, before = _ends(TABLE, TABLED, LARGEST)
    end = TK
    if CAUSAL:
        end = first
    if TABLED:
        near, far = _band(first, end, ROWS, STEP, LARGEST)
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


@triton.jit
def _delta_kernel(MEAN, DO, DELTA, T, V: tl.constexpr, ROWS: tl.constexpr):
    """sum_c o_c do_c of every query."""
    offs = tl.program_id(1).to(tl.int64) * T + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = offs[:, None] * V + tl.arange(0, V)[None, :]
    product = tl.load(MEAN + at).to(tl.float32) * tl.load(DO + at).to(tl.float32)
    tl.store(DELTA + offs, tl.sum(product, 1))


@triton.jit
def _through_queries(
    dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, level, offs_n, first, last,
    TQ, least,
    D: tl.constexpr, V: tl.constexpr, STEP: tl.constexpr, MASKED: tl.constexpr, FORM: tl.constexpr,
    PAIRS: tl.constexpr, KEYED: tl.constexpr, ZONE: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    for start in range(first, last, STEP):
        offs_m = start + tl.arange(0, STEP)
        q = tl.load(Q + offs_m[:, None] * D + d[None, :])
        do = tl.load(DO + offs_m[:, None] * V + c[None, :])
        w, s0, s1, a0, a1 = _own(OWN, offs_m[None, :], TQ, FORM, PAIRS)
        z = tl.dot(k, tl.trans(q))
        s, m0, m1 = _score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        offset = offs_m[None, :] - offs_n[:, None]
        s = _with_prior(s, offset, offs_n[:, None], BIAS, TABLE, level, KEYED, ZONE, LARGEST)
        p = tl.exp2(s - tl.load(LOGSUM + offs_m)[None, :])
        if MASKED:
            p = tl.where(offs_m[None, :] >= offs_n[:, None], p, 0.0)
        dv = tl.dot(p.to(do.dtype), do, dv)
        g = p * (tl.dot(v, tl.trans(do)) - tl.load(DELTA + offs_m)[None, :])
        gz, _w, _s0, _s1, _a0, _a1, h0, h1 = _pulled(g, z, m0, m1, w, s0, s1, a0, a1, b0, b1, FORM)
        if PAIRS > 0:
            gb0 += tl.sum(h0, 1)
        if PAIRS > 1:
            gb1 += tl.sum(h1, 1)
        if KEYED:
            gbias += tl.sum(g, 1)
        dk = tl.dot(gz.to(q.dtype), q, dk)
    return dk, dv, gb0, gb1, gbias


@triton.jit
def _keys_kernel(
    Q, K, VALUES, DO, LOGSUM, DELTA, OWN, OTHER, BIAS, TABLE, DK, DV, DBIAS, TQ, TK, HEADS, WIDTH, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr, FRONT: tl.constexpr, BACK: tl.constexpr,
    ROWS: tl.constexpr, STEP: tl.constexpr, CAUSAL: tl.constexpr, FORM: tl.constexpr, PAIRS: tl.constexpr,
    KEYED: tl.constexpr, TABLED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_n, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    k = tl.load(K + head * TK * D + offs_n[:, None] * D + d[None, :])
    v = tl.load(VALUES + head * TK * V + offs_n[:, None] * V + c[None, :])
    b0, b1 = _other(OTHER + head * PAIRS * TK, offs_n[:, None], TK, PAIRS)
    dk, dv = tl.zeros([ROWS, D], tl.float32), tl.zeros([ROWS, V], tl.float32)
    gb0, gb1 = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    gbias = tl.zeros([ROWS], tl.float32)
    Q += head * TQ * D
    DO += head * TQ * V
    LOGSUM += head * TQ
    DELTA += head * TQ
    OWN += head * OWNS * TQ
    BIAS += (head % HEADS) * TK
    TABLE += (head % HEADS) * (2 * LARGEST + 1)
    behind, before = _ends(TABLE, TABLED, LARGEST)
    begin = 0
    if CAUSAL:
        begin = first + ROWS
        dk, dv, gb0, gb1, gbias = _through_queries(
            dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, 0.0, offs_n, first, begin,
            TQ, least,
            D, V, STEP, True, FORM, PAIRS, KEYED, 2 * TABLED, LARGEST,
        )  # fmt: skip
    if TABLED:
        near, far = _band(first, TQ, ROWS, STEP, LARGEST)
        if not CAUSAL:
            dk, dv, gb0, gb1, gbias = _through_queries(
                dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, behind, offs_n, 0, near,
                TQ, least,
                D, V, STEP, False, FORM, PAIRS, KEYED, 3, LARGEST,
            )  # fmt: skip
            begin = near
        dk, dv, gb0, gb1, gbias = _through_queries(
            dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, 0.0, offs_n, begin, far,
            TQ, least,
            D, V, STEP, False, FORM, PAIRS, KEYED, 2, LARGEST,
        )  # fmt: skip
        dk, dv, gb0, gb1, gbias = _through_queries(
            dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, before, offs_n, far, TQ,
            TQ, least,
            D, V, STEP, False, FORM, PAIRS, KEYED, 1, LARGEST,
        )  # fmt: skip
    else:
        dk, dv, gb0, gb1, gbias = _through_queries(
            dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, 0.0, offs_n, begin, TQ,
            TQ, least,
            D, V, STEP, False, FORM, PAIRS, KEYED, 0, LARGEST,
        )  # fmt: skip
    tl.store(DV + head * TK * V + offs_n[:, None] * V + c[None, :], dv)
    rows = DK + (head * TK + offs_n) * WIDTH
    tl.store(rows[:, None] + FRONT + d[None, :], dk)
    if KEYED:
        tl.store(DBIAS + head * TK + offs_n, gbias)
    if PAIRS > 0:
        tl.store(rows + _column(0, WIDTH, FRONT, BACK), gb0)
    if PAIRS > 1:
        tl.store(rows + _column(1, WIDTH, FRONT, BACK), gb1)


@triton.jit
def _through_keys(
    dq, gw, gs0, gs1, ga0, ga1, gfar, gnear, q, do, log_sum, delta, w, s0, s1, a0, a1, K, VALUES, OTHER, BIAS, TABLE,
    level, offs_m, first, last, TK, least, BAND, D: tl.constexpr, V: tl.constexpr, STEP: tl.constexpr,
    MASKED: tl.constexpr, FORM: tl.constexpr, PAIRS: tl.constexpr, KEYED: tl.constexpr, ZONE: tl.constexpr,
    LARGEST: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    for start in range(first, last, STEP):
        offs_n = start + tl.arange(0, STEP)
        k = tl.load(K + offs_n[:, None] * D + d[None, :])
        v = tl.load(VALUES + offs_n[:, None] * V + c[None, :])
        b0, b1 = _other(OTHER, offs_n[None, :], TK, PAIRS)
        z = tl.dot(q, tl.trans(k))
        s, m0, m1 = _score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        offset = offs_m[:, None] - offs_n[None, :]
        s = _with_prior(s, offset, offs_n[None, :], BIAS, TABLE, level, KEYED, ZONE, LARGEST)
        p = tl.exp2(s - log_sum)
        if MASKED:
            p = tl.where(offs_m[:, None] >= offs_n[None, :], p, 0.0)
        g = p * (tl.dot(do, tl.trans(v)) - delta)
        gz, hw, h0, h1, l0, l1, _b0, _b1 = _pulled(g, z, m0, m1, w, s0, s1, a0, a1, b0, b1, FORM)
        if FORM > 0:
            gw += tl.sum(hw, 1)
        if FORM == 3:
            gs0 += tl.sum(h0, 1)
            gs1 += tl.sum(h1, 1)
        if PAIRS > 0:
            ga0 += tl.sum(l0, 1)
        if PAIRS > 1:
            ga1 += tl.sum(l1, 1)
        if ZONE == 1:
            gfar += tl.sum(g, 1)
        elif ZONE == 3:
            gnear += tl.sum(g, 1)
        elif ZONE == 2:
            gfar += tl.sum(tl.where(offset >= LARGEST, g, 0.0), 1)
            gnear += tl.sum(tl.where(offset <= -LARGEST, g, 0.0), 1)
            inside = tl.abs(offset) < LARGEST
            tl.store(BAND + offs_m[:, None] * (2 * LARGEST + 1) + offset + LARGEST, g, mask=inside)
        dq = tl.dot(gz.to(k.dtype), k, dq)
    return dq, gw, gs0, gs1, ga0, ga1, gfar, gnear


@triton.jit
def _queries_kernel(
    Q, K, VALUES, DO, LOGSUM, DELTA, OWN, OTHER, BIAS, TABLE, DQ, BAND, TQ, TK, HEADS, WIDTH, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr, FRONT: tl.constexpr, BACK: tl.constexpr,
    ROWS: tl.constexpr, STEP: tl.constexpr, CAUSAL: tl.constexpr, FORM: tl.constexpr, PAIRS: tl.constexpr,
    KEYED: tl.constexpr, TABLED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_m, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    q = tl.load(Q + head * TQ * D + offs_m[:, None] * D + d[None, :])
    do = tl.load(DO + head * TQ * V + offs_m[:, None] * V + c[None, :])
    log_sum = tl.load(LOGSUM + head * TQ + offs_m)[:, None]
    delta = tl.load(DELTA + head * TQ + offs_m)[:, None]
    w, s0, s1, a0, a1 = _own(OWN + head * OWNS * TQ, offs_m[:, None], TQ, FORM, PAIRS)
    dq = tl.zeros([ROWS, D], tl.float32)
    gw, gs0, gs1 = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    ga0, ga1 = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    gfar, gnear = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    BAND += head * TQ * (2 * LARGEST + 1)
    K += head * TK * D
    VALUES += head * TK * V
    OTHER += head * PAIRS * TK
    BIAS += (head % HEADS) * TK
    TABLE += (head % HEADS) * (2 * LARGEST + 1)
    behind, before = _ends(TABLE, TABLED, LARGEST)
    end = TK
    if CAUSAL:
        end = first
    if TABLED:
        near, far = _band(first, end, ROWS, STEP, LARGEST)
        dq, gw, gs0, gs1, ga0, ga1, gfar, gnear = _through_keys(
            dq, gw, gs0, gs1, ga0, ga1, gfar, gnear, q, do, log_sum, delta, w, s0, s1, a0, a1,
            K, VALUES, OTHER, BIAS, TABLE,
            before, offs_m, 0, near, TK, least, BAND, D, V, STEP, False, FORM, PAIRS, KEYED, 1, LARGEST,
        )  # fmt: skip
        dq, gw, gs0, gs1, ga0, ga1, gfar, gnear = _through_keys(
            dq, gw, gs0, gs1, ga0, ga1, gfar, gnear, q, do, log_sum, delta, w, s0, s1, a0, a1,
            K, VALUES, OTHER, BIAS, TABLE,
            0.0, offs_m, near, far, TK, least, BAND, D, V, STEP, False, FORM, PAIRS, KEYED, 2, LARGEST,
        )  # fmt: skip
        if not CAUSAL:
            dq, gw, gs0, gs1, ga0, ga1, gfar, gnear = _through_keys(
                dq, gw, gs0, gs1, ga0, ga1, gfar, gnear, q, do, log_sum, delta, w, s0, s1, a0, a1,
                K, VALUES, OTHER, BIAS, TABLE,
                behind, offs_m, far, end, TK, least, BAND, D, V, STEP, False, FORM, PAIRS, KEYED, 3, LARGEST,
            )  # fmt: skip
    else:
        dq, gw, gs0, gs1, ga0, ga1, gfar, gnear = _through_keys(
            dq, gw, gs0, gs1, ga0, ga1, gfar, gnear, q, do, log_sum, delta, w, s0, s1, a0, a1,
            K, VALUES, OTHER, BIAS, TABLE,
            0.0, offs_m, 0, end, TK, least, BAND, D, V, STEP, False, FORM, PAIRS, KEYED, 0, LARGEST,
        )  # fmt: skip
    if CAUSAL:
        dq, gw, gs0, gs1, ga0, ga1, gfar, gnear = _through_keys(
            dq, gw, gs0, gs1, ga0, ga1, gfar, gnear, q, do, log_sum, delta, w, s0, s1, a0, a1,
            K, VALUES, OTHER, BIAS, TABLE,
            0.0, offs_m, first, first + ROWS, TK, least, BAND,
            D, V, STEP, True, FORM, PAIRS, KEYED, 2 * TABLED, LARGEST,
        )  # fmt: skip
    rows = DQ + (head * TQ + offs_m) * WIDTH
    tl.store(rows[:, None] + FRONT + d[None, :], dq)
    if TABLED:
        tl.store(BAND + offs_m * (2 * LARGEST + 1), gnear)
        tl.store(BAND + offs_m * (2 * LARGEST + 1) + 2 * LARGEST, gfar)
    if FORM == 0:
        if PAIRS > 0:
            tl.store(rows + _column(0, WIDTH, FRONT, BACK), ga0)
        if PAIRS > 1:
            tl.store(rows + _column(1, WIDTH, FRONT, BACK), ga1)
    else:
        tl.store(rows + _column(0, WIDTH, FRONT, BACK), gw * _unit(FORM))
        if FORM == 3:
            tl.store(rows + _column(1, WIDTH, FRONT, BACK), gs0)
            tl.store(rows + _column(2, WIDTH, FRONT, BACK), gs1)
            tl.store(rows + _column(3, WIDTH, FRONT, BACK), ga0)
            tl.store(rows + _column(4, WIDTH, FRONT, BACK), ga1)
        else:
            tl.store(rows + _column(1, WIDTH, FRONT, BACK), ga0)
            if PAIRS > 1:
                tl.store(rows + _column(2, WIDTH, FRONT, BACK), ga1)


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
            "num_stages": min(blocks.stages, 2) if self.table.numel() else blocks.stages,
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


def mean_of(given: Given) -> tuple[Tensor, Tensor]:
    """sum_j p_ij v_j, and log2 sum_j exp(score_ij)."""
    batch, heads, rows, _ = given.queries.shape
    mean = given.values.new_empty(batch, heads, rows, given.values.shape[-1])
    log_sum = torch.empty(batch, heads, rows, device=mean.device, dtype=torch.float32)
    lengths = (rows, given.keys.shape[-2])
    _mean_kernel[rows // MEAN.rows, batch * heads](
        *given[:7], mean, log_sum, *lengths, heads, given.least, **given.fixed(MEAN)
    )
    return mean, log_sum


def gradients(
    given: Given,
    sides: list[tuple[torch.Size, torch.dtype]],
    layouts: tuple[Layout, Layout],
    *,
    mean: Tensor,
    log_sum: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Of both sides, their numbers at their places, of values, bias and table; `sides`: their shapes and dtypes."""
    batch, heads, rows, _ = given.queries.shape
    columns = given.keys.shape[-2]
    above = gradient.to(given.values.dtype).contiguous()
    delta = torch.empty_like(log_sum)
    _delta_kernel[rows // OF_QUERIES.rows, batch * heads](
        mean, above, delta, rows, V=above.shape[-1], ROWS=OF_QUERIES.rows
    )
    of_queries, of_keys = (torch.empty(shape, dtype=dtype, device=mean.device) for shape, dtype in sides)
    of_values = torch.empty_like(given.values)
    of_bias = log_sum.new_empty(batch, heads, columns if given.bias.numel() else 0)
    band = log_sum.new_zeros(batch, heads, rows if given.table.numel() else 0, given.table.shape[-1])
    read = (*given[:3], above, log_sum, delta, *given[3:7])
    own, other = ({"FRONT": front, "BACK": back} for front, back in layouts)
    _keys_kernel[columns // OF_KEYS.rows, batch * heads](
        *read,
        of_keys,
        of_values,
        of_bias,
        rows,
        columns,
        heads,
        of_keys.shape[-1],
        given.least,
        **other,
        **given.fixed(OF_KEYS),
    )
    _queries_kernel[rows // OF_QUERIES.rows, batch * heads](
        *read,
        of_queries,
        band,
        rows,
        columns,
        heads,
        of_queries.shape[-1],
        given.least,
        **own,
        **given.fixed(OF_QUERIES),
    )
    return (
        of_queries,
        of_keys,
        of_values,
        of_bias.sum(0) if given.bias.numel() else None,
        band.sum((0, 2)) if given.table.numel() else None,
    )
