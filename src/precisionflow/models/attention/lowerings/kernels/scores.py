"""The score of an edge and its gradient, the log prior of it, and the numbers of both sides."""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 - Triton takes one arm of a condition on constants, and what follows it in any case
import triton  # type: ignore[import-untyped,import-not-found]
import triton.language as tl  # type: ignore[import-untyped,import-not-found]

FORMS = {"sum": 0, "log": 1, "root": 2, "log_sum": 3}
"""Forms of a score: x = z + a b + a' b', -w log max(x, least), -w sqrt(max(x, least)), and
w log(exp(s z + a + b) + exp(s' z + a' + b'))."""
LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def linear(z, a0, a1, b0, b1, PAIRS: tl.constexpr):
    x = z
    if PAIRS > 0:
        x += a0 * b0
    if PAIRS > 1:
        x += a1 * b1
    return x


@triton.jit
def score(z, w, s0, s1, a0, a1, b0, b1, least, FORM: tl.constexpr, PAIRS: tl.constexpr):
    """The score times log2 e, and two numbers that its gradient takes."""
    if FORM == 0:
        return linear(z, a0, a1, b0, b1, PAIRS) * LOG2E, z, z
    elif FORM == 1:
        x = tl.maximum(linear(z, a0, a1, b0, b1, PAIRS), least)
        log = tl.log2(x)
        return -w * log, x, log
    elif FORM == 2:
        x = tl.maximum(linear(z, a0, a1, b0, b1, PAIRS), least)
        inverse = tl.rsqrt(x)
        root = x * inverse
        return -(w * LOG2E) * root, inverse, root
    else:
        t0 = (s0 * LOG2E) * z + a0 * LOG2E + b0 * LOG2E
        t1 = (s1 * LOG2E) * z + a1 * LOG2E + b1 * LOG2E
        whole = tl.maximum(t0, t1) + tl.log2(1.0 + tl.exp2(-tl.abs(t1 - t0)))
        return w * whole, t1, whole


@triton.jit
def posterior(s, log_sum, m0, m1, FORM: tl.constexpr):
    """p of an edge, and p / x where the gradient of the logarithm asks for it: a product in place of a division."""
    if FORM == 1:
        over = tl.exp2(s - log_sum - m1)
        return over * m0, over
    else:
        p = tl.exp2(s - log_sum)
        return p, p


@triton.jit
def pulled(g, over, z, m0, m1, w, s0, s1, a0, a1, b0, b1, FORM: tl.constexpr):
    """Gradients of z, w, s0, s1, a0, a1, b0, b1, edge by edge, of g and, for the logarithm, g / x.

    Those of w are without the factor `unit`.
    """
    if FORM == 0:
        return g, g, g, g, g * b0, g * b1, g * a0, g * a1
    elif FORM == 1:
        of_x = -w * over
        return of_x, g * m1, g, g, of_x * b0, of_x * b1, of_x * a0, of_x * a1
    elif FORM == 2:
        of_x = -(0.5 * w) * g * m0
        return of_x, g * m1, g, g, of_x * b0, of_x * b1, of_x * a0, of_x * a1
    else:
        g1 = w * g * tl.exp2(m0 - m1)
        g0 = w * g - g1
        return s0 * g0 + s1 * g1, g * m1, g0 * z, g1 * z, g0, g1, g0, g1


@triton.jit
def unit(FORM: tl.constexpr):
    if FORM == 1:
        return -LN2
    elif FORM == 2:
        return -1.0
    else:
        return LN2


@triton.jit
def with_prior(
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
def band(first, length, ROWS: tl.constexpr, STEP: tl.constexpr, LARGEST: tl.constexpr):
    """Where the other side's tokens are near a block: before it and behind it the log prior is one number."""
    begin = tl.maximum(first - LARGEST + 1, 0) // STEP * STEP
    end = tl.minimum((first + ROWS - 1 + LARGEST + STEP - 1) // STEP * STEP, length)
    return begin, end


@triton.jit
def ends(TABLE, TABLED: tl.constexpr, LARGEST: tl.constexpr):
    """The log prior of keys far behind a query and far before it, times log2 e."""
    if TABLED:
        return tl.load(TABLE) * LOG2E, tl.load(TABLE + 2 * LARGEST) * LOG2E
    else:
        return 0.0, 0.0


@triton.jit
def own(OWN, offs, T, FORM: tl.constexpr, PAIRS: tl.constexpr):
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
def other(OTHER, offs, T, PAIRS: tl.constexpr):
    """b0, b1 of some keys."""
    if PAIRS == 0:
        return offs * 0.0, offs * 0.0
    else:
        return tl.load(OTHER + offs), tl.load(OTHER + (PAIRS - 1) * T + offs)


@triton.jit
def column(number: tl.constexpr, W, FRONT: tl.constexpr, BACK: tl.constexpr):
    """The channel of a side of width W where a number stands."""
    if number < FRONT:
        return number
    else:
        return W - BACK + number - FRONT
