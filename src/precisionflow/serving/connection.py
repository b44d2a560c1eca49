"""Connection to MLflow: the address of a server or of the SQLite file in a results folder, a client, silence."""

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

UNASKED = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}
"""Environment of MLflow where the user sets none: an absent server costs seconds, not minutes, and files pass through
the server, whose store may be out of a client's reach.
"""
_NOISY = ("mlflow", "alembic", "urllib3")


_ENCODED = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})
"""What SQLAlchemy reads as something else than a part of the path."""


def tracking_uri(store: Path | None) -> str | None:
    """MLFLOW_TRACKING_URI, else the database of a results folder; none without either."""
    return os.environ.get("MLFLOW_TRACKING_URI") or (database_address(store) if store else None)


def database_address(store: Path) -> str:
    """`sqlite:///<store>/mlflow.db`, whatever characters the folder's path has.

    With the driver's name where some are encoded: MLflow makes a folder of the path as it reads in `sqlite:///`.
    """
    path = str(store.resolve() / "mlflow.db")
    encoded = path.translate(_ENCODED)
    return f"{'sqlite' if encoded == path else 'sqlite+pysqlite'}:///{encoded}"


def database_file(address: str) -> Path | None:
    """The file of an SQLite address; none for every other one."""
    import sqlalchemy

    if not address.startswith("sqlite"):
        return None
    name = sqlalchemy.make_url(address).database
    return Path(name) if name and name != ":memory:" else None


def reason(error: Exception) -> str:
    """Kind and message of an error in one line, without passwords."""
    return without_password(" ".join(f"{type(error).__name__}: {error}".split()))[:200]


def without_password(text: str) -> str:
    """`user:password@` removed from every address in a text; a file's path may hold an @."""
    return re.sub(r"(?<!sqlite)(?<!pysqlite)://\S*@", "://", text)


def connected(address: str) -> "MlflowClient":
    """A client of the server or database at `address`; raises at once where a database is away."""
    from mlflow import MlflowClient

    if is_database(address):
        _connect(address)
    return MlflowClient(address)


def is_database(address: str) -> bool:
    """Whether the address is one of a database, not of a server."""
    return address.split(":", 1)[0].split("+", 1)[0] in ("sqlite", "postgresql", "mysql", "mssql")


def _connect(address: str) -> None:
    """MLflow itself would try again for more than a minute."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(address)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """MLflow, its migrations and its HTTP retries say nothing but errors, and an absent server costs seconds."""
    for name, value in UNASKED.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - sets levels of its own, so ours come after it

        for name in _NOISY:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield
