"""Files of images: Parquet with a row for each image, or NumPy's `.npz` and `.npy`; all of one shape."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError

from precisionflow.config.sources import ImageFile
from precisionflow.data.cuts import cut_rows
from precisionflow.data.readers.cells import Place, classes_of
from precisionflow.data.readers.compressed import readable
from precisionflow.data.readers.parquet_file import streamed
from precisionflow.data.table import Batch, Columns, Table
from precisionflow.records.raw import file_sha256, raw_path

UNNAMED = "image"
"""The one class of images without classes."""
NO_ARRAYS = "its arrays cannot be read; write arrays of numbers and of text with numpy.savez"
Block = Sequence[Any] | np.ndarray
"""Consecutive images as the file holds them."""
BATCH_PIXELS = 1 << 19
"""Most pixels in memory at once, or one image's."""


OTHER_NUMBERS = {
    "c": "holds complex numbers; give real ones, real and imaginary parts along an axis of their own",
    "M": "holds dates; give numbers",
    "m": "holds durations; give numbers",
    "U": "holds text; give numbers",
    "S": "holds text; give numbers",
}
"""What is wrong with pixels of numpy's other kinds."""


class ClassesError(ValueError):
    """An array is not one class for each image."""


class ImageError(ValueError):
    """An image that is none; says what it is instead and what to do."""


class OpenedImages(NamedTuple):
    """Images as a table of pixels."""

    table: Table
    """Targets are places among the sorted classes."""
    labels: dict[int, str]
    """Class of every row."""
    shape: tuple[int, ...]
    """Of each image."""


class Stored(NamedTuple):
    """Images of a file, read anew each time."""

    images: int
    """Their number."""
    blocks: Callable[[int], Iterator[Block]]
    """Most images at once -> all of them in order."""
    labels: list[str]
    """Class of each; none where the source names none."""


def open_image_file(source: ImageFile, *, split: int) -> OpenedImages:
    """The images, each as a row of its pixels, cut at random and streamed at every reading.

    ValueError for a file that cannot be read; the table's batches raise it for images of unlike shapes, and for pixels
    that are no finite numbers.
    """
    path = raw_path(source.path)
    sha256 = file_sha256(path)
    stored = FORMS[path.suffix.lower()](path, source)
    labels = [UNNAMED] * stored.images if source.target is None else stored.labels
    if not stored.images:
        raise ValueError(f"{path}: holds no image")
    if len(labels) != stored.images:
        raise ValueError(
            f"{path}: {source.target!r} has {len(labels)} classes for {stored.images} images; give one each"
        )
    shape = _numbers(next(stored.blocks(1))[0], 0, path).shape
    pixels = int(np.prod(shape))
    index = {label: place for place, label in enumerate(sorted(set(labels)))}
    targets = np.array([index[label] for label in labels])

    def batches() -> Iterator[Batch]:
        first = 0
        for block in stored.blocks(max(1, BATCH_PIXELS // pixels)):
            yield np.column_stack([_rows(block, first, shape, path), targets[first : first + len(block)]])
            first += len(block)

    columns = Columns(batches, tuple(f"pixel_{place}" for place in range(pixels)), source.target or UNNAMED)
    table = Table(
        origin=str(path),
        sha256=sha256,
        cut=cut_rows(source.split, np.arange(stored.images), None, split=split, origin=str(path)),
        columns=lambda _train: columns,
    )
    return OpenedImages(table, dict(enumerate(labels)), shape)


def _rows(block: Block, first: int, shape: tuple[int, ...], path: Path) -> Float[np.ndarray, "images pixels"]:
    """Each image as a row; ValueError that names the first of another shape, or a pixel that is no finite number."""
    rows = []
    for place, image in enumerate(block, first):
        array = _numbers(image, place, path)
        if array.shape != shape:
            raise ValueError(
                f"{path}: image {place} (counted from 0) has the shape {array.shape}, image 0 has {shape}; "
                "give all images one shape"
            )
        rows.append(array.ravel())
    images = np.stack(rows)
    bad = ~np.isfinite(images)
    if bad.any():
        place, pixel = np.argwhere(bad)[0]
        raise ValueError(
            f"{path}: image {first + place} (counted from 0), pixel {pixel}: {images[place, pixel]}; mend it"
        )
    return images


def _numbers(image: Any, place: int, path: Path) -> Float[np.ndarray, "*shape"]:
    """An image as numbers; ValueError where it is none, or has no pixel."""
    try:
        given = _decoded(image)
        if given is None:
            raise ImageError("is empty; give it its pixels or remove it")
        array = np.asarray(given)
        if array.dtype.kind in OTHER_NUMBERS:
            raise ImageError(OTHER_NUMBERS[array.dtype.kind])
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    except ImageError as error:
        raise ValueError(f"{path}: image {place} (counted from 0) {error}") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"{path}: image {place} (counted from 0) is no picture that can be read; write PNG, JPEG or numbers"
        ) from None
    except (TypeError, ValueError, OSError, Image.DecompressionBombError) as error:
        why = ", as its rows differ in length" if "inhomogeneous" in str(error) else ""
        raise ValueError(
            f"{path}: image {place} (counted from 0) is no array of numbers{why}; mend it"
        ) from None
    if not array.ndim:
        raise ValueError(
            f"{path}: image {place} (counted from 0) is one number; give an array of its pixels, and name it in "
            "task.source.images"
        )
    if not array.size:
        raise ValueError(f"{path}: image {place} (counted from 0) has no pixel; mend it")
    return array


def _decoded(image: Any) -> Any:
    """The pixels of a picture whose file is in the cell, alone or as {bytes, path}; of a palette its colours.

    None of an empty cell.
    """
    if isinstance(image, dict) and all(value is None for value in image.values()):
        return None
    if isinstance(image, dict) and image.get("bytes") is not None:
        image = image["bytes"]
    if not isinstance(image, bytes):
        return image
    with Image.open(io.BytesIO(image)) as picture:
        plain = {"P": "RGB", "1": "L"}.get(picture.mode)
        return np.asarray(picture.convert(plain) if plain else picture)


def _parquet(path: Path, source: ImageFile) -> Stored:
    def blocks(most: int) -> Iterator[Block]:
        with _parquet_file(path) as file:
            for batch in file.iter_batches(most, columns=[source.images], use_threads=False):
                yield batch[source.images].to_pylist()

    with _parquet_file(path) as file:
        _check_named(source, there=file.schema_arrow.names, path=path, what="column")
        labels: list[str] = []
        if source.target is not None:
            labels = _named(file.read([source.target])[source.target], source.target, path)
        return Stored(file.metadata.num_rows, blocks, labels)


@contextmanager
def _parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with streamed(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: is no Parquet file that can be read ({reason})") from None


def _npz(path: Path, source: ImageFile) -> Stored:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: is no .npz file that can be read; write it with numpy.savez")
    with readable(path, NO_ARRAYS), np.load(path, allow_pickle=False) as file:
        _check_named(source, there=list(file), path=path, what="array")
        with _arrays(path):
            labels = [] if source.target is None else _classes(file[source.target], source.target, path)
    return _stored(path, source.images, labels)


def _npy(path: Path, source: ImageFile) -> Stored:
    with readable(path), path.open("rb") as file:
        if not file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise ValueError(f"{path}: is no .npy file that can be read; write it with numpy.save")
    return _stored(path, source.images, labels=[])


def _stored(path: Path, name: str, labels: list[str]) -> Stored:
    with _array(path, name) as (_, (shape, _, _)):
        count = shape[0] if shape else 0
    return Stored(count, lambda most: _array_blocks(path, name, most), labels)


def _named(cells: pa.Array | pa.ChunkedArray, name: str, path: Path) -> list[str]:
    """The class of each image as `classes_of` gives it; ValueError that names the first image without one."""
    try:
        labels = classes_of(cells, name, Place(str(path), missing=("nan",)))
    except ValueError as error:
        raise ClassesError(str(error)) from None
    if "" in labels:
        raise ClassesError(
            f"{path}: image {labels.index('')} (counted from 0) has no class in {name!r}; give it one or remove it, "
            "or set task.source.target to null for images without classes"
        )
    return labels


def _classes(array: np.ndarray, name: str, path: Path) -> list[str]:
    """One for each image; an axis of length 1 behind them says nothing."""
    if array.ndim > 1 and array.size != len(array):
        raise ClassesError(
            f"{path}: {name!r} has the shape {array.shape}; give one class for each image, not as shares or places"
        )
    try:
        cells = pa.array(array.ravel().astype(array.dtype.newbyteorder("=")))
    except pa.ArrowException:
        raise ClassesError(
            f"{path}: {name!r} holds {array.dtype}; give one class for each image, a word or a number"
        ) from None
    return _named(cells, name, path)


def _array_blocks(path: Path, name: str, most: int) -> Iterator[Block]:
    """Parts of an array along its first axis; one in Fortran's order, whose parts lie apart, is held whole."""
    with _array(path, name) as (file, ((count, *shape), fortran, dtype)):
        whole = None
        if fortran:
            whole = np.frombuffer(file.read(), dtype).reshape((count, *shape), order="F")
        for first in range(0, count, most):
            size = min(most, count - first)
            if whole is not None:
                yield whole[first : first + size]
            else:
                data = file.read(size * int(np.prod(shape)) * dtype.itemsize)
                yield np.frombuffer(data, dtype).reshape((size, *shape))


@contextmanager
def _array(path: Path, name: str) -> Iterator[tuple[IO[bytes], tuple[tuple[int, ...], bool, np.dtype[Any]]]]:
    """(the numbers of an array, (its shape, whether it is in Fortran's order, the type of a number))."""
    with _arrays(path), _opened(path, name) as file:
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(np.lib.format.read_magic(file))
        if read is None:
            raise ValueError("the names of its fields are no numbers' names")
        header = read(file)
        if header[2].hasobject:
            raise ValueError("objects are no numbers")
        yield file, header


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The array of that name in an archive, or the one that a `.npy` file is."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        member = f"{name}.npy"
        with archive.open(member if member in archive.namelist() else name) as file:
            yield file


@contextmanager
def _arrays(path: Path) -> Iterator[None]:
    """What is wrong with an array, or an archive's way of storing it, as a ValueError of one line."""
    try:
        with readable(path, NO_ARRAYS):
            yield
    except ClassesError:
        raise
    except (ValueError, RuntimeError):
        raise ValueError(f"{path}: {NO_ARRAYS}") from None


def _check_named(source: ImageFile, *, there: list[str], path: Path, what: str) -> None:
    for field, name in (("images", source.images), ("target", source.target)):
        if name is not None and name not in there:
            without = "; for images without classes set it to null" if field == "target" else ""
            raise ValueError(
                f"{path}: has no {what} {name!r}, which task.source.{field} names; it has {', '.join(there)}{without}"
            )


FORMS: dict[str, Callable[[Path, ImageFile], Stored]] = {".parquet": _parquet, ".npz": _npz, ".npy": _npy}
"""Reader of each suffix."""
