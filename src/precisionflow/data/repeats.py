"""Test rows that stand in the training part too: a score of them says nothing of new rows."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt64

from precisionflow.data.table import Batch
from precisionflow.results.layout import Part

_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Of the mixing function of SplitMix64 (Steele, Lea and Flood 2014)."""
OF_TABLES = (
    "remove rows that stand there twice, or keep those of a table of yours that belong together in one part, "
    "task.source.split: {kind: grouped, column: ...}"
)


@dataclass
class Repeats:
    """Hashes of training and test rows, eight bytes each, as the parts are written.

    A row of numbers x_1 ... x_n has the hash sum_i k_i m(x_i) mod 2^64 with odd k_i and m that mixes bits: of a million
    test rows beside a million training rows one is taken for another with probability 5e-8.
    """

    hashes: dict[str, "array[int]"] = field(default_factory=lambda: {"train": array("Q"), "test": array("Q")})

    def see(self, part: Part, values: Batch) -> None:
        """Some rows of a part, features and target."""
        if part in self.hashes:
            self.hashes[part].frombytes(_of_numbers(values).tobytes())

    def see_texts(self, part: Part, texts: Sequence[str]) -> None:
        """A text of a part, or a pair of them."""
        if part in self.hashes:
            self.hashes[part].append(_of_texts(texts))

    def told(self, origin: str, *, called: str = "rows", remedy: str = OF_TABLES) -> tuple[str, ...]:
        """What to say of test rows that training rows equal, and to do; nothing where there are none."""
        train, test = (np.array(held, dtype=np.uint64) for held in self.hashes.values())
        count = int(np.isin(test, train).sum())
        if not count:
            return ()
        return (f"{origin}: {count} of {len(test)} test {called} stand in the training part too; {remedy}",)


def _of_numbers(values: Batch) -> UInt64[np.ndarray, "rows"]:
    bits = np.ascontiguousarray(values.astype(np.float64) + 0.0).view(np.uint64)  # -0 equals 0
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        bits = (bits ^ (bits >> np.uint64(shift))) * factor
    bits ^= bits >> np.uint64(31)
    odd = np.random.default_rng(0).integers(0, 2**64, bits.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes: UInt64[np.ndarray, "rows"] = (bits * odd).sum(axis=1, dtype=np.uint64)
    return hashes


def _of_texts(texts: Sequence[str]) -> int:
    whole = "\0".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little")
