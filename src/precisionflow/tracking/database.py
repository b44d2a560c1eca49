"""A new SQLite database of runs: filled without waiting for the disk after every write."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def synced_at_the_end(file: Path) -> Iterator[None]:
    """While a database is made and filled, its writes go to the disk once, after the block, and not one by one.

    A power cut before leaves a file to be removed and made again from the results; a killed process none. A database
    that is there already is left as it is.
    """
    if file.exists():
        yield
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    opened = list[sqlite3.Connection]()

    def unsynced(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")
            opened.append(connection)

    event.listen(Engine, "connect", unsynced)
    try:
        yield
    finally:
        event.remove(Engine, "connect", unsynced)
        for connection in opened:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                connection.execute("PRAGMA synchronous=FULL")
        if file.exists():
            with file.open("rb") as written:
                os.fsync(written.fileno())
