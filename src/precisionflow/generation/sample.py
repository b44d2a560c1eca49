"""Choice of the next token: the most probable one, or one drawn from the distribution or from a part of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float64, Int, Int32
from torch import Tensor
from torch.nn.functional import pad

LogProbabilities = Float64[Tensor, "rows vocabulary"]
UNIFORM_BITS = 52
"""Bits of a uniform number; one more, and its product with a sum of probabilities could be rounded up to that sum."""

ROUNDING = 1e-12
"""Share of p that a sum of probabilities may fall short of it."""


class Choice(Protocol):
    """A way of choosing the next token of every row."""

    def __call__(
        self, log_probabilities: LogProbabilities, uniform: Float64[Tensor, "rows"]
    ) -> Int[Tensor, "rows"]:
        """The chosen tokens; all that is random in it are the uniform numbers from [0, 1), one for each row."""
        ...


class Greedy:
    """argmax_k p_k, the first of several."""

    def __call__(
        self,
        log_probabilities: LogProbabilities,
        uniform: Float64[Tensor, "rows"],  # noqa: ARG002 - nothing is drawn
    ) -> Int[Tensor, "rows"]:
        return log_probabilities.argmax(-1)


@dataclass(frozen=True)
class TopK:
    """The k most probable tokens; of equally probable ones those with the lowest ids (Fan et al. 2018)."""

    k: int

    def __call__(self, log_probabilities: LogProbabilities) -> LogProbabilities:
        order = log_probabilities.sort(dim=-1, descending=True, stable=True).indices
        return log_probabilities.scatter(-1, order[:, self.k :], float("-inf"))


@dataclass(frozen=True)
class TopP:
    """The fewest most probable tokens whose probabilities sum to p or more (Holtzman et al. 2020, section 3.1)."""

    p: float

    def __call__(self, log_probabilities: LogProbabilities) -> LogProbabilities:
        ordered, order = log_probabilities.softmax(-1).sort(dim=-1, descending=True, stable=True)
        # of the most probable one no share stands before it, however small p is
        enough = pad(ordered.cumsum(-1)[:, :-1] >= self.p * (1 - ROUNDING), (1, 0))
        dropped = torch.zeros_like(enough).scatter(-1, order, enough)
        return log_probabilities.masked_fill(dropped, float("-inf"))


@dataclass(frozen=True)
class MinP:
    """The tokens that are at least `share` times as probable as the most probable one (Nguyen et al. 2024)."""

    share: float

    def __call__(self, log_probabilities: LogProbabilities) -> LogProbabilities:
        least = log_probabilities.amax(-1, keepdim=True) + np.log(self.share)
        return log_probabilities.masked_fill(log_probabilities < least, float("-inf"))


Truncation = TopK | TopP | MinP


@dataclass(frozen=True)
class Sampled:
    """A token drawn from p_k^(1/T), T = `temperature`, after the truncations in their order.

    Each truncation looks at what the one before it left, renormalised.
    """

    temperature: float = 1.0
    truncations: tuple[Truncation, ...] = ()

    def __call__(
        self, log_probabilities: LogProbabilities, uniform: Float64[Tensor, "rows"]
    ) -> Int[Tensor, "rows"]:
        """The first token up to which the probabilities sum to more than the uniform number."""
        sums = self.kept(log_probabilities).softmax(-1).cumsum(-1)
        return torch.searchsorted(sums, uniform[:, None] * sums[:, -1:], right=True)[:, 0]

    def kept(self, log_probabilities: LogProbabilities) -> LogProbabilities:
        """Logarithms of what is drawn from, up to a constant of each row: -inf where a token is left out."""
        left = (log_probabilities - log_probabilities.amax(-1, keepdim=True)) / self.temperature
        for truncation in self.truncations:
            left = truncation(left)
        return left


def choice_of(
    *,
    greedy: bool = False,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Greedy | Sampled:
    """The choice that options ask for; ValueError for values out of range, and for greedy with any of the others."""
    given = {"temperature": temperature, "top-k": top_k, "top-p": top_p, "min-p": min_p}
    said = [f"--{name}" for name, value in given.items() if value is not None]
    if greedy:
        if said:
            raise ValueError(f"--greedy draws nothing, so {said[0]} says nothing; leave one of them out")
        return Greedy()
    if temperature is not None and not 0 < temperature < float("inf"):
        remedy = "take --greedy for the most probable token" if temperature == 0 else "give one above 0"
        raise ValueError(f"--temperature {temperature:g}: should be a number above 0; {remedy}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"--top-k {top_k}: should be 1 or more")
    for name, share in (("top-p", top_p), ("min-p", min_p)):
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"--{name} {share:g}: should be above 0 and at most 1")
    asked: list[Truncation] = []
    asked += [] if top_k is None else [TopK(top_k)]
    asked += [] if top_p is None else [TopP(top_p)]
    asked += [] if min_p is None else [MinP(min_p)]
    return Sampled(1.0 if temperature is None else temperature, tuple(asked))


def uniforms(
    prompts: Sequence[Int32[np.ndarray, "_tokens"]], *, count: int, seed: int
) -> Float64[Tensor, "prompts count"]:
    """Uniform numbers from [0, 1) for each prompt, a function of the seed, the prompt and how often it came before."""
    met: dict[bytes, int] = {}
    rows = []
    for prompt in prompts:
        known = prompt.astype("<i4").tobytes()
        met[known] = met.get(known, -1) + 1
        words = int.from_bytes(hashlib.sha256(known).digest())
        stream = np.random.default_rng([seed, met[known], words])
        rows.append(stream.integers(1 << UNIFORM_BITS, size=count) / (1 << UNIFORM_BITS))
    return torch.from_numpy(np.stack(rows))
