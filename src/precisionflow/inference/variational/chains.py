"""Linear Gaussian chains exactly, in log2(T) parallel steps: filter and smoother by associative scan.

    x_0 ~ N(mean, covariance) ,   x_t = F x_{t-1} + N(0, Q) ,   y_t = H x_t + N(0, R)

Särkkä & García-Fernández (2021), Temporal parallelization of Bayesian smoothers, equations 10 to 19. Q may be singular;
F, Q, H and R may differ between times, and of an observation any number may be missing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from precisionflow.inference.variational.families import Numbers, is_symmetric, numbers
from precisionflow.inference.variational.families.gaussian_vector import times

EASY = 1e4
"""Largest entry of P J, of what is known before and after a time, with which its covariance is inverted as it is."""

ROUNDING = 1e-12
"""Of the least eigenvalue of a covariance in units of its standard deviations."""

Elements = tuple[Tensor, ...]
States = Float[Tensor, "time state"]
Covariances = Float[Tensor, "time state state"]
Observations = Float[Tensor, "time observed"]


Seen = Bool[Tensor, "time observed"]
"""Which numbers of the observations are there; None: all of them."""


@dataclass(frozen=True)
class Chain:
    """A chain; F, Q, H and R are the same at all times, or have a leading axis of times.

    F and Q of time t lead to x_t: those of time 0 are not used.
    """

    transition: Float[Tensor, "*times state state"]
    """F."""
    noise: Float[Tensor, "*times state state"]
    """Q."""
    observation: Float[Tensor, "*times observed state"]
    """H."""
    observation_noise: Float[Tensor, "*times observed observed"]
    """R."""
    mean: Float[Tensor, "state"]
    """Of x_0."""
    covariance: Float[Tensor, "state state"]
    """Of x_0."""

    def __post_init__(self) -> None:
        for name, matrix in vars(self).items():
            object.__setattr__(self, name, numbers(matrix, f"chain: {name}"))
        if self.observation.ndim < 2:
            raise ValueError(
                f"chain: observation has shape {tuple(self.observation.shape)}, it needs a matrix"
            )
        state, observed = len(self.mean), self.observed
        square = {"transition": state, "noise": state, "covariance": state, "observation_noise": observed}
        wanted = {name: (width, width) for name, width in square.items()} | {"observation": (observed, state)}
        for name, shape in wanted.items():
            given = tuple(getattr(self, name).shape)
            if given[-2:] != shape or len(given) > (2 if name == "covariance" else 3):
                raise ValueError(
                    f"chain: {name} has shape {given}, with a mean of {state} numbers it needs {shape}"
                )
        if len(self.times) > 1:
            raise ValueError(f"chain: matrices are of {' and '.join(map(str, sorted(self.times)))} times")
        for name in ("noise", "covariance", "observation_noise"):
            _require_covariance(getattr(self, name), f"chain: {name}", singular=name != "observation_noise")

    @property
    def observed(self) -> int:
        """Numbers of an observation."""
        return self.observation.shape[-2]

    @property
    def times(self) -> set[int]:
        """Times of the matrices that have an axis of them."""
        each = (self.transition, self.noise, self.observation, self.observation_noise)
        return {len(matrix) for matrix in each if matrix.ndim == 3}


class Moments(NamedTuple):
    """Of the states at all times."""

    mean: States
    covariance: Covariances


def filtered(chain: Chain, observations: Numbers, seen: Seen | None = None) -> Moments:
    """p(x_t given y_0 ... y_t)."""
    return _filtered(*_checked(chain, observations, seen))


def smoothed(chain: Chain, observations: Numbers, seen: Seen | None = None) -> Moments:
    """p(x_t given all y): the filter's N(m, P) times p(y_{t+1} ... given x_t) ~ N^-1(eta, J)."""
    chain, y = _checked(chain, observations, seen)
    elements = _filter_elements(chain, y)
    _, mean, covariance, _, _ = scan(_combined, elements)
    *_, eta, j = scan(_behind, tuple(each[1:].flip(0) for each in elements)) if len(y) > 1 else elements
    eta, j = (torch.cat([each.flip(0), torch.zeros_like(each[:1])])[-len(y) :] for each in (eta, j))
    _, after = _both_known(
        covariance, j, to=torch.eye(len(chain.mean), dtype=y.dtype, device=y.device).expand_as(j)
    )
    return Moments(mean + times(after, eta - times(j, mean)), after)


def log_evidence(chain: Chain, observations: Numbers, seen: Seen | None = None) -> Float[Tensor, ""]:
    """log p(y) = sum_t log N(y_t; H m, H P H^T + R), m and P those of x_t given what came before."""
    chain, y = _checked(chain, observations, seen)
    now, h = _filtered(chain, y), chain.observation
    ahead = _predicted(chain, now)
    mean = torch.cat([chain.mean[None], ahead.mean[:-1]])
    covariance = torch.cat([chain.covariance[None], ahead.covariance[:-1]])
    root = _read(covariance, h, chain.observation_noise).root
    away = times(root, y - _moved(h, mean))
    volume = 2 * root.diagonal(dim1=-2, dim2=-1).abs().log().sum()
    logs = away.square().sum() - volume + y.numel() * math.log(2 * math.pi)
    if seen is not None:
        # a missing number has the density of 0 under noise by itself, which is no evidence
        missing = (2 * math.pi * chain.observation_noise.diagonal(dim1=-2, dim2=-1)).log()
        logs = logs - torch.where(seen, 0.0, missing).sum()
    return -0.5 * logs


def _filtered(chain: Chain, y: Observations) -> Moments:
    _, mean, covariance, _, _ = scan(_combined, _filter_elements(chain, y))
    return Moments(mean, covariance)


def scan(combined: Callable[[Elements, Elements], Elements], elements: Elements) -> Elements:
    """a_0, a_0 a_1, a_0 a_1 a_2, ... of an associative product, along the first axis: 2 T products in 2 log2(T) steps.

    Pairs are combined, their products scanned, and the places between filled in (Blelloch 1990).
    """
    count = len(elements[0])
    if count == 1:
        return elements
    pairs = combined(_every(elements, slice(0, count - 1, 2)), _every(elements, slice(1, None, 2)))
    odd = scan(combined, pairs)
    before = _every(odd, slice(0, (count - 1) // 2))
    even = combined(before, _every(elements, slice(2, None, 2))) if count > 2 else before
    return tuple(_woven(first[:1], a, b) for first, a, b in zip(elements, odd, even, strict=True))


def _woven(first: Tensor, odd: Tensor, even: Tensor) -> Tensor:
    whole = first.new_empty(1 + len(odd) + len(even), *first.shape[1:])
    whole[:1], whole[1::2], whole[2::2] = first, odd, even
    return whole


def _every(elements: Elements, places: slice) -> Elements:
    return tuple(each[places] for each in elements)


def _filter_elements(chain: Chain, y: Observations) -> Elements:
    """(A, b, C, eta, J) of each t: p(x_t given y_t, x) = N(A x + b, C), p(y_t given x) ~ N^-1(eta, J), x = x_{t-1}."""
    f, h, state = chain.transition, chain.observation, len(chain.mean)
    read = _read(chain.noise, h, chain.observation_noise)
    told = read.root @ h @ f
    left = (torch.eye(state, dtype=y.dtype, device=y.device) - read.gain @ h) @ f
    a, c, j = (matrix.expand(len(y), state, state).clone() for matrix in (left, read.after, told.mT @ told))
    b, eta = _moved(read.gain, y), _moved(told.mT @ read.root, y)
    h, noise = (matrix[0] if matrix.ndim == 3 else matrix for matrix in (h, chain.observation_noise))
    first = _read(chain.covariance, h, noise)
    b[0] = chain.mean + first.gain @ (y[0] - h @ chain.mean)
    c[0] = first.after
    return a, b, c, eta, j


class _Read(NamedTuple):
    """Readings of states of covariance P."""

    gain: Tensor
    """K = P H^T (H P H^T + R)^-1."""
    after: Covariances
    """(P^-1 + H^T R^-1 H)^-1."""
    root: Tensor
    """Lower triangular T, T^T T = (H P H^T + R)^-1."""


def _read(p: Covariances, h: Tensor, r: Covariances) -> _Read:
    """P may be singular, or so vague that R is rounded away beside it where readings of one time tell the same."""
    batch = torch.broadcast_shapes(*(each.shape[:-2] for each in (p, h, r)))
    p, h, r = (each.expand(*batch, *each.shape[-2:]) for each in (p, h, r))
    own, eye = torch.linalg.cholesky(r), torch.eye(h.shape[-2], dtype=r.dtype, device=r.device)
    back = torch.linalg.solve_triangular(own, eye.expand_as(own), upper=False)
    told = back @ h
    spread = torch.linalg.cholesky_ex(eye + told @ p @ told.mT).L
    root = torch.linalg.solve_triangular(spread, back, upper=False)
    gain = p @ (root @ h).mT @ root
    left = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device) - gain @ h
    # Joseph's form: sums, where P - K H P would round a small rest of a large P away
    after = left @ p @ left.mT + gain @ r @ gain.mT
    hard = ~((p @ told.mT @ told).abs().amax(dim=(-2, -1)) <= EASY)
    if bool(hard.any()):
        told, back = told[hard], back[hard]
        spread = _one_and(_root(p[hard]) @ told.mT).mT
        root[hard] = torch.linalg.solve_triangular(spread, back, upper=False)
        half = _half(p[hard], told)
        after[hard] = half.mT @ half
        gain[hard] = after[hard] @ told.mT @ back
    return _Read(gain, after, root)


def _combined(one: Elements, two: Elements) -> Elements:
    """Elements of two stretches of time, one behind the other, as one."""
    a, b, c, eta, j = one
    a2, b2, c2, eta2, j2 = two
    both, moved = _both_known(c, j2, to=a2)
    back = (a - both @ (j2 @ a)).mT
    return (
        a2 @ back.mT,
        times(a2, b + times(both, eta2 - times(j2, b))) + b2,
        moved + c2,
        times(back, eta2 - times(j2, b)) + eta,
        back @ j2 @ a + j,
    )


def _behind(later: Elements, sooner: Elements) -> Elements:
    """The same where times run backwards."""
    return _combined(sooner, later)


def _both_known(
    covariance: Covariances, j: Covariances, *, to: Covariances
) -> tuple[Covariances, Covariances]:
    """C = (P^-1 + J)^-1, of singular P too, and A C A^T."""
    product = covariance @ j
    eye = torch.eye(j.shape[-1], dtype=j.dtype, device=j.device)
    found = inverse(eye + product) @ covariance
    moved = to @ found @ to.mT
    if product.numel() and float(product.abs().max()) > EASY:
        hard = product.abs().amax(dim=(-2, -1)) > EASY
        half = _half(covariance[hard], _root(j[hard]))
        found[hard] = half.mT @ half
        half = half @ to[hard].mT
        moved[hard] = half.mT @ half
    return found, moved


def _half(covariance: Covariances, told: Tensor) -> Tensor:
    """B, B^T B = (P^-1 + A^T A)^-1: a vague P or a precise A takes no digit from what is known well."""
    root = _root(covariance)
    # S^T (1 + S A^T A S^T)^-1 S, S^T S = P
    return torch.linalg.solve_triangular(_one_and(told @ root.mT).mT, root, upper=False)


def _one_and(factor: Covariances) -> Covariances:
    """Upper triangular R, R^T R = 1 + A^T A, without a square of A: there is one however large A is."""
    width = factor.shape[-1]
    eye = torch.eye(width, dtype=factor.dtype, device=factor.device).expand(*factor.shape[:-2], width, width)
    r = torch.linalg.qr(torch.cat([factor, eye], dim=-2), mode="r").R
    # each is the distance of a column from those before it, at least 1 before rounding
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    return r + torch.diag_embed(diagonal.abs().clamp(min=1).copysign(diagonal) - diagonal)


def _root(covariance: Covariances) -> Covariances:
    """A with A^T A = P, singular ones too, exact to rounding of each number's own scale."""
    scale = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    safe = torch.where(scale > 0, scale, 1.0)
    values, vectors = torch.linalg.eigh(covariance / (safe[:, :, None] * safe[:, None, :]))
    return (values.clamp(min=0).sqrt()[:, None, :] * vectors).mT * scale[:, None, :]


def _predicted(chain: Chain, now: Moments) -> Moments:
    """Of the time after each; after the last that of the last."""
    f, noise = _following(chain.transition), _following(chain.noise)
    return Moments(_moved(f, now.mean), f @ now.covariance @ f.mT + noise)


def _following(matrix: Tensor) -> Tensor:
    """Of the time after each, where matrices have times."""
    return matrix if matrix.ndim == 2 else torch.cat([matrix[1:], matrix[-1:]])


def _moved(matrix: Tensor, vectors: Float[Tensor, "time from_"]) -> Float[Tensor, "time to"]:
    """A x of each time; one product where A is the same at all times."""
    return vectors @ matrix.mT if matrix.ndim == 2 else times(matrix, vectors)


def inverse(matrix: Tensor) -> Tensor:
    """Of small ones in a batch: up to width 2 by the adjugate, which has no call for each matrix."""
    match matrix.shape[-1]:
        case 1:
            return 1 / matrix
        case 2:
            (a, b), (c, d) = matrix.movedim((-2, -1), (0, 1))
            adjugate = torch.stack([d, -b, -c, a], dim=-1).reshape(matrix.shape)
            return adjugate / (a * d - b * c)[..., None, None]
        case _:
            return torch.linalg.inv_ex(matrix).inverse


def _checked(chain: Chain, observations: Numbers, seen: Seen | None) -> tuple[Chain, Observations]:
    """The chain of what is seen, and this; ValueError for other shapes."""
    y = numbers(observations, "observations") if seen is None else _present(observations, seen)
    if y.ndim != 2 or len(y) == 0 or y.shape[1] != chain.observed:
        raise ValueError(
            f"observations: have shape {tuple(y.shape)}, need one row or more of {chain.observed} numbers"
        )
    if chain.times - {len(y)}:
        raise ValueError(f"observations: are of {len(y)} times, the chain's matrices of {max(chain.times)}")
    return (chain if seen is None else _of_seen(chain, seen)), y


def _present(observations: Numbers, seen: Seen) -> Observations:
    """Observations with 0 in place of what is missing, whatever stands there."""
    y = torch.as_tensor(observations, dtype=torch.float64)
    if seen.dtype != torch.bool or seen.shape != y.shape:
        raise ValueError(
            f"seen: is {seen.dtype} of shape {tuple(seen.shape)}; it needs true or false for each of the observations, "
            f"of shape {tuple(y.shape)}"
        )
    return numbers(torch.where(seen, y, 0.0), "observations")


def _of_seen(chain: Chain, seen: Seen) -> Chain:
    """The same, of which a missing number tells nothing: it is its noise alone, by itself."""
    there = seen.to(chain.mean.dtype)
    together = there[:, :, None] * there[:, None, :] + torch.diag_embed(1 - there)
    observation = there[..., None] * chain.observation
    return replace(chain, observation=observation, observation_noise=together * chain.observation_noise)


def _require_covariance(matrix: Tensor, name: str, *, singular: bool) -> None:
    """Whatever the unit of each number."""
    variance = matrix.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(variance > 0, variance, 1.0).sqrt()
    least = torch.linalg.eigvalsh(matrix / (scale[..., :, None] * scale[..., None, :])).amin()
    positive = bool((variance >= 0).all()) and bool(least >= -ROUNDING if singular else least > ROUNDING)
    if not is_symmetric(matrix) or not positive:
        raise ValueError(f"{name}: has to be symmetric and positive {'semi' if singular else ''}definite")
