"""Texts as character tokens: one pass for the vocabulary, one that writes the three parts."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from precisionflow.config.tasks import NextToken
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.sources.texts import open_text
from precisionflow.data.text import Text
from precisionflow.records.cards import Vocabulary
from precisionflow.records.schemas import TOKENS
from precisionflow.results.layout import PARTS, Part

_CODE_POINTS = 0x110000


def _code_points(text: Text) -> Iterator[Int[np.ndarray, "characters"]]:
    for chunk in text.chunks():
        yield np.frombuffer(chunk.encode("utf-32-le"), dtype="<u4")


def open_next_token(task: NextToken, *, split: int) -> Opened:
    """The text; ValueError for a bad source and for a split other than 0."""
    if split:
        raise ValueError(
            f"splits: a text is cut by position, so it has no split {split}; "
            "keep splits at [0] and repeat with seeds"
        )
    text = open_text(task.source)
    return Opened(text.sha256, partial(write_text, text, task=task))


def write_text(text: Text, folder: Path, *, task: NextToken) -> Prepared:
    """Write train | valid | test, cut by position, into `folder`.

    The vocabulary is the sorted set of all code points. Validation and test part have floor(fraction *
    characters), the training part has the rest. Raises ValueError for text that is not UTF-8 and for a part
    that is too short for one window.
    """
    seen = np.zeros(_CODE_POINTS, dtype=bool)
    characters = 0
    for codes in _code_points(text):
        seen[codes] = True
        characters += len(codes)
    symbols = np.flatnonzero(seen)
    token_of = np.zeros(_CODE_POINTS, dtype=np.int32)
    token_of[symbols] = np.arange(len(symbols), dtype=np.int32)
    rows = _lengths(text, characters, task)
    ends = dict(zip(PARTS, np.cumsum([rows[part] for part in PARTS]).tolist(), strict=True))
    with part_files(folder, TOKENS) as append:
        start = 0
        for codes in _code_points(text):
            for part in PARTS:
                low, high = max(ends[part] - rows[part] - start, 0), max(ends[part] - start, 0)
                if len(piece := codes[low:high]):
                    append(part, pa.table([token_of[piece]], schema=TOKENS))
            start += len(codes)
    return Prepared(rows, vocabulary=Vocabulary(tokens=tuple(map(chr, symbols.tolist()))))


def _lengths(text: Text, characters: int, task: NextToken) -> dict[Part, int]:
    valid, test = int(characters * task.validation_fraction), int(characters * task.test_fraction)
    rows: dict[Part, int] = {"train": characters - valid - test, "valid": valid, "test": test}
    for part, count in rows.items():
        if count <= task.context:
            raise ValueError(
                f"{text.origin}: {count} of its {characters} characters are the {part} part, which needs "
                f"task.context + 1 = {task.context + 1}; give more text, less context or other fractions"
            )
    return rows
