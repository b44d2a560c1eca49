"""Noisy queries of stored patterns: where each comes to rest, and how many patterns could be stored."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.memories import AssociativeMemory
from precisionflow.config.tasks import Retrieval
from precisionflow.data.batches import Rows
from precisionflow.evaluation.network import TrainedNetwork, standardised_features
from precisionflow.evaluation.scored import Scored
from precisionflow.models.networks.memory import Memory
from precisionflow.records.schemas import RETRIEVALS
from precisionflow.results.layout import PreparedSplit

NEAR = 0.1
"""Distance from its pattern within which a query is retrieved; patterns have length 1."""
AT_ONCE = 2**22
"""Numbers of the patterns of all queries that are settled at once, where each query meets patterns of its own."""


class Asked(NamedTuple):
    """Queries, and where in the memory the patterns are that they are of."""

    queries: Float[Tensor, "queries width"]
    places: Int[Tensor, "queries"]

    def patterns(self, memory: Memory) -> Float[Tensor, "queries width"]:
        return memory.patterns.double()[self.places]


@dataclass(frozen=True)
class RetrievalPredictor(TrainedNetwork):
    """Queries in, states at rest out."""

    predicts: ClassVar = "patterns of queries"

    @property
    def memory(self) -> Memory:
        (layer,) = self.model.layers
        assert isinstance(layer, Memory)
        return layer.cpu()

    def states(self, features: Float[np.ndarray, "rows numbers"]) -> Float32[np.ndarray, "rows width"]:
        """Where the queries come to rest; ValueError for features that are none."""
        memory = self.memory
        queries = memory.queries(standardised_features(self.data_card, features))
        return memory.settled(queries, memory.patterns.double()).state[:, 0].float().numpy()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """Of every test query, and their means; the capacity, and of exponential energies the bound.

        ValueError for a part whose patterns are not those that were stored.
        """
        task, model = experiment.task, experiment.model
        assert isinstance(task, Retrieval)
        assert isinstance(model, AssociativeMemory)
        rows = Rows.read(PreparedSplit(data).part("test"))
        numbers, memory = torch.from_numpy(rows.features), self.memory
        asked = Asked(memory.queries(numbers), torch.from_numpy(rows.rows % task.source.patterns))
        if not torch.equal(memory.patterns[asked.places], numbers[:, : task.source.width]):
            raise ValueError(
                f"{data}: its test part is of other patterns than those that are stored; prepare it again and train"
            )
        stored = memory.patterns.double()
        settled = memory.settled(asked.queries, stored)
        state = settled.state[:, 0]
        error = (state - asked.patterns(memory)).norm(dim=-1)
        columns = (rows.rows, error < NEAR, error, patterns_at_rest(memory, state), settled.steps)
        table = pa.table(
            dict(zip(RETRIEVALS.names, map(np.asarray, columns), strict=True)), schema=RETRIEVALS
        )
        metrics = {name: float(np.mean(table[name].to_numpy())) for name in RETRIEVALS.names[1:]}
        metrics["log2_capacity"] = log2_capacity(memory, asked)
        if model.energy == "exponential":
            of = bounded(memory, asked)
            metrics["error_over_bound"] = float((of.log_error - of.log_bound).exp().max())
            metrics["retrieval_proven"] = float((of.log_bound < math.log(NEAR)).double().mean())
        return Scored(table, RETRIEVALS, metrics, {})


def patterns_at_rest(memory: Memory, state: Float[Tensor, "queries width"]) -> Float[Tensor, "queries"]:
    """exp of the entropy of p(pattern | state) = softmax_j(b <state, x_j>): 1 of a state that is one pattern."""
    shares = memory.retrieval(memory.patterns.double()).posterior(state)
    return torch.special.entr(shares).sum(-1).exp()


def log2_capacity(memory: Memory, asked: Asked) -> float:
    """log2 of the load at which half of the queries are retrieved, in proportion between powers of two.

    A query of pattern i meets the patterns from i on, as many as the load. 0 where not even one is retrieved; log2 of
    all patterns where of these half are.
    """
    count, load = len(memory.patterns), 1
    before = float(retrieved(memory, asked, load=load).double().mean())
    if before < 0.5:
        return 0.0
    while load < count:
        following = min(2 * load, count)
        now = float(retrieved(memory, asked, load=following).double().mean())
        if now < 0.5:
            return float(np.interp(-0.5, [-before, -now], np.log2([load, following])))
        before, load = now, following
    return float(np.log2(count))


def retrieved(memory: Memory, asked: Asked, *, load: int) -> Bool[Tensor, "queries"]:
    """Whether each query ends at its pattern where only so many are stored, the first of which is its own."""
    stored = memory.patterns.double()
    states = []
    for part in torch.arange(len(asked.places)).split(max(1, AT_ONCE // (load * stored.shape[1]))):
        met = stored[(asked.places[part, None] + torch.arange(load)) % len(stored)]
        states.append(memory.settled(asked.queries[part], met).state[:, 0])
    return (torch.cat(states) - asked.patterns(memory)).norm(dim=-1) < NEAR


class Bounded(NamedTuple):
    """Logarithms of one step's error and of its bound, of each query."""

    log_error: Float[Tensor, "queries"]
    log_bound: Float[Tensor, "queries"]


def bounded(memory: Memory, asked: Asked) -> Bounded:
    """|step(z) - x_i| <= 2 M (n - 1) exp(-b (D_i - 2 M |z - x_i|)), z a query and x_i its pattern.

    D_i = min_j <x_i, x_i - x_j> and M = max_j |x_j| (Ramsauer et al. 2021, theorem 5). The error is summed over the
    other patterns, each weighted by its probability, so that it is known where it is far below rounding.
    """
    stored, true = memory.patterns.double(), asked.patterns(memory)
    model, longest = memory.retrieval(stored), stored.norm(dim=-1).max()
    shares, each = model.posterior(asked.queries), range(len(true))
    error = torch.stack([(shares[query] @ (stored - true[query])).norm() for query in each])
    gaps = true.square().sum(-1, keepdim=True) - true @ stored.mT
    gaps[each, asked.places] = torch.inf
    far = (asked.queries - true).norm(dim=-1)
    log_bound = (2 * longest * (len(stored) - 1)).log() - model.precision * (
        gaps.amin(-1) - 2 * longest * far
    )
    return Bounded(error.log(), log_bound)
