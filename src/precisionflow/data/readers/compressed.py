"""Files that gzip may have compressed, as their first bytes say."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

GZIP = b"\x1f\x8b"
"""First bytes of what gzip compressed."""


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, decompressed."""
    if is_compressed(path):
        return cast(BinaryIO, io.BufferedReader(gzip.open(path)))  # type: ignore[type-var]
    return path.open("rb")


def is_compressed(path: Path) -> bool:
    """Whether a file begins as what gzip compressed."""
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


@contextmanager
def readable(path: Path, fault: str = "cannot be read ({reason}); fetch or write it again") -> Iterator[None]:
    """What opening, seeking or reading a file raises, as a ValueError of one line that names the file.

    A gzip file that ends too early is an EOFError, damaged data a zlib.error, a wrong checksum an OSError (of an
    archive a BadZipFile).
    """
    try:
        yield
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(f"{path}: {fault.format(reason=said.splitlines()[0][:200])}") from None
