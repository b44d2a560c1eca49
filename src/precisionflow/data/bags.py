"""Texts of unequal length, each token a bag of ids: flat arrays with offsets, and batches filled up with 0."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Int32, Int64

Padded = Int64[np.ndarray, "texts places"] | Int64[np.ndarray, "texts places bag"]


@dataclass(frozen=True)
class Bags:
    """Tokens of texts: text i has the tokens texts[i] : texts[i + 1], token j the ids bags[j] : bags[j + 1]."""

    ids: Int32[np.ndarray, "_ids"]
    bags: Int64[np.ndarray, "_tokens"]
    texts: Int64[np.ndarray, "_texts"]

    @classmethod
    def of(cls, texts: Sequence[Sequence[Sequence[int]]]) -> "Bags":
        """The bags of texts."""
        bags = [bag for text in texts for bag in text]
        return cls(
            np.array([i for bag in bags for i in bag], dtype=np.int32),
            offsets([len(bag) for bag in bags]),
            offsets([len(text) for text in texts]),
        )

    @classmethod
    def read(cls, column: pa.ChunkedArray) -> "Bags":
        """The bags in a column `tokens` of records.schemas."""
        texts = pc.list_value_length(column).to_numpy()
        tokens = pc.list_flatten(column)
        return cls(
            pc.list_flatten(tokens).to_numpy(),
            offsets(pc.list_value_length(tokens).to_numpy()),
            offsets(texts),
        )

    def __len__(self) -> int:
        return len(self.texts) - 1

    def __getitem__(self, text: int) -> list[list[int]]:
        """Ids of every token of a text."""
        tokens = range(self.texts[text], self.texts[text + 1])
        return [self.ids[self.bags[j] : self.bags[j + 1]].tolist() for j in tokens]

    @property
    def lengths(self) -> Int64[np.ndarray, "texts"]:
        """Number of tokens of each text."""
        return np.diff(self.texts)

    def padded(self, chosen: Int[np.ndarray, "texts"]) -> tuple[Padded, Bool[np.ndarray, "texts places"]]:
        """(ids, mask) of some texts: True at real tokens. Without the last axis where every bag has one id."""
        token, mask = ragged(self.texts, chosen)
        bag, real = ragged(self.bags, np.where(mask, token, 0).ravel())
        ids = np.where(real, self.ids[np.where(real, bag, 0)], 0).astype(np.int64)
        ids = np.where(mask[..., None], ids.reshape(*mask.shape, -1), 0)
        return ids[..., 0] if ids.shape[-1] == 1 else ids, mask


def offsets(lengths: Sequence[int] | Int[np.ndarray, "pieces"]) -> Int64[np.ndarray, "_offsets"]:
    """0 and the sums of the lengths so far."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def ragged(
    starts: Int64[np.ndarray, "_offsets"], chosen: Int[np.ndarray, "chosen"]
) -> tuple[Int64[np.ndarray, "chosen longest"], Bool[np.ndarray, "chosen longest"]]:
    """(index, mask) of the elements of some pieces, filled up to the longest."""
    lengths = starts[chosen + 1] - starts[chosen]
    places = np.arange(lengths.max(initial=0))
    return starts[chosen][:, None] + places, places < lengths[:, None]
