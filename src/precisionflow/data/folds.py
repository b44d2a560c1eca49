"""Cuts of rows into training, validation and test rows, and into folds."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from precisionflow.config.posteriors import Ensemble
from precisionflow.data.streams import Stream, Use
from precisionflow.results.layout import PARTS, Part

VALIDATION = 0x7A11D
"""Part of a seed that keeps the draw of validation rows apart from every other use of the split's number."""


def cut_test(
    rows: int, *, split: int, fraction: float = 0.1
) -> tuple[Int[np.ndarray, "train"], Int[np.ndarray, "test"]]:
    """(training rows, test rows) of a source without splits of its own: a tenth (rounded, at least one) is tested.

    The partition is `numpy.random.default_rng(split).permutation(rows)`, test rows first.
    """
    order = np.random.default_rng(split).permutation(rows)
    tests = share_of(rows, fraction)
    return order[tests:], order[:tests]


def share_of(rows: int, fraction: float) -> int:
    """round(fraction * rows), of the decimal fraction as it is written; at least one."""
    return max(1, round(rows * Fraction(repr(float(fraction)))))


def rows_inside(rows: Int[np.ndarray, "rows"], start: int, length: int) -> Int[np.ndarray, "inside"]:
    """Those of the sorted `rows` that lie in [start, start + length)."""
    low, high = np.searchsorted(rows, [start, start + length])
    return rows[low:high]


def cut_validation(
    train: Int[np.ndarray, "train"], *, fraction: float, split: int
) -> tuple[Int[np.ndarray, "rest"], Int[np.ndarray, "valid"]]:
    """(training rows, validation rows), both sorted; the latter are round(fraction * train), at least one.

    They are drawn at random; the draw depends on the set of rows and on `split` only.
    """
    count = max(1, round(fraction * len(train)))
    drawn = np.random.default_rng([VALIDATION, split]).permutation(np.sort(train))
    return np.sort(drawn[count:]), np.sort(drawn[:count])


def cut_files(
    files: Mapping[Part, int], *, fraction: float, split: int
) -> dict[Part, Int[np.ndarray, "rows"]]:
    """Rows of every part, sorted, of a source whose files have so many rows; its rows count on from file to file.

    A part without a file of its own is drawn from the rows of the training file.
    """
    ends = dict(zip(files, np.cumsum(list(files.values())), strict=True))
    parts = {part: np.arange(ends[part] - count, ends[part]) for part, count in files.items()}
    if "test" not in files:
        parts["train"], parts["test"] = cut_test(files["train"], split=split)
    if "valid" not in files:
        parts["train"], parts["valid"] = cut_validation(parts["train"], fraction=fraction, split=split)
    return {part: np.sort(parts[part]) for part in PARTS}


def out_of_fold(ensemble: Ensemble, *, rows: int, seed: int, split: int) -> Int[np.ndarray, "rows repeats"]:
    """Members that did not train on a row, members / folds of them for each row.

    The rows are cut into folds anew for every `folds` members. Sizes of folds differ by one row at most; the cuts
    depend on (seed, split) alone.
    """
    assert ensemble.folds is not None
    members = np.empty((rows, ensemble.members // ensemble.folds), dtype=np.int64)
    for repeat, own in enumerate(members.T):
        order = Stream(seed, split).generator(Use.FOLDS, repeat).permutation(rows)
        own[order] = repeat * ensemble.folds + np.arange(rows) % ensemble.folds
    return members
