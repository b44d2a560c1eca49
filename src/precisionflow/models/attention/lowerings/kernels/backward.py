"""Gradients of a posterior mean: blocks of keys go through all queries (Dao 2023, algorithm 2).

Gradients of keys and values are sums in registers. Those of queries are sums over blocks of keys in memory, by atomic
operations of whole blocks, so that their last digits differ from run to run, as those of FlashAttention do.
"""

# mypy: disable-error-code="no-untyped-def"

import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]

from precisionflow.models.attention.lowerings.kernels.scores import (
    band,
    ends,
    other,
    own,
    posterior,
    pulled,
    score,
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
def _folded(of, STEP: tl.constexpr, ROWS: tl.constexpr):
    """Sums of pairs of rows that one thread has: what is left to sum over a step's rows is summed after all steps."""
    return tl.sum(tl.reshape(of, [STEP // 16, 2, 8, ROWS]), 1)


@triton.jit
def _unfolded(of, STEP: tl.constexpr, ROWS: tl.constexpr):
    return tl.sum(tl.reshape(of, [STEP // 2, ROWS]), 0)


@triton.jit
def _through_queries(
    dk, dkn, dv, gb0, gb1, gbias, k, kn, v, b0, b1, bias, Q, QN, DO, LOGSUM, DELTA, OWN, TABLE, DQ, DQN, DOWN, BAND,
    beyond, offs_n, first, last, TQ, least,
    D: tl.constexpr, V: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, MASKED: tl.constexpr,
    FORM: tl.constexpr, PARTS: tl.constexpr, KEYED: tl.constexpr, ZONE: tl.constexpr,
    LEARNED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    d, c = tl.arange(0, D), tl.arange(0, V)
    WEIGHTED: tl.constexpr = FORM == 4
    for start in range(first, last, STEP):
        offs_m = start + tl.arange(0, STEP)
        q = tl.load(Q + offs_m[:, None] * D + d[None, :])
        do = tl.load(DO + offs_m[:, None] * V + c[None, :])
        w, s0, s1, a0, a1 = own(OWN, offs_m[:, None], TQ, FORM)
        z = tl.dot(q, tl.trans(k))
        if PARTS > 0:
            n = tl.arange(0, PARTS)
            qn = tl.load(QN + offs_m[:, None] * PARTS + n[None, :])
            z = tl.dot(qn, tl.trans(kn), z)
        log_sum = tl.load(LOGSUM + offs_m)[:, None]
        s, m0, m1 = score(z, w, s0, s1, a0, a1, b0, b1, least, log_sum if FORM == 3 else 0.0, FORM)
        offset = offs_m[:, None] - offs_n[None, :]
        s = with_prior(s, offset, bias, TABLE, beyond, MASKED, KEYED, ZONE, LARGEST)
        if FORM == 3:
            m0 = with_prior(m0, offset, bias, TABLE, beyond, MASKED, KEYED, ZONE, LARGEST)
        p, over = posterior(s, log_sum, m0, m1, FORM)
        pull = tl.dot(do, tl.trans(v)) - tl.load(DELTA + offs_m)[:, None]
        dv = tl.dot(tl.trans(p.to(do.dtype)), do, dv)
        g = p * pull
        gz, gw, g0, g1 = pulled(g, over * pull, m0, m1, w, s0, s1, FORM)
        if FORM == 1 or FORM == 2 or FORM == 4:
            tl.atomic_add(DOWN + offs_m, tl.sum(gw, 1), sem="relaxed")
        if FORM > 2:
            of = DOWN + WEIGHTED * TQ + offs_m
            tl.atomic_add(of, tl.sum(g0 * z, 1), sem="relaxed")
            tl.atomic_add(of + TQ, tl.sum(g1 * z, 1), sem="relaxed")
            tl.atomic_add(of + 2 * TQ, tl.sum(g0, 1), sem="relaxed")
            tl.atomic_add(of + 3 * TQ, tl.sum(g1, 1), sem="relaxed")
            gb0 += _folded(g0, STEP, ROWS)
            gb1 += _folded(g1, STEP, ROWS)
        if KEYED:
            gbias += _folded(g, STEP, ROWS)
        if LEARNED:
            entries = BAND + offs_m.to(tl.int64) * (2 * LARGEST + 1)
            if ZONE == 1:
                tl.atomic_add(entries + 2 * LARGEST, tl.sum(g, 1), sem="relaxed")
            elif ZONE == 3:
                tl.atomic_add(entries, tl.sum(g, 1), sem="relaxed")
            elif ZONE == 2:
                far, near = tl.where(offset >= LARGEST, g, 0.0), tl.where(offset <= -LARGEST, g, 0.0)
                tl.atomic_add(entries + 2 * LARGEST, tl.sum(far, 1), sem="relaxed")
                tl.atomic_add(entries, tl.sum(near, 1), sem="relaxed")
                tl.store(entries[:, None] + offset + LARGEST, g, mask=tl.abs(offset) < LARGEST)
        z_bar = gz.to(q.dtype)
        dk = tl.dot(tl.trans(z_bar), q, dk)
        tl.atomic_add(DQ + offs_m[:, None] * D + d[None, :], tl.dot(z_bar, k), sem="relaxed")
        if PARTS > 0:
            dkn = tl.dot(tl.trans(z_bar), qn, dkn)
            tl.atomic_add(DQN + offs_m[:, None] * PARTS + n[None, :], tl.dot(z_bar, kn), sem="relaxed")
    return dk, dkn, dv, gb0, gb1, gbias


@triton.jit
def backward_kernel(
    Q, K, VALUES, OWN, OTHER, QN, KN, BIAS, TABLE, DO, LOGSUM, DELTA, DQ, DQN, DOWN, BAND, DK, DKN, DOTHER, DV, DBIAS,
    TQ, TK, HEADS, least,
    D: tl.constexpr, V: tl.constexpr, OWNS: tl.constexpr,
    ROWS: tl.constexpr, STEP: tl.constexpr, CAUSAL: tl.constexpr, FORM: tl.constexpr, PARTS: tl.constexpr,
    KEYED: tl.constexpr, TABLED: tl.constexpr, LEARNED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    offs_n, d, c = first + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, V)
    k = tl.load(K + head * TK * D + offs_n[:, None] * D + d[None, :])
    v = tl.load(VALUES + head * TK * V + offs_n[:, None] * V + c[None, :])
    b0, b1 = other(OTHER + head * 2 * TK, offs_n[None, :], TK, FORM)
    kn, dkn = 0.0, 0.0
    if PARTS > 0:
        n = tl.arange(0, PARTS)
        kn = tl.load(KN + (head * TK + offs_n[:, None]) * PARTS + n[None, :])
        dkn = tl.zeros([ROWS, PARTS], tl.float32)
    dk, dv = tl.zeros([ROWS, D], tl.float32), tl.zeros([ROWS, V], tl.float32)
    gb0 = tl.zeros([STEP // 16, 8, ROWS], tl.float32)
    gb1, gbias = gb0, gb0
    Q += head * TQ * D
    DO += head * TQ * V
    DQ += head * TQ * D
    QN += head * TQ * PARTS
    DQN += head * TQ * PARTS
    LOGSUM += head * TQ
    DELTA += head * TQ
    OWN += head * OWNS * TQ
    DOWN += head * OWNS * TQ
    BAND += head * TQ * (2 * LARGEST + 1)
    TABLE += (head % HEADS) * (2 * LARGEST + 1)
    bias = 0.0
    if KEYED:
        bias = tl.load(BIAS + (head % HEADS) * TK + offs_n)[None, :]
    behind, before = ends(TABLE, TABLED, LARGEST)
    WHOLE: tl.constexpr = 4 * (TABLED == 2)
    begin = 0
    if CAUSAL:
        begin = first // STEP * STEP
        end = tl.minimum((first + ROWS + STEP - 1) // STEP * STEP, TQ)
        dk, dkn, dv, gb0, gb1, gbias = _through_queries(
            dk, dkn, dv, gb0, gb1, gbias, k, kn, v, b0, b1, bias, Q, QN, DO, LOGSUM, DELTA, OWN, TABLE, DQ,
            DQN, DOWN, BAND, 0.0, offs_n, begin, end, TQ, least,
            D, V, ROWS, STEP, True, FORM, PARTS, KEYED, WHOLE + 2 * (TABLED == 1), LEARNED, LARGEST,
        )  # fmt: skip
        begin = end
    if TABLED == 1:
        near, far = band(first, TQ, ROWS, STEP, LARGEST)
        if not CAUSAL:
            dk, dkn, dv, gb0, gb1, gbias = _through_queries(
                dk, dkn, dv, gb0, gb1, gbias, k, kn, v, b0, b1, bias, Q, QN, DO, LOGSUM, DELTA, OWN, TABLE, DQ,
                DQN, DOWN, BAND, behind, offs_n, 0, near, TQ, least,
                D, V, ROWS, STEP, False, FORM, PARTS, KEYED, 3, LEARNED, LARGEST,
            )  # fmt: skip
            begin = near
        far = tl.maximum(far, begin)
        dk, dkn, dv, gb0, gb1, gbias = _through_queries(
            dk, dkn, dv, gb0, gb1, gbias, k, kn, v, b0, b1, bias, Q, QN, DO, LOGSUM, DELTA, OWN, TABLE, DQ,
            DQN, DOWN, BAND, 0.0, offs_n, begin, far, TQ, least,
            D, V, ROWS, STEP, False, FORM, PARTS, KEYED, 2, LEARNED, LARGEST,
        )  # fmt: skip
        dk, dkn, dv, gb0, gb1, gbias = _through_queries(
            dk, dkn, dv, gb0, gb1, gbias, k, kn, v, b0, b1, bias, Q, QN, DO, LOGSUM, DELTA, OWN, TABLE, DQ,
            DQN, DOWN, BAND, before, offs_n, far, TQ, TQ, least,
            D, V, ROWS, STEP, False, FORM, PARTS, KEYED, 1, LEARNED, LARGEST,
        )  # fmt: skip
    else:
        dk, dkn, dv, gb0, gb1, gbias = _through_queries(
            dk, dkn, dv, gb0, gb1, gbias, k, kn, v, b0, b1, bias, Q, QN, DO, LOGSUM, DELTA, OWN, TABLE, DQ,
            DQN, DOWN, BAND, 0.0, offs_n, begin, TQ, TQ, least,
            D, V, ROWS, STEP, False, FORM, PARTS, KEYED, WHOLE, LEARNED, LARGEST,
        )  # fmt: skip
    tl.store(DK + (head * TK + offs_n[:, None]) * D + d[None, :], dk)
    if PARTS > 0:
        tl.store(DKN + (head * TK + offs_n[:, None]) * PARTS + n[None, :], dkn)
    if FORM > 2:
        tl.store(DOTHER + head * 2 * TK + offs_n, _unfolded(gb0, STEP, ROWS))
        tl.store(DOTHER + (head * 2 + 1) * TK + offs_n, _unfolded(gb1, STEP, ROWS))
    tl.store(DV + head * TK * V + offs_n[:, None] * V + c[None, :], dv)
    if KEYED:
        tl.store(DBIAS + head * TK + offs_n, _unfolded(gbias, STEP, ROWS))
