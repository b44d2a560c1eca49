"""A new SQLite database of runs: its tables copied, filled without waiting for the disk after every write."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from precisionflow.records.files import replacing
from precisionflow.serving.connection import database_address


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


def copy_tables(file: Path) -> None:
    """Make a database with the tables of this version of MLflow, and without a row.

    They are copied from the database that the first call on this machine keeps for its user: MLflow makes them by all
    migrations of its past, which takes longer than filling them with the runs of a study. Where nothing can be kept
    `file` is not made, and MLflow makes it.
    """
    from mlflow import __version__
    from sqlalchemy.exc import SQLAlchemyError

    with contextlib.suppress(
        OSError, RuntimeError, SQLAlchemyError
    ):  # no home, or none that can be written to
        kept = Path.home() / ".cache" / "precisionflow" / f"mlflow-{__version__}.db"
        if not _has_tables(kept):
            _make_tables(kept)
        with replacing(file) as temporary:
            shutil.copyfile(kept, temporary)


def _has_tables(file: Path) -> bool:
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(file)) as connection, contextlib.suppress(sqlite3.DatabaseError):
        whole = connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        return whole and bool(connection.execute("SELECT version_num FROM alembic_version").fetchall())
    return False


def _make_tables(file: Path) -> None:
    """By `mlflow db upgrade`."""
    from mlflow.db import commands

    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder, replacing(file) as temporary:
        commands.main(["upgrade", database_address(Path(folder))], standalone_mode=False)
        shutil.copyfile(Path(folder, "mlflow.db"), temporary)
