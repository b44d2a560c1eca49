"""Where it holds, of texts and of words: bins of their length, of the predicted tag, of words that training has."""

from pathlib import Path

import numpy as np
from jaxtyping import Integer

from precisionflow.data.labelled import Texts, Words
from precisionflow.evaluation.where import Bins, bins_of
from precisionflow.results.layout import PARTS, PreparedSplit

IN_TRAINING = ("never", "at least once")


def text_bins(data: Path) -> dict[str, Bins]:
    """Bins of the length of each test text in tokens; their ends follow from the texts of all parts."""
    lengths = {
        part: Texts.read(PreparedSplit(data).part(part)).bags.lengths.astype(np.float64) for part in PARTS
    }
    return {"length in tokens": bins_of(lengths["test"], np.concatenate(list(lengths.values())))}


def word_bins(
    data: Path, predicted: Integer[np.ndarray, " words"], names: tuple[str, ...]
) -> dict[str, Bins]:
    """Bins of the tagged test words: length of the sentence, predicted tag, occurrence in training.

    The tag is the predicted one: that of the words as they are tagged is no number that a true model knows, and its
    words would lie outside of every band. What occurs is what the network reads of a word, its ids.
    """
    parts = {part: Words.read(PreparedSplit(data).part(part)) for part in PARTS}
    seen = np.concatenate([words.lengths for words in parts.values()]).astype(np.float64)
    occurs = parts["test"].among(parts["train"].distinct).astype(np.int64)
    return {
        "length in words": bins_of(parts["test"].lengths.astype(np.float64), seen),
        "predicted tag": Bins.of_kinds(predicted, names),
        "occurrence in training": Bins.of_kinds(occurs, IN_TRAINING),
    }
