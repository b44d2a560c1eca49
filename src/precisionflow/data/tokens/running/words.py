"""Words: what stands between blanks, the most common first, and <unk> for all others."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running.encoded import NO_ID, Encoded
from precisionflow.data.tokens.running.listing import Listing, refuse_none
from precisionflow.data.tokens.running.segments import gathered, segments
from precisionflow.records.cards import Vocabulary

LINE_END = "<eos>"


@dataclass(frozen=True)
class Words(Listing):
    """The tokens stand in the order of their counts in the training text; <unk> counts as all that it stands for."""

    kind: ClassVar[str] = "words"
    unknown: ClassVar[str] = "<unk>"
    config: kinds.Words

    def encoded(self, chunks: Iterable[str]) -> Iterator[Encoded]:
        for distinct, index in segments(chunks):
            bags = [[self.index.get(word, NO_ID) for word in self.split(segment)] for segment in distinct]
            ids = gathered(bags, index)
            new = ids == NO_ID
            ids[new] = self.id_of_unknown
            yield Encoded(ids, int(new.sum()))

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
    counts: Counter[str] = Counter()
    for part in segments(chunks):
        for segment, count in zip(part.distinct, part.counts, strict=True):
            for word in split_words(segment, config):
                counts[word] += count
    often = (word for word, count in counts.items() if count >= config.least_count)
    kept = sorted(often, key=lambda word: (-counts[word], word))[: config.most]
    refuse_none(kept, kind="words", least_count=config.least_count)
    known = {word: counts[word] for word in kept}
    if others := counts.total() - sum(known.values()):
        known[Words.unknown] = known.get(Words.unknown, 0) + others
    tokens = sorted(known, key=lambda word: (-known[word], word))
    return Words(Vocabulary(tokens=tuple(tokens)), config)
