"""Processes of trials: lines, log and exit."""

import sys
import time

import pytest

from precisionflow.search.runner.process import TrialProcess


@pytest.mark.parametrize(
    ("program", "code", "cause"),
    [
        ("print('a'); print('b')", 0, "exit code 0: b"),
        ("import sys; print('a', flush=True); sys.exit('b')", 1, "exit code 1: b"),
        ("import os; os.kill(os.getpid(), 9)", -9, "killed by SIGKILL"),
        ("print('x' * 200)", 0, f"exit code 0: {'x' * 200}"),
        ("print('x' * 201)", 0, f"exit code 0: {'x' * 200}..."),
    ],
)
def test_an_exit_says_why(tmp_path, program, code, cause):
    log = tmp_path / "log.txt"
    log.write_text("earlier\n")
    lines = []
    process = TrialProcess([sys.executable, "-I", "-S", "-c", program], log=log, environment={})
    found = process.follow(lines.append)
    assert (found.code, found.cause) == (code, cause)
    assert log.read_text() == "earlier\n" + "".join(lines)


def test_a_command_that_is_not_there_is_an_exit(tmp_path):
    process = TrialProcess(["/no/such/program"], log=tmp_path / "log.txt", environment={})
    assert process.follow(lambda _: None).cause == "exit code 1: /no/such/program: No such file or directory"


def test_an_asked_process_ends(tmp_path):
    command = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]
    process = TrialProcess(command, log=tmp_path / "log.txt", environment={})
    found = process.follow(lambda _: process.end())
    assert (found.code, found.last) == (-15, "up")
    assert found.seconds < 30


def test_a_process_whose_lines_cannot_be_read_is_killed(tmp_path):
    command = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]
    process = TrialProcess(command, log=tmp_path / "log.txt", environment={})
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="up"):
        process.follow(_refuse)
    assert time.monotonic() - start < 30


def _refuse(line):
    raise RuntimeError(line)
