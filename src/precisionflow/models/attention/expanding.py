"""Expanding attention: each query looks at nearer keys first, and at farther ones only while they may matter.

The distance k of a query's edge is geometric with a parameter q of the query, p(k | q) = (1 - q) q^k, and
q ~ Beta(beta, alpha). Their posterior is found by truncated mean-field updates (Singh & Buckley 2023, section 5.2):

    q_t = beta_t / (alpha_t + beta_t),    p_t(k) ~ p(x | k) q_t^k,
    alpha_(t + 1) = alpha_t + 1,          beta_(t + 1) = beta_t + E_(p_t)[k].

Keys that are not looked at yet count with the likelihood to be expected of them, else the updates see no reason to go
on. A window that holds all keys gives the updates without truncation.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding, pad

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.geometric_series import Beyond
from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior
from precisionflow.models.attention.lowerings import Lowering, Values
from precisionflow.models.attention.lowerings.head_by_head import Side, made
from precisionflow.models.attention.priors.padding import Present
from precisionflow.models.numerics import at_least_float32

ENTRIES = 2**22
"""Numbers of gathered keys that are held at once."""
WHOLE = 2**16
"""Entries of a matrix of log potentials that costs less than its keys gathered."""
NEAR = 64
"""Nearest keys whose log potentials are made by blocks of as many queries: a product of matrices, nothing gathered."""
GROWTH = 4
"""A window grows by a part of itself, one in so many, where that is more than a step."""

Scores = Float[Tensor, "rows window"]


@dataclass(frozen=True)
class Expanding:
    """How windows grow and how their posterior is inferred."""

    alpha: float
    """Of the hyper-prior: how many edges it counts as seen."""
    beta: float
    """Of the hyper-prior: how many tokens these edges have passed."""
    updates: int
    step: int
    """Keys that are looked at at once."""
    tolerance: float
    """Posterior mass of keys that are not looked at: a window grows until it is at most this."""

    def __call__(
        self, lowering: Lowering, queries: Side, keys: Side, prior: LogPrior
    ) -> "ExpandingPosterior":
        """`prior` is geometric, and has padding where there is some; the queries are the last of the keys."""
        return ExpandingPosterior(lowering, made(queries), made(keys), prior, how=self)

    def inferred(
        self, scores: Scores, available: Int[Tensor, "rows"]
    ) -> tuple[Float[Tensor, "rows"], Float[Tensor, "rows"]]:
        """log q after all updates, and the posterior mass of the keys beyond the window.

        `available`: how many keys there are in all.
        """
        distance = torch.arange(scores.shape[1], device=scores.device, dtype=scores.dtype)
        usual = _usual(scores)
        alpha, beta = self.alpha, torch.full_like(usual, self.beta, dtype=torch.float64)
        for _ in range(self.updates):
            log_q = _log_mean(alpha, beta).to(usual.dtype)
            log_joint = scores + distance * log_q[:, None]
            beyond = Beyond.of(log_q, first=scores.shape[1], available=available)
            log_seen, within = _seen(log_joint, distance)
            unseen = (usual + beyond.log_mass - torch.logaddexp(log_seen, usual + beyond.log_mass)).exp()
            alpha, beta = alpha + 1, beta + torch.lerp(within, beyond.distance, unseen)
        log_q = _log_mean(alpha, beta).to(usual.dtype)
        log_tail = usual + Beyond.of(log_q, first=scores.shape[1], available=available).log_mass
        log_seen = (scores + distance * log_q[:, None]).logsumexp(-1)
        return log_q, (log_tail - torch.logaddexp(log_seen, log_tail)).exp()


def _log_mean(alpha: float, beta: Float[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """log of beta / (alpha + beta), which may be as near to 1 as the numbers allow."""
    return -(alpha / beta).clamp(max=torch.finfo(beta.dtype).max).log1p()


def _seen(
    log_joint: Scores, distance: Float[Tensor, "window"]
) -> tuple[Float[Tensor, "rows"], Float[Tensor, "rows"]]:
    """log of the mass of the keys inside, and their mean distance."""
    smallest = torch.finfo(log_joint.dtype)
    best = log_joint.amax(-1, keepdim=True).clamp(min=smallest.min)
    mass = (log_joint - best).exp_()
    total = mass.sum(-1).clamp(min=smallest.tiny)
    return best[:, 0] + total.log(), (mass @ distance) / total


def _usual(scores: Scores) -> Float[Tensor, "rows"]:
    """log of the mean likelihood of a key like those seen: log potentials normal, the best left out as a find."""
    best, seen = scores.amax(-1, keepdim=True), scores.isfinite()
    below = (scores - best).masked_fill_(~seen, 0.0)
    others = (seen.sum(-1) - 1).clamp(min=1)
    mean = below.sum(-1) / others
    variance = (torch.linalg.vecdot(below, below) / others - mean.square()).clamp(min=0)
    return torch.where(best[:, 0].isfinite(), best[:, 0] + mean + variance / 2, 0.0)


@dataclass(frozen=True)
class Grown:
    """log p(k | q) of every query with its own q, up to its constant, -inf outside the window that it has grown to."""

    window: Int[Tensor, "batch heads queries"]
    log_q: Float[Tensor, "batch heads queries"]
    places: Int[Tensor, "queries"]
    """Where the queries stand among the keys."""
    keeps_self = True
    learned: tuple[Tensor, ...] = ()

    @cached_property
    def _first(self) -> list[int]:
        """The farthest key that a query of any sequence and head looks at."""
        return (self.places + 1 - self.window).amin((0, 1)).clamp(min=0).tolist()  # type: ignore[no-any-return]

    def reach(self, queries: slice, keys: int) -> slice:  # noqa: ARG002 - the queries are the last of them
        return slice(min(self._first[queries]), int(self.places[queries.stop - 1]) + 1)

    def block(self, queries: slice, keys: slice) -> Block:
        there = torch.arange(keys.start, keys.stop, device=self.places.device)
        distance = self.places[queries, None] - there
        outside = (distance < 0) | (distance >= self.window[..., queries, None])
        return (distance * self.log_q[..., queries, None]).masked_fill(outside, float("-inf"))

    def of_heads(self, heads: slice) -> "Grown":
        return replace(self, window=self.window[:, heads], log_q=self.log_q[:, heads])

    def edgewise(self) -> Edgewise:
        places, window, log_q = self.places, self.window, self.log_q

        def possible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            distance = places[query] - key
            return (distance >= 0) & (distance < window[batch, head, query])

        return Edgewise(
            log=lambda batch, head, query, key: (places[query] - key) * log_q[batch, head, query],
            possible=possible,
            by_sequence=True,
            by_head=True,
        )


@dataclass(frozen=True)
class ExpandingPosterior(Posterior):
    """p(edge | x) inside the window that each query has grown to.

    Windows and q are inferred from the log potentials of the keys inside and taken as given by the gradient. What
    follows is the posterior of a prior of windows: its blocks have the keys of all their queries' windows.
    """

    how: Expanding = field(kw_only=True)

    def expectation(self, values: Values) -> Float[Tensor, "batch heads queries width"]:
        return self._inside.expectation(values)

    def probabilities(self) -> Float[Tensor, "batch heads queries keys"]:
        return self._inside.probabilities()

    @property
    def visited(self) -> Int[Tensor, "batch heads queries"]:
        """Keys that each query has looked at."""
        return self._grown.window.minimum(self.places + 1)

    @property
    def padding(self) -> tuple[Present, ...]:
        """The prior of padding, where there is some."""
        return tuple(factor for factor in self.prior.factors if isinstance(factor, Present))

    @cached_property
    def _inside(self) -> Posterior:
        prior = LogPrior(factors=(self._grown, *self.padding), absent=self.prior.absent)
        return Posterior(self.lowering, self.queries, self.keys, prior)

    @cached_property
    def places(self) -> Int[Tensor, "queries"]:
        """Where the queries stand among the keys."""
        places = torch.arange(self.keys.shape[2], device=self.keys.device)
        return places[-self.queries.shape[2] :]

    @cached_property
    def _grown(self) -> Grown:
        device, shape = self.queries.device, self.queries.shape[:3]
        with torch.no_grad(), torch.autocast(device_type=device.type, enabled=False):
            look = _Looked.at(self)
            heads = max(1, ENTRIES // (2 * NEAR * shape[2]))
            parts = torch.arange(math.prod(shape), device=device).split(heads * shape[2])
            windows, log_q = zip(*(self._grow(look, rows) for rows in parts), strict=True)
        return Grown(torch.cat(windows).view(shape), torch.cat(log_q).view(shape), self.places)

    def _grow(self, look: "_Looked", rows: Int[Tensor, "rows"]) -> tuple[Tensor, Tensor]:
        window, log_q = torch.zeros_like(rows), at_least_float32(self.queries.new_zeros(len(rows)))
        going, available = torch.arange(len(rows), device=rows.device), look.available[rows]
        scores, seen = look.near(rows), 0
        while len(going):
            seen = min(seen + max(self.how.step, seen // GROWTH), self.keys.shape[2])
            known = scores.shape[1]
            if known < seen:
                scores = torch.cat([scores, look.scores(rows[going], known, seen - known)], dim=-1)
            inferred, unseen = self.how.inferred(scores[:, :seen], available[going])
            done = (unseen <= self.how.tolerance) | (seen >= available[going])
            window[going[done]], log_q[going[done]] = seen, inferred[done]
            going, scores = going[~done], scores[~done]
        return window, log_q


@dataclass(frozen=True)
class _Looked:
    """Log potentials of single queries by distance; queries of all sequences and heads lie side by side."""

    posterior: ExpandingPosterior
    available: Int[Tensor, "rows"]
    """Keys at the place of each query and before it."""
    real: Bool[Tensor, "batch queries keys"] | None
    """Whether a token stands at the key, or none at the query, which may look at any; none: everywhere."""
    whole: Scores | None
    """Those of all keys, the nearest first, where the matrix is small."""

    @classmethod
    def at(cls, posterior: ExpandingPosterior) -> "_Looked":
        batch, heads, queries, _ = posterior.queries.shape
        keys, available = posterior.keys.shape[2], (posterior.places + 1).repeat(batch * heads)
        real = None
        for factor in posterior.padding:
            real = factor.keys[:, None].expand(-1, queries, -1)
            if posterior.prior.absent is not None:
                real = real | posterior.prior.absent[:, :, None]
        if queries * keys > WHOLE:
            return cls(posterior, available, real, None)
        scores = posterior.lowering.log_potentials(posterior.queries, posterior.keys)
        if real is not None:
            scores = scores.masked_fill(~real[:, None], float("-inf"))
        places = available[:, None] - 1 - torch.arange(keys, device=scores.device)
        nearest_first = scores.flatten(0, 2).gather(1, places.clamp(min=0))
        return cls(posterior, available, real, nearest_first.masked_fill(places < 0, float("-inf")))

    def near(self, rows: Int[Tensor, "rows"]) -> Scores:
        """Those of the nearest keys of all queries of some heads; of no key where others are there or some are padding.

        A block of queries shares its keys; the potentials of one query lie one place further than those before it.
        """
        queries, keys = self.posterior.queries, self.posterior.keys
        asking, kept = queries.shape[2], keys.shape[2]
        if self.whole is not None or self.real is not None:
            return queries.new_zeros(len(rows), 0)
        of = slice(int(rows[0]) // asking, int(rows[-1]) // asking + 1)
        blocks = math.ceil(asking / NEAR)
        behind, before = blocks * NEAR - asking, NEAR - 1 - (kept - asking)
        here = pad(queries.flatten(0, 1)[of], (0, 0, 0, behind)).unflatten(1, (blocks, NEAR))
        there = pad(keys.flatten(0, 1)[of], (0, 0, before, behind)).unfold(1, 2 * NEAR - 1, NEAR)
        block = self.posterior.lowering.log_potentials(here, there.transpose(-1, -2)).flatten(-2)
        aligned = pad(block, (0, NEAR)).unflatten(-1, (NEAR, 2 * NEAR))[..., :NEAR]
        nearest_first = aligned.flatten(1, 2)[:, :asking].flip(-1).flatten(0, 1)
        impossible = torch.arange(NEAR, device=rows.device) >= self.available[rows, None]
        return nearest_first.masked_fill_(impossible, float("-inf"))

    def scores(self, rows: Int[Tensor, "rows"], first: int, count: int) -> Scores:
        """Of the distances first, ..., first + count - 1; -inf where no key stands."""
        if self.whole is not None:
            found = self.whole[rows, first : first + count]
            return pad(found, (0, count - found.shape[1]), value=float("-inf"))
        few = max(1, ENTRIES // (count * self.posterior.keys.shape[-1]))
        return torch.cat([self._gathered(part, first, count) for part in rows.split(few)])

    def _gathered(self, rows: Int[Tensor, "rows"], first: int, count: int) -> Scores:
        queries, keys = self.posterior.queries, self.posterior.keys
        heads, asking, kept = queries.shape[1], queries.shape[2], keys.shape[2]
        distance = torch.arange(first, first + count, device=rows.device)
        places = self.available[rows, None] - 1 - distance
        possible, places = places >= 0, places.clamp(min=0)
        there = embedding((rows // asking * kept)[:, None] + places, keys.flatten(0, 2))
        here = embedding(rows, queries.flatten(0, 2))
        scores = self.posterior.lowering.log_potentials(here[:, None, None], there[:, None])[:, 0, 0]
        if self.real is not None:
            possible &= self.real[(rows // (heads * asking))[:, None], (rows % asking)[:, None], places]
        return scores.masked_fill(~possible, float("-inf"))
