"""Gradients of queries, their numbers and a table: blocks of queries go through all keys."""

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
    unit,
    with_prior,
)


@triton.jit
def delta_kernel(MEAN, DO, DELTA, T, V: tl.constexpr, ROWS: tl.constexpr):
    """sum_c o_c do_c of every query."""
    offs = tl.program_id(1).to(tl.int64) * T + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = offs[:, None] * V + tl.arange(0, V)[None, :]
    product = tl.load(MEAN + at).to(tl.float32) * tl.load(DO + at).to(tl.float32)
    tl.store(DELTA + offs, tl.sum(product, 1))


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
        b0, b1 = other(OTHER, offs_n[None, :], TK, PAIRS)
        z = tl.dot(q, tl.trans(k))
        s, m0, m1 = score(z, w, s0, s1, a0, a1, b0, b1, least, FORM, PAIRS)
        offset = offs_m[:, None] - offs_n[None, :]
        s = with_prior(s, offset, offs_n[None, :], BIAS, TABLE, level, KEYED, ZONE, LARGEST)
        if MASKED:
            s = tl.where(offs_m[:, None] >= offs_n[None, :], s, float("-inf"))
        p, over = posterior(s, log_sum, m0, m1, FORM)
        pull = tl.dot(do, tl.trans(v)) - delta
        g = p * pull
        gz, hw, h0, h1, l0, l1, _b0, _b1 = pulled(g, over * pull, z, m0, m1, w, s0, s1, a0, a1, b0, b1, FORM)
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
def _store_numbers(
    rows,
    gw,
    gs0,
    gs1,
    ga0,
    ga1,
    WIDTH,
    FRONT: tl.constexpr,
    BACK: tl.constexpr,
    FORM: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """Gradients of the numbers of queries to their channels, in the order in which `own` reads them."""
    if FORM == 0:
        if PAIRS > 0:
            tl.store(rows + column(0, WIDTH, FRONT, BACK), ga0)
        if PAIRS > 1:
            tl.store(rows + column(1, WIDTH, FRONT, BACK), ga1)
    else:
        tl.store(rows + column(0, WIDTH, FRONT, BACK), gw * unit(FORM))
        if FORM == 3:
            tl.store(rows + column(1, WIDTH, FRONT, BACK), gs0)
            tl.store(rows + column(2, WIDTH, FRONT, BACK), gs1)
            tl.store(rows + column(3, WIDTH, FRONT, BACK), ga0)
            tl.store(rows + column(4, WIDTH, FRONT, BACK), ga1)
        else:
            tl.store(rows + column(1, WIDTH, FRONT, BACK), ga0)
            if PAIRS > 1:
                tl.store(rows + column(2, WIDTH, FRONT, BACK), ga1)


@triton.jit
def queries_kernel(
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
    w, s0, s1, a0, a1 = own(OWN + head * OWNS * TQ, offs_m[:, None], TQ, FORM, PAIRS)
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
    behind, before = ends(TABLE, TABLED, LARGEST)
    end = TK
    if CAUSAL:
        end = first
    if TABLED:
        near, far = band(first, end, ROWS, STEP, LARGEST)
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
    _store_numbers(rows, gw, gs0, gs1, ga0, ga1, WIDTH, FRONT, BACK, FORM, PAIRS)
