"""Associative recall: pairs of a key and a value, then a key whose value is asked for (Ba et al. 2016)."""

import numpy as np

from precisionflow.config.synthetic import Recall
from precisionflow.data.sources.synthetic.drawn import Drawn, Source, log_shown, replaced
from precisionflow.data.tokens.listed import PADDING
from precisionflow.records.schemas import NOT_COUNTED


def recall(source: Recall) -> Source:
    """A pair is one token of two ids, its key's and its value's; the last token is a key and the question.

    The keys of a sequence differ. Outliers replace shown values. The token of the asked key is the cause of the target.
    """
    keys = tuple(f"key_{i}" for i in range(source.keys))
    values = tuple(f"value_{i}" for i in range(source.values))

    def draw(rows: int, random: np.random.Generator, _test: bool) -> Drawn:
        key = random.random((rows, source.keys)).argsort(axis=1)[:, : source.pairs]
        true = random.integers(source.values, size=key.shape)
        shown = replaced(true, kinds=source.values, outliers=source.outliers, random=random)
        asked = random.integers(source.pairs, size=(rows, 1))
        pairs = np.stack([1 + key, 1 + source.keys + shown], axis=-1)
        question = np.full((rows, 1), 1 + source.keys + source.values)
        last = np.stack([1 + np.take_along_axis(key, asked, axis=1), question], axis=-1)
        right, given = (np.take_along_axis(of, asked, axis=1) for of in (true, shown))
        shape = (rows, source.pairs)
        stated = log_shown(right, given, kinds=source.values, outliers=source.outliers)
        return Drawn(
            tokens=np.concatenate([pairs, last], axis=1),
            target=np.concatenate([np.full(shape, NOT_COUNTED), right], axis=1),
            log_optimal=np.concatenate([np.zeros(shape), stated], axis=1),
            optimal_correct=np.concatenate([np.zeros(shape, dtype=bool), right == given], axis=1),
            cause=np.concatenate([np.full(shape, -1), asked], axis=1),
        )

    return Source((PADDING, *keys, *values, "question"), tuple(map(str, range(source.values))), draw)
