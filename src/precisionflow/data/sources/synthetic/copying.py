"""Copying: symbols, blanks, a mark, the symbols again (Graves et al. 2014, Jelassi et al. 2024)."""

import numpy as np

from precisionflow.config.synthetic import Copying
from precisionflow.data.sources.synthetic.drawn import Drawn, Source, log_shown, replaced
from precisionflow.data.tokens.listed import PADDING
from precisionflow.records.schemas import NOT_COUNTED


def copying(source: Copying) -> Source:
    """Inputs s_1 ... s_l, blanks, mark, s_1 ... s_(l - 1); targets s_1 ... s_l from the mark on.

    Outliers replace symbols of the first copy. Given the first copy every symbol of the second is independent of the
    others, so p(target) follows from the shown symbol at its place alone.
    """
    names = tuple(map(str, range(source.symbols)))

    def draw(rows: int, random: np.random.Generator, test: bool) -> Drawn:
        longest = source.test_length or source.length
        lengths = (
            np.full(rows, longest) if test else random.integers(source.shortest, source.length + 1, rows)
        )
        return _sequences(source, lengths, random)

    return Source((PADDING, *names, "blank", "mark"), names, draw)


def _sequences(source: Copying, lengths: np.ndarray, random: np.random.Generator) -> Drawn:
    rows, most, kinds = len(lengths), int(lengths.max()), source.symbols
    true = random.integers(kinds, size=(rows, most))
    shown = replaced(true, kinds=kinds, outliers=source.outliers, random=random)
    stated = log_shown(true, shown, kinds=kinds, outliers=source.outliers)
    places = np.arange(2 * most + source.delay)
    mark = (lengths + source.delay)[:, None]
    copy = places - mark
    """Place in the second copy of the target at every token."""
    first, inside = places < lengths[:, None], (copy >= 0) & (copy < lengths[:, None])
    row = np.arange(rows)[:, None]
    at = np.clip(np.where(inside, copy, places), 0, most - 1)
    before = np.clip(copy - 1, 0, most - 1)
    ids = np.where(first, 1 + shown[row, at], kinds + 1)
    ids = np.where(copy == 0, kinds + 2, ids)
    ids = np.where(inside & (copy > 0), 1 + true[row, before], ids)
    ids = np.where(copy >= lengths[:, None], 0, ids)
    return Drawn(
        tokens=ids[..., None],
        target=np.where(inside, true[row, at], NOT_COUNTED),
        log_optimal=np.where(inside, stated[row, at], 0.0),
        optimal_correct=inside & (true == shown)[row, at],
    )
