"""A text that is read several times: its segments are cut once, and lie in memory or in a file from then on."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from precisionflow.data.text import CHUNK, characters_in

Cut = Callable[[Iterable[bytes]], Iterator[pa.DictionaryArray]]
"""Chunks of a text -> its segments, those of some chunks at a time, always of one type."""
IN_MEMORY = 1 << 23
"""Bytes of segments that stay in memory, of all texts that share a `Room`."""


class Room:
    """What is left of the memory for segments."""

    def __init__(self) -> None:
        self.bytes = IN_MEMORY

    def take(self, size: int) -> bool:
        """Whether so many bytes are left, which are then taken; once they are not, none is."""
        self.bytes -= size
        return self.bytes >= 0


class Whole(NamedTuple):
    """What a reading to the end has shown."""

    head: str
    """The first characters, a chunk's bytes at most."""
    characters: int
    bytes: int


class Reread(ExitStack):
    """Chunks of one text, each time anew; its segments are kept until this is closed."""

    def __init__(self, chunks: Callable[[], Iterator[bytes]], folder: Path, room: Room) -> None:
        super().__init__()
        self.chunks = chunks
        self.folder = folder
        self.room = room
        self.kept: dict[Cut, _Kept] = {}
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
            yield from self.kept[cut].read()
            return
        with ExitStack() as unfinished:
            kept = unfinished.enter_context(_Kept(self.folder, self.room))
            for array in cut(self):
                kept.add(array)
                yield array
            kept.end()
            self.push(unfinished.pop_all())
        self.kept[cut] = kept


def folder_of(chunks: Iterable[bytes]) -> Path | None:
    """The folder that a text's files may lie in, if it has one."""
    return chunks.folder if isinstance(chunks, Reread) else None


class _Kept(ExitStack):
    """Arrays of one type: the first ones in memory while there is room, the others in a file without a name."""

    def __init__(self, folder: Path, room: Room) -> None:
        super().__init__()
        self.folder = folder
        self.arrays: list[pa.DictionaryArray] = []
        self.room = room
        self.file: IO[bytes] | None = None
        self.stream: pa.ipc.RecordBatchStreamWriter | None = None

    def add(self, array: pa.DictionaryArray) -> None:
        """Keep one array behind the others."""
        if self.stream is None and self.room.take(array.nbytes):
            self.arrays.append(array)
            return
        batch = pa.record_batch({"segments": array})
        if self.stream is None:
            file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115, closed with this
            self.file = self.enter_context(file)
            self.stream = self.enter_context(pa.ipc.new_stream(self.file, batch.schema))
        self.stream.write(batch)

    def end(self) -> None:
        """No array comes any more."""
        if self.stream is not None:
            self.stream.close()

    def read(self) -> Iterator[pa.DictionaryArray]:
        """All arrays in their order."""
        yield from self.arrays
        if self.file is not None:
            self.file.seek(0)
            with pa.ipc.open_stream(self.file) as batches:
                for batch in batches:
                    yield batch["segments"]
