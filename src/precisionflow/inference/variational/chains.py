"""Linear Gaussian chains exactly, in log2(T) parallel steps: filter and smoother by associative scan.

    x_0 ~ N(mean, covariance) ,   x_t = F x_{t-1} + N(0, Q) ,   y_t = H x_t + N(0, R)

Särkkä & García-Fernández (2021), Temporal parallelization of Bayesian smoothers, equations 10 to 19. Q may be singular;
F, Q, H and R may differ between times, and of an observation any number may be missing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from precisionflow.inference.ranks import ALONE, Ranks, of_each
from precisionflow.inference.variational.families import Numbers, array, is_symmetric, numbers, require_kind
from precisionflow.inference.variational.families.gaussian_vector import times
from precisionflow.inference.variational.known import both_known, read

ROUNDING = 1e-12
"""Of the least eigenvalue of a covariance in units of its standard deviations."""

Elements = tuple[Tensor, ...]
States = Float[Tensor, "time state"]
Covariances = Float[Tensor, "time state state"]
Observations = Float[Tensor, "time observed"]


Found = TypeVar("Found", bound=tuple[Tensor, ...])
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
        if self.mean.ndim != 1 or not len(self.mean):
            raise ValueError(
                f"chain: mean has shape {tuple(self.mean.shape)}, it needs a row of one number or more"
            )
        if self.observation.ndim < 2 or not self.observed:
            raise ValueError(
                f"chain: observation has shape {tuple(self.observation.shape)}, it needs a matrix of one row or more"
            )
        state, observed = len(self.mean), self.observed
        square = {"transition": state, "noise": state, "covariance": state, "observation_noise": observed}
        wanted = {name: (width, width) for name, width in square.items()} | {"observation": (observed, state)}
        for name, shape in wanted.items():
            given = tuple(getattr(self, name).shape)
            if given[-2:] != shape or len(given) > (2 if name == "covariance" else 3) or 0 in given:
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


def filtered(
    chain: Chain, observations: Numbers, seen: Seen | None = None, *, ranks: Ranks = ALONE
) -> Moments:
    """p(x_t given y_0 ... y_t). A rank has the times behind those of the rank before, and their matrices."""
    chain, y, _ = _checked(chain, observations, seen)
    return _finite(_stretches(_filter_elements(chain, y, first=not ranks.index), ranks).now)


def smoothed(
    chain: Chain, observations: Numbers, seen: Seen | None = None, *, ranks: Ranks = ALONE
) -> Moments:
    """p(x_t given all y): the filter's N(m, P) times p(y_{t+1} ... given x_t) ~ N^-1(eta, J); ranks as `filtered`."""
    chain, y, _ = _checked(chain, observations, seen)
    elements = _filter_elements(chain, y, first=not ranks.index)
    (mean, covariance), _, behind = _stretches(elements, ranks)
    nothing = tuple(torch.zeros_like(each[:1]) for each in elements)
    *_, eta, j = behind or nothing
    if len(y) > 1:
        later = scan(_behind, tuple(each[1:].flip(0) for each in elements))
        *_, own_eta, own_j = later if behind is None else _behind(_repeated(behind, len(y) - 1), later)
        eta, j = (torch.cat([own.flip(0), end]) for own, end in ((own_eta, eta), (own_j, j)))
    eye = torch.eye(len(chain.mean), dtype=y.dtype, device=y.device)
    _, after = both_known(covariance, j, to=eye.expand_as(j))
    return _finite(Moments(mean + times(after, eta - times(j, mean)), after))


def log_evidence(
    chain: Chain, observations: Numbers, seen: Seen | None = None, *, ranks: Ranks = ALONE
) -> Float[Tensor, ""]:
    """log p(y) = sum_t log N(y_t; H m, H P H^T + R), m and P those of x_t given what came before; of all ranks."""
    chain, y, seen = _checked(chain, observations, seen)
    (now, spread), before, _ = _stretches(_filter_elements(chain, y, first=not ranks.index), ranks)
    f, h = chain.transition, chain.observation
    begun = (chain.mean[None], chain.covariance[None]) if before is None else before[1:3]
    mean = _moved(f, torch.cat([begun[0], now[:-1]]))
    covariance = f @ torch.cat([begun[1], spread[:-1]]) @ f.mT + chain.noise
    if before is None:
        mean[0], covariance[0] = chain.mean, chain.covariance
    root = read(covariance, h, chain.observation_noise).root
    away = times(root, y - _moved(h, mean))
    volume = 2 * root.diagonal(dim1=-2, dim2=-1).abs().log().sum()
    logs = away.square().sum() - volume + y.numel() * math.log(2 * math.pi)
    if seen is not None:
        # a missing number has the density of 0 under noise by itself, which is no evidence
        missing = (2 * math.pi * chain.observation_noise.diagonal(dim1=-2, dim2=-1)).log()
        logs = logs - torch.where(seen, 0.0, missing).sum()
    return _finite((-0.5 * ranks.sum(logs),))[0]


class _Stretches(NamedTuple):
    """What the times of a rank tell, and those before and after."""

    now: Moments
    """Given all times up to each."""
    before: Elements | None
    """All earlier ranks as one element, none: this one is the first."""
    behind: Elements | None
    """All later ones."""


def _stretches(elements: Elements, ranks: Ranks) -> _Stretches:
    """The scan of every rank's times, and of the products of all ranks, which one sum tells."""
    own = scan(_combined, elements)
    if ranks.count == 1:
        return _Stretches(Moments(*own[1:3]), None, None)
    last = _every(own, slice(-1, None))
    told = of_each(torch.cat([each.flatten() for each in last]), ranks)
    parts = zip(told.split([each.numel() for each in last], dim=1), last, strict=True)
    each = tuple(part.reshape(-1, *like.shape[1:]) for part, like in parts)
    place = ranks.index
    before = _every(scan(_combined, _every(each, slice(0, place))), slice(-1, None)) if place else None
    later = place + 1 < ranks.count
    behind = _every(scan(_combined, _every(each, slice(place + 1, None))), slice(-1, None)) if later else None
    if before is not None:
        own = _combined(_repeated(before, len(own[0])), own)
    return _Stretches(Moments(*own[1:3]), before, behind)


def _repeated(element: Elements, count: int) -> Elements:
    return tuple(each.expand(count, *each.shape[1:]) for each in element)


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


def _filter_elements(chain: Chain, y: Observations, *, first: bool) -> Elements:
    """(A, b, C, eta, J) of each t: p(x_t given y_t, x) = N(A x + b, C), p(y_t given x) ~ N^-1(eta, J), x = x_{t-1}."""
    f, h, state = chain.transition, chain.observation, len(chain.mean)
    by = read(chain.noise, h, chain.observation_noise)
    told = by.root @ h @ f
    left = (torch.eye(state, dtype=y.dtype, device=y.device) - by.gain @ h) @ f
    a, c, j = (matrix.expand(len(y), state, state).clone() for matrix in (left, by.after, told.mT @ told))
    b, eta = _moved(by.gain, y), _moved(told.mT @ by.root, y)
    if first:
        h, noise = (matrix[0] if matrix.ndim == 3 else matrix for matrix in (h, chain.observation_noise))
        begun = read(chain.covariance, h, noise)
        b[0] = chain.mean + begun.gain @ (y[0] - h @ chain.mean)
        c[0] = begun.after
    return a, b, c, eta, j


def _combined(one: Elements, two: Elements) -> Elements:
    """Elements of two stretches of time, one behind the other, as one."""
    a, b, c, eta, j = one
    a2, b2, c2, eta2, j2 = two
    both, moved = both_known(c, j2, to=a2)
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


def _moved(matrix: Tensor, vectors: Float[Tensor, "time from_"]) -> Float[Tensor, "time to"]:
    """A x of each time; one product where A is the same at all times."""
    return vectors @ matrix.mT if matrix.ndim == 2 else times(matrix, vectors)


def _checked(
    chain: Chain, observations: Numbers, seen: Seen | None
) -> tuple[Chain, Observations, Seen | None]:
    """The chain of what is seen, this, and which of it is there; ValueError for other shapes."""
    require_kind(chain, Chain, "chain", "a Chain")
    seen = None if seen is None else array(seen, "seen")
    y = numbers(observations, "observations") if seen is None else _present(observations, seen)
    if y.ndim != 2 or len(y) == 0 or y.shape[1] != chain.observed:
        raise ValueError(
            f"observations: have shape {tuple(y.shape)}, need one row or more of {chain.observed} numbers"
        )
    if chain.times - {len(y)}:
        raise ValueError(f"observations: are of {len(y)} times, the chain's matrices of {max(chain.times)}")
    return (chain if seen is None else _of_seen(chain, seen)), y, seen


def _finite(found: Found) -> Found:
    """ValueError where a number is not finite."""
    if not all(bool(each.isfinite().all()) for each in found):
        raise ValueError(
            "chain: what is known of its states is not finite: they grow beyond what float64 holds where little is "
            "seen of them; give readings there, fewer times or a smaller transition"
        )
    return found


def _present(observations: Numbers, seen: Seen) -> Observations:
    """Observations with 0 in place of what is missing, whatever stands there."""
    y = array(observations, "observations", torch.float64)
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
