"""Cueing: a cue tells where a target will probably appear; what it tells decays with the delay (Posner 1980)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from precisionflow.config.synthetic import Cueing
from precisionflow.data.sources.synthetic.drawn import Drawn, Source, replaced
from precisionflow.data.tokens.listed import PADDING


class Trials(NamedTuple):
    """What each sequence is made of."""

    cue: Int[np.ndarray, "rows"]
    """The place that the cue names; `places` where it names none."""
    delay: Int[np.ndarray, "rows"]
    """Blanks between the cue and the display."""
    place: Int[np.ndarray, "rows"]
    """Where the target is when the display comes."""
    target: Int[np.ndarray, "rows"]
    """Its class."""
    shown: Int[np.ndarray, "rows places samples"]
    """Symbols of the display."""


def cueing(source: Cueing) -> Source:
    """Inputs: the cue, blanks, then a token of two ids, place and symbol, for every symbol of the display."""
    places = [f"place_{i}" for i in range(source.places)]
    symbols = [f"symbol_{i}" for i in range(source.symbols)]
    names = (PADDING, *places, "no_place", "blank", *symbols)

    def draw(rows: int, random: np.random.Generator, _test: bool) -> Drawn:
        trials = draw_trials(source, rows, random)
        posterior = log_posterior(source, trials)
        return Drawn(
            tokens=_tokens(source, trials),
            target=trials.target,
            log_optimal=np.take_along_axis(posterior, trials.target[:, None], axis=1)[:, 0],
            optimal_correct=posterior.argmax(axis=1) == trials.target,
        )

    return Source(names, tuple(f"class_{i}" for i in range(source.classes)), draw)


def probabilities(source: Cueing) -> Float[np.ndarray, "classes symbols"]:
    """p(symbol | class) at the target's place, before outliers."""
    alpha = np.full(source.symbols, source.concentration)
    return np.random.default_rng([source.seed, 1]).dirichlet(alpha, size=source.classes)


def place_prior(source: Cueing, trials: Trials) -> Float[np.ndarray, "rows places"]:
    """p(place | cue, delay) = 1 / m + (p_0 - 1 / m) (1 - drift)^delay, p_0 right behind the cue, m places."""
    even = 1 / source.places
    told = np.full((source.places + 1, source.places), even)
    told[:-1] = (1 - source.validity) / (source.places - 1)
    np.fill_diagonal(told, source.validity)
    return even + (told[trials.cue] - even) * (1 - source.drift) ** trials.delay[:, None]


def draw_trials(source: Cueing, rows: int, random: np.random.Generator) -> Trials:
    """Sequences before they are tokens."""
    cue = random.integers(source.places, size=rows)
    cue[random.random(rows) < source.neutral] = source.places
    delay, target = random.integers(source.delay + 1, size=rows), random.integers(source.classes, size=rows)
    shown = random.integers(source.symbols, size=(rows, source.places, source.samples))
    trials = Trials(cue, delay, np.zeros(rows, dtype=int), target, shown)
    sums = place_prior(source, trials).cumsum(axis=1)[:, :-1]
    place = (random.random((rows, 1)) > sums).sum(axis=1)
    sums = probabilities(source).cumsum(axis=1)[target, None, :-1]
    symbols = (random.random((rows, source.samples, 1)) > sums).sum(axis=-1)
    shown[np.arange(rows), place] = replaced(
        symbols, kinds=source.symbols, outliers=source.outliers, random=random
    )
    return trials._replace(place=place)


def log_posterior(source: Cueing, trials: Trials) -> Float[np.ndarray, "rows classes"]:
    """log p(class | cue, delay, display) ~ log sum_place p(place | cue, delay) prod_samples p(symbol | class) K.

    K symbols, each 1 / K wherever the target is not.
    """
    mixed = (1 - source.outliers) * probabilities(source) + source.outliers / source.symbols
    evidence = np.log(mixed * source.symbols).T[trials.shown].sum(axis=2)
    joint = special.logsumexp(np.log(place_prior(source, trials))[..., None] + evidence, axis=1)
    return special.log_softmax(joint, axis=1)


def _tokens(source: Cueing, trials: Trials) -> Int[np.ndarray, "rows tokens 2"]:
    rows, blank = len(trials.cue), source.places + 2
    tokens = np.zeros((rows, source.context, 2), dtype=int)
    tokens[:, 0, 0] = 1 + trials.cue
    tokens[:, 1:, 0] = np.where(np.arange(source.context - 1) < trials.delay[:, None], blank, 0)
    symbols = (1 + blank + trials.shown).reshape(rows, -1)
    here = 1 + np.repeat(np.arange(source.places), source.samples)
    at = 1 + trials.delay[:, None] + np.arange(symbols.shape[1])
    row = np.arange(rows)[:, None]
    tokens[row, at, 0] = here
    tokens[row, at, 1] = symbols
    return tokens
