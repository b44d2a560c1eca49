"""Words: what stands between blanks, the most common first, and <unk> for all others."""

import functools
import itertools
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running.encoded import NO_ID, Encoded
from precisionflow.data.tokens.running.listing import Listing, refuse_none
from precisionflow.data.tokens.running.segments import SEPARATORS, Tally, segments
from precisionflow.records.cards import Vocabulary

LINE_END = "<eos>"


@dataclass(frozen=True)
class Words(Listing):
    """The tokens stand in the order of their counts in the training text; <unk> counts as all that it stands for."""

    kind: ClassVar[str] = "words"
    unknown: ClassVar[str] = "<unk>"
    config: kinds.Words

    @functools.cached_property
    def listed(self) -> pa.StringArray:
        """The tokens in the order of their ids."""
        return pa.array(self.vocabulary.tokens, pa.string())

    def encoded(self, chunks: Iterable[str]) -> Iterator[Encoded]:
        for part in segments(chunks, blanks=SEPARATORS):
            lines, words = _read(part.distinct, self.config)
            ids = pc.fill_null(pc.index_in(words, value_set=self.listed), NO_ID).to_numpy(
                zero_copy_only=False
            )
            there = pc.not_equal(words, "").to_numpy(zero_copy_only=False)
            length = (lines + there)[part.places]
            found = np.full(length.sum(), self.index.get(LINE_END, NO_ID), dtype=np.int32)
            last = (np.cumsum(length) - 1)[there[part.places]]
            found[last] = ids[part.places][there[part.places]]
            new = found == NO_ID
            found[new] = self.id_of_unknown
            yield Encoded(found, int(new.sum()))

    def begun(self, text: str) -> int:
        first = r"[^\S\n]*\n|\s*\S+" if self.config.line_ends else r"\s*\S+"
        found = re.match(first, text)
        return found.end() if found else len(text)

    def text(self, ids: Sequence[int]) -> str:
        words = [self.vocabulary.tokens[i] for i in ids]
        return re.sub(f" ?{LINE_END} ?", "\n", " ".join(words)) if self.config.line_ends else " ".join(words)

    def split(self, text: str) -> list[str]:
        return split_words(text, self.config)


def split_words(text: str, config: kinds.Words) -> list[str]:
    """The words of a text, and its line ends where they are tokens."""
    if config.lower_case:
        text = text.lower()
    if not config.line_ends:
        return text.split()
    first, *lines = text.split("\n")
    words = first.split()
    for line in lines:
        words += [LINE_END, *line.split()]
    return words


def words_from(chunks: Iterable[str], config: kinds.Words) -> Words:
    """The most common words of a text, and <unk> where there are others; Untokenisable for none."""
    tally, line_ends = Tally(), 0
    for part in segments(chunks, blanks=SEPARATORS):
        lines, words = _read(part.distinct, config)
        tally.add(words, part.counts)
        line_ends += int(lines @ part.counts)
    counts = tally.counts()
    counts.pop("", None)
    if line_ends:
        counts[LINE_END] = counts.get(LINE_END, 0) + line_ends
    known = _commonest({word: count for word, count in counts.items() if count >= config.least_count})
    kept = dict(itertools.islice(known.items(), config.most))
    refuse_none(kept, kind="words", least_count=config.least_count)
    if others := sum(counts.values()) - sum(kept.values()):
        kept = _commonest(kept | {Words.unknown: kept.get(Words.unknown, 0) + others})
    return Words(Vocabulary(tokens=tuple(kept)), config)


def _commonest(counts: dict[str, int]) -> dict[str, int]:
    """The counts from the highest on, those of one count in the order of their words."""
    return dict(sorted(sorted(counts.items()), key=operator.itemgetter(1), reverse=True))


def _read(
    distinct: pa.StringArray, config: kinds.Words
) -> tuple[Int64[np.ndarray, "distinct"], pa.StringArray]:
    """(line ends that are tokens, the word after them or nothing) of each segment."""
    words = pc.utf8_trim_whitespace(distinct)
    if config.lower_case:
        words = pa.array([word.lower() for word in words.to_pylist()], pa.string())
    if not config.line_ends:
        return np.zeros(len(distinct), dtype=np.int64), words
    return pc.count_substring(distinct, "\n").to_numpy().astype(np.int64), words
