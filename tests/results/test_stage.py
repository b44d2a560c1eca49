"""A stage's output is whole or absent: after errors, kills, a full disk, and with two processes at once."""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from precisionflow.config import load
from precisionflow.records.marker import read_marker
from precisionflow.results import identity, stage
from precisionflow.results.code import code_digest, trusting_code
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import cell_folder, checkpoint_folder, data_folder
from precisionflow.results.locks import exclusive
from precisionflow.results.stage import finished, finished_key, finished_span, input_key, once

Work = Callable[[Path], object]


def writes(text: str) -> Work:
    return lambda folder: (folder / "result.txt").write_text(text)


def once_for(out: Path, work: Work, *, inputs: object = 1) -> bool:
    return once(out, verb="train", inputs=inputs, work=work)


def must_not_run(_: Path) -> None:
    pytest.fail("the work ran again")


def program(body: str, *arguments: object) -> list[str]:
    """A process that has `out` and `once`, then runs `body`."""
    text = """
        import os, signal, sys, time
        from pathlib import Path
        from precisionflow.results import locks, stage
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts deaf to it
        out = Path(sys.argv[1])
        def once(work, inputs=1):
            return stage.once(out, verb="train", inputs=inputs, work=work)
    """
    return [sys.executable, "-c", textwrap.dedent(text) + textwrap.dedent(body), *map(str, arguments)]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited 20 s for nothing")


def test_a_result_has_its_files_and_its_identity(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    assert once_for(out, writes("x"))
    assert sorted(os.listdir(out)) == ["result.txt", "stage.json"]
    marker = json.loads((out / "stage.json").read_text())
    assert (marker["verb"], marker["code"], marker["trusted"]) == ("train", code_digest("train"), None)
    assert abs(time.time() - marker["ended"]) < 600
    assert marker["key"] == finished_key(out) == input_key(out) == stage_key("train", 1)
    assert marker["files"] == {"result.txt": hashlib.sha256(b"x").hexdigest()}
    assert marker["python"] == platform.python_version()
    assert marker["libraries"]["numpy"] == np.__version__
    assert marker["seconds"] >= 0
    assert os.listdir(out.parent) == ["out"]


def test_a_result_says_when_it_was_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds since 1970, to the millisecond."""
    clock = iter([50.0, 52.12345])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(time, "time", lambda: 1000.98765)
    assert once_for(tmp_path / "out", writes("x"))
    marker = read_marker(tmp_path / "out")
    assert marker is not None
    assert (marker.seconds, marker.ended) == (2.123, 1000.988)
    assert finished_span(tmp_path / "out") == pytest.approx((998.865, 1000.988))


def test_the_same_inputs_are_not_worked_on_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert once_for(out, writes("x"), inputs={"a": 1, "b": [2]})
    before = (out / "stage.json").stat()
    assert not once_for(out, must_not_run, inputs={"b": [2], "a": 1})
    assert (out / "stage.json").stat() == before


def test_other_inputs_are(tmp_path: Path) -> None:
    out = tmp_path / "out"
    once_for(out, lambda folder: (folder / "old.txt").write_text("x"), inputs=[1])
    assert once_for(out, writes("y"), inputs=[2])
    assert sorted(os.listdir(out)) == ["result.txt", "stage.json"]
    assert once_for(out, writes("z"), inputs=[1])
    assert (out / "result.txt").read_text() == "z"


def test_a_result_of_other_code_is_kept_where_code_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, own = tmp_path / "out", code_digest("train")

    def told() -> tuple[str, str, str | None]:
        marker = read_marker(out)
        assert marker is not None
        return marker.key, marker.code, marker.trusted

    once_for(out, writes("x"))
    key = finished_key(out)
    for module in (identity, stage):
        monkeypatch.setattr(module, "code_digest", lambda _: "edited")
    with trusting_code(True):
        assert not once_for(out, must_not_run)
        assert told() == (key, own, "edited")
        assert not finished(out, verb="train", inputs="other")
    assert not finished(out, verb="train", inputs=1)
    monkeypatch.undo()
    assert not once_for(out, must_not_run)
    assert told() == (key, own, None)


def test_a_stage_whose_file_is_gone_is_done_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    once_for(out, writes("x"))
    (out / "result.txt").unlink()
    assert finished_key(out) is None
    with pytest.raises(ValueError, match=r"result\.txt: does not exist, although train wrote it"):
        input_key(out)
    assert once_for(out, writes("x"))
    assert finished_key(out) == input_key(out)


def test_verb_and_inputs_are_the_identity() -> None:
    keys = [stage_key(verb, inputs) for verb in ("train", "evaluate") for inputs in (1, "1", [1], {"1": 1})]
    assert len(set(keys)) == 8


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failure_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half.txt").write_text("x")
        raise error

    with pytest.raises(type(error)):
        once_for(tmp_path / "deep" / "er" / "out", fails)
    assert os.listdir(tmp_path) == []


def test_a_failure_keeps_the_earlier_result_and_other_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    once_for(out, writes("old"))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(TypeError):
        once_for(out, lambda _: 1 + "1", inputs=2)
    assert sorted(os.listdir(tmp_path)) == ["mine.txt", "out"]
    assert (out / "result.txt").read_text() == "old"
    assert not once_for(out, must_not_run)


def test_a_killed_stage_leaves_a_hidden_folder_that_the_next_call_removes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    body = """
        def work(folder):
            (folder / "half.txt").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        once(work)
    """
    killed = subprocess.run(program(body, out), check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name == ".out.partial"
    assert finished_key(out) is None
    assert once_for(out, writes("x"))
    assert os.listdir(tmp_path) == ["out"]
    assert sorted(os.listdir(out)) == ["result.txt", "stage.json"]


def test_a_stage_killed_while_it_replaces_a_result_is_done_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    once_for(out, writes("old"), inputs="old")
    body = """
        import shutil
        remove = shutil.rmtree
        def killing(path, **options):
            remove(path, **options)
            if Path(path) == out:
                os.kill(os.getpid(), signal.SIGKILL)
        shutil.rmtree = killing
        once(lambda folder: (folder / "result.txt").write_text("new"), inputs="new")
    """
    assert subprocess.run(program(body, out), check=False).returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".out.partial"]
    assert once_for(out, writes("new"), inputs="new")
    assert os.listdir(tmp_path) == ["out"]


class Waiting:
    """A process that says so before it calls `once`, and what it says afterwards."""

    def __init__(self, body: str, *arguments: object) -> None:
        body = 'print("calls", flush=True)\n' + textwrap.dedent(body)
        self.process = subprocess.Popen(program(body, *arguments), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "calls\n"
        time.sleep(0.3)

    def says(self) -> str:
        return self.process.communicate(timeout=30)[0].strip()


def test_of_two_processes_one_works_and_the_other_waits(tmp_path: Path) -> None:
    out, log, go = tmp_path / "out", tmp_path / "log", tmp_path / "go"
    body = """
        def work(folder):
            with open(sys.argv[2], "a") as log:
                log.write("ran ")
            while not Path(sys.argv[3]).exists():
                time.sleep(0.01)
            (folder / "result.txt").write_text("x")
        print("work" if once(work) else "nothing")
    """
    first = Waiting(body, out, log, go)
    wait_for(log.exists)
    second = Waiting(body, out, log, go)
    go.touch()
    assert (first.says(), second.says()) == ("work", "nothing")
    assert log.read_text() == "ran "
    assert sorted(os.listdir(tmp_path)) == ["go", "log", "out"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_waits_for_one_that_fails_does_the_work(end: signal.Signals, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    body = """
        def work(folder):
            (folder / "half.txt").write_text("half")
            Path(sys.argv[2]).touch()
            time.sleep(60)
        try:
            once(work)
        except KeyboardInterrupt:
            print("interrupted")
    """
    first = Waiting(body, out, log)
    wait_for(log.exists)
    second = Waiting('print(once(lambda folder: (folder / "result.txt").write_text("x")))', out)
    first.process.send_signal(end)
    assert first.says() == ("interrupted" if end == signal.SIGINT else "")
    assert second.says() == "True"
    assert sorted(os.listdir(out)) == ["result.txt", "stage.json"]
    assert sorted(os.listdir(tmp_path)) == ["log", "out"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    body = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        def work(folder):
            (folder / "result.txt").write_text("x" * 5000)
        try:
            once(work)
        except OSError as error:
            print(error.strerror)
    """
    done = subprocess.run(program(body, tmp_path / "a" / "out"), capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert os.listdir(tmp_path) == []


def test_files_that_no_stage_wrote_are_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(
        ValueError, match=r"mine: holds files that no stage wrote; choose another --out or remove it$"
    ):
        once_for(out, must_not_run)
    assert os.listdir(out) == ["thesis.tex"]
    with pytest.raises(ValueError, match=r"thesis\.tex: holds files that no stage wrote"):
        once_for(out / "thesis.tex", must_not_run)


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert once_for(Path(), writes("x"))
    assert sorted(os.listdir(here)) == ["result.txt", "stage.json"]
    assert os.listdir(tmp_path) == ["here"]


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"key": "x"}', "null", "\xff"])
def test_a_damaged_marker_is_an_unfinished_stage(marker: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    once_for(out, writes("x"))
    (out / "stage.json").write_text(marker, encoding="latin-1")
    assert finished_key(out) is None
    with pytest.raises(
        ValueError, match=r"out: is not a finished stage; run the stage that writes it first$"
    ):
        input_key(out)
    assert once_for(out, writes("y"))
    assert (out / "result.txt").read_text() == "y"


def test_a_results_folder_is_held_by_one_process(tmp_path: Path) -> None:
    body = """
        with locks.exclusive(out):
            print("held", flush=True)
            sys.stdin.read()
    """
    process = subprocess.Popen(
        program(body, tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    wanted = rf"^{tmp_path}: another run is writing here; wait for it or choose another --out$"
    with pytest.raises(ValueError, match=wanted), exclusive(tmp_path):
        pytest.fail("held twice")
    process.kill()
    process.wait()
    process.communicate()
    with exclusive(tmp_path):
        assert os.listdir(tmp_path) == [".lock"]
    assert os.listdir(tmp_path) == []


def test_a_folder_that_was_made_for_nothing_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^x$"), exclusive(tmp_path / "a" / "b"):
        raise ValueError("x")
    assert os.listdir(tmp_path) == []
    with exclusive(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b").is_dir()


def test_variants_share_their_data_and_seeds_do_not_share_cells(tmp_path: Path) -> None:
    one = load("quickstart-regression")
    other = load("quickstart-regression", ["objective.kind=homoscedastic", "training.steps=1", "seeds=[7]"])
    assert data_folder(tmp_path, one, 0) == data_folder(tmp_path, other, 0)
    fraction = load("quickstart-regression", ["task.validation_fraction=0.2"])
    assert data_folder(tmp_path, one, 0) != data_folder(tmp_path, fraction, 0)
    cells = [cell_folder(tmp_path, seed, split) for seed in (0, 1, 10) for split in (0, 1)]
    assert len(set(cells)) == 6
    assert checkpoint_folder(cells[0]).parent == cells[0].parent
    assert checkpoint_folder(cells[0]).name.startswith(".")
