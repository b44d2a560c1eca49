"""Metrics in what a trial prints, found as Katib's text collector finds them."""

import re
from collections.abc import Collection

_METRIC = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(?:\.\d+)?(?:[Ee][+-]?\d+)?)", re.ASCII)
"""Katib's default filter for texts (file metrics collector 0.19): NAME = NUMBER, anywhere in a line, ASCII as Go's."""


def parse_line(line: str, names: Collection[str]) -> list[tuple[str, float]]:
    """The (metric, value) pairs of a line whose metric is one of `names`, in their order.

    A name ends at what is no word character, | or -, so that `val/nll=0.3` reports nll; a value that is no number, such
    as nan, is left out; `nll: 0.3` reports nothing.
    """
    return [(name, float(value)) for name, value in _METRIC.findall(line) if name in names and _number(value)]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
