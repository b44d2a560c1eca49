"""The user's own text files, in the stated encoding or what their first bytes say; gzip is undone."""

import codecs
import itertools
from collections.abc import Iterator
from pathlib import Path

from precisionflow.config.sources import TextFile
from precisionflow.data.readers.compressed import opened, readable
from precisionflow.data.readers.encodings import beginning, encoding_of, other_kind, refuse_nul
from precisionflow.data.readers.utf8 import Checked, Decoder, Recoded
from precisionflow.data.text import CHUNK, Text, Texts
from precisionflow.records.raw import file_sha256, raw_path


def open_text_files(source: TextFile) -> Texts:
    """The texts of the files; ValueError where one cannot be read."""
    valid, test = (
        None if path is None else text_of(raw_path(path), stated=source.encoding)
        for path in (source.valid, source.test)
    )
    return Texts(text_of(raw_path(source.path), stated=source.encoding), valid, test)


def text_of(path: Path, *, stated: str | None = None) -> Text:
    """The text in a file; ValueError where the file cannot be read. What was found and not stated is in its notes."""
    sha256 = file_sha256(path)
    begun, compressed = beginning(path)
    kind = other_kind(begun)
    if kind is not None:
        raise ValueError(f"{path}: is {kind}, no text; give a file of text, UTF-8, plain or by gzip")
    encoding = encoding_of(begun, stated)
    if stated is None and encoding == "utf-8":
        refuse_nul(path, begun)
    found = [encoding.upper()] * (stated is None and encoding != "utf-8") + ["gzip"] * compressed
    notes = (f"{path}: read with {', '.join(found)}",) if found else ()
    return Text(str(path), sha256, DecodedFile(path, encoding, nul=stated is not None), notes)


class DecodedFile:
    """The characters of a file in UTF-8, line breaks as they are, without the mark of the order of its bytes."""

    def __init__(self, path: Path, encoding: str, *, nul: bool = True) -> None:
        """`nul`: the character NUL may stand there."""
        self.path, self.nul = path, nul
        self.encoding = encoding
        self.starts: list[tuple[int, tuple[bytes, int]]] = [(0, self._decoder().getstate())]
        """Byte where each chunk that is known begins, and the decoder's state there."""

    def __call__(self, first: int = 0) -> Iterator[bytes]:
        """Chunks as of a `Text`; ValueError names line and byte of what is no text."""
        offset, state = self.starts[first]
        decoder = self._decoder()
        decoder.setstate(state)
        with readable(self.path), opened(self.path) as file:
            file.seek(offset)
            for number in itertools.count(first + 1):
                data = file.read(CHUNK)
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    raise self._fault(error, end=offset + len(data)) from None
                except UnicodeError as error:
                    raise ValueError(f"{self.path}: {error}; state its encoding, such as utf-16-le") from None
                if not self.nul and b"\0" in text:
                    raise ValueError(self._nul(number, text))
                offset += len(data)
                if number == len(self.starts):
                    self.starts.append((offset, decoder.getstate()))
                yield text
                if not data:
                    return

    def _decoder(self) -> Decoder:
        """One that starts at the beginning of the file."""
        if codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig"):
            return Checked(marked=True)
        return Recoded(codecs.getincrementaldecoder(self.encoding)())

    def _nul(self, number: int, text: bytes) -> str:
        """What is said of a NUL in the chunk with a number, counted from 1."""
        before = itertools.islice(DecodedFile(self.path, self.encoding)(), number - 1)
        line = 1 + sum(chunk.count(b"\n") for chunk in before) + text[: text.index(0)].count(b"\n")
        return (
            f"{self.path}: line {line} holds the character NUL, which no text holds; write the file again, or state "
            "its encoding, such as task.source.encoding: utf-8, where it belongs there"
        )

    def _fault(self, error: UnicodeDecodeError, *, end: int) -> ValueError:
        """`end` is the place behind the last byte that the decoder was given."""
        offset = end - len(error.object)
        shown = self.encoding.removesuffix("-sig").upper()
        line = 1 + sum(before.count("\n") for before in _before(self.path, self.encoding, offset))
        line += error.object[: error.start].decode(self.encoding, "replace").count("\n")
        return ValueError(
            f"{self.path}: line {line}, byte {offset + error.start} ({error.object[error.start]:#04x}) is not "
            f"{shown}; save the text as UTF-8, or state its encoding, such as task.source.encoding: cp1252, or "
            "utf-16-le where a character has two bytes"
        )


def _before(path: Path, encoding: str, end: int) -> Iterator[str]:
    """The characters of the first `end` bytes, which are known to be text."""
    with opened(path) as file:
        decoder = codecs.getincrementaldecoder(encoding)()
        while data := file.read(min(CHUNK, end)):
            end -= len(data)
            yield decoder.decode(data)
