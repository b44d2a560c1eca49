"""Class by class: how often it is found, how sure the model is of it, which classes are taken for which."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Integer

from precisionflow.evaluation.calibration.classes import ClassBins
from precisionflow.evaluation.columns import Rows
from precisionflow.records.schemas import CLASSES, CONFUSIONS

Classes = Integer[np.ndarray, " rows"]
DRAWS = 400
"""Draws behind a band."""
CONFIDENCE = 0.95


def class_table(
    names: Sequence[str], binned: ClassBins, *, target: Classes, predicted: Classes, confidence: Rows
) -> pa.Table:
    """A records.schemas.CLASSES, one row for each class that a target has or a prediction names.

    `confidence` is the largest probability of each row. F1 is 2 hits / (targets + predictions). ece is that of the
    class's own probability (Kull et al. 2019); its band holds 95 % of what a calibrated model would score.
    """
    count = len(names)
    hits = np.bincount(target[target == predicted], minlength=count)
    targets, named = (np.bincount(of, minlength=count) for of in (target, predicted))
    there = np.flatnonzero(targets + named)
    error = np.abs(binned.observed - binned.stated).sum(axis=1) / binned.rows
    low, high = chance_of_class_errors(binned)
    columns = {
        "class": [names[k] for k in there.tolist()],
        "n": targets[there],
        "predicted": named[there],
        "accuracy": _share(hits, targets)[there],
        "f1": _share(2 * hits, targets + named)[there],
        "confidence": _share(np.bincount(target, weights=confidence, minlength=count), targets)[there],
        "ece": error[there],
        "chance_low": low[there],
        "chance_high": high[there],
    }
    return pa.table(columns, schema=CLASSES)


def chance_of_class_errors(
    binned: ClassBins,
) -> tuple[Float[np.ndarray, "classes"], Float[np.ndarray, "classes"]]:
    """Lowest and highest class-wise error of a model that states what the bins hold on average, and is right.

    The rows of a class in a bin are drawn as Binomial(count, stated / count).
    """
    random, count = np.random.default_rng(0), binned.count.astype(int)
    chance = np.clip(binned.stated / np.maximum(binned.count, 1), 0, 1)
    drawn = random.binomial(count, chance, size=(DRAWS, *count.shape))
    errors = np.abs(drawn - binned.stated).sum(axis=2) / binned.rows
    low, high = np.quantile(errors, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return low, high


def confusion_table(names: Sequence[str], *, target: Classes, predicted: Classes) -> pa.Table:
    """A records.schemas.CONFUSIONS: pairs of unlike classes, the commonest first."""
    wrong: Bool[np.ndarray, " rows"] = target != predicted
    counts = Counter(zip(target[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    pairs = sorted(counts, key=lambda pair: (-counts[pair], pair))
    columns = {
        "target": [names[a] for a, _ in pairs],
        "predicted": [names[b] for _, b in pairs],
        "n": [counts[pair] for pair in pairs],
    }
    return pa.table(columns, schema=CONFUSIONS)


def _share(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, "classes"]:
    return part / np.maximum(whole, 1)
