"""Store of MLflow runs: a tracking server or the SQLite file of a results folder; one warning when it is away."""

import contextlib
import fcntl
import logging
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DEFAULTS = {
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


class Gap(Exception):
    """The store lacks what is to be completed; the message goes on after its address."""


def attempt(work: Callable[["MlflowClient"], None], *, store: Path | None, results: Path | str) -> bool:
    """Do `work` with a client, alone in `store`; False and one warning for this process where that fails."""
    address = tracking_uri(store)
    if address is None:
        _warn_once("off, MLFLOW_TRACKING_URI names no server", store=store, results=results)
        return False
    try:
        _do(work, address, store)
    except Gap as gap:
        _warn_once(f"{without_password(address)} {gap}", store=store, results=results)
        return False
    except Exception as error:  # tracking never decides a result, whatever a server or its plug-in raises
        problem = f"{without_password(address)} does not answer ({reason(error)})"
        _warn_once(problem, store=store, results=results)
        return False
    return True


def silence(address: str) -> str | None:
    """Why the server or database at `address` does not answer; none where it does."""
    try:
        _do(lambda client: client.search_experiments(max_results=1), address, None)
    except Exception as error:  # whatever a server or its plug-in raises is the answer here
        return reason(error)
    return None


def _do(work: Callable[["MlflowClient"], object], address: str, store: Path | None) -> None:
    with _locked(store), quiet():
        work(connected(address))


def reason(error: Exception) -> str:
    """Kind and message of an error in one line, without passwords."""
    return without_password(" ".join(f"{type(error).__name__}: {error}".split()))[:200]


def tracking_uri(store: Path | None) -> str | None:
    """MLFLOW_TRACKING_URI, else `sqlite:///<store>/mlflow.db`; none without either."""
    return os.environ.get("MLFLOW_TRACKING_URI") or (
        f"sqlite:///{store.resolve()}/mlflow.db" if store else None
    )


def artifact_root(store: Path | None) -> str | None:
    """Folder of the artifacts of new MLflow experiments; none: where the server wants them."""
    if store is None or os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    return (store.resolve() / "mlartifacts").as_uri()


def ui_command(folder: Path) -> str:
    """The line for a shell that opens the runs of a results folder in MLflow's web page."""
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address and not _is_database(address):
        return f"python -m webbrowser {shlex.quote(without_password(address))}"
    shown = '"$MLFLOW_TRACKING_URI"' if address else shlex.quote(f"sqlite:///{folder.resolve()}/mlflow.db")
    return f"mlflow ui --backend-store-uri {shown} --host 127.0.0.1 --workers 1"


def without_password(text: str) -> str:
    """`user:password@` removed from every address in a text."""
    return re.sub(r"://\S*@", "://", text)


def connected(address: str) -> "MlflowClient":
    """A client of the server or database at `address`; raises at once where a database is away."""
    from mlflow import MlflowClient

    if _is_database(address):
        _connect(address)
    return MlflowClient(address)


def _is_database(address: str) -> bool:
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
def _locked(store: Path | None) -> Iterator[None]:
    """Wait until no other process of this machine tracks `store`, so that two never create the same run."""
    if store is None:
        yield
        return
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".tracking.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """MLflow, its migrations and its HTTP retries say nothing but errors, and an absent server costs seconds."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - sets levels of its own, so ours come after it

        for name in _NOISY:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield


_warnings: list[str] = []
"""Warnings that this process has printed."""


def _warn_once(problem: str, *, store: Path | None, results: Path | str) -> None:
    if _warnings:
        return
    later = f"; run `precisionflow track {shlex.quote(str(store))}` later" if store else ""
    _warnings.append(f"precisionflow: tracking: {problem}; results are in {store or results}{later}")
    print(_warnings[0], file=sys.stderr)
