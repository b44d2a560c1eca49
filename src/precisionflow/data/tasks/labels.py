"""Labels of texts and words: whether there is something to predict, and which ones are too rare to be learned."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from precisionflow.data.readers.mistakes import alike
from precisionflow.results.layout import Part

SHOWN = 5
"""Labels that a message names."""


def check_labels(training: Counter[str], *, column: str, origin: str) -> None:
    """ValueError unless the training rows have two labels."""
    if not training:
        raise ValueError(
            f"{origin}: column {column!r} says nothing in any training row; choose another target column"
        )
    if len(training) < 2:
        raise ValueError(
            f"{origin}: column {column!r} is {next(iter(training))!r} in every training row; "
            "there is nothing to predict, so choose another target column"
        )


def rare_labels(counts: Mapping[Part, Counter[str]], *, column: str, origin: str) -> Iterator[str]:
    """Notes of labels that validation or test rows have and training rows do not, and of those that stand once."""
    total: Counter[str] = sum(counts.values(), Counter())
    unseen = sorted(label for label in total if not counts["train"][label])
    once = sorted(label for label, count in total.items() if count == 1 and counts["train"][label])
    if unseen:
        yield f"{origin}: column {column!r}: no training row has {_named(unseen)}; rows with it cannot be predicted"
    if once:
        yield f"{origin}: column {column!r}: one row has {_named(once)}; one row is too few to learn from"


def alike_labels(labels: Iterable[str], *, column: str, origin: str) -> tuple[str, ...]:
    """A note of labels that differ in case or blanks alone, each of which is one of its own."""
    several = alike(labels)
    return (f"{origin}: column {column!r} {several}",) if several else ()


def _named(labels: list[str]) -> str:
    more = f" and {len(labels) - SHOWN} others" if len(labels) > SHOWN else ""
    return ", ".join(map(repr, labels[:SHOWN])) + more
