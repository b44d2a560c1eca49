"""Numbers behind the tables with all their digits: a row for each score and contrast."""

import math
from collections.abc import Sequence
from typing import Any

from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

SCORE = ("experiment", "dataset", "variant", "metric", "mean", "low", "high", "std", "n", "failed")
CONTRAST = (
    "baseline_variant",
    "effect",
    "low",
    "high",
    "p",
    "p_adjusted",
    "margin",
    "equivalence_adjusted",
    "verdict",
)


def numbers(scores: Sequence[Row], contrasts: Sequence[Row]) -> Table:
    """Rows of records.schemas.TABLE, each beside the rows of CONTRASTS that are about it: once for each, or once.

    Columns of the contrast that the score has too are called `effect_low`, `effect_high`. Empty: no number.
    """
    about: dict[tuple[str, ...], list[Row]] = {}
    for row in contrasts:
        about.setdefault(_where(row), []).append(row)
    body = [
        (*_texts(score, SCORE), *_texts(contrast, CONTRAST))
        for score in scores
        for contrast in about.get(_where(score), [{}])
    ]
    names = (*SCORE, *(f"effect_{name}" if name in SCORE else name for name in CONTRAST))
    return Table("numbers", tuple(map(Entry, names)), tuple(tuple(map(Entry, row)) for row in body))


def _where(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in SCORE[:4])


def _texts(row: Row, names: Sequence[str]) -> list[str]:
    return [_text(row.get(name)) for name in names]


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
