"""The folder form of the standard UCI regression splits (Hernández-Lobato and Adams 2015)."""

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from precisionflow.config.sources import UciFolder
from precisionflow.data.cuts import Cut, random_validation
from precisionflow.data.readers.number_file import filled_lines, number_batches
from precisionflow.data.table import Batch, Columns, Table
from precisionflow.records.raw import file_sha256, raw_path


@dataclass(frozen=True)
class Index:
    """A file with one whole number a line; 0 is the first row or column."""

    path: Path
    values: Int[np.ndarray, "entries"]

    @classmethod
    def read(cls, path: Path) -> "Index":
        """ValueError with the line of an entry that is not a whole number from 0 on, or that stands twice."""
        numbers = np.concatenate([_single_column(path, cells) for cells in number_batches(path)])
        no_index = (numbers < 0) | (numbers != np.floor(numbers)) | (numbers >= 2**53)
        _refuse(path, numbers, no_index, "an index is a whole number, 0 for the first")
        values = numbers.astype(np.int64)
        order = np.argsort(values, kind="stable")
        again = np.zeros(len(order), dtype=bool)
        again[order[1:]] = np.diff(values[order]) == 0
        _refuse(path, values, again, "it stands there twice; name it once")
        return cls(path, values)

    def check_below(self, count: int, *, what: str) -> None:
        """ValueError that names the first entry that is `count` or more."""
        reason = f"there are {count} {what}, numbered 0 to {count - 1}"
        _refuse(self.path, self.values, self.values >= count, reason)

    def check_apart(self, other: "Index") -> None:
        """ValueError that names the first entry that is in `other` too."""
        shared = np.isin(self.values, other.values)
        _refuse(self.path, self.values, shared, f"it is in {other.path.name} too; keep it in one of them")


def _single_column(path: Path, cells: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows"]:
    if cells.shape[1] != 1:
        raise ValueError(f"{path}: has {cells.shape[1]} columns; write one index a line")
    return cells[:, 0]


def _refuse(
    path: Path, numbers: Num[np.ndarray, "entries"], bad: Bool[np.ndarray, "entries"], reason: str
) -> None:
    """ValueError that names the line of the first bad entry, when there is one."""
    if bad.any():
        entry = int(np.argmax(bad))
        line, _ = next(itertools.islice(filled_lines(path), entry, None))
        raise ValueError(f"{path}: line {line}, column 1: index {numbers[entry]:.17g}: {reason}")


def open_uci_folder(source: UciFolder, *, split: int) -> Table:
    """The folder's table with the rows of `index_train_<split>.txt` and `index_test_<split>.txt`.

    The checksum covers the files that determine the split: the table, both column indices, both row indices.
    """
    folder = raw_path(source.path)
    indices = ("features", "target", f"train_{split}", f"test_{split}")
    names = ["data.txt", *(f"index_{kind}.txt" for kind in indices)]
    checksums = [file_sha256(folder / name) for name in names[:3]]
    _check_split(folder, split)
    checksums += [file_sha256(folder / name) for name in names[3:]]
    features, target, train, test = (Index.read(folder / name) for name in names[1:])
    if len(target.values) != 1:
        raise ValueError(f"{target.path}: names {len(target.values)} columns; a table has one target")
    target.check_apart(features)
    test.check_apart(train)

    def batches() -> Iterator[Batch]:
        count = 0
        for cells in number_batches(folder / "data.txt"):
            if not count:
                for columns in (features, target):
                    columns.check_below(cells.shape[1], what="columns in data.txt")
            count += len(cells)
            yield cells[:, np.concatenate([features.values, target.values])]
        for rows in (train, test):
            rows.check_below(count, what="rows in data.txt")

    listing = "".join(f"{checksum}  {name}\n" for checksum, name in zip(checksums, names, strict=True))
    return Table(
        origin=str(folder / "data.txt"),
        sha256=hashlib.sha256(listing.encode()).hexdigest(),
        cut=Cut(train.values, test.values, random_validation(train.values, split=split)),
        columns=lambda _train: Columns(batches),
    )


def _check_split(folder: Path, split: int) -> None:
    """ValueError that lists the splits of the folder when `split` is not among them."""
    found = (re.fullmatch(r"index_train_([0-9]+)\.txt", path.name) for path in folder.iterdir())
    splits = sorted(int(match[1]) for match in found if match)
    if split not in splits:
        listed = ", ".join(map(str, splits)) or "none"
        raise ValueError(f"{folder}: has no split {split} (index_train_{split}.txt); its splits: {listed}")
