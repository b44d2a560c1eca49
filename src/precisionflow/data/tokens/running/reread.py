"""A text that is read several times: its segments are cut once, and lie in a file from then on."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from precisionflow.data.text import CHUNK, characters_in

Cut = Callable[[Iterable[bytes]], Iterator[pa.DictionaryArray]]
"""Chunks of a text -> its segments."""
SCHEMA = pa.schema([("segments", pa.dictionary(pa.int32(), pa.string()))])


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
            self.kept[cut].seek(0)
            with pa.ipc.open_stream(self.kept[cut]) as stream:
                for batch in stream:
                    yield batch["segments"]
            return
        with ExitStack() as unfinished:
            file = unfinished.enter_context(tempfile.TemporaryFile(dir=self.folder))
            with pa.ipc.new_stream(file, SCHEMA) as stream:
                for array in cut(self):
                    stream.write(pa.record_batch([array], schema=SCHEMA))
                    yield array
            self.push(unfinished.pop_all())
        self.kept[cut] = file
