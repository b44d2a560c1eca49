"""Counts of texts in bounded memory, and the most common of them."""

import bisect
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

MOST_PENDING = 1 << 21
"""Bytes of counts, with their texts, that are kept apart before they are summed."""
MOST_HELD = 1 << 21
"""Bytes of sums in memory; when there are more, they go to a file and counting begins anew."""
BATCH = 1 << 18
"""Bytes of a file that are in memory at once, or of one text where that is longer."""
SCHEMA = pa.schema({"text": pa.string(), "count": pa.int64()})
ORDER = [("count", "descending"), ("text", "ascending")]
"""The most common first, those of one count by their code points."""


class Tally(ExitStack):
    """Counts of texts, summed over what was added."""

    def __init__(self, folder: Path | None = None) -> None:
        """Files are without a name, in the folder or where the system keeps such files."""
        super().__init__()
        self.folder = folder
        self.table = SCHEMA.empty_table()
        self.pending: list[pa.Table] = []
        self.files: list[IO[bytes]] = []

    def add(self, texts: pa.StringArray, counts: Int64[np.ndarray, "texts"]) -> None:
        """Count some texts, which may repeat."""
        self.pending.append(pa.table([texts, pa.array(counts)], schema=SCHEMA))
        if sum(table.nbytes for table in self.pending) > MOST_PENDING:
            self.table, self.pending = _summed([self.table, *self.pending]), []
            if self.table.nbytes > MOST_HELD:
                self._put_aside()

    def counts(self) -> Iterator[pa.Table]:
        """Columns `text` and `count`, each text once, some rows at a time."""
        self.table, self.pending = _summed([self.table, *self.pending]), []
        if not self.files:
            yield self.table
            return
        self._put_aside()
        yield from _merged([_read(file) for file in self.files])

    def _put_aside(self) -> None:
        """Write the table into a file, sorted by text."""
        file = self.enter_context(tempfile.TemporaryFile(dir=self.folder))  # noqa: SIM115, closed with this
        rows = max(BATCH * self.table.num_rows // max(self.table.nbytes, 1), 1)
        with pa.ipc.new_stream(file, SCHEMA) as stream:
            stream.write_table(self.table.sort_by("text"), max_chunksize=rows)
        self.files.append(file)
        self.table = SCHEMA.empty_table()


class Common(NamedTuple):
    """The most common texts."""

    texts: pa.StringArray
    """In `ORDER`."""
    counts: Int64[np.ndarray, "texts"]
    rarer: int
    """Number of the other texts."""
    others: int
    """How often these stand there, all together."""


def most_common(tables: Iterable[pa.Table], *, least_count: int = 1, most: int | None = None) -> Common:
    """Of tables as of `Tally.counts`: texts that stand `least_count` times, `most` at most; all others are counted."""
    common, distinct, total = SCHEMA.empty_table(), 0, 0
    for table in tables:
        distinct += table.num_rows
        total += pc.sum(table["count"]).as_py() or 0
        common = pa.concat_tables([common, table.filter(pc.greater_equal(table["count"], least_count))])
        if most is not None and common.num_rows > 2 * most:
            common = _first(common, most)
    common = _first(common, most)
    counts = common["count"].to_numpy()
    return Common(_joined(common["text"]), counts, distinct - len(counts), total - int(counts.sum()))


def _first(table: pa.Table, most: int | None) -> pa.Table:
    """The first rows in `ORDER`, as a copy that holds nothing of the others."""
    return table.take(pc.sort_indices(table, ORDER).slice(length=most))


def _joined(texts: pa.ChunkedArray) -> pa.StringArray:
    return pa.concat_arrays([pa.array([], pa.string()), *texts.chunks])


def _summed(tables: list[pa.Table]) -> pa.Table:
    """Each text once; sums are exact up to 2^53. A dictionary takes a third of the time of a grouped table."""
    every = pa.concat_tables(tables)
    coded = _joined(every["text"]).dictionary_encode()
    sums = np.bincount(coded.indices.to_numpy(), every["count"].to_numpy(), len(coded.dictionary))
    return pa.table([coded.dictionary, sums.astype(np.int64)], schema=SCHEMA)


def _read(file: IO[bytes]) -> Iterator[pa.Table]:
    file.seek(0)
    with pa.ipc.open_stream(file) as batches:
        for batch in batches:
            yield pa.Table.from_batches([batch])


def _merged(sorted_tables: list[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Sums of tables that come in pieces, each sorted by text: what no later piece holds is summed and done with."""
    heads = [(table, pieces) for pieces in sorted_tables if (table := next(pieces, None)) is not None]
    while heads:
        border = min(table["text"][-1].as_py() for table, _ in heads)
        done, left = list[pa.Table](), []
        for table, pieces in heads:
            end = bisect.bisect_right(table["text"], border, key=lambda text: text.as_py())
            done.append(table.slice(0, end))
            rest = table.slice(end) if end < table.num_rows else next(pieces, None)
            if rest is not None:
                left.append((rest, pieces))
        yield _summed(done)
        heads = left
