"""Files of images with a class: Parquet with a row for each image, or NumPy's `.npz`; all of one shape."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from precisionflow.config.sources import ImageFile
from precisionflow.data.readers.compressed import readable
from precisionflow.data.table import Table, table_of
from precisionflow.records.raw import file_sha256, raw_path

Images = Float[np.ndarray, "images pixels"]
UNNAMED = "image"
"""The one class of images without classes."""
NO_ARRAYS = "its arrays cannot be read; write arrays of numbers and of text with numpy.savez"


class OpenedImages(NamedTuple):
    """Images as a table of pixels."""

    table: Table
    """Targets are places among the sorted classes."""
    labels: dict[int, str]
    """Class of every row."""
    shape: tuple[int, ...]
    """Of each image."""


def open_image_file(source: ImageFile, *, split: int) -> OpenedImages:
    """The images, each as a row of its pixels, cut at random.

    ValueError for a file that cannot be read, images of unlike shapes, and pixels that are no finite numbers.
    """
    path = raw_path(source.path)
    sha256 = file_sha256(path)
    given, labels = (_parquet if path.suffix.lower() == ".parquet" else _npz)(path, source)
    images, shape = _of_one_shape(given, path)
    if source.target is None:
        labels = [UNNAMED] * len(images)
    if len(labels) != len(images):
        raise ValueError(
            f"{path}: {source.target!r} has {len(labels)} classes for {len(images)} images; give one each"
        )
    bad = ~np.isfinite(images)
    if bad.any():
        image, pixel = np.argwhere(bad)[0]
        raise ValueError(
            f"{path}: image {image} (counted from 0), pixel {pixel}: {images[image, pixel]}; mend it"
        )
    index = {label: place for place, label in enumerate(sorted(set(labels)))}
    table = table_of(
        np.column_stack([images, [index[label] for label in labels]]),
        origin=str(path),
        features=tuple(f"pixel_{place}" for place in range(images.shape[1])),
        target=source.target or UNNAMED,
        cut=source.split,
        split=split,
    )
    return OpenedImages(replace(table, sha256=sha256), dict(enumerate(labels)), shape)


def _of_one_shape(given: Sequence[Any], path: Path) -> tuple[Images, tuple[int, ...]]:
    """Each image as a row, and their shape; ValueError that names the first of another shape or without numbers."""
    rows: list[np.ndarray] = []
    shape: tuple[int, ...] = ()
    for place, image in enumerate(given):
        try:
            array = np.asarray(image, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"{path}: image {place} (counted from 0) is no array of numbers; mend it"
            ) from None
        shape = shape or array.shape
        if array.shape != shape or not array.size:
            raise ValueError(
                f"{path}: image {place} (counted from 0) has the shape {array.shape}, image 0 has {shape}; "
                "give all images one shape"
            )
        rows.append(array.ravel())
    if not rows:
        raise ValueError(f"{path}: holds no image")
    return np.stack(rows), shape


def _parquet(path: Path, source: ImageFile) -> tuple[Sequence[Any], list[str]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: is no Parquet file that can be read ({error})") from None
    _check_named(source, there=table.column_names, path=path, what="column")
    labels = [] if source.target is None else table[source.target].to_pylist()
    return table[source.images].to_pylist(), list(map(str, labels))


def _npz(path: Path, source: ImageFile) -> tuple[Sequence[Any], list[str]]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: is no .npz file that can be read; write it with numpy.savez")
    with readable(path, NO_ARRAYS), np.load(path, allow_pickle=False) as file:
        _check_named(source, there=list(file), path=path, what="array")
        try:
            labels = [] if source.target is None else file[source.target].tolist()
            return file[source.images], list(map(str, labels))
        except ValueError:
            raise ValueError(f"{path}: {NO_ARRAYS}") from None


def _check_named(source: ImageFile, *, there: list[str], path: Path, what: str) -> None:
    for field, name in (("images", source.images), ("target", source.target)):
        if name is not None and name not in there:
            without = "; for images without classes set it to null" if field == "target" else ""
            raise ValueError(
                f"{path}: has no {what} {name!r}, which task.source.{field} names; it has {', '.join(there)}{without}"
            )
