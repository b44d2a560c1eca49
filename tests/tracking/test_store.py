"""Where runs go: a server or a results folder, one line when it is away, and the page that shows them."""

import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from precisionflow.serving.connection import database_file, without_password
from precisionflow.tracking import store
from precisionflow.tracking.store import attempt, ui_command
from precisionflow.tracking.track import track_cells_ahead, track_folder
from tests.tracking.results_folder import (
    CELLS,
    NOISE,
    VARIANTS,
    client_in,
    client_of,
    contents_of,
    place,
    runs_of,
    track_variant,
    variants,
)


@pytest.fixture(scope="session", autouse=True)
def server(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page that `ui_command` opens, on a copy of `finished`; it starts beside other tests."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("server") / "results"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, *rest = shlex.split(ui_command(folder))
    command = [str(Path(sys.executable).with_name(program)), *rest, "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_an_absent_server_costs_one_line_and_the_upload_comes_later(
    results: Path, tracked: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is copied ahead says nothing, and the rest after it leaves the same store as all at once."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:secret@127.0.0.1:{port}")
        track_cells_ahead(str(results))
        assert not track_variant(results, variants(NOISE)[0])
        assert not track_folder(results)
    said = capfd.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"precisionflow: tracking: http://127.0.0.1:{port} does not answer (")
    assert line.endswith(f"; results are in {results}; run `precisionflow track {results}` later")
    assert "secret" not in line
    assert not said.out
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    track_cells_ahead(str(results))
    cells = [run for name in ("noise", "twins") for run in runs_of(client_in(results), name, verb="evaluate")]
    assert [run.info.status for run in cells] == ["FINISHED"] * CELLS
    assert track_folder(results)
    assert contents_of(results) == contents_of(tracked)


def test_without_a_server_and_a_folder_tracking_is_off(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not track_variant(results, variants(NOISE)[0], store=None)
    (line,) = capsys.readouterr().err.splitlines()
    assert "off, MLFLOW_TRACKING_URI names no server" in line
    assert line.endswith(f"results are in {place(results / 'evaluation', variants(NOISE)[0])}")


def test_a_store_that_is_no_database_is_a_warning(results: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (results / "mlflow.db").write_text(
        "no database, but long enough to be looked at as one by whoever opens it" * 20
    )
    assert not track_folder(results)
    (line,) = capfd.readouterr().err.splitlines()
    assert "file is not a database" in line


def test_the_line_for_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my results"
    assert shlex.split(ui_command(folder))[:4] == [
        "mlflow",
        "ui",
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@tracking.example.org/mlflow")
    assert ui_command(folder) == "python -m webbrowser https://tracking.example.org/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ada:secret@db/mlflow")
    assert '"$MLFLOW_TRACKING_URI"' in ui_command(folder)
    assert "secret" not in ui_command(folder)


@pytest.mark.parametrize("name", ["run?x=1", "100%25 of", "a#b", "é: ü @ ;&"])
def test_a_folder_of_any_name_holds_its_own_database(name: str, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(finished / "mlflow.db", folder)
    assert attempt(lambda client: client.create_experiment("made"), store=folder, results=folder)
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert ("made",) in list(database.execute("select name from experiments"))
    database.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    address = shlex.split(ui_command(folder))[3]
    assert database_file(address) == folder / "mlflow.db"
    assert without_password(address) == address


def test_two_processes_that_track_into_one_new_database_both_succeed(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    program = (
        "import pathlib, sys; from precisionflow.tracking.track import track_folder; "
        "sys.exit(not track_folder(pathlib.Path(sys.argv[1])))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(folder)], stderr=subprocess.PIPE)
        for folder in (results, other)
    ]
    assert [process.communicate()[1] for process in both] == [b"", b""]
    assert [process.returncode for process in both] == [0, 0]


def test_a_deleted_experiment_is_told_as_what_it_is(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = client_of(f"sqlite:///{results}/mlflow.db")
    number = client.create_experiment("noise")
    client.delete_experiment(number)
    assert not track_folder(results)
    (line,) = capsys.readouterr().err.splitlines()
    address = f"sqlite:///{results}/mlflow.db"
    command = f"MLFLOW_TRACKING_URI={address} mlflow experiments restore --experiment-id {number}"
    assert line == (
        f"precisionflow: tracking: {address} has the experiment 'noise' among its deleted ones; restore it with "
        f"`{command}`, or set MLFLOW_EXPERIMENT_NAME to another name; results are in {results}; "
        f"then run `precisionflow track {results}`"
    )
    monkeypatch.setattr(store, "_warnings", [])
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    assert not track_folder(results)
    assert "refuses (MlflowException: " in capsys.readouterr().err
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    client.restore_experiment(number)
    assert track_folder(results)


def test_importing_tracking_imports_no_mlflow() -> None:
    program = (
        "import sys, precisionflow.tracking; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_real_server_takes_everything_once_and_shows_it(
    results: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _wait_for(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert track_folder(results)
    assert track_folder(results)
    client = client_of(server)
    (parent,) = runs_of(client, "noise", verb="report")
    assert len(runs_of(client, "noise")) + len(runs_of(client, "twins")) == 2 + VARIANTS + CELLS
    (cell,) = runs_of(client, "noise", verb="evaluate", variant="homoscedastic", seed="1")
    assert len(client.get_metric_history(cell.info.run_id, "train_loss")) == 2500
    shown = f"{server}/get-artifact?path=report/report.html&run_uuid={parent.info.run_id}"
    with urllib.request.urlopen(shown) as page:
        assert page.read() == (results / "report" / "report.html").read_bytes()
    assert not (results / "mlartifacts").exists()


def _wait_for(server: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{server}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{server} does not start")
