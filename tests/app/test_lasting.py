"""A terminal that is closed: what is printed goes on in a file, and no process ends."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
    import signal, subprocess, sys, time
    from pathlib import Path
    from precisionflow.app.lasting import outliving_terminal

    log = Path(sys.argv[1])
    with outliving_terminal(log):
        child = subprocess.Popen([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGHUP))"],
                                 stdout=subprocess.PIPE, text=True)
        log.write_text(child.communicate()[0])
        print("before", flush=True)
        sys.stdin.readline()
        time.sleep(0.2)
        print("after")
        print("a mistake", file=sys.stderr, flush=True)
    print("at the end", flush=True)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_terminal_ends_nothing(unbuffered: str, tmp_path: Path) -> None:
    """As a terminal's program does it: the session's leader has it for its own, and is told by SIGHUP."""
    log, (master, slave), (read, write) = tmp_path / "log", os.openpty(), os.pipe()
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(log)]
    process = subprocess.Popen(
        program,
        stdin=read,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    os.close(slave)
    told = b""
    while not told.endswith(b"\n"):
        told += os.read(master, 100)
    assert told.strip() == b"before"
    os.close(master)
    os.kill(process.pid, signal.SIGHUP)
    os.write(write, b"go on\n")
    os.close(write)
    assert process.wait(timeout=60) == 0
    os.close(read)
    ignored, *rest = log.read_text().splitlines()
    assert ignored == "1"  # SIG_IGN
    assert sorted(rest) == ["a mistake", "after", "at the end"]
