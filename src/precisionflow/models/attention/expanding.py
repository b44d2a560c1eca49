"""Expanding attention: each query looks at nearer keys first, and at farther ones only while they may matter.

The distance k of a query's edge is geometric with a parameter q of the query, p(k | q) = (1 - q) q^k, and
q ~ Beta(beta, alpha). Their posterior is found by truncated mean-field updates (Singh & Buckley 2023, section 5.2):

    q_t = beta_t / (alpha_t + beta_t),    p_t(k) ~ p(x | k) q_t^k,
    alpha_(t + 1) = alpha_t + 1,          beta_(t + 1) = beta_t + E_(p_t)[k].

Keys that are not looked at yet count with the likelihood to be expected of them, else the updates see no reason to go
on. A window that holds all keys gives the updates without truncation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from precisionflow.models.attention.by_distance import ByDistance, Looked, heads_at_once
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.geometric_series import Beyond
from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior
from precisionflow.models.attention.lowerings import Lowering, Values, blockwise
from precisionflow.models.attention.lowerings.head_by_head import Side, made
from precisionflow.models.attention.priors.padding import Present
from precisionflow.models.numerics import at_least_float32, in_dtype_of, outside_autocast

LONG = 2**18
"""Pairs of a query and a key of a head beyond which expectations are sums over windows, query by query."""
KEPT = 256
"""Mean keys of a window up to which such sums cost less than blocks of queries, and their posterior is kept."""
GROWTH = 4
"""A window grows by a part of itself, one in so many, where that is more than a step."""


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
    """Posterior mass of keys that are not looked at: a window grows until it is below this; 0: to all keys."""

    def __call__(
        self, lowering: Lowering, queries: Side, keys: Side, prior: LogPrior
    ) -> "ExpandingPosterior":
        """`prior` is geometric, and has padding where there is some; the queries are the last of the keys."""
        sides = made(queries).contiguous(), made(keys).contiguous()
        return ExpandingPosterior(lowering, *sides, prior, how=self)

    def inferred(
        self, scores: ByDistance, available: Int[Tensor, "rows"]
    ) -> tuple[Float[Tensor, "rows"], Float[Tensor, "choices rows"]]:
        """log q after all updates, and the posterior over the keys of the window and, last, all those beyond it.

        `available`: how many keys there are in all.
        """
        window = len(scores)
        distance = torch.arange(window, device=scores.device, dtype=scores.dtype)
        usual, beta = _usual(scores), scores.new_full(scores.shape[1:], self.beta, dtype=torch.float64)
        log_joint = scores.new_empty(window + 1, scores.shape[1])
        for update in range(self.updates + 1):
            log_q = _log_mean(self.alpha + update, beta)
            beyond = Beyond.of(log_q, first=window, available=available)
            torch.addcmul(scores, distance[:, None], log_q.to(scores.dtype), out=log_joint[:-1])
            log_joint[-1] = usual + beyond.log_mass
            posterior = log_joint.softmax(0)
            beta = beta + distance @ posterior[:-1] + posterior[-1] * beyond.distance
        return log_q, posterior


def _log_mean(alpha: float, beta: Float[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """log of beta / (alpha + beta), which may be as near to 1 as the numbers allow."""
    return -(alpha / beta).clamp(max=torch.finfo(beta.dtype).max).log1p()


def _usual(scores: ByDistance) -> Float[Tensor, "rows"]:
    """log of the mean likelihood of a key like those seen: log potentials normal, the best left out as a find."""
    best = scores.amax(0)
    below = (scores - best).nan_to_num_(neginf=0.0)
    others = ((scores > float("-inf")).sum(0) - 1).clamp(min=1)
    mean = below.sum(0) / others
    variance = (torch.linalg.vecdot(below, below, dim=0) / others - mean.square()).clamp(min=0)
    return best + mean + variance / 2


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
        distance = torch.where(distance < 0, self.places[-1] + 1, distance).to(self.log_q.dtype)
        rest = self.window[..., queries, None] - distance
        outside = torch.threshold_(rest, 0.0, float("-inf")).clamp_(max=0.0)
        return outside.addcmul_(distance, self.log_q[..., queries, None])

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


class Finished(NamedTuple):
    """Queries of all sequences and heads, numbered one after the other, whose windows have one width."""

    rows: Int[Tensor, "rows"]
    posterior: ByDistance


@dataclass(frozen=True)
class ExpandingPosterior(Posterior):
    """p(edge | x) inside the window that each query has grown to.

    Windows and q are inferred from the log potentials of the keys inside and taken as given by the gradient. What
    follows is the posterior of a prior of windows: its blocks have the keys of all their queries' windows. Where
    windows are few of many keys, expectations need no blocks: the posterior is at hand as the windows have grown.
    """

    lowering: Lowering
    how: Expanding = field(kw_only=True)

    def expectation(self, values: Values) -> Float[Tensor, "batch heads queries width"]:
        _, finished = self._growth
        if finished is None:
            return self._inside.expectation(values)
        values = at_least_float32(values.to(self.queries.dtype)).contiguous()
        sides = at_least_float32(self.queries), at_least_float32(self.keys), values
        with outside_autocast(values.device):
            mean = self._summed(values.detach(), finished)
            found = blockwise.expectation(self.lowering.block, *sides, self._inside.prior, mean=mean)
        return in_dtype_of(found, self.queries)

    def _summed(self, values: Values, finished: list[Finished]) -> Float[Tensor, "batch heads queries width"]:
        """Posterior means, a window at a time."""
        asking, kept, width = self.queries.shape[2], *values.shape[2:]
        mean = values.new_empty(*self.queries.shape[:3], width)
        for rows, posterior in finished:
            own = rows // asking * kept + self.places[rows % asking]
            distance = torch.arange(len(posterior), device=rows.device)
            there = (own[:, None] - distance).clamp_(min=0)
            mean.view(-1, width)[rows] = embedding_bag(
                there, values.view(-1, width), per_sample_weights=posterior.T, mode="sum"
            )
        return mean

    def probabilities(self) -> Float[Tensor, "batch heads queries keys"]:
        return self._inside.probabilities()

    @property
    def visited(self) -> Int[Tensor, "batch heads queries"]:
        """Keys that each query has looked at."""
        return self._grown.window.minimum(self.places + 1)

    @property
    def _padding(self) -> tuple[Present, ...]:
        """The prior of padding, where there is some."""
        return tuple(factor for factor in self.prior.factors if isinstance(factor, Present))

    @cached_property
    def _inside(self) -> Posterior:
        prior = LogPrior(factors=(self._grown, *self._padding), absent=self.prior.absent)
        return Posterior(self.lowering, self.queries, self.keys, prior)

    @cached_property
    def places(self) -> Int[Tensor, "queries"]:
        """Where the queries stand among the keys."""
        places = torch.arange(self.keys.shape[2], device=self.keys.device)
        return places[-self.queries.shape[2] :]

    @property
    def _grown(self) -> Grown:
        return self._growth[0]

    @cached_property
    def _growth(self) -> tuple[Grown, list[Finished] | None]:
        """What the windows have grown to, and the posterior inside them where its expectations are sums over windows.

        They are so on a CPU, in long sequences without padding, where windows have few keys.
        """
        device, shape = self.queries.device, self.queries.shape[:3]
        queries, keys = self.queries.flatten(0, 1), self.keys.flatten(0, 1)
        present = [factor.keys.repeat_interleave(shape[1], 0) for factor in self._padding]
        some = heads_at_once(shape[2], keys.shape[1])
        window = torch.empty(queries.shape[:2], dtype=torch.long, device=device).flatten()
        log_q = at_least_float32(queries.new_empty(len(window)))
        summed = device.type == "cpu" and not self._padding and shape[2] * keys.shape[1] > LONG
        finished, room = list[Finished](), KEPT * len(window) if summed else -1
        with torch.no_grad(), torch.autocast(device_type=device.type, enabled=False):
            for first in range(0, len(queries), some):
                of = slice(first, first + some)
                look = Looked.at(self.lowering, queries[of], keys[of], *(there[of] for there in present))
                for rows, q, posterior in self._grow(look):
                    rows += first * shape[2]
                    window[rows], log_q[rows] = len(posterior), q.to(log_q.dtype)
                    room -= posterior.numel()
                    finished = [*finished, Finished(rows, posterior)] if room >= 0 else []
        grown = Grown(window.view(shape), log_q.view(shape), self.places)
        return grown, finished if room >= 0 else None

    def _grow(self, look: Looked) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Queries that have looked enough, their log q, and the posterior inside their windows."""
        available, going = look.available, torch.arange(len(look.available), device=look.available.device)
        scores, seen = look(going, 0, 0), 0
        while len(going):
            known, seen = seen, min(seen + max(self.how.step, seen // GROWTH), look.keys.shape[1])
            scores = torch.cat([scores, look(going, known, seen)])
            log_q, posterior = self.how.inferred(scores, available)
            enough = (posterior[-1] < self.how.tolerance) | (available <= seen)
            done, left = enough.nonzero()[:, 0], (~enough).nonzero()[:, 0]
            inside = posterior[:-1].index_select(1, done)
            yield going[done], log_q[done], inside / inside.sum(0)
            going, available, scores = going[left], available[left], scores.index_select(1, left)
