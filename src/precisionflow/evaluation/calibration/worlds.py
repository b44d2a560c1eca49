"""Worlds in which predictions are true: targets drawn from the predictions, the same for a row in every cell."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int, Integer, UInt64

WORLDS = 200
"""Data sets behind a band."""
BASES = 16
"""Draws of each row."""
BLOCKS = 32
"""Groups of rows that take their draw together: a world picks one draw for each block."""

Index = Int[np.ndarray, " rows"]
"""Index of each row in the source, which is what its draws depend on."""
Based = Float[np.ndarray, "bases rows"]
InWorlds = Float[np.ndarray, "worlds groups"]


def uniform(row: Index, stream: int) -> Based:
    """BASES uniform values of each row in (0, 1), at one place of each BASES-th of the interval, rows independent.

    They depend on the row's index and on `stream` alone: neither on the order of rows nor on the other rows.
    """
    start = _mixed(row.astype(np.uint64) * np.uint64(8) + np.uint64(stream))
    step = _mixed(start) | np.uint64(1)
    place = np.arange(BASES, dtype=np.uint64)[:, None] * step << np.uint64(60)
    return (start + place >> np.uint64(12)) * 2.0**-52 + 2.0**-53


def thinned(row: Index, most: int) -> tuple[Int[np.ndarray, " kept"], float]:
    """Places of at most `most` rows, chosen by their indices alone, and sqrt(kept / rows).

    By that factor deviations of means of all rows are smaller than those of the kept ones.
    """
    if len(row) <= most:
        return np.arange(len(row)), 1.0
    chosen = np.argpartition(_mixed(~row.astype(np.uint64)), most)[:most]
    return chosen, float(np.sqrt(most / len(row)))


def sums(
    row: Index,
    group: Integer[np.ndarray, "#bases rows"],
    *,
    groups: int,
    weights: Float[np.ndarray, "bases rows"] | None = None,
) -> InWorlds:
    """Number of rows, or sum of their weights, in each group, in each world."""
    block = (_mixed(row.astype(np.uint64) ^ np.uint64(2**63)) % np.uint64(BLOCKS)).astype(np.int64)
    if len(row) < groups:
        chosen, rows = _chosen()[:, block], np.arange(len(row))
        inside = np.broadcast_to(group, (BASES, len(row)))[chosen, rows]
        return _totals(inside, groups, None if weights is None else weights[chosen, rows])
    pick = np.arange(BASES)[:, None] * BLOCKS + block
    found = _totals((pick * groups + group)[None], BASES * BLOCKS * groups, weights)
    return _picked() @ found.reshape(BASES * BLOCKS, groups)


def _totals(
    group: Integer[np.ndarray, "sets *rows"], groups: int, weights: Float[np.ndarray, "..."] | None
) -> Float[np.ndarray, "sets groups"]:
    """Number of rows, or sum of their weights, in each group of each set."""
    sets = len(group)
    place = group.reshape(sets, -1) + groups * np.arange(sets)[:, None]
    found = np.bincount(
        place.ravel(), weights=None if weights is None else weights.ravel(), minlength=sets * groups
    )
    return found.reshape(sets, groups).astype(float)


@cache
def _chosen() -> Int[np.ndarray, "worlds blocks"]:
    """The draw that a world picks for a block, the same in all cells."""
    return np.random.default_rng(0).integers(BASES, size=(WORLDS, BLOCKS))


@cache
def _picked() -> Float[np.ndarray, "worlds picks"]:
    """1 where a world picks a draw of a block."""
    picked = np.zeros((WORLDS, BASES * BLOCKS))
    np.put_along_axis(picked, _chosen() * BLOCKS + np.arange(BLOCKS), 1.0, axis=1)
    return picked


def _mixed(key: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """Random bits of each key: SplitMix64 (Steele, Lea & Flood 2014)."""
    key = key * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ key >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ key >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return key ^ key >> np.uint64(31)
