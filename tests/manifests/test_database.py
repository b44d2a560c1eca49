"""MLflow's database as `overlays/dev` runs it, on a PostgreSQL of this machine: who gets in, migrations, copies."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.invented_store import store
from tests.manifests.database import Environment, postgres, programs, script
from tests.manifests.rendered import MANIFESTS

pytestmark = pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL on this machine")
MIGRATE = MANIFESTS / "base" / "migrate.py"
COPIES = MANIFESTS / "backup"


@pytest.fixture(scope="module")
def database() -> Iterator[Environment]:
    with postgres() as variables:
        yield variables


def connect(variables: Environment, **changed: str) -> psycopg.Connection:
    given = {
        "host": variables["PGHOST"],
        "hostaddr": variables["PGHOSTADDR"],
        "port": variables["PGPORT"],
        "user": variables["PGUSER"],
        "password": variables["PGPASSWORD"],
        "dbname": variables["PGDATABASE"],
        "sslmode": variables["PGSSLMODE"],
        "sslrootcert": variables["PGSSLROOTCERT"],
    }
    return psycopg.connect(**given | changed, autocommit=True)


def count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_a_connection_is_encrypted_and_checks_the_name(database: Environment) -> None:
    for host in script(MANIFESTS / "overlays" / "dev" / "make_certificate.py").HOSTS:
        with connect(database, host=host) as found:
            row = found.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
            assert row == (True, "TLSv1.3")


def test_every_other_way_in_is_closed(database: Environment, tmp_path: Path) -> None:
    another = tmp_path / "ca.crt"
    another.write_text(script(MANIFESTS / "overlays" / "dev" / "make_certificate.py").certificate()["ca.crt"])
    for changed, said in (
        ({"host": "elsewhere"}, "does not match host name"),
        ({"sslmode": "disable"}, "no encryption"),
        ({"sslrootcert": str(another)}, "certificate verify failed"),
        ({"password": "another"}, "password authentication failed"),
    ):
        with pytest.raises(psycopg.OperationalError, match=said):
            connect(database, **changed)


@pytest.fixture(scope="module")
def migrated(database: Environment) -> Environment:
    """The database once a pod has made its tables, after another one let go of the lock."""
    lock = script_constant("LOCK")
    with connect(database) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock])
        command = [sys.executable, str(MIGRATE), "auth"]
        pod = subprocess.Popen(command, env=database, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not count(other, waiting):
            assert pod.poll() is None, pod.communicate()
            time.sleep(0.1)
        assert tables(other) == set()
    output, _ = pod.communicate()
    assert pod.returncode == 0, output.decode()
    return database


def script_constant(name: str) -> int:
    (line,) = (line for line in MIGRATE.read_text().splitlines() if line.startswith(f"{name} = "))
    return int(line.partition(" = ")[2])


def tables(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    return {str(row[0]) for row in rows}


def test_pods_make_the_tables_one_after_the_other(migrated: Environment) -> None:
    with connect(migrated) as found:
        assert {"experiments", "runs", "alembic_version", "users", "alembic_version_auth"} <= tables(found)


def copies(verb: str, folder: Path, database: Environment, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**database, "COPIES": str(folder), "KEEP": "2", "DUMP": "newest", **variables}
    command = ["sh", str(COPIES / "tables.sh"), verb]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_was_saved_comes_back(migrated: Environment, tmp_path: Path) -> None:
    for day in ("1", "2", "3"):
        (tmp_path / f"mlflow-2026010{day}T000000Z.dump").write_text("older")
    with connect(migrated) as found:
        found.execute("INSERT INTO experiments (name, lifecycle_stage) VALUES ('kept', 'active')")
        done = copies("save", tmp_path, migrated)
        assert done.returncode == 0, done.stderr
        left = sorted(path.name for path in tmp_path.iterdir())
        assert len(left) == 2
        assert left[0] == "mlflow-20260103T000000Z.dump"
        found.execute("UPDATE experiments SET name = 'spoilt'")
        found.execute("CREATE TABLE later (number int, run text REFERENCES runs (run_uuid))")
    done = copies("restore", tmp_path, migrated)
    assert (done.returncode, done.stdout) == (0, f"tables: as {left[1]} has them\n"), done.stderr
    with connect(migrated) as found:
        assert count(found, "SELECT count(*) FROM experiments WHERE name = 'kept'") == 1
        assert count(found, "SELECT count(*) FROM experiments WHERE name = 'spoilt'") == 0
        assert "later" not in tables(found)
        assert found.execute("SELECT version_num FROM alembic_version").fetchone()
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_a_dump_that_is_not_there_or_is_broken_changes_nothing(migrated: Environment, tmp_path: Path) -> None:
    (tmp_path / "mlflow-20260103T000000Z.dump").write_text("broken")
    done = copies("restore", tmp_path, migrated, DUMP="mlflow-20250101T000000Z.dump")
    assert (done.returncode, done.stderr) == (
        1,
        "tables: there is no mlflow-20250101T000000Z.dump; there are: mlflow-20260103T000000Z.dump\n",
    )
    assert copies("restore", tmp_path, migrated).returncode != 0
    whole = tmp_path / "mlflow-20260104T000000Z.dump"
    assert copies("save", tmp_path, migrated).returncode == 0
    newest = max(tmp_path.glob("*.dump"))
    whole.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    assert copies("restore", tmp_path, migrated, DUMP=whole.name).returncode != 0
    with connect(migrated) as found:
        assert {"experiments", "users"} <= tables(found)


# artifacts


def artifacts(verb: str, folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "COPY": str(folder),
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{address}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "word",
    }
    command = [sys.executable, str(COPIES / "artifacts.py"), verb]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_artifacts_are_copied_once_and_come_back(tmp_path: Path) -> None:
    held = {"mlflow/1/a/model.bin": b"weights", "mlflow/1/b.json": b"{}"}
    before = dict(held)
    with store(held, region="us-east-1", key="id") as address:
        for said in ("2 copied, 0 were there", "0 copied, 2 were there"):
            done = artifacts("save", tmp_path, address)
            assert (done.returncode, done.stdout) == (0, f"artifacts: {said}\n"), done.stderr
        assert (tmp_path / "1" / "a" / "model.bin").read_bytes() == b"weights"
        del held["mlflow/1/b.json"]
        done = artifacts("restore", tmp_path, address)
        assert (done.returncode, done.stdout) == (0, "artifacts: 1 copied, 1 were there\n"), done.stderr
        assert held == before


def test_a_key_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with store({"mlflow/../../away": b"x"}, region="us-east-1", key="id") as address:
        done = artifacts("save", tmp_path / "copy", address)
    assert done.returncode == 1
    assert "leads out of the copy" in done.stderr
    assert list(tmp_path.rglob("away*")) == []
