"""Modern Hopfield networks: retrieval against load and noise, metastable states, the exponential bound, steps to rest.

Patterns are drawn uniformly from the unit sphere. A query is a pattern with noise of a length in a random direction,
settled until its free energy stands; it is retrieved where it ends within 0.1 of its pattern. Intervals are Student's t
over the seeds, at 95 %.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from measured import Measured, arguments, present, with_interval
from torch import Tensor
from torch.nn.functional import normalize

from precisionflow.models.attention.iterated.hopfield import Hopfield
from precisionflow.models.attention.iterated.settle import Settled, settle

WIDTHS, LOADS, NOISES = (4, 5, 6, 7, 8), tuple(2**k for k in range(2, 15)), (0.0, 0.3, 0.6)
"""Channels of a pattern, patterns, and the length of the noise of a query."""
SHARP = 32.0
"""Precision at which patterns are told apart: of length 1, b is the log of how far the nearest stands out."""
CLUSTERS, MEMBERS = 8, 8
QUERIES, RETRIEVED = 64, 0.1


class Stored(NamedTuple):
    patterns: Tensor
    noise: Tensor
    """Noise of the queries, which begin with the first pattern."""


def stored(width: int, load: int, noise: float, *, seed: int) -> Stored:
    random = torch.Generator().manual_seed(seed)
    patterns = normalize(torch.randn(load, width, generator=random), dim=-1)
    direction = normalize(torch.randn(min(load, QUERIES), width, generator=random), dim=-1)
    return Stored(patterns, noise * direction)


def at_rest(model: Hopfield, start: Tensor) -> Settled:
    """Every query by itself, so that each stands when its own free energy does."""
    return settle(model, start[:, None], iterations=50, tolerance=1e-6)


def retrieval(width: int, load: int, noise: float, *, seed: int) -> float:
    """Share of the queries that end at their pattern."""
    of = stored(width, load, noise, seed=seed)
    true = of.patterns[: len(of.noise)]
    found = at_rest(Hopfield(of.patterns, SHARP), true + of.noise).state[:, 0]
    return float(((found - true).norm(dim=-1) < RETRIEVED).double().mean())


def log2_capacity(width: int, noise: float, *, seed: int) -> float:
    """log2 of the load at which half of the queries are retrieved, between powers of two in proportion."""
    before = 1.0
    for load in LOADS:
        now = retrieval(width, load, noise, seed=seed)
        if now < 0.5:
            return float(torch.tensor(load).log2()) - (0.5 - now) / max(before - now, 1e-9)
        before = now
    return float(torch.tensor(LOADS[-1]).log2())


def bound_kept(width: int, load: int, noise: float, *, seed: int) -> tuple[float, float]:
    """(largest ratio of one step's error to its bound, share of the queries where the bound says something).

    |step(z) - x_i| <= 2 (n - 1) exp(-b (D_i - 2 |z - x_i|)), D_i = 1 - max_j <x_i, x_j> (Ramsauer et al. 2021, theorem
    5); it says something below 2, the largest distance that there is.
    """
    of = stored(width, load, noise, seed=seed)
    patterns, true = of.patterns.double(), of.patterns[: len(of.noise)].double()
    overlap = true @ patterns.mT
    overlap[:, : len(true)].fill_diagonal_(-torch.inf)
    error = (Hopfield(patterns, SHARP).step(true + of.noise) - true).norm(dim=-1)
    distance = of.noise.double().norm(dim=-1)
    bound = 2 * (load - 1) * torch.exp(-SHARP * (1 - overlap.amax(-1) - 2 * distance))
    return float((error / bound).max()), float((bound < 2).double().mean())


def patterns_at_rest(precision: float, *, seed: int) -> float:
    """Perplexity of p(pattern | where a query rests), of patterns that lie in clusters."""
    random = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(CLUSTERS, 1, 32, generator=random), dim=-1)
    spread = normalize(torch.randn(CLUSTERS, MEMBERS, 32, generator=random), dim=-1)
    patterns = normalize(centres + 0.4 * spread, dim=-1).flatten(0, 1)
    model = Hopfield(patterns, precision)
    shares = model.posterior(at_rest(model, patterns).state)
    return float(torch.special.entr(shares).sum(-1).exp().mean())


def over_seeds(measure: str, value: Callable[..., float], seeds: int, unit: str) -> list[Measured]:
    return with_interval(measure, [value(seed=seed) for seed in range(seeds)], unit)


def main() -> None:
    """Measure all of it in one process."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    start, seeds, found = time.perf_counter(), given.seeds, []
    for load in (64, 512, 4096):
        for noise in NOISES:
            named = f"retrieved of {load} patterns of width 8, noise {noise:g}"
            found += over_seeds(named, partial(retrieval, 8, load, noise), seeds, "1")
    for noise in (0.0, 0.3):
        capacities = torch.tensor([[log2_capacity(w, noise, seed=s) for w in WIDTHS] for s in range(seeds)])
        for width, of in zip(WIDTHS, capacities.T.tolist(), strict=True):
            found += with_interval(f"log2 of the capacity, width {width}, noise {noise:g}", of, "bits")
        steps = torch.tensor(WIDTHS, dtype=torch.float32)
        slopes = ((steps - steps.mean()) @ (capacities - capacities.mean(1, keepdim=True)).T) / (
            steps - steps.mean()
        ).square().sum()
        found += with_interval(f"bits of load a channel is worth, noise {noise:g}", slopes.tolist(), "bits")
    for width, load in ((64, 16), (64, 64), (8, 512)):
        kept = [bound_kept(width, load, 0.05, seed=seed) for seed in range(seeds)]
        name = f"{load} patterns of width {width}, noise 0.05"
        found.append(Measured(f"{name}: largest error over its bound", max(r for r, _ in kept), "1", bar=1.0))
        found += with_interval(
            f"{name}: queries of which the bound says something", [s for _, s in kept], "1"
        )
        found += over_seeds(f"{name}: retrieved", partial(retrieval, width, load, 0.05), seeds, "1")
    for precision in (1.0, 8.0, 16.0, 32.0, 128.0):
        named = f"patterns where a query rests, {CLUSTERS} clusters of {MEMBERS}, precision {precision:g}"
        found += over_seeds(named, partial(patterns_at_rest, precision), seeds, "1")
    of = [stored(16, 256, 0.3, seed=seed) for seed in range(seeds)]
    rested = [at_rest(Hopfield(o.patterns, SHARP), o.patterns[:QUERIES] + o.noise) for o in of]
    found += with_interval("steps until F stands", [float(r.steps.double().mean()) for r in rested], "1")
    rises = max(float(r.energies.diff(dim=0).max()) for r in rested)
    found.append(Measured("largest rise of F in a step, float32", rises, "nats", bar=1e-4))
    present([*found, Measured("wall time", (time.perf_counter() - start) / 60, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
