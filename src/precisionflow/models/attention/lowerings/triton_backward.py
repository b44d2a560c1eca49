"""Backward pass of a `Score` on a GPU, in Triton: gradients of the numbers of queries and keys are summed in registers.

FlexAttention adds the gradient of a number that its score reads with one atomic operation for every edge. Here each
block of keys goes through all queries and each block of queries through all keys (Dao 2023, algorithm 2, as two
kernels), so that the sums over queries and over keys are those of a block's own rows. Import it where there is a GPU.
"""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 - Triton takes one arm of a condition on constants, and what follows it in any case
from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]
from torch import Tensor

SUM, LOG, ROOT, LOG_SUM = 0, 1, 2, 3
"""Forms of a score x = z + a b + a' b', -w log max(x, least), -w sqrt(max(x, least)), and
w log(exp(s z + a + b) + exp(s' z + a' + b'))."""
FORMS = {"sum": SUM, "log": LOG, "root": ROOT, "log_sum": LOG_SUM}
ROWS, COLUMNS = 128, 64
"""Tokens of a program, and of a step of it."""
WARPS, STAGES = 8, 3
LOG2E = tl.constexpr(1.4426950408889634)


class Gradients(NamedTuple):
    """Those of queries, keys, values, and of the numbers of each: (batch, heads, numbers, tokens)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    of_query: Tensor
    of_key: Tensor


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
    if FORM == 0:
        return _linear(z, a0, a1, b0, b1, PAIRS)
    elif FORM == 1:
        return -w * tl.log(tl.maximum(_linear(z, a0, a1, b0, b1, PAIRS), least))
    elif FORM == 2:
        return -w * tl.sqrt(tl.maximum(_linear(z, a0, a1, b0, b1, PAIRS), least))
    else:
        t0, t1 = s0 * z + a0 + b0, s1 * z + a1 + b1
        top = tl.maximum(t0, t1)
        return w * (top + tl.log(tl.exp(t0 - top) + tl.exp(t1 - top)))


@triton.jit
def _pulled(g, z, w, s0, s1, a0, a1, b0, b1, least, FORM: tl.constexpr, PAIRS: tl.constexpr):
    """Gradients of z, w, s0, s1, a0, a1, b0, b1, edge by edge."""
    if FORM == 0:
        return g, g, g, g, g * b0, g * b1, g * a0, g * a1
    elif FORM == 1:
        x = tl.maximum(_linear(z, a0, a1, b0, b1, PAIRS), least)
        of_x = -w * g / x
        return of_x, -g * tl.log(x), g, g, of_x * b0, of_x * b1, of_x * a0, of_x * a1
    elif FORM == 2:
        root = tl.sqrt(tl.maximum(_linear(z, a0, a1, b0, b1, PAIRS), least))
        of_x = -0.5 * w * g / root
        return of_x, -g * root, g, g, of_x * b0, of_x * b1, of_x * a0, of_x * a1
    else:
        t0, t1 = s0 * z + a0 + b0, s1 * z + a1 + b1
        top = tl.maximum(t0, t1)
        e0, e1 = tl.exp(t0 - top), tl.exp(t1 - top)
        g0 = w * g * e0 / (e0 + e1)
        g1 = w * g - g0
        whole = top + tl.log(e0 + e1)
        return s0 * g0 + s1 * g1, g * whole, g0 * z, g1 * z, g0, g1, g0, g1


@triton.jit
def _own(OWN, offs, T, FORM: tl.constexpr, PAIRS: tl.constexpr):
    """w, s0, s1, a0, a1 of some queries; those that a form has not are anything."""
    if FORM == 0:
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
    return tl.load(OTHER + offs), tl.load(OTHER + (PAIRS - 1) * T + offs)


@triton.jit
def _delta_kernel(MEAN, DO, DELTA, T, V: tl.constexpr, ROWS: tl.constexpr):
    """sum_c o_c do_c of every query."""
    offs = tl.program_id(1).to(tl.int64) * T + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = offs[:, None] * V + tl.arange(0, V)[None, :]
    product = tl.load(MEAN + at).to(tl.float32) * tl.load(DO + at).to(tl.float32)
    tl.store(DELTA + offs, tl.sum(product, 1))


@triton.jit
def _through_queries(
    dk, dv, gb0, gb1, k, v, b0, b1, Q, DO, LSE, DELTA, OWN, offs_n, first, last, TQ, least,
    D: tl.constexpr, V: tl.constexpr, STEP: tl.constexpr, MASKED: tl.constexpr,
    FORM: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    for start in range(first, last, STEP):
        offs_m = start + tl.arange(0, STEP)
        q = tl.load(Q + offs_m[:, None] * D + d[None, :])
        do = tl.load(DO + offs_m[:, None] * V + c[None, :])
        w, s0, s1, a0, a1 = _own(OWN, offs_m[None, :], TQ, FORM, PAIRS)
        z = tl.dot(k, tl.trans(q))
        s = _score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        p = tl.exp2(s * LOG2E - tl.load(LSE + offs_m)[None, :] * LOG2E)
        if MASKED:
            p = tl.where(offs_m[None, :] >= offs_n[:, None], p, 0.0)
        dv = tl.dot(p.to(do.dtype), do, dv)
        g = p * (tl.dot(v, tl.trans(do)) - tl.load(DELTA + offs_m)[None, :])
        gz, _w, _s0, _s1, _a0, _a1, h0, h1 = _pulled(g, z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        gb0 += tl.sum(h0, 1)
        if PAIRS > 1:
            gb1 += tl.sum(h1, 1)
        dk = tl.dot(gz.to(q.dtype), q, dk)
    return dk, dv, gb0, gb1


@triton.jit
def _keys_kernel(
    Q, K, VALUES, DO, LSE, DELTA, OWN, OTHER, DK, DV, GOTHER, TQ, TK, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
    CAUSAL: tl.constexpr, FORM: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_n, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    k = tl.load(K + head * TK * D + offs_n[:, None] * D + d[None, :])
    v = tl.load(VALUES + head * TK * V + offs_n[:, None] * V + c[None, :])
    b0, b1 = _other(OTHER + head * PAIRS * TK, offs_n[:, None], TK, PAIRS)
    dk, dv = tl.zeros([ROWS, D], tl.float32), tl.zeros([ROWS, V], tl.float32)
    gb0, gb1 = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    Q += head * TQ * D
    DO += head * TQ * V
    LSE += head * TQ
    DELTA += head * TQ
    OWN += head * OWNS * TQ
    begin = 0
    if CAUSAL:
        begin = first + ROWS
        dk, dv, gb0, gb1 = _through_queries(
            dk, dv, gb0, gb1, k, v, b0, b1, Q, DO, LSE, DELTA, OWN, offs_n, first, begin, TQ, least,
            D, V, STEP, True, FORM, PAIRS,
        )  # fmt: skip
    dk, dv, gb0, gb1 = _through_queries(
        dk, dv, gb0, gb1, k, v, b0, b1, Q, DO, LSE, DELTA, OWN, offs_n, begin, TQ, TQ, least,
        D, V, STEP, False, FORM, PAIRS,
    )  # fmt: skip
    tl.store(DK + head * TK * D + offs_n[:, None] * D + d[None, :], dk)
    tl.store(DV + head * TK * V + offs_n[:, None] * V + c[None, :], dv)
    tl.store(GOTHER + head * PAIRS * TK + offs_n, gb0)
    if PAIRS > 1:
        tl.store(GOTHER + head * PAIRS * TK + TK + offs_n, gb1)


@triton.jit
def _through_keys(
    dq, gw, gs0, gs1, ga0, ga1, q, do, lse, delta, w, s0, s1, a0, a1, K, VALUES, OTHER, offs_m, first, last, TK, least,
    D: tl.constexpr, V: tl.constexpr, STEP: tl.constexpr, MASKED: tl.constexpr,
    FORM: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    for start in range(first, last, STEP):
        offs_n = start + tl.arange(0, STEP)
        k = tl.load(K + offs_n[:, None] * D + d[None, :])
        v = tl.load(VALUES + offs_n[:, None] * V + c[None, :])
        b0, b1 = _other(OTHER, offs_n[None, :], TK, PAIRS)
        z = tl.dot(q, tl.trans(k))
        s = _score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        p = tl.exp2(s * LOG2E - lse * LOG2E)
        if MASKED:
            p = tl.where(offs_m[:, None] >= offs_n[None, :], p, 0.0)
        g = p * (tl.dot(do, tl.trans(v)) - delta)
        gz, hw, h0, h1, l0, l1, _b0, _b1 = _pulled(g, z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        if FORM > 0:
            gw += tl.sum(hw, 1)
        if FORM == 3:
            gs0 += tl.sum(h0, 1)
            gs1 += tl.sum(h1, 1)
        ga0 += tl.sum(l0, 1)
        if PAIRS > 1:
            ga1 += tl.sum(l1, 1)
        dq = tl.dot(gz.to(k.dtype), k, dq)
    return dq, gw, gs0, gs1, ga0, ga1


@triton.jit
def _queries_kernel(
    Q, K, VALUES, DO, LSE, DELTA, OWN, OTHER, DQ, GOWN, TQ, TK, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
    CAUSAL: tl.constexpr, FORM: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_m, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    q = tl.load(Q + head * TQ * D + offs_m[:, None] * D + d[None, :])
    do = tl.load(DO + head * TQ * V + offs_m[:, None] * V + c[None, :])
    lse = tl.load(LSE + head * TQ + offs_m)[:, None]
    delta = tl.load(DELTA + head * TQ + offs_m)[:, None]
    w, s0, s1, a0, a1 = _own(OWN + head * OWNS * TQ, offs_m[:, None], TQ, FORM, PAIRS)
    dq = tl.zeros([ROWS, D], tl.float32)
    gw, gs0, gs1 = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    ga0, ga1 = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    K += head * TK * D
    VALUES += head * TK * V
    OTHER += head * PAIRS * TK
    end = TK
    if CAUSAL:
        end = first
    dq, gw, gs0, gs1, ga0, ga1 = _through_keys(
        dq, gw, gs0, gs1, ga0, ga1, q, do, lse, delta, w, s0, s1, a0, a1, K, VALUES, OTHER, offs_m, 0, end, TK, least,
        D, V, STEP, False, FORM, PAIRS,
    )  # fmt: skip
    if CAUSAL:
        dq, gw, gs0, gs1, ga0, ga1 = _through_keys(
            dq, gw, gs0, gs1, ga0, ga1, q, do, lse, delta, w, s0, s1, a0, a1, K, VALUES, OTHER, offs_m,
            first, first + ROWS, TK, least, D, V, STEP, True, FORM, PAIRS,
        )  # fmt: skip
    tl.store(DQ + head * TQ * D + offs_m[:, None] * D + d[None, :], dq)
    GOWN += head * OWNS * TQ + offs_m
    if FORM == 0:
        tl.store(GOWN, ga0)
        if PAIRS > 1:
            tl.store(GOWN + TQ, ga1)
    elif FORM == 3:
        tl.store(GOWN, gw)
        tl.store(GOWN + TQ, gs0)
        tl.store(GOWN + 2 * TQ, gs1)
        tl.store(GOWN + 3 * TQ, ga0)
        tl.store(GOWN + 4 * TQ, ga1)
    else:
        tl.store(GOWN, gw)
        tl.store(GOWN + TQ, ga0)
        if PAIRS > 1:
            tl.store(GOWN + 2 * TQ, ga1)


def gradients(
    form: str,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    of_query: Tensor,
    of_key: Tensor,
    *,
    mean: Tensor,
    gradient: Tensor,
    log_sum: Tensor,
    causal: bool,
    least: float,
) -> Gradients:
    """Of sum_j p_ij v_j: `mean` is that, `gradient` its own, `log_sum` log sum_j exp(score_ij), natural."""
    batch, heads, rows, width = queries.shape
    columns, out = keys.shape[-2], values.shape[-1]
    sides = [side.contiguous() for side in (queries, keys, values, gradient.to(values.dtype))]
    delta = torch.empty(batch, heads, rows, device=queries.device, dtype=torch.float32)
    grid = (rows // ROWS, batch * heads)
    _delta_kernel[grid](mean.contiguous(), sides[3], delta, rows, V=out, ROWS=ROWS)
    found = Gradients(*(torch.empty_like(of) for of in (*sides[:3], of_query, of_key)))
    given: tuple[Any, ...] = (*sides, log_sum.contiguous(), delta, of_query, of_key)
    fixed = {
        "D": width,
        "V": out,
        "OWNS": of_query.shape[2],
        "ROWS": ROWS,
        "STEP": COLUMNS,
        "CAUSAL": causal,
        "FORM": FORMS[form],
        "PAIRS": of_key.shape[2],
        "num_warps": WARPS,
        "num_stages": STAGES,
    }
    _keys_kernel[columns // ROWS, batch * heads](
        *given, found.keys, found.values, found.of_key, rows, columns, least, **fixed
    )
    _queries_kernel[grid](*given, found.queries, found.of_query, rows, columns, least, **fixed)
    return found
