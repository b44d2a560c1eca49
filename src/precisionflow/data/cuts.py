"""Cuts of a table file's rows: at random, by groups, by time, into folds, or as a column says."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import numpy as np
from jaxtyping import Bool, Float, Int

from precisionflow.config.tables import (
    GivenSplit,
    GroupedSplit,
    KFoldSplit,
    RandomSplit,
    TableSplit,
    TimeOrderedSplit,
)
from precisionflow.data.folds import VALIDATION, cut_test, cut_validation, share_of

Rows = Int[np.ndarray, "rows"]
Keys = np.ndarray
"""What the split's column holds in each row: texts, or of time numbers."""
Validation = Callable[[float], tuple[Rows, Rows]]
"""Share of the training rows -> (training rows, validation rows), both sorted."""


@dataclass(frozen=True)
class Cut:
    """Rows of one split, as their indices in the source."""

    train: Rows
    """Validation rows too."""
    test: Rows
    validation: Validation


def random_validation(train: Rows, *, split: int) -> Validation:
    """Validation rows drawn by `cut_validation`."""
    return lambda fraction: cut_validation(train, fraction=fraction, split=split)


def cut_rows(config: TableSplit, rows: Rows, keys: Keys | None, *, split: int, origin: str) -> Cut:
    """The cut of some rows; `keys` are what the split's column holds. ValueError where it leaves a part empty."""
    match config:
        case RandomSplit():
            train, test = cut_test(len(rows), split=split, fraction=config.test_fraction)
            return Cut(rows[train], rows[test], random_validation(rows[train], split=split))
        case GroupedSplit():
            return _grouped(config, rows, _known(keys), split=split, origin=origin)
        case TimeOrderedSplit():
            return _time_ordered(config, rows, _known(keys), split=split, origin=origin)
        case KFoldSplit():
            return _k_fold(config, rows, keys, split=split, origin=origin)
        case GivenSplit():
            return _given(config, rows, _known(keys), split=split, origin=origin)
        case _:
            assert_never(config)


def _known(keys: Keys | None) -> Keys:
    assert keys is not None, "the split has a column"
    return keys


def _grouped(config: GroupedSplit, rows: Rows, keys: Keys, *, split: int, origin: str) -> Cut:
    _check_groups(keys, 3, column=config.column, origin=origin)
    test = some_groups(keys, config.test_fraction, np.random.default_rng(split), left=2)
    return _of_groups(rows, keys, test, split=split)


def _of_groups(rows: Rows, keys: Keys, test: np.ndarray, *, split: int) -> Cut:
    """The cut whose test rows are a mask; validation rows are whole groups too."""
    train, groups = rows[~test], keys[~test]

    def validation(fraction: float) -> tuple[Rows, Rows]:
        chosen = some_groups(groups, fraction, np.random.default_rng([VALIDATION, split]))
        return np.sort(train[~chosen]), np.sort(train[chosen])

    return Cut(train, rows[test], validation)


def _check_groups(keys: Keys, fewest: int, *, column: str, origin: str) -> None:
    if (there := len(np.unique(keys))) < fewest:
        raise ValueError(
            f"{origin}: column {column!r} has {there} groups; {fewest} are the fewest, so give more or another split"
        )


def some_groups(
    keys: Keys, fraction: float, random: np.random.Generator, *, left: int = 1
) -> Bool[np.ndarray, "rows"]:
    """True in the rows of some whole groups, about `fraction` of all rows.

    Groups come in an order that is drawn from the set of their names; each is taken where that brings the number of
    rows nearer to the share. One group at least is taken, `left` at least are not. The order of the rows does not
    matter.
    """
    names, codes, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    wanted, count = share_of(len(keys), fraction), 0
    taken: list[int] = []
    order = random.permutation(len(names))
    for group in order:
        size = int(sizes[group])
        nearer = count < wanted and abs(count + size - wanted) < wanted - count
        if nearer and len(taken) < len(names) - left:
            taken.append(group)
            count += size
    return np.isin(codes, taken or [order[np.argmin(sizes[order])]])


def _time_ordered(config: TimeOrderedSplit, rows: Rows, times: Keys, *, split: int, origin: str) -> Cut:
    """Rows of one time are in one part, so a part may be a little larger than its share."""
    tests = share_of(len(rows), config.test_fraction)
    left = np.ones(len(rows), dtype=bool)
    test = np.zeros(len(rows), dtype=bool)
    for _ in range(split + 1):
        left = left & ~test
        if len(np.unique(times[left])) < 3:
            raise ValueError(
                f"{origin}: column {config.column!r} has no times left for split {split}; each split tests the rows "
                "before those of the last one, so ask for fewer splits or lower task.source.split.test_fraction"
            )
        test = left & (times >= _since(times[left], tests))
    train, known = rows[left & ~test], times[left & ~test]

    def validation(fraction: float) -> tuple[Rows, Rows]:
        late = known >= _since(known, share_of(len(known), fraction))
        return np.sort(train[~late]), np.sort(train[late])

    return Cut(train, rows[test], validation)


def _since(times: Float[np.ndarray, "rows"], count: int) -> float:
    """The time from which on there are `count` rows or a few more, but not all."""
    ordered = np.sort(times)
    since = ordered[max(len(ordered) - count, 0)]
    return float(since if since > ordered[0] else ordered[np.searchsorted(ordered, ordered[0], side="right")])


def _k_fold(config: KFoldSplit, rows: Rows, keys: Keys | None, *, split: int, origin: str) -> Cut:
    repeat, fold = divmod(split, config.k)
    random = np.random.default_rng(repeat)
    if keys is None:
        if len(rows) < config.k:
            raise ValueError(
                f"{origin}: has {len(rows)} rows for {config.k} folds; lower task.source.split.k or give more rows"
            )
        of = np.empty(len(rows), dtype=np.int64)
        of[random.permutation(len(rows))] = np.arange(len(rows)) % config.k
        test = of == fold
        return Cut(rows[~test], rows[test], random_validation(rows[~test], split=split))
    _check_groups(keys, max(config.k, 4 if config.k == 2 else 3), column=str(config.group), origin=origin)
    return _of_groups(rows, keys, _folds_of_groups(keys, config.k, random) == fold, split=split)


def _folds_of_groups(keys: Keys, folds: int, random: np.random.Generator) -> Int[np.ndarray, "rows"]:
    """Fold of each row: groups in drawn order each go to the fold with the fewest rows, so repeats differ.

    Larger groups first would fill the folds more evenly, and alike in every repeat.
    """
    names, codes, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    of, filled = np.empty(len(names), dtype=np.int64), np.zeros(folds, dtype=np.int64)
    for group in random.permutation(len(names)):
        of[group] = np.argmin(filled)
        filled[of[group]] += sizes[group]
    return of[codes]


def _given(config: GivenSplit, rows: Rows, words: Keys, *, split: int, origin: str) -> Cut:
    of = {word: part for part in ("train", "valid", "test") for word in getattr(config, part)}
    for row, word in zip(rows, words, strict=True):
        if word not in of:
            raise ValueError(
                f"{origin}: row {row} (counted from 0), column {config.column!r}: {word!r} is no part; write one of "
                f"{', '.join(of)}, or name it in task.source.split.train, valid or test"
            )
    parts = np.array([of[word] for word in words], dtype=object)
    train, valid, test = (rows[parts == part] for part in ("train", "valid", "test"))
    for part, found in (("train", train), ("test", test)):
        if not len(found):
            raise ValueError(
                f"{origin}: column {config.column!r} gives no row to the {part} part; write "
                f"{' or '.join(getattr(config, part))} in some"
            )
    if not len(valid):
        return Cut(train, test, random_validation(train, split=split))
    if split:
        raise ValueError(
            f"splits: column {config.column!r} of {origin} says which rows validate, so there is no split {split}; "
            "keep splits at [0]"
        )
    return Cut(np.concatenate([train, valid]), test, partial(as_given, train, valid))


def as_given(train: Rows, valid: Rows, _fraction: float) -> tuple[Rows, Rows]:
    """(training rows, validation rows), whatever the share: the source says which they are."""
    return np.sort(train), np.sort(valid)
