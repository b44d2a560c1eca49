"""Byte pairs: merges as the library `tokenizers` learns them, which applies them, kept as text in the vocabulary."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running.encoded import Encoded
from precisionflow.data.tokens.running.merges import learn_merges
from precisionflow.data.tokens.running.reread import folder_of
from precisionflow.data.tokens.running.segments import WHITE_SPACE, cut_at, ragged_take, segments
from precisionflow.data.tokens.running.tally import Common, Tally, most_common
from precisionflow.data.tokens.running.utf8 import alphabet, bytes_of, encode
from precisionflow.records.cards import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer, pre_tokenizers

PARALLELISM = "TOKENIZERS_PARALLELISM"
"""The variable that the library reads at each call."""
CUT = functools.partial(cut_at, WHITE_SPACE)
"""The library cuts at no other blanks."""
MOST_KEPT = 1 << 16
"""Segments whose ids are remembered."""
BATCH = 1 << 13
"""Segments that the library is given at once."""
PART = 1 << 16
"""Distinct segments that are cut into words at once."""
PLAIN = r"^ ?([A-Za-z]+|[0-9]+|[!-&(-/:-@\[-`{-~]+)$"
"""Segments that are one word in any case: letters, digits or other signs of ASCII without an apostrophe."""


class OneThread(contextlib.AbstractContextManager[None]):
    """The library works in the thread that calls it: a merge is so little work that threads cost several times as much.

    It takes no parameter for that but a variable of the process, which the first user sets and the last one restores.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.before: str | None = None

    def __enter__(self) -> None:
        with self.lock:
            if not self.users:
                self.before = os.environ.get(PARALLELISM)
                os.environ[PARALLELISM] = "false"
            self.users += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.users -= 1
            if self.users:
                return
            del os.environ[PARALLELISM]
            if self.before is not None:
                os.environ[PARALLELISM] = self.before


ONE_THREAD = OneThread()
"""The one of the process."""


class Kept:
    """Ids of segments."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self.row: dict[str, int] = {}
        self.flat = np.zeros(0, dtype=np.int32)
        self.lengths = np.zeros(0, dtype=np.int64)

    def add(
        self,
        segments: Sequence[str],
        flat: Int32[np.ndarray, "_tokens"],
        lengths: Int64[np.ndarray, "segments"],
    ) -> None:
        """Remember the ids of segments that are new."""
        self.row.update(zip(segments, range(len(self.row), len(self.row) + len(segments)), strict=True))
        self.lengths = np.append(self.lengths, lengths)
        self.flat = np.append(self.flat, flat)


@dataclass(frozen=True)
class BytePairs:
    """Ids 0 to 255 are the bytes by value, then the merges in the order in which they were learned."""

    vocabulary: Vocabulary
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)
    """Ids of segments that were met before."""
    note: str = field(default="", compare=False)
    """What the merges were not learned from."""

    @functools.cached_property
    def library(self) -> "Tokenizer":
        """The tokeniser of the library."""
        from tokenizers import Tokenizer, models

        ids = {token: i for i, token in enumerate(self.vocabulary.tokens)}
        merges = [(left, right) for left, right in (merge.split(" ") for merge in self.vocabulary.merges)]
        tokeniser = Tokenizer(models.BPE(vocab=ids, merges=merges))
        tokeniser.pre_tokenizer = _split()  # type: ignore[assignment]
        return tokeniser

    @functools.cached_property
    def sizes(self) -> Int64[np.ndarray, "tokens"]:
        """Bytes of each token."""
        return np.fromiter(map(len, self.vocabulary.tokens), np.int64, self.vocabulary.ids)

    def encoded(self, chunks: Iterable[bytes]) -> Iterator[Encoded]:
        for part in segments(chunks, CUT):
            distinct = part.distinct.to_pylist()
            if len(self.kept.row) > MOST_KEPT:
                self.kept.clear()
            new = [segment for segment in distinct if segment not in self.kept.row]
            for batch in _batches(new):
                self.kept.add(batch, *self._ids(batch))
            rows = np.fromiter(map(self.kept.row.__getitem__, distinct), np.int64, len(distinct))
            yield Encoded(ragged_take(self.kept.flat, self.kept.lengths, rows[part.places]), 0)

    def _ids(
        self, batch: Sequence[str]
    ) -> tuple[Int32[np.ndarray, "_tokens"], Int64[np.ndarray, "segments"]]:
        """(tokens of segments that stand beside each other, number of each one's tokens)."""
        with ONE_THREAD:
            (found,) = self.library.encode_batch_fast(["".join(batch)], add_special_tokens=False)
        ids = np.array(found.ids, dtype=np.int32)
        ends = np.cumsum(pc.binary_length(pa.array(batch, pa.string())).to_numpy())
        lengths = np.diff(np.searchsorted(np.cumsum(self.sizes[ids]), ends, side="right"), prepend=0)
        return ids, lengths

    def begun(self, text: str) -> int:
        first = next((piece.ids for piece in self.encoded([encode(text)]) if len(piece.ids)), None)
        if first is None:
            return len(text)
        wanted, length = len(bytes_of(self.vocabulary.tokens[first[0]])), 0
        for place, character in enumerate(text, 1):
            length += len(encode(character))
            if length >= wanted:
                return place
        return len(text)

    def text(self, ids: Sequence[int]) -> str:
        return b"".join(bytes_of(self.vocabulary.tokens[i]) for i in ids).decode("utf-8", "replace")


def byte_pairs_from(chunks: Iterable[bytes], config: kinds.BytePairs) -> BytePairs:
    """The merges of a text."""
    words = _words(chunks, most=config.most_words)
    merges = learn_merges(words.texts, words.counts, size=config.size, least_count=config.least_count)
    tokens = dict.fromkeys([*alphabet(), *("".join(merge) for merge in merges)])
    vocabulary = Vocabulary(tokens=tuple(tokens), merges=tuple(" ".join(merge) for merge in merges))
    return BytePairs(vocabulary, note=_note(words))


def _note(words: Common) -> str:
    """What the merges were not learned from; empty where that is nothing."""
    if not words.rarer:
        return ""
    known, count = len(words.counts), int(words.counts.sum())
    return (
        f"byte pairs are learned from the {known:,} most common of {known + words.rarer:,} words, "
        f"{count / (count + words.others):.2%} of the training part; task.tokens.most_words says how many"
    )


def _words(chunks: Iterable[bytes], *, most: int | None) -> Common:
    """The most common words of a text as the library cuts it."""
    split, folder = _split(), folder_of(chunks)
    with Tally(folder) as tally, Tally(folder) as words:
        for part in segments(chunks, CUT):
            tally.add(part.distinct, part.counts)
        for table in tally.counts():
            for part in table.to_batches(max_chunksize=PART):
                _add_words(words, part, split)
        return most_common(words.counts(), most=most)


def _add_words(words: Tally, segments: pa.RecordBatch, split: "pre_tokenizers.PreTokenizer") -> None:
    """Count the words that segments are cut into."""
    plain = pc.match_substring_regex(segments["text"], PLAIN)
    words.add(segments["text"].filter(plain), segments["count"].filter(plain).to_numpy())
    others = segments.filter(pc.invert(plain))
    counts = dict(zip(others["text"].to_pylist(), others["count"].to_pylist(), strict=True))
    for batch in _batches(counts):
        joined = "".join(batch)
        cut = [joined[start:end] for _, (start, end) in split.pre_tokenize_str(joined)]
        ends = np.cumsum([len(segment) for segment in batch])
        starts = np.cumsum([0, *map(len, cut)])[:-1]
        repeats = np.fromiter(map(counts.__getitem__, batch), np.int64, len(batch))
        words.add(pa.array(cut, pa.string()), repeats[np.searchsorted(ends, starts, side="right")])


def _batches(segments: Iterable[str]) -> Iterator[Sequence[str]]:
    """Segments that the library cuts beside each other as it cuts each alone.

    A text's first segment may begin without a blank, its last may end with one: each of these stands alone.
    """
    batch: list[str] = []
    for segment in segments:
        if segment[0] not in WHITE_SPACE or segment[-1] in WHITE_SPACE:
            yield [segment]
            continue
        batch.append(segment)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _split() -> "pre_tokenizers.PreTokenizer":
    """Words with the blank before them, runs of digits, of other signs, of blanks, each as the bytes of its UTF-8."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
