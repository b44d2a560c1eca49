"""Batches of prepared data: windows of tokens, rows, sequences; pure functions of (stream, step).

Nothing here keeps a position, so a resumed run and a run on another number of ranks see the same data.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Float32, Int, Int32, Int64

from precisionflow.data.bags import Bags, Padded, ragged
from precisionflow.data.streams import Stream, Use
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import (
    AUXILIARY,
    NOT_COUNTED,
    REGRESSION_ROWS,
    SEQUENCES,
    TAGGED,
    TOKENS,
    WEIGHT,
)

WINDOW = 16
"""Most batches of texts that are sorted by length together."""


def rank_slice(size: int, *, rank: int, ranks: int) -> slice:
    """The contiguous share of a batch of `size` that `rank` takes; shares differ by at most one."""
    return slice(rank * size // ranks, (rank + 1) * size // ranks)


@dataclass(frozen=True)
class TokenWindows:
    """One part of a text."""

    ids: Int32[np.ndarray, "tokens"]

    @classmethod
    def read(cls, path: Path) -> "TokenWindows":
        """The tokens in a validated `<part>.parquet`."""
        return cls(read_parquet(path, TOKENS)["token"].to_numpy())

    def windows(
        self, step: int, *, stream: Stream, batch_size: int, context: int, rank: int = 0, ranks: int = 1
    ) -> Int32[np.ndarray, "share window"]:
        """This rank's share of the step's batch; windows start anywhere, drawn anew at every step.

        A window has context + 1 tokens: window[:-1] is what the model reads, window[1:] what it predicts.
        """
        random = stream.generator(Use.BATCHES, step)
        starts = random.integers(0, len(self.ids) - context, size=batch_size)
        share = starts[rank_slice(batch_size, rank=rank, ranks=ranks)]
        return self.ids[share[:, None] + np.arange(context + 1)]

    def consecutive(
        self, context: int, *, batch_size: int = 64
    ) -> Iterator[Int32[np.ndarray, "windows length"]]:
        """Batches of windows with stride `context`: every token but the first is a target (window[1:]) once.

        Windows come in order, up to `batch_size` of length context + 1 in a batch; what remains at the end is
        one last batch of a single, shorter window.
        """
        count = (len(self.ids) - 1) // context
        starts = np.arange(count) * context
        for first in range(0, count, batch_size):
            yield self.ids[starts[first : first + batch_size, None] + np.arange(context + 1)]
        if len(rest := self.ids[count * context :]) > 1:
            yield rest[None, :]


@dataclass(frozen=True)
class Rows:
    """Rows of a table: a whole part, or one batch of it."""

    rows: Int[np.ndarray, "rows"]
    """Index of each row in the source."""
    features: Float32[np.ndarray, "rows features"]
    """Standardised."""
    target: Float32[np.ndarray, "rows"]
    """Standardised."""
    weight: Float[np.ndarray, "rows"] | None = None
    """Weight of each row's loss, as the source has it; none: every row counts alike."""

    @classmethod
    def read(cls, path: Path) -> "Rows":
        """The rows in a validated `<part>.parquet`."""
        return cls.of(read_parquet(path, REGRESSION_ROWS), path)

    @classmethod
    def of(cls, table: pa.Table, path: Path) -> "Rows":
        """The rows of a records.schemas.REGRESSION_ROWS that was read from a file."""
        widths = pc.unique(pc.list_value_length(table["features"])).to_pylist()
        if not widths:
            raise ValueError(f"{path}: has no rows; run prepare again")
        if len(widths) != 1:
            raise ValueError(f"{path}: column 'features' has {len(widths)} widths; run prepare again")
        features: Float[np.ndarray, "cells"] = pc.list_flatten(table["features"]).to_numpy()
        return cls(
            rows=table["row"].to_numpy(),
            features=features.reshape(-1, widths[0]).astype(np.float32),
            target=table["target"].to_numpy().astype(np.float32),
            weight=_checked_weight(table[WEIGHT].to_numpy(), path) if WEIGHT in table.column_names else None,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @functools.cached_property
    def importance(self) -> Float32[np.ndarray, "rows"] | None:
        """Weight of each row over the mean weight of all; none: every row counts alike."""
        if self.weight is None:
            return None
        scaled = self.weight / self.weight.max()
        return (scaled / scaled.mean()).astype(np.float32)

    def drawn(
        self, step: int, *, stream: Stream, batch_size: int, rank: int = 0, ranks: int = 1
    ) -> Int[np.ndarray, "share"]:
        """Places of this rank's share of the step's batch.

        The steps walk through one permutation of all rows after another, so every row comes once an epoch and
        a batch may lie across two epochs. A batch size of at least all rows is the whole part at every step.
        """
        return drawn(len(self), step, stream=stream, batch_size=batch_size, rank=rank, ranks=ranks)


def _checked_weight(weight: Float[np.ndarray, "rows"], path: Path) -> Float[np.ndarray, "rows"]:
    """The weights of a part; ValueError where all are 0."""
    if not weight.max() > 0:
        raise ValueError(
            f"{path}: all rows weigh 0; give rows of this part a weight, or leave task.source.weights out"
        )
    return weight


@dataclass(frozen=True)
class Sequences:
    """Texts with a class each, or with a class at every token: a whole part, or one batch of it."""

    rows: Int[np.ndarray, "rows"]
    """Index of each text in the source."""
    tokens: Bags
    """Of the whole part."""
    target: Int32[np.ndarray, "targets"]
    """Index of the class of every text, or of every token of the whole part."""
    chosen: Int[np.ndarray, "rows"]
    """Place of each text in the whole part."""
    beside: Int32[np.ndarray, "targets columns"] | None = None
    """Index of the class of every token in the columns that are learned beside; none: there are no such columns."""

    @classmethod
    def read(cls, path: Path, *, tagged: bool = False) -> "Sequences":
        """The texts in a validated `<part>.parquet`, whose tokens have a class each where they are tagged."""
        table = read_parquet(path, TAGGED if tagged else SEQUENCES)
        if not table.num_rows:
            raise ValueError(f"{path}: has no rows; run prepare again")
        tokens = Bags.read(table["tokens"])
        target = table["target"]
        if tagged:
            different = pc.list_value_length(target).to_numpy() != tokens.lengths
            if different.any():
                raise ValueError(
                    f"{path}: row {np.argmax(different)} has another number of targets than of tokens; "
                    "run prepare again"
                )
            target = pc.list_flatten(target)
        beside = _rectangular(table[AUXILIARY], path) if AUXILIARY in table.column_names else None
        return cls(table["row"].to_numpy(), tokens, target.to_numpy(), np.arange(len(tokens)), beside)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Int64[np.ndarray, "rows"]:
        """Number of tokens of each text."""
        return self.tokens.lengths[self.chosen]

    def among(self, chosen: Int[np.ndarray, "chosen"]) -> "Sequences":
        """Some of the texts."""
        return Sequences(self.rows[chosen], self.tokens, self.target, self.chosen[chosen], self.beside)

    def batch(
        self, step: int, *, stream: Stream, batch_size: int, rank: int = 0, ranks: int = 1
    ) -> "Sequences":
        """This rank's share of the step's batch, of texts of like length."""
        alike = drawn_alike(self.lengths, step, stream=stream, batch_size=batch_size)
        return self.among(alike[rank_slice(len(alike), rank=rank, ranks=ranks)])

    def consecutive(self, *, batch_size: int) -> Iterator["Sequences"]:
        """All texts in order."""
        for first in range(0, len(self), batch_size):
            yield self.among(np.arange(first, min(first + batch_size, len(self))))

    def padded(self) -> tuple[Padded, Bool[np.ndarray, "rows places"]]:
        """(ids, mask) of the tokens, filled up with 0."""
        return self.tokens.padded(self.chosen)

    def classes(self) -> Int32[np.ndarray, "rows"]:
        """The class of each text."""
        return self.target[self.chosen]

    def tags(self) -> Int32[np.ndarray, "rows places"]:
        """The class of each token, filled up with `NOT_COUNTED`."""
        index, mask = ragged(self.tokens.texts, self.chosen)
        return np.where(mask, self.target[np.where(mask, index, 0)], NOT_COUNTED).astype(np.int32)

    def taught(self) -> Int32[np.ndarray, "rows places *columns"]:
        """What training tells of each token: its class, and beside it those of the auxiliary columns."""
        if self.beside is None:
            return self.tags()
        index, mask = ragged(self.tokens.texts, self.chosen)
        beside = np.where(mask[..., None], self.beside[np.where(mask, index, 0)], NOT_COUNTED)
        return np.concatenate([self.tags()[..., None], beside], axis=-1).astype(np.int32)


def _rectangular(column: pa.ChunkedArray, path: Path) -> Int32[np.ndarray, "tokens columns"]:
    """Lists of equal length, one for each token, as one array; ValueError where their lengths differ."""
    tokens = pc.list_flatten(column)
    widths = pc.unique(pc.list_value_length(tokens)).to_pylist()
    if len(widths) != 1:
        raise ValueError(f"{path}: column {AUXILIARY!r} has {len(widths)} widths; run prepare again")
    return pc.list_flatten(tokens).to_numpy().reshape(-1, widths[0])


def drawn(
    count: int, step: int, *, stream: Stream, batch_size: int, rank: int, ranks: int
) -> Int[np.ndarray, "share"]:
    """Indices of this rank's share of the step's batch; each of `count` samples comes once an epoch."""
    every = batch_size >= count
    chosen = np.arange(count) if every else walked(count, step * batch_size, batch_size, stream=stream)
    return chosen[rank_slice(len(chosen), rank=rank, ranks=ranks)]


def walked(count: int, start: int, length: int, *, stream: Stream) -> Int[np.ndarray, "length"]:
    """Some steps, fewer than an epoch, of the walk through one permutation of all samples after another."""
    epoch, place = divmod(start, count)
    end = place + length
    current, following = order(count, stream, epoch), order(count, stream, epoch + 1)
    return np.concatenate([current[place:end], following[: max(end - count, 0)]])


def drawn_alike(
    lengths: Int[np.ndarray, "texts"], step: int, *, stream: Stream, batch_size: int
) -> Int[np.ndarray, "batch"]:
    """Indices of the step's batch, of texts of like length, so that little of it is padding.

    The walk of `drawn` is cut into windows of several batches; the texts of a window are sorted by length, cut into
    batches, and these come in an order drawn anew for each window. So each text comes once an epoch, but for the window
    that lies across two epochs.
    """
    count = len(lengths)
    if batch_size >= count:
        return np.arange(count)
    batches = max(1, min(WINDOW, count // (2 * batch_size)))
    window, place = divmod(step, batches)
    size = batches * batch_size
    texts = walked(count, window * size, size, stream=stream)
    chosen = stream.generator(Use.WINDOWS, window).permutation(batches)[place]
    by_length = np.argsort(lengths[texts], kind="stable")
    return texts[np.sort(by_length[chosen * batch_size : (chosen + 1) * batch_size])]


@functools.lru_cache(maxsize=2)
def order(size: int, stream: Stream, epoch: int) -> Int[np.ndarray, "size"]:
    """The order of all rows in one epoch."""
    return stream.generator(Use.BATCHES, epoch).permutation(size)
