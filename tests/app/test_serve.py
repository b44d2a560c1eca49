"""`precisionflow serve`: the whole process from a trained cell to SIGTERM; mistakes in one line."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path
from queue import Queue

import pytest
import trained as tiny
from command_line import Line

from precisionflow.results.layout import TrainedCell, cell_folder
from precisionflow.serving.arithmetic import calibrate
from tests.served import answer_in
from tests.trained import Trained


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    small = {"seeds": [0], "splits": [0], "training": {"steps": 5, "validate_every": 5}}
    return tiny.trained(tiny.TABLE, tmp_path_factory.mktemp("serve") / "results", **small)


@pytest.fixture(scope="module")
def words(table: Trained) -> tuple[str | Path, ...]:
    return "serve", cell_folder(table.model, 0, 0), "--data", table.data


def test_a_process_answers_until_it_is_told_to_end_and_what_it_accepted_then(
    words: tuple[str | Path, ...],
) -> None:
    """The batch waits for more rows when the signal comes: it is answered all the same."""
    options = ("--port", "0", "--fill", "1", "--rows", "50", "--drain", "0.2")
    command = [sys.executable, "-m", "precisionflow", *map(str, words), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line.startswith("precisionflow: POST http://127.0.0.1:"), (line, process.poll())
        address, _, path = line.removeprefix("precisionflow: POST http://").strip().partition("/")
        assert path == "models/table-diabetes/predict"
        connection = HTTPConnection(address, timeout=20)
        connection.request("GET", "/models")
        columns = answer_in(connection.getresponse()).said["table-diabetes"]["predict"]["columns"]
        body = json.dumps({"columns": {name: [0.01] for name in columns}, "level": 0.8})
        connection.request("POST", f"/{path}", body, {"Content-Type": "application/json"})
        found: Queue[object] = Queue()
        threading.Thread(target=lambda: found.put(answer_in(connection.getresponse()))).start()
        threading.Event().wait(0.3)
        os.kill(process.pid, signal.SIGTERM)
        status, said, headers = found.get(timeout=20)  # type: ignore[misc]
        assert status == 200
        assert said["columns"]["lower"] < said["columns"]["mean"] < said["columns"]["upper"]
        assert headers["connection"] == "close"
        connection.close()
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (
            0,
            "precisionflow: every accepted request is answered\n",
            "",
        )
    finally:
        process.kill()
        process.wait()


def test_calibration_is_shown_and_kept(
    line: Line, words: tuple[str | Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "TURNS", 3)
    done = line(*words, "--calibrate")
    assert done.code == 0, done.err
    file = TrainedCell(Path(words[1])).arithmetic
    assert f"written to {file}" in done.err
    assert "float32" in done.out
    assert file.is_file()
    file.unlink()


def test_a_mistake_is_one_line(line: Line, words: tuple[str | Path, ...], tmp_path: Path) -> None:
    _, model, *data = words
    assert line.fails("serve", "nowhere").startswith("nowhere: holds no trained model; give")
    for options, told in (
        (("--port", "70000"), "--port: given 70000; give 0 to 65535"),
        (("--host", "no.such.host.invalid"), "--host no.such.host.invalid --port 8080: cannot listen there"),
        (("--rows", "0"), "rows: given 0; give a number above 0"),
        (("--threads", "0"), "--threads: given 0; give 1 to 1024"),
        (("--endpoint", "planning"), "--endpoint planning: table-diabetes has predict; name one of these"),
    ):
        assert line.fails(*words, *options).startswith(told)
    assert line.fails("serve", model, model, *data).startswith("--data, --evaluation: belong to one model")
    assert line.fails("serve", f"a={model}", f"a={model}").startswith(
        "a: is the name of two models; name one"
    )
    assert line.fails("serve", "models:/x@champion", "--calibrate").startswith(
        "models:/x@champion: set MLFLOW_"
    )
    assert list(tmp_path.iterdir()) == []
