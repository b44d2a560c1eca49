"""The user's own UTF-8 text file."""

import codecs
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from precisionflow.config.sources import TextFile
from precisionflow.data.sources.raw import file_sha256, raw_path
from precisionflow.data.text import CHUNK, Text


def open_text_file(source: TextFile) -> Text:
    """The file's text; ValueError where the file cannot be read."""
    return text_of(raw_path(source.path))


def text_of(path: Path) -> Text:
    """The text in a file; ValueError where the file cannot be read."""
    return Text(str(path), file_sha256(path), partial(_decoded, path))


def _decoded(path: Path) -> Iterator[str]:
    """The characters of a UTF-8 file, line breaks as they are, without the mark of the order of its bytes.

    ValueError names a byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, begun = 0, False
    with path.open("rb") as file:
        while True:
            data = file.read(CHUNK)
            kept = len(decoder.getstate()[0])
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}: byte {offset - kept + error.start} is not UTF-8; save the text as UTF-8"
                ) from None
            yield text if begun else text.removeprefix("\ufeff")
            begun = begun or bool(text)
            if not data:
                return
            offset += len(data)
