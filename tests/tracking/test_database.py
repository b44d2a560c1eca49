"""A new database waits for the disk at the end; one that is there already after every write."""

from pathlib import Path

import pytest
import sqlalchemy

from precisionflow.tracking.database import synced_at_the_end

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
