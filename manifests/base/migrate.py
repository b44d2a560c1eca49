"""Brings the tables of MLflow, and with `auth` those of its logins, to this version; makes them where there are none.

Runs in each pod before its server. Migrations that run at once break each other, so a pod holds a lock of the database
as long as its own take; the ones after it find nothing to do.
"""

import subprocess
import sys
import time

import psycopg

LOCK = 1_901_110_000
"""Number of the lock, any that nothing else in the database takes."""
ADDRESS = "postgresql+psycopg://"
"""Host, user, password and certificate come from libpq's variables."""
COMMANDS = {
    "tracking": ["mlflow", "db", "upgrade", ADDRESS],
    "auth": [sys.executable, "-m", "mlflow.server.auth", "db", "upgrade", "--url", ADDRESS],
}
PATIENCE = 100
"""Tries to reach the database, 3 s apart."""


def main() -> None:
    with reached() as database:
        database.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        for tables in ["tracking", *sys.argv[1:]]:
            print(f"tables of {tables}", flush=True)
            subprocess.run(COMMANDS[tables], check=True)


def reached() -> psycopg.Connection:
    """A connection to the database, once it answers."""
    for _ in range(PATIENCE):
        try:
            return psycopg.connect(autocommit=True)
        except psycopg.OperationalError as silence:
            print(silence, flush=True)
            time.sleep(3)
    raise SystemExit("the database does not answer")


main()
