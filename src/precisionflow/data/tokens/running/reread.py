"""A text that is read several times: its segments are cut once, and lie in a file from then on."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from precisionflow.data.text import CHUNK, characters_in

Cut = Callable[[Iterable[bytes]], Iterator[pa.DictionaryArray]]
"""Chunks of a text -> its segments, those of some chunks at a time, always of one type."""


class Whole(NamedTuple):
    """What a reading to the end has shown."""

    head: str
    """The first characters, a chunk's bytes at most."""
    characters: int
    bytes: int


class Reread(ExitStack):
    """Chunks of one text, each time anew; its segments are kept in a file without a name until this is closed."""

    def __init__(self, chunks: Callable[[], Iterator[bytes]], folder: Path) -> None:
        super().__init__()
        self.chunks = chunks
        self.folder = folder
        self.kept: dict[Cut, IO[bytes]] = {}
        self.whole: Whole | None = None
        """Of the first reading that came to its end."""

    def __iter__(self) -> Iterator[bytes]:
        if self.whole is not None:
            yield from self.chunks()
            return
        head, characters, size = b"", 0, 0
        for chunk in self.chunks():
            head += chunk[: CHUNK - len(head)]
            characters += characters_in(chunk)
            size += len(chunk)
            yield chunk
        self.whole = Whole(head.decode(errors="ignore"), characters, size)

    def segments(self, cut: Cut) -> Iterator[pa.DictionaryArray]:
        """Segments of the text; they are kept once a reading has come to its end."""
        if cut in self.kept:
            file = self.kept[cut]
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size:
                with pa.ipc.open_stream(file) as batches:
                    for batch in batches:
                        yield batch["segments"]
            return
        with ExitStack() as unfinished:
            file = unfinished.enter_context(tempfile.TemporaryFile(dir=self.folder))
            with ExitStack() as written:
                stream: pa.ipc.RecordBatchStreamWriter | None = None
                for array in cut(self):
                    batch = pa.record_batch({"segments": array})
                    stream = stream or written.enter_context(pa.ipc.new_stream(file, batch.schema))
                    stream.write(batch)
                    yield array
            self.push(unfinished.pop_all())
        self.kept[cut] = file
