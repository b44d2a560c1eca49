"""Gradients of keys, their numbers, values and a bias: blocks of keys go through all queries."""

# mypy: disable-error-code="no-untyped-def"

import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]

from precisionflow.models.attention.lowerings.kernels.scores import (
    band,
    column,
    ends,
    other,
    own,
    posterior,
    pulled,
    score,
    with_prior,
)


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
        w, s0, s1, a0, a1 = own(OWN, offs_m[None, :], TQ, FORM, PAIRS)
        z = tl.dot(k, tl.trans(q))
        s, m0, m1 = score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        offset = offs_m[None, :] - offs_n[:, None]
        s = with_prior(s, offset, offs_n[:, None], BIAS, TABLE, level, KEYED, ZONE, LARGEST)
        if MASKED:
            s = tl.where(offs_m[None, :] >= offs_n[:, None], s, float("-inf"))
        p, over = posterior(s, tl.load(LOGSUM + offs_m)[None, :], m0, m1, FORM)
        dv = tl.dot(p.to(do.dtype), do, dv)
        pull = tl.dot(v, tl.trans(do)) - tl.load(DELTA + offs_m)[None, :]
        g = p * pull
        gz, _w, _s0, _s1, _a0, _a1, h0, h1 = pulled(
            g, over * pull, z, m0, m1, w, s0, s1, a0, a1, b0, b1, FORM
        )
        if PAIRS > 0:
            gb0 += tl.sum(h0, 1)
        if PAIRS > 1:
            gb1 += tl.sum(h1, 1)
        if KEYED:
            gbias += tl.sum(g, 1)
        dk = tl.dot(gz.to(q.dtype), q, dk)
    return dk, dv, gb0, gb1, gbias


@triton.jit
def keys_kernel(
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
    b0, b1 = other(OTHER + head * PAIRS * TK, offs_n[:, None], TK, PAIRS)
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
    behind, before = ends(TABLE, TABLED, LARGEST)
    begin = 0
    if CAUSAL:
        begin = first + ROWS
        dk, dv, gb0, gb1, gbias = _through_queries(
            dk, dv, gb0, gb1, gbias, k, v, b0, b1, Q, DO, LOGSUM, DELTA, OWN, BIAS, TABLE, 0.0, offs_n, first, begin,
            TQ, least,
            D, V, STEP, True, FORM, PAIRS, KEYED, 2 * TABLED, LARGEST,
        )  # fmt: skip
    if TABLED:
        near, far = band(first, TQ, ROWS, STEP, LARGEST)
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
        tl.store(rows + column(0, WIDTH, FRONT, BACK), gb0)
    if PAIRS > 1:
        tl.store(rows + column(1, WIDTH, FRONT, BACK), gb1)
