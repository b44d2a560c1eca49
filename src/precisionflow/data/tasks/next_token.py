"""Texts as tokens of any kind: a vocabulary of the training part, then the three parts in chunks."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.tasks import NextToken
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.sources.texts import open_texts
from precisionflow.data.text import Text, Texts
from precisionflow.data.tokens.running import RunningTokeniser, fitted_running, knowing
from precisionflow.data.tokens.running.encoded import Untokenisable
from precisionflow.data.tokens.running.reread import Reread, Room
from precisionflow.records.cards import TextSize
from precisionflow.records.schemas import TOKENS
from precisionflow.results.layout import Part

ROW_GROUP = 1 << 20
"""Tokens of a row group, but of the last."""


@dataclass(frozen=True)
class Stretch:
    """One part of the text."""

    text: Text
    start: int
    end: int

    def chunks(self) -> Iterator[bytes]:
        return self.text.between(self.start, self.end)


def open_next_token(task: NextToken, *, split: int) -> Opened:
    """The text; ValueError for a bad source and for a split other than 0."""
    if split:
        raise ValueError(
            f"splits: a text is cut by position, so it has no split {split}; "
            "keep splits at [0] and repeat with seeds"
        )
    texts = open_texts(task.source)
    sha256 = "+".join(text.sha256 for text in texts.all)
    return Opened(sha256, partial(write_text, texts, task=task))


def write_text(texts: Texts, folder: Path, *, task: NextToken) -> Prepared:
    """Write train | valid | test into `folder`: files of their own, or cut by position from the end of the text.

    A part that is cut off has floor(fraction * characters) characters, the training part has the rest, whatever the
    tokens are; a cut inside a word that should stay whole moves on to its end. The vocabulary is that of the training
    part. Raises ValueError for what cannot be read and for a part that is too short for one window.
    """
    parts = _stretches(texts, task)
    rows: dict[Part, int] = {}
    sizes: dict[Part, TextSize] = {}
    with _memory_given_back(), part_files(folder, TOKENS) as append, ExitStack() as files:
        room = Room()
        read = {part: files.enter_context(Reread(parts[part].chunks, folder, room)) for part in parts}
        tokeniser = _fitted(parts, read, task)
        for part, stretch in parts.items():
            with _placed(stretch):
                rows[part], unknown = _write(read[part], tokeniser, partial(append, part))
            sizes[part] = _size(read[part], tokeniser, unknown)
    for part, count in rows.items():
        if count <= task.context:
            raise ValueError(
                f"{parts[part].text.origin}: the {part} part has {count} {task.tokens.plural} and needs "
                f"task.context + 1 = {task.context + 1}; give more text, less context or other fractions"
            )
    read_off = [note for text in texts.all for note in text.notes]
    learned = [f"{texts.text.origin}: {tokeniser.note}"] if tokeniser.note else []
    notes = (*read_off, *learned, *_notes(texts, rows, sizes, task))
    return Prepared(rows, vocabulary=tokeniser.vocabulary, sizes=sizes, notes=notes)


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """Arrow asks the system for memory: an allocator of its own keeps what is freed, which adds to what others keep.

    That helps where few Python objects are made in between; where every text becomes many of them it costs more.
    """
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def _stretches(texts: Texts, task: NextToken) -> dict[Part, Stretch]:
    end = texts.text.count()
    fractions: dict[Part, float] = {"valid": task.validation_fraction, "test": task.test_fraction}
    apart: dict[Part, Text | None] = {"valid": texts.valid, "test": texts.test}
    cut = [part for part, text in apart.items() if text is None]
    sizes = [int(end * fractions[part]) for part in cut]
    borders = [end - sum(sizes[place:]) for place in range(len(cut))]
    if task.tokens.whole_words:
        borders = [_next_blank(texts.text, border) for border in borders]
    borders.append(end)
    parts: dict[Part, Stretch] = {"train": Stretch(texts.text, 0, borders[0])}
    for part, text in apart.items():
        if text is None:
            place = cut.index(part)
            parts[part] = Stretch(texts.text, borders[place], borders[place + 1])
        else:
            parts[part] = Stretch(text, 0, text.count())
    return parts


def _next_blank(text: Text, start: int) -> int:
    """The place of the first blank from `start` on; the end where there is none."""
    place = start
    for chunk in text.between(start, sys.maxsize):
        if found := re.search(r"\s", characters := chunk.decode()):
            return place + found.start()
        place += len(characters)
    return place


@contextmanager
def _placed(stretch: Stretch) -> Iterator[None]:
    """A fault of the tokens as a ValueError that names the file, and the line in it."""
    try:
        yield
    except Untokenisable as fault:
        line = ""
        if fault.line is not None:
            before = sum(chunk.count(b"\n") for chunk in stretch.text.between(0, stretch.start))
            line = f"line {before + fault.line}: "
        raise ValueError(f"{stretch.text.origin}: {line}{fault}") from None


def _fitted(parts: Mapping[Part, Stretch], read: Mapping[Part, Reread], task: NextToken) -> RunningTokeniser:
    """The tokeniser of the training part, with an unknown token where another part has what that never showed."""
    with _placed(parts["train"]):
        tokeniser = fitted_running(task.tokens, read["train"])
    for part in ("valid", "test"):
        with _placed(parts[part]):
            tokeniser = knowing(tokeniser, read[part])
    return tokeniser


def _write(text: Reread, tokeniser: RunningTokeniser, append: Callable[[pa.Table], None]) -> tuple[int, int]:
    """(tokens, unknown ones among them) of a part."""
    rows = unknown = filled = 0
    # One array for all groups: pieces of many sizes, kept until they are written, would leave holes in the memory.
    group = np.empty(ROW_GROUP, dtype=np.int32)
    for piece in tokeniser.encoded(text):
        rows += len(piece.ids)
        unknown += piece.unknown
        left = piece.ids
        while len(left):
            some = left[: ROW_GROUP - filled]
            group[filled : filled + len(some)] = some
            left, filled = left[len(some) :], filled + len(some)
            if filled == ROW_GROUP:
                append(pa.table([group], schema=TOKENS))
                filled = 0
    if filled:
        append(pa.table([group[:filled]], schema=TOKENS))
    return rows, unknown


def _size(text: Reread, tokeniser: RunningTokeniser, unknown: int) -> TextSize:
    """Size of what is predicted of a part: all but its first token."""
    assert text.whole is not None, "the part was read to its end"
    head, characters, size = text.whole
    begun = head[: tokeniser.begun(head)]
    return TextSize(characters=characters - len(begun), bytes=size - len(begun.encode()), unknown=unknown)


def _notes(
    texts: Texts, rows: dict[Part, int], sizes: dict[Part, TextSize], task: NextToken
) -> Iterator[str]:
    """What the vocabulary does not hold, where there is something."""
    unknown = {part: size.unknown for part, size in sizes.items() if size.unknown}
    if unknown:
        said = ", ".join(f"{count:,} of {rows[part]:,} in {part}" for part, count in unknown.items())
        yield f"{texts.text.origin}: {task.tokens.plural} that the vocabulary does not hold: {said}"
