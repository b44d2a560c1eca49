"""The score of an edge and its gradient, the log prior of it, and the numbers of both sides."""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 - Triton takes one arm of a condition on constants, and what follows it in any case
import math

import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]
from triton.language.extra import libdevice  # type: ignore[import-untyped,import-not-found]

FORMS = {"sum": 0, "log": 1, "root": 2, "log_sum": 3, "weighted_log_sum": 4}
"""Forms of a score: the inner product z, numbers in it, -w log max(z, least), -w sqrt(max(z, least)),
log(exp(s z + a + b) + exp(s' z + a' + b')), w times that."""
IN_BITS = {form: 1.0 if form == "sum" else math.log2(math.e) for form in FORMS}
"""What a log prior is multiplied with to be added to a score: a sum is left as it is up to its exponential."""
UNITS = {"log": -math.log(2), "root": -1.0, "weighted_log_sum": math.log(2)}
"""What the sum of a weight's gradients is multiplied with."""
LOG2E = tl.constexpr(math.log2(math.e))
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
def log2(x):
    """One instruction, right to 2^-22; `tl.log2` takes thirty. The interpreter has none of the device's functions."""
    if INTERPRETED:
        return tl.log2(x)
    else:
        return libdevice.fast_log2f(x)


@triton.jit
def score(z, w, s0, s1, a0, a1, b0, b1, least, less, FORM: tl.constexpr):
    """The score, times log2 e where it is no sum, and two numbers that its gradient takes.

    Of two components it is that of the first, and then that of the second, both less `less`.
    """
    if FORM == 0:
        return z, z, z
    elif FORM == 1:
        x = tl.maximum(z, least, propagate_nan=tl.PropagateNan.ALL)
        log = log2(x)
        return -w * log, x, log
    elif FORM == 2:
        x = tl.maximum(z, least, propagate_nan=tl.PropagateNan.ALL)
        inverse = tl.rsqrt(x)
        root = x * inverse
        return -(w * LOG2E) * root, inverse, root
    else:
        first = (s0 * LOG2E) * z + ((a0 * LOG2E - less) + b0 * LOG2E)
        second = (s1 * LOG2E) * z + ((a1 * LOG2E - less) + b1 * LOG2E)
        if FORM == 3:
            return first, second, second
        else:
            whole = tl.maximum(first, second) + log2(1.0 + tl.exp2(-tl.abs(first - second)))
            return w * whole, second - whole, whole


@triton.jit
def highest(s, m0, FORM: tl.constexpr):
    """Of every row, its largest score times log2 e, or that of a component."""
    if FORM == 0:
        return tl.max(s, 1) * LOG2E
    elif FORM == 3:
        return tl.max(tl.maximum(s, m0), 1)
    else:
        return tl.max(s, 1)


@triton.jit
def power(s, less, m0, FORM: tl.constexpr):
    """exp(score) over 2^less."""
    if FORM == 0:
        return tl.exp2(s * LOG2E - less)
    elif FORM == 3:
        return tl.exp2(s - less) + tl.exp2(m0 - less)
    else:
        return tl.exp2(s - less)


@triton.jit
def posterior(s, log_sum, m0, m1, FORM: tl.constexpr):
    """p of an edge, and what the gradient asks for beside it: p / x of the logarithm, p of the second component."""
    if FORM == 1:
        over = tl.exp2(s - log_sum - m1)
        return over * m0, over
    elif FORM == 3:
        second = tl.exp2(m0)
        return tl.exp2(s) + second, second
    elif FORM == 4:
        p = tl.exp2(s - log_sum)
        return p, p * tl.exp2(m0)
    else:
        p = power(s, log_sum, m0, FORM)
        return p, p


@triton.jit
def pulled(g, over, m0, m1, w, s0, s1, FORM: tl.constexpr):
    """Gradients of z, of w, of both components, edge by edge, of g and what is beside it in `posterior`.

    Those of w are without the factor `UNITS`.
    """
    if FORM == 0:
        return g, g, g, g
    elif FORM == 1:
        return -w * over, g * m1, g, g
    elif FORM == 2:
        return -(0.5 * w) * g * m0, g * m1, g, g
    else:
        g0, g1 = g - over, over
        if FORM == 4:
            g0, g1 = w * g0, w * g1
        return s0 * g0 + s1 * g1, g * m1, g0, g1


@triton.jit
def with_prior(
    s, offset, bias, TABLE, beyond, MASKED: tl.constexpr, KEYED: tl.constexpr, ZONE: tl.constexpr, LARGEST: tl.constexpr
):  # fmt: skip
    """The score and the log prior: of the key, and by its offset, which is the same beyond the largest.

    Zones are 1 and 3, where all keys are far, 2, and 4, where no offset is beyond the table.
    """
    if KEYED:
        s += bias
    if ZONE == 2:
        s += tl.load(TABLE + tl.minimum(tl.maximum(offset, -LARGEST), LARGEST) + LARGEST)
    elif ZONE == 4:
        s += tl.load(TABLE + offset + LARGEST)
    elif ZONE > 0:
        s += beyond
    if MASKED:
        s = tl.where(offset >= 0, s, float("-inf"))
    return s


@triton.jit
def band(first, length, ROWS: tl.constexpr, STEP: tl.constexpr, LARGEST: tl.constexpr):
    """Where the other side's tokens are near a block: before it and behind it the log prior is one number."""
    begin = tl.maximum(first - LARGEST + 1, 0) // STEP * STEP
    end = tl.minimum((first + ROWS - 1 + LARGEST + STEP - 1) // STEP * STEP, length)
    return begin, end


@triton.jit
def ends(TABLE, TABLED: tl.constexpr, LARGEST: tl.constexpr):
    """The log prior of keys far behind a query and far before it."""
    if TABLED == 1:
        return tl.load(TABLE), tl.load(TABLE + 2 * LARGEST)
    else:
        return 0.0, 0.0


@triton.jit
def own(OWN, offs, T, FORM: tl.constexpr):
    """w, s0, s1, a0, a1 of some queries; those that a form has not are anything."""
    if FORM == 0:
        none = offs * 0.0
        return none, none, none, none, none
    elif FORM < 3:
        w = tl.load(OWN + offs)
        return w, w, w, w, w
    else:
        WEIGHTED: tl.constexpr = FORM == 4
        at = OWN + WEIGHTED * T + offs
        return tl.load(OWN + offs), tl.load(at), tl.load(at + T), tl.load(at + 2 * T), tl.load(at + 3 * T)


@triton.jit
def other(OTHER, offs, T, FORM: tl.constexpr):
    """b0, b1 of some keys."""
    if FORM < 3:
        return offs * 0.0, offs * 0.0
    else:
        return tl.load(OTHER + offs), tl.load(OTHER + T + offs)
