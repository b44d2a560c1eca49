"""Expanding attention: each query looks at nearer keys first, and at farther ones only while they may matter.

The distance k of a query's edge is geometric with a parameter q of the query, p(k | q) = (1 - q) q^k, and
q ~ Beta(beta, alpha). Their posterior is found by truncated mean-field updates (Singh & Buckley 2023, section 5.2):

    q_t = beta_t / (alpha_t + beta_t),    p_t(k) ~ p(x | k) q_t^k,
    alpha_(t + 1) = alpha_t + 1,          beta_(t + 1) = beta_t + E_(p_t)[k].

Keys that are not looked at yet count with the likelihood to be expected of them, else the updates see no reason to go
on. A window that holds all keys gives the updates without truncation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding, pad
from torch.utils.checkpoint import checkpoint

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Keys, Lowering, Queries, Values
from precisionflow.models.attention.priors.padding import Present

ENTRIES = 2**21
"""Numbers of gathered keys that are held at once."""
WHOLE = 2**16
"""Entries of a matrix of log potentials that costs less than its keys gathered."""
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
        self, lowering: Lowering, queries: Queries, keys: Keys, prior: LogPrior
    ) -> "ExpandingPosterior":
        """`prior` is geometric, and has padding where there is some; the queries are the last of the keys."""
        return ExpandingPosterior(lowering, queries, keys, prior, how=self)

    def inferred(
        self, scores: Scores, available: Int[Tensor, "rows"]
    ) -> tuple[Float[Tensor, "rows"], Float[Tensor, "rows"]]:
        """log q after all updates, and the posterior mass of the keys beyond the window.

        `available`: how many keys there are in all.
        """
        distance = torch.arange(scores.shape[1], device=scores.device, dtype=scores.dtype)
        usual = _usual(scores)
        alpha, beta = self.alpha, torch.full_like(usual, self.beta)
        for _ in range(self.updates):
            log_q = beta.log() - (alpha + beta).log()
            log_joint = scores + distance * log_q[:, None]
            beyond = _Beyond.of(log_q, first=scores.shape[1], available=available)
            log_tail = usual + beyond.log_mass
            log_total = torch.logaddexp(log_joint.logsumexp(-1), log_tail)
            within = (log_joint - log_total[:, None]).exp() @ distance
            alpha, beta = alpha + 1, beta + within + (log_tail - log_total).exp() * beyond.distance
        log_q = beta.log() - (alpha + beta).log()
        log_tail = usual + _Beyond.of(log_q, first=scores.shape[1], available=available).log_mass
        log_seen = (scores + distance * log_q[:, None]).logsumexp(-1)
        return log_q, (log_tail - torch.logaddexp(log_seen, log_tail)).exp()


def _usual(scores: Scores) -> Float[Tensor, "rows"]:
    """log of the mean likelihood of a key like those seen: log potentials normal, the best left out as a find."""
    best, place = scores.max(-1, keepdim=True)
    others = scores.isfinite().scatter(1, place, False)
    count = others.sum(-1, keepdim=True)
    centre = torch.where(others, scores, 0.0).sum(-1, keepdim=True) / count.clamp(min=1)
    variance = torch.where(others, (scores - centre).square(), 0.0).sum(-1, keepdim=True) / count.clamp(min=1)
    known = torch.where(best.isfinite(), best, 0.0)
    return torch.where(count > 0, centre + variance / 2, known)[:, 0]


class _Beyond(NamedTuple):
    """The part of a geometric series behind a window."""

    log_mass: Float[Tensor, "rows"]
    """log sum of q^k over the distances k from the window's end on; -inf where there is none."""
    distance: Float[Tensor, "rows"]
    """Their mean k."""

    @classmethod
    def of(cls, log_q: Float[Tensor, "rows"], *, first: int, available: Int[Tensor, "rows"]) -> "_Beyond":
        rest = (available - first).clamp(min=0)
        log_mass = first * log_q + (-torch.expm1(rest * log_q)).log() - (-torch.expm1(log_q)).log()
        end = rest.clamp(min=1) * log_q
        passed = log_q.exp() / -torch.expm1(log_q) - rest * end.exp() / -torch.expm1(end)
        return cls(log_mass, first + passed)


class _Grown(NamedTuple):
    """Windows of all queries, side by side."""

    window: Int[Tensor, "rows"]
    log_q: Float[Tensor, "rows"]


@dataclass(frozen=True)
class ExpandingPosterior(Posterior):
    """p(edge | x) inside the window that each query has grown to; no key outside is looked at.

    Windows and q are inferred from the log potentials and taken as given by the gradient.
    """

    how: Expanding = field(kw_only=True)

    def expectation(self, values: Values) -> Float[Tensor, "batch heads queries width"]:
        values = values.to(self.queries.dtype)
        if self._whole is not None:
            return self.probabilities() @ values
        flat = values.flatten(0, 2)

        def mean(rows: Tensor, window: int) -> Tensor:
            distance = torch.arange(window, device=rows.device)
            log_joint = self._gathered(rows, 0, window) + distance * self._grown.log_q[rows, None]
            return (log_joint.softmax(-1)[:, None] @ embedding(self._places(rows, 0, window), flat))[:, 0]

        parts = list(self._parts())
        found = torch.cat([checkpoint(mean, *part, use_reentrant=False) for part in parts])
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return embedding(order, found).view(*self.queries.shape[:3], -1)

    def probabilities(self) -> Float[Tensor, "batch heads queries keys"]:
        """The matrix itself: each row sums to 1, 0 outside the window."""
        shape = (*self.queries.shape[:3], 1)
        window, log_q = (side.view(shape) for side in self._grown)
        distance = self._distance
        outside = (distance < 0) | (distance >= window) | ~self._possible
        with torch.autocast(device_type=self.queries.device.type, enabled=False):
            scores = self.lowering.log_potentials(self.queries, self.keys)
        return (scores + distance * log_q).masked_fill(outside, float("-inf")).softmax(-1)

    @property
    def visited(self) -> Int[Tensor, "batch heads queries"]:
        """Keys that each query has looked at."""
        return self._grown.window.minimum(self._available).view(self.queries.shape[:3])

    @cached_property
    def _available(self) -> Int[Tensor, "rows"]:
        """Keys at the place of each query and before it."""
        batch, heads, count, _ = self.queries.shape
        places = torch.arange(self.keys.shape[2], device=self.queries.device)[-count:]
        return (places + 1).repeat(batch * heads)

    @cached_property
    def _distance(self) -> Int[Tensor, "queries keys"]:
        places = torch.arange(self.keys.shape[2], device=self.queries.device)
        return places[-self.queries.shape[2] :, None] - places

    @cached_property
    def _possible(self) -> Bool[Tensor, "batches 1 queries keys"]:
        """Whether a token stands at each key; of queries that are none every key counts as one."""
        for factor in self.prior.factors:
            if isinstance(factor, Present):
                real = factor.keys[:, None, None]
                absent = self.prior.absent
                return real if absent is None else real | absent[:, None, :, None]
        return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=self.queries.device)

    @cached_property
    def _whole(self) -> Scores | None:
        """Log potentials of every query, the nearest key first, where the matrix is small."""
        queries, keys = self.queries.shape[2], self.keys.shape[2]
        if queries * keys > WHOLE:
            return None
        with torch.no_grad(), torch.autocast(device_type=self.queries.device.type, enabled=False):
            scores = self.lowering.log_potentials(self.queries, self.keys)
        scores = scores.masked_fill(~self._possible, float("-inf")).flatten(0, 2)
        places = self._available[:, None] - 1 - torch.arange(keys, device=scores.device)
        return scores.gather(1, places.clamp(min=0)).masked_fill(places < 0, float("-inf"))

    @cached_property
    def _grown(self) -> _Grown:
        with torch.no_grad():
            rows = torch.arange(len(self._available), device=self.queries.device)
            size = max(1, ENTRIES // (self.how.step * self.keys.shape[-1]))
            grown = [self._grow(part) for part in rows.split(size)]
            return _Grown(*(torch.cat(side) for side in zip(*grown, strict=True)))

    def _grow(self, rows: Int[Tensor, "rows"]) -> _Grown:
        window, log_q = torch.zeros_like(rows), self.queries.new_zeros(len(rows))
        going, available = torch.arange(len(rows), device=rows.device), self._available[rows]
        scores, seen = self.queries.new_zeros(len(rows), 0), 0
        while len(going):
            more = max(self.how.step, seen // GROWTH)
            scores = torch.cat([scores, self._scores(rows[going], seen, more)], dim=-1)
            seen += more
            inferred, unseen = self.how.inferred(scores, available[going])
            done = (unseen <= self.how.tolerance) | (seen >= available[going])
            window[going[done]], log_q[going[done]] = seen, inferred[done]
            going, scores = going[~done], scores[~done]
        return _Grown(window, log_q)

    def _parts(self) -> Iterator[tuple[Int[Tensor, "rows"], int]]:
        """Queries of one window at a time, not more than fit."""
        for window in self._grown.window.unique().tolist():
            size = max(1, ENTRIES // (window * self.keys.shape[-1]))
            for rows in (self._grown.window == window).nonzero()[:, 0].split(size):
                yield rows, window

    def _places(self, rows: Int[Tensor, "rows"], first: int, count: int) -> Int[Tensor, "rows window"]:
        """Among all keys side by side; those before the first stand for no key."""
        distance = torch.arange(first, first + count, device=rows.device)
        start = rows // self.queries.shape[2] * self.keys.shape[2]
        return start[:, None] + (self._available[rows, None] - 1 - distance).clamp(min=0)

    def _scores(self, rows: Int[Tensor, "rows"], first: int, count: int) -> Scores:
        """Log potentials of some distances, -inf where no key stands."""
        if self._whole is not None:
            found = self._whole[rows, first : first + count]
            return pad(found, (0, count - found.shape[1]), value=float("-inf"))
        few = max(1, ENTRIES // (count * self.keys.shape[-1]))
        return torch.cat([self._gathered(part, first, count) for part in rows.split(few)])

    def _gathered(self, rows: Int[Tensor, "rows"], first: int, count: int) -> Scores:
        places = self._places(rows, first, count)
        with torch.autocast(device_type=self.queries.device.type, enabled=False):
            queries = embedding(rows, self.queries.flatten(0, 2))[:, None, None]
            keys = embedding(places, self.keys.flatten(0, 2))[:, None]
            scores = self.lowering.log_potentials(queries, keys)[:, 0, 0]
        distance = torch.arange(first, first + count, device=rows.device)
        possible = distance < self._available[rows, None]
        if self._possible.numel() > 1:
            heads, asked, kept = *self.queries.shape[1:3], self.keys.shape[2]
            real = self._possible.expand(-1, 1, asked, -1)
            of = (rows // (heads * asked))[:, None], 0, (rows % asked)[:, None], places % kept
            possible = possible & real[of]
        return scores.masked_fill(~possible, float("-inf"))
