"""Pictures of the page: a figure with the sentence under it, and the legend that several figures share."""

from collections.abc import Sequence
from dataclasses import dataclass

from precisionflow.report.drawn import Drawn
from precisionflow.report.svg import legend_sample

MOST_FIGURES = 6
"""Variants that have figures of their own."""


@dataclass(frozen=True)
class Picture:
    """A figure with its numbers, and the sentence under it."""

    drawn: Drawn
    caption: str


@dataclass(frozen=True)
class Key:
    """One line of a legend: a sample of the series as SVG, and what it stands for."""

    sample: str
    text: str


def legend(texts: Sequence[str], *, name: str) -> list[Key]:
    """The look of series 0, 1, ..., one for each text; ids start with `name`."""
    return [Key(legend_sample(index, name=f"{name}-{index}"), text) for index, text in enumerate(texts)]
