"""A new database has copied tables and waits for the disk at the end; one that is there already after every write."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient
from mlflow.db import commands

from precisionflow.tracking.database import copy_tables, synced_at_the_end

OFF, FULL = 0, 2


@pytest.mark.parametrize(("there", "inside"), [(False, OFF), (True, FULL)])
def test_a_new_database_is_synced_at_the_end(tmp_path: Path, there: bool, inside: int) -> None:
    file = tmp_path / "runs.db"
    if there:
        file.touch()

    def synchronous(connection: sqlalchemy.Connection) -> int:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with synced_at_the_end(file):
        with engine.connect() as kept:
            assert synchronous(kept) == inside
        other = sqlalchemy.create_engine(f"sqlite:///{file}")
        with other.connect():
            pass
        other.dispose()
    with engine.connect() as kept:
        assert synchronous(kept) == FULL
    engine.dispose()


def tables(file: Path) -> dict[str, list[str]]:
    """Table or index -> the lines that make it; MLflow's migrations state constraints in any order."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return {name: sorted(line.strip(" \t,") for line in sql.splitlines()) for name, sql in found}


def test_tables_are_made_once_and_are_those_that_mlflow_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file in their place is made anew; a later database gets its own default experiment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home #1"))
    first, second, own = (tmp_path / f"{name}.db" for name in ("first", "second", "own"))
    copy_tables(first)
    (kept,) = (tmp_path / "home #1" / ".cache" / "precisionflow").iterdir()
    kept.write_bytes(kept.read_bytes()[:5000])
    copy_tables(first)
    monkeypatch.setattr(commands, "main", lambda *_, **__: pytest.fail("made again"))
    copy_tables(second)
    assert kept.read_bytes() == first.read_bytes() == second.read_bytes()
    for file in (second, own):
        assert [of.name for of in MlflowClient(f"sqlite:///{file}").search_experiments()] == ["Default"]
    assert tables(second) == tables(own)
    with contextlib.closing(sqlite3.connect(first)) as connection:
        assert connection.execute("SELECT count(*) FROM experiments").fetchone() == (0,)


def test_where_nothing_can_be_kept_mlflow_makes_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    copy_tables(tmp_path / "runs.db")
    assert not (tmp_path / "runs.db").exists()
