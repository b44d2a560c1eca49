"""Words: what stands between blanks, the most common first, and <unk> for all others."""

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running.encoded import NO_ID, Encoded
from precisionflow.data.tokens.running.listing import Listing, refuse_none
from precisionflow.data.tokens.running.reread import Cut, folder_of
from precisionflow.data.tokens.running.segments import SEPARATORS, Segments, cut_at, segments
from precisionflow.data.tokens.running.tally import Tally, most_common
from precisionflow.records.cards import Vocabulary

LINE_END = "<eos>"
AT_ONCE = 1 << 16
"""Distinct words that are looked up at once."""


@dataclass(frozen=True)
class Words(Listing):
    """The tokens stand in the order of their counts in the training text; <unk> counts as all that it stands for."""

    kind: ClassVar[str] = "words"
    unknown: ClassVar[str] = "<unk>"
    config: kinds.Words

    @functools.cached_property
    def listed(self) -> pa.StringArray:
        """The vocabulary."""
        return pa.array(self.vocabulary.tokens, pa.string())

    def encoded(self, chunks: Iterable[bytes]) -> Iterator[Encoded]:
        line_end = self.id_of(LINE_END)
        for parts in _together(segments(chunks, _cut(self.config))):
            words = pa.concat_arrays([part.distinct for part in parts])
            ids = pc.index_in(words, value_set=self.listed).fill_null(NO_ID).to_numpy()
            if self.config.line_ends:
                ids = np.where(_is_line_end(words), np.int32(line_end), ids)
            unknown = ids == NO_ID
            ids, end = np.where(unknown, np.int32(self.id_of_unknown), ids), 0
            for part in parts:
                own = slice(end, end := end + len(part.distinct))
                new = np.count_nonzero(unknown[own].take(part.places)) if unknown[own].any() else 0
                yield Encoded(ids[own].take(part.places), int(new))

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


def words_from(chunks: Iterable[bytes], config: kinds.Words) -> Words:
    """The most common words of a text, and <unk> where there are others; Untokenisable for none."""
    line_ends = 0
    with Tally(folder_of(chunks)) as tally:
        for part in segments(chunks, _cut(config)):
            counted = part.counts
            tally.add(part.distinct, counted)
            line_ends += int(counted[_is_line_end(part.distinct)].sum())
        tally.add(pa.array([LINE_END], pa.string()), np.array([line_ends]))
        common = most_common(map(_tokens, tally.counts()), least_count=config.least_count, most=config.most)
    kept: list[str] = common.texts.to_pylist()
    refuse_none(kept, kind="words", least_count=config.least_count)
    if common.others:
        kept = _with_unknown(kept, common.counts, common.others)
    return Words(Vocabulary(tokens=tuple(kept)), config)


def _tokens(counts: pa.Table) -> pa.Table:
    """Counts of what is a token: `LINE_END` stands there for what is cut as no word, perhaps no times."""
    return counts.filter(pc.and_(pc.not_equal(counts["text"], ""), pc.greater(counts["count"], 0)))


def _with_unknown(words: list[str], counts: Int64[np.ndarray, "words"], others: int) -> list[str]:
    """The words in the order of their counts, <unk> where its count and those of all others put it."""
    if Words.unknown in words:
        place = words.index(Words.unknown)
        others += int(counts[place])
        words, counts = words[:place] + words[place + 1 :], np.delete(counts, place)
    first, end = (int(np.searchsorted(-counts, -others, side=side)) for side in ("left", "right"))
    place = bisect.bisect_left(words, Words.unknown, first, end)
    return [*words[:place], Words.unknown, *words[place:]]


@functools.cache
def _cut(config: kinds.Words) -> Cut:
    """Cuts a text into segments, each of which is one token: a word, or where line ends are tokens "" for one."""
    return functools.partial(_read, config=config)


def _read(chunks: Iterable[bytes], config: kinds.Words) -> Iterator[pa.DictionaryArray]:
    for array in cut_at(SEPARATORS, chunks, lines=config.line_ends):
        if len(array) == 1 and _is_no_token(array[0].as_py(), config):
            continue  # the text's end
        words = pc.utf8_trim_whitespace(array.dictionary)
        if config.lower_case:
            words = pa.array([word.lower() for word in words.to_pylist()], pa.string())
        yield pa.DictionaryArray.from_arrays(array.indices, words)


def _is_no_token(segment: str, config: kinds.Words) -> bool:
    """Whether a segment is blanks alone, and no line end that is a token."""
    return not segment.strip() and not (config.line_ends and segment.endswith("\n"))


def _is_line_end(words: pa.StringArray) -> Bool[np.ndarray, "words"]:
    """True where there is no word."""
    return pc.binary_length(words).to_numpy() == 0


def _together(parts: Iterable[Segments]) -> Iterator[list[Segments]]:
    """Parts whose words are looked up at once, since each look-up reads the whole vocabulary."""
    gathered, size = list[Segments](), 0
    for part in parts:
        gathered.append(part)
        size += len(part.distinct)
        if size >= AT_ONCE:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered
