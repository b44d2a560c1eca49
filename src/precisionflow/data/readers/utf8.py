"""Decoders to UTF-8: a file's bytes, block by block, as whole characters."""

import codecs
from typing import Protocol

import numpy as np
import pyarrow as pa

from precisionflow.data.tokens.running.utf8 import encode

State = tuple[bytes, int]
"""(bytes that are no whole character yet, a number of the decoder's)."""


class Decoder(Protocol):
    """What blocks of bytes are as UTF-8; UnicodeError where they are no text."""

    def decode(self, data: bytes, *, final: bool) -> bytes:
        """The whole characters of what came so far."""
        ...

    def getstate(self) -> State:
        """What it has to know to go on from here."""
        ...

    def setstate(self, state: State) -> None:
        """Go on from a place where `getstate` was asked."""
        ...


class Recoded:
    """A decoder of Python, for any encoding."""

    def __init__(self, decoder: codecs.IncrementalDecoder) -> None:
        self.decoder = decoder
        self.getstate = decoder.getstate
        self.setstate = decoder.setstate

    def decode(self, data: bytes, *, final: bool) -> bytes:
        """Characters, encoded anew."""
        return encode(self.decoder.decode(data, final=final))


class Checked:
    """UTF-8 that passes as it is, checked where it lies, a hundred times as fast as decoding; its mark is left out."""

    def __init__(self, *, marked: bool) -> None:
        """`marked`: the text may begin with a mark, which is no part of it."""
        self.held = b""
        self.marked = marked

    def decode(self, data: bytes, *, final: bool) -> bytes:
        """UnicodeDecodeError, whose object ends where the data end, for what is not UTF-8."""
        data = self.held + data
        if self.marked and codecs.BOM_UTF8.startswith(data[:3]) and not (final or len(data) >= 3):
            self.held = data
            return b""
        mark = 3 if self.marked and data.startswith(codecs.BOM_UTF8) else 0
        end = len(data) if final else len(data) - _unfinished(data)
        borders = pa.py_buffer(np.array([0, end], dtype=np.int32))
        try:
            pa.StringArray.from_buffers(1, borders, pa.py_buffer(data)).validate(full=True)
        except pa.ArrowInvalid:
            codecs.utf_8_decode(data, "strict", final)
            raise
        self.held, self.marked = data[end:], False
        return data[mark:end]

    def getstate(self) -> State:
        """The start of a character, and whether a mark may come."""
        return self.held, int(self.marked)

    def setstate(self, state: State) -> None:
        """The same."""
        self.held, self.marked = state[0], bool(state[1])


def _unfinished(data: bytes) -> int:
    """Bytes at the end that begin a character and are not all of it."""
    for size in range(1, min(len(data), 3) + 1):
        byte = data[-size]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            return size if size < 2 + (byte >= 0xE0) + (byte >= 0xF0) else 0
    return 0
