"""Files that gzip may have compressed, as their first bytes say."""

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

GZIP = b"\x1f\x8b"
"""First bytes of what gzip compressed."""
DAMAGED = (EOFError, OSError, zlib.error)
"""What reading raises where a compressed file ends too early or is damaged."""


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, decompressed."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP
    if compressed:
        return cast(BinaryIO, io.BufferedReader(gzip.open(path)))  # type: ignore[type-var]
    return path.open("rb")
