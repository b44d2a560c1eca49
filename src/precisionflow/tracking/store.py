"""Store of MLflow runs: a tracking server or the SQLite file of a results folder; one warning when it is away."""

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.console import command
from precisionflow.serving.connection import (
    connected,
    database_address,
    database_file,
    is_database,
    quiet,
    reason,
    tracking_uri,
    without_password,
)
from precisionflow.tracking.database import copy_tables, synced_at_the_end

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PAGE = "http://127.0.0.1:5000"
"""Where `mlflow ui` shows its page."""
_AWAY = (None, "INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
"""MLflow's error codes of a store that does not answer; with any other one it answers, and refuses."""


class Gap(Exception):
    """The store lacks what is to be completed; the message goes on after its address."""


class Refusal(Exception):
    """The store answers, and takes nothing until someone does what the message says; it goes on after the address."""


def attempt(work: Callable[["MlflowClient"], None], *, store: Path | None, results: Path | str) -> bool:
    """Do `work` with a client, alone in `store`; False and one warning for this process where that fails."""
    address = tracking_uri(store)
    if address is None:
        _warn_once("off, MLFLOW_TRACKING_URI names no server", store=store, results=results)
        return False
    shown = without_password(address)
    try:
        _do(work, address, store)
    except Gap as gap:
        _warn_once(f"{shown} {gap}", store=store, results=results)
    except Refusal as refusal:
        _warn_once(f"{shown} {refusal}", store=store, results=results, when="then")
    except Exception as error:  # tracking never decides a result, whatever a server or its plug-in raises
        if getattr(error, "error_code", None) in _AWAY:
            _warn_once(f"{shown} does not answer ({reason(error)})", store=store, results=results)
        else:
            _warn_once(f"{shown} refuses ({reason(error)})", store=store, results=results, when="then")
    else:
        return True
    return False


def do(work: Callable[["MlflowClient"], None], *, store: Path) -> None:
    """Do `work` with a client, alone in `store`; raises whatever keeps it from that."""
    _do(work, tracking_uri(store) or "", store)


def silence(address: str) -> str | None:
    """Why the server or database at `address` does not answer; none where it does."""
    try:
        _do(lambda client: client.search_experiments(max_results=1), address, None)
    except Exception as error:  # whatever a server or its plug-in raises is the answer here
        return reason(error)
    return None


def _do(work: Callable[["MlflowClient"], object], address: str, store: Path | None) -> None:
    file = database_file(address)
    if store:
        store.mkdir(parents=True, exist_ok=True)
    with (
        _locked(file.resolve().parent if file else store),
        quiet(),
        synced_at_the_end(file) if file else contextlib.nullcontext(),
    ):
        if file and not file.exists():
            copy_tables(file)
        work(connected(address))


def artifact_root(store: Path | None) -> str | None:
    """Folder of the artifacts of new MLflow experiments; none: where the server wants them."""
    if store is None or os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    return (store.resolve() / "mlartifacts").as_uri()


def ui_command(folder: Path) -> str:
    """The line for a shell that opens the runs of a results folder in MLflow's web page."""
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address and not is_database(address):
        return f"python -m webbrowser {shlex.quote(without_password(address))}"
    shown = '"$MLFLOW_TRACKING_URI"' if address else shlex.quote(database_address(folder))
    return f"mlflow ui --backend-store-uri {shown} --host 127.0.0.1 --workers 1"


def runs_page(experiment_id: str, *, store: Path | None) -> str:
    """Address of the list of an MLflow experiment's runs; of a database with the line for a shell that opens it."""
    address, path = tracking_uri(store) or "", f"/#/experiments/{experiment_id}/runs"
    if is_database(address):
        return f"{_PAGE}{path} after `{ui_command(store or Path())}`"
    return without_password(address).rstrip("/") + path


@contextlib.contextmanager
def _locked(folder: Path | None) -> Iterator[None]:
    """Wait until no other process of this machine tracks into `folder`: two never create the same run, and of a new
    database only one makes the tables.
    """
    if folder is None:
        yield
        return
    with (folder / ".tracking.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_warnings: list[str] = []
"""Warnings that this process has printed."""


def _warn_once(problem: str, *, store: Path | None, results: Path | str, when: str = "later") -> None:
    if _warnings:
        return
    line = f"`{command('track', store or '')}`"
    again = f"run {line} later" if when == "later" else f"then run {line}"
    there = f"; results are in {store or results}" + (f"; {again}" if store else "")
    _warnings.append(f"precisionflow: tracking: {problem}{there}")
    print(_warnings[0], file=sys.stderr)
