"""An n-gram model to compare language models with: interpolated Kneser-Ney of order 3, discounts after Chen & Goodman.

p3(c | a b) = (n(abc) - D(n(abc))) / n(ab.) + g(ab) p2(c | b), where g(ab) is what the discounts took from the history;
an unseen history has p2 itself. p2 and p1 are the same of continuation counts, n(.bc) = number of distinct a before bc
and n(.c) = number of distinct b before c, and p1 goes on to 1 / V (Kneser & Ney 1995; Chen & Goodman 1999, section 3).
"""

from dataclasses import dataclass

import numpy as np

Ids = np.ndarray


@dataclass(frozen=True)
class Level:
    """One order: discounted probabilities of n-grams, and what their histories leave to the order below."""

    grams: Ids
    """Sorted keys of n-grams, history * V + token."""
    discounted: np.ndarray
    histories: Ids
    """Sorted keys of the histories."""
    left: np.ndarray

    def of(self, keys: Ids, histories: Ids) -> tuple[np.ndarray, np.ndarray]:
        """(discounted probability, weight of the order below) of each n-gram; an unseen history leaves all."""
        return _looked_up(self.grams, self.discounted, keys, 0.0), _looked_up(
            self.histories, self.left, histories, 1.0
        )


@dataclass(frozen=True)
class KneserNey:
    """The model of a text of token ids below `vocabulary`."""

    vocabulary: int
    levels: tuple[Level, Level, Level]
    """Of orders 1, 2, 3."""

    def probabilities(self, first: Ids, second: Ids, third: Ids) -> np.ndarray:
        """p(third | first second)."""
        size = self.vocabulary
        found = np.full(len(third), 1.0 / size)
        for level, history in zip(
            self.levels, (np.zeros_like(third), second, first * size + second), strict=True
        ):
            discounted, left = level.of(history * size + third, history)
            found = discounted + left * found
        return found

    def log_probabilities(self, text: Ids) -> np.ndarray:
        """log p of each token of a text from the third on, in nats."""
        text = text.astype(np.int64)
        return np.log(self.probabilities(text[:-2], text[1:-1], text[2:]))


def kneser_ney(text: Ids, vocabulary: int) -> KneserNey:
    """The model of a training text."""
    text = text.astype(np.int64)
    threes, counts = np.unique(
        (text[:-2] * vocabulary + text[1:-1]) * vocabulary + text[2:], return_counts=True
    )
    twos, before_two = np.unique(threes % vocabulary**2, return_counts=True)
    ones, before_one = np.unique(twos % vocabulary, return_counts=True)
    levels = (
        _level(ones, before_one, vocabulary),
        _level(twos, before_two, vocabulary),
        _level(threes, counts, vocabulary),
    )
    return KneserNey(vocabulary, levels)


def _level(grams: Ids, counts: np.ndarray, vocabulary: int) -> Level:
    ones, twos, threes, fours = (int((counts == n).sum()) for n in (1, 2, 3, 4))
    share = ones / (ones + 2 * twos)
    discounts = np.array(
        [0, 1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes]
    )
    taken = discounts[np.minimum(counts, 3)]
    histories, place = np.unique(grams // vocabulary, return_inverse=True)
    total = np.bincount(place, weights=counts)
    left = np.bincount(place, weights=taken) / total
    return Level(grams, (counts - taken) / total[place], histories, left)


def _looked_up(keys: Ids, values: np.ndarray, wanted: Ids, otherwise: float) -> np.ndarray:
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], otherwise)
