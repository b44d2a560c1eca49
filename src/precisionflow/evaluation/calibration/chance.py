"""Scores that chance alone keeps from their ideal, in worlds where the predictions are true."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from precisionflow.evaluation.calibration import scale
from precisionflow.evaluation.calibration.bands import equal_edges
from precisionflow.evaluation.calibration.classes import ClassBins, bin_of
from precisionflow.evaluation.calibration.worlds import (
    BASES,
    WORLDS,
    Index,
    sums,
    thinned,
    uniform,
)
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.scores.classes import Probabilities

Draws = Float[np.ndarray, f"{WORLDS}"]
"""A score in each world."""
GRID = 200
"""Cells of the interval from 0 to 1 that the PIT is counted in."""
PIT_ROWS, ENCE_ROWS = 5_000, 100_000
"""Rows that stand for any larger number of them: the law of the PIT has then its limit, and that of ENCE, which a few
large stds may rule, nearly."""


def pit_chance(row: Index) -> dict[str, Draws]:
    """Distances of a uniform PIT's distribution function from the diagonal; pit_error by the trapezoidal rule."""
    kept, less = thinned(row, PIT_ROWS)
    row = row[kept]
    inside = (uniform(row, 0) * GRID).astype(np.int64)
    away = np.cumsum(sums(row, inside, groups=GRID), axis=1)
    away /= len(row)
    away -= np.arange(1, GRID + 1) / GRID
    away *= less
    half = GRID // 2
    return {
        "pit_error": _mean_square(away),
        "rmsce_intervals": np.sqrt(_mean_square(away[:, half:-1] - away[:, half - 2 :: -1])),
        "rmsce_quantiles": np.sqrt(_mean_square(away[:, 1:-1:2])),
    }


def _mean_square(values: Float[np.ndarray, "worlds places"]) -> Draws:
    return np.einsum("wp,wp->w", values, values) / values.shape[1]


def coverage_chance(row: Index, *, levels: Sequence[float]) -> dict[float, Draws]:
    """Level -> share of rows in the central interval of that level."""
    kept, less = thinned(row, PIT_ROWS)
    row, ordered = row[kept], np.sort(levels)
    inside = np.searchsorted(ordered, np.abs(2 * uniform(row, 0) - 1))
    counts = sums(row, inside, groups=len(ordered) + 1)
    shares = np.cumsum(counts, axis=1) / len(row)
    return {level: level + less * (shares[:, index] - level) for index, level in enumerate(ordered)}


def ence_chance(predicted: Distribution, row: Index) -> Draws:
    """`scale.expected_normalised_calibration_error` of targets that are drawn from the predictions."""
    kept, less = thinned(row, ENCE_ROWS)
    row, predicted = row[kept], predicted.rows(kept)
    std, target = predicted.std, predicted.drawn(lambda stream: uniform(row, stream))
    ranks = by_ranks(std, bins=min(scale.BINS, len(std)))
    squared = sums(row, ranks.piece[None], groups=len(ranks.share), weights=(target - predicted.mean) ** 2)
    stated = np.sqrt(np.bincount(ranks.piece, weights=std**2) @ ranks.share / ranks.count)
    observed = np.sqrt(squared @ ranks.share / ranks.count)
    return less * np.mean(np.abs(stated - observed) / stated, axis=1)


@dataclass(frozen=True)
class Ranks:
    """Bins of equally many rows (to one) by rank; rows of equal key belong to their bins in equal shares."""

    piece: Int[np.ndarray, " rows"]
    """Piece of each row: the rows of one key that lie in several bins, or the others of one bin."""
    share: Float[np.ndarray, "pieces bins"]
    """Share of each piece's rows that belong to a bin."""
    count: Float[np.ndarray, " bins"]
    """Rows of each bin."""


def by_ranks(key: Rows, *, bins: int) -> Ranks:
    """Bins of rising key."""
    edges = np.linspace(0, len(key), bins + 1).astype(int)
    order = np.argsort(key)
    ordered = key[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.append(starts[1:], len(key))
    low, high = (np.searchsorted(edges, place, "right") - 1 for place in (starts, ends - 1))
    split = low != high
    low[split] = bins + np.arange(split.sum())
    piece = np.empty(len(key), dtype=np.int64)
    piece[order] = np.repeat(low, ends - starts)
    starts, ends = starts[split, None], ends[split, None]
    inside = np.maximum(np.minimum(ends, edges[1:]) - np.maximum(starts, edges[:-1]), 0)
    share = np.concatenate([np.eye(bins), inside / (ends - starts)])
    return Ranks(piece, share, np.diff(edges).astype(float))


@dataclass
class ClassChance:
    """Classes drawn from the probabilities that were added so far."""

    bins: int
    rows: list[Index] = field(default_factory=list)
    confidence: list[Rows] = field(default_factory=list)
    hits: list[Bool[np.ndarray, "bases rows"]] = field(default_factory=list)
    """Whether the drawn class is the most probable one."""
    places: list[Int[np.ndarray, "bases rows"]] = field(default_factory=list)
    """Class that is drawn and bin of its probability, as one index."""

    def add(self, probabilities: Probabilities, confidence: Rows, row: Index) -> None:
        """Draw the classes of more rows; `confidence` is the largest probability of each."""
        drawn = drawn_classes(probabilities, row)
        inside = bin_of(probabilities[np.arange(len(row)), drawn], bins=self.bins)
        self.places.append(drawn * self.bins + inside)
        self.rows.append(row)
        self.confidence.append(confidence)
        self.hits.append(drawn == probabilities.argmax(axis=1))

    def scores(self, binned: ClassBins) -> dict[str, Draws]:
        """class_wise_ece, brier_reliability, ece, mce and ece_equal_mass; `binned` are the same rows."""
        row, confidence = np.concatenate(self.rows), np.concatenate(self.confidence)
        place, hits = np.concatenate(self.places, axis=1), np.concatenate(self.hits, axis=1)
        count, stated = np.maximum(binned.count, 1).ravel(), np.ravel(binned.stated)
        never = np.ones(len(count), dtype=bool)
        never[place] = False
        drawn, group = np.flatnonzero(~never), np.cumsum(~never) - 1
        excess = sums(row, group[place], groups=len(drawn)) - stated[drawn]
        absolute = np.abs(excess).sum(axis=1) + stated[never].sum()
        squared = excess**2 @ (1 / count[drawn]) + (stated[never] ** 2 / count[never]).sum()
        return {
            "class_wise_ece": absolute / (binned.rows * len(binned.count)),
            "brier_reliability": squared / binned.rows,
        } | confidence_chance(confidence, hits - confidence, row, bins=self.bins)


def drawn_classes(probabilities: Probabilities, row: Index) -> Int[np.ndarray, f"{BASES} rows"]:
    """The class whose part of the interval from 0 to 1 a uniform value falls into."""
    rows, classes = probabilities.shape
    drawn = uniform(row, 0)
    ends, starts = np.cumsum(probabilities, axis=1), np.arange(rows)[:, None] * (BASES + 2)
    # A row's values lie at the same place of every part of the interval: an end is below those from some part on.
    ends *= BASES
    ends += 1 - drawn[:1].T * BASES % 1
    from_part = ends.astype(np.int64)
    from_part += starts
    counts = np.bincount(from_part.ravel(), minlength=starts.size * (BASES + 2)).reshape(rows, BASES + 2)
    of_part = np.minimum(np.cumsum(counts[:, :BASES], axis=1), classes - 1)
    return np.take_along_axis(of_part, (drawn.T * BASES).astype(np.int64), axis=1).T


def confidence_chance(
    confidence: Rows, excess: Float[np.ndarray, "bases rows"], row: Index, *, bins: int
) -> dict[str, Draws]:
    """ece, mce and ece_equal_mass; `excess` is hit - confidence of each draw."""
    inside = np.searchsorted(equal_edges(bins)[1:], confidence, side="left")
    gaps = np.abs(sums(row, inside[None], groups=bins, weights=excess))
    ranks = by_ranks(confidence, bins=min(bins, len(row)))
    equal = sums(row, ranks.piece[None], groups=len(ranks.share), weights=excess) @ ranks.share
    return {
        "ece": gaps.sum(axis=1) / len(row),
        "mce": np.max(gaps / np.maximum(np.bincount(inside, minlength=bins), 1), axis=1),
        "ece_equal_mass": np.abs(equal).sum(axis=1) / len(row),
    }
