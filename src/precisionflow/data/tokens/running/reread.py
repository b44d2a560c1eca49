"""A text that is read several times: its segments are cut once, and lie in a file from then on."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pyarrow as pa

Cut = Callable[[Iterable[str]], Iterator[pa.DictionaryArray]]
"""Chunks of a text -> its segments."""
SCHEMA = pa.schema([("segments", pa.dictionary(pa.int32(), pa.string()))])


class Reread(ExitStack):
    """Chunks of one text, each time anew; its segments are kept in a file without a name until this is closed."""

    def __init__(self, chunks: Callable[[], Iterator[str]], folder: Path) -> None:
        super().__init__()
        self.chunks = chunks
        self.folder = folder
        self.kept: dict[Cut, IO[bytes]] = {}
        self.bytes: int | None = None
        """Of all of it in UTF-8, once a reading has come to its end."""

    def __iter__(self) -> Iterator[str]:
        if self.bytes is not None:
            yield from self.chunks()
            return
        size = 0
        for chunk in self.chunks():
            size += len(chunk) if chunk.isascii() else len(chunk.encode())
            yield chunk
        self.bytes = size

    def segments(self, cut: Cut) -> Iterator[pa.DictionaryArray]:
        """Segments of the text; they are kept once a reading has come to its end."""
        if cut in self.kept:
            self.kept[cut].seek(0)
            with pa.ipc.open_stream(self.kept[cut]) as stream:
                for batch in stream:
                    yield batch["segments"]
            return
        file = self.enter_context(tempfile.TemporaryFile(dir=self.folder))  # noqa: SIM115 - closed with the text
        with pa.ipc.new_stream(file, SCHEMA) as stream:
            for array in cut(self):
                stream.write(pa.record_batch([array], schema=SCHEMA))
                yield array
        self.kept[cut] = file
