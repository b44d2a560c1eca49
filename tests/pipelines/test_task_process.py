"""Processes of tasks: forked from one server, apart from one another, and a kill ends no more than it has to."""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kfp.local.status import Status
from precisionflow.pipelines.task_client import EVERY_TASK, Ahead, Step, TaskServer
from precisionflow.pipelines.task_process import TRIES, TaskProcess

from precisionflow.config import Experiment
from precisionflow.results.code import STAGES, code_digest

FINALIZED = """
import weakref
class Kept: pass
kept = Kept()
weakref.finalize(kept, print, "says end of", __name__)
"""
PROGRAM = f"""{FINALIZED}
import os, signal, sys, tempfile
from pathlib import Path
def act(what: str):
    print(f"says {{what}}", os.environ.get("GIVEN"), "numpy" in sys.modules, tempfile.gettempdir())
    tries = Path(os.environ["TRIES"])
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if what == "leave":
        os.environ["GIVEN"] = "left behind"
    if what == "refuse":
        sys.exit(2)
    if what == "die" or (what == "die once" and tries.read_text() == "x"):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "end":
        os.kill(os.getpid(), signal.SIGTERM)

def later(what: str):
    print("says", what, "wave" in sys.modules)

then = unknown = later
"""
TEXT = 'program_path=$(mktemp -d)\n_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main "$@"\n'


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskServer]:
    (tmp_path / "of_server.py").write_text(FINALIZED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (tmp_path / "log").open("w") as log:
        server = TaskServer()
        steps = {
            "act": Step(["numpy", "of_server"], tasks=2),
            "then": Step(["no_such_module", "colorsys"]),
            "later": Step(["wave"]),
        }
        ahead = [
            Ahead("later", "act", "os:mkdir", [str(tmp_path / "ahead")]),
            Ahead("later", "then", "os:kill", ["no number"]),
            Ahead("later", "then", "builtins:print", ["says ahead"]),
        ]
        server.begin(steps, log=log, ahead=ahead)
        yield server
        server.close()
    assert (tmp_path / "log").read_text() in ("", "says end of of_server\n")


def task(
    what: str, folder: Path, server: TaskServer, *, lost: bool = False, verb: str = "act"
) -> TaskProcess:
    """A task of kfp.local that does `what`; with `lost` whatever it had in work can be given up."""
    given = {
        "outputs": {"outputFile": f"{folder}/output.json"},
        "inputs": {"parameterValues": {"what": what}},
    }
    command = [
        "sh",
        "-ec",
        TEXT,
        PROGRAM,
        "--executor_input",
        json.dumps(given),
        "--function_to_execute",
        verb,
    ]
    of_run = {"server": server, "temporary": str(folder), "lost": staticmethod(lambda *_: lost)}
    handler = type("Made", (TaskProcess,), of_run)
    return handler("python", command, str(folder), None, {"TRIES": str(folder / "tries")})


def test_what_depends_on_the_code_alone_is_known_before_a_task_is_forked() -> None:
    module = importlib.import_module(EVERY_TASK[-1])
    code_digest.cache_clear()
    importlib.reload(module)
    computed = code_digest.cache_info().misses
    assert len({code_digest(verb) for verb in STAGES}) == len(STAGES)
    assert code_digest.cache_info().misses == computed
    assert Experiment.__pydantic_complete__


@pytest.mark.parametrize(
    ("what", "lost", "status", "tries"),
    [
        ("go", False, Status.SUCCESS, 1),
        ("refuse", False, Status.FAILURE, 1),
        ("end", True, Status.FAILURE, 1),
        ("die once", False, Status.SUCCESS, 2),
        ("die", False, Status.FAILURE, TRIES),
    ],
)
def test_a_task_that_is_killed_is_tried_again(
    server: TaskServer, tmp_path: Path, capfd, what: str, lost: bool, status: Status, tries: int
) -> None:
    assert task(what, tmp_path, server, lost=lost).run() == status
    assert len((tmp_path / "tries").read_text()) == tries
    said = "killed by signal 9 (SIGKILL), perhaps out of memory"
    assert (said in capfd.readouterr().out) == (tries == TRIES)


def test_a_task_has_its_own_environment_and_what_the_server_imported(
    server: TaskServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its end it finalizes what is its own alone."""
    monkeypatch.setenv("GIVEN", "by the run")
    for what in ("leave", "go"):
        assert task(what, tmp_path, server).run() == Status.SUCCESS
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("says ")]
    begun = [f"says {what} by the run True {tmp_path}" for what in ("leave", "go")]
    assert [line.partition(" of tmp")[0] for line in said] == [begun[0], "says end", begun[1], "says end"]


@pytest.mark.parametrize("verbs", [("act", "later", "unknown"), ("unknown", "later", "act", "later")])
def test_a_task_begins_when_its_verb_s_modules_are_imported(
    server: TaskServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], verbs: tuple[str, ...]
) -> None:
    """Those of two verbs later are not imported before one asks for them."""
    for verb in verbs:
        assert task("go", tmp_path, server, verb=verb).run() == Status.SUCCESS
    said = [line.split()[2] for line in capsys.readouterr().out.splitlines() if "says go" in line]
    wave = ["later" in verbs[: position + 1] for position in range(len(verbs))]
    expected = ["None" if verb == "act" else str(there) for verb, there in zip(verbs, wave, strict=True)]
    assert said == expected


def test_a_server_imports_what_the_next_verb_needs_while_nobody_asks(
    server: TaskServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = time.monotonic() + 60
    while "says go True" not in capsys.readouterr().out:
        assert time.monotonic() < end
        assert task("go", tmp_path, server, verb="then").run() == Status.SUCCESS


def test_a_task_s_process_does_something_ahead_of_it_beside_the_last_task_of_another_verb(
    server: TaskServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails is in its output, and the task comes after it."""
    for verb in ("act", "unknown"):
        assert task("go", tmp_path, server, verb=verb).run() == Status.SUCCESS
    assert server._waiting == {}
    assert task("go", tmp_path, server).run() == Status.SUCCESS
    end = time.monotonic() + 60
    while not (tmp_path / "ahead").is_dir():
        assert time.monotonic() < end
    assert task("go", tmp_path, server, verb="then").run() == Status.SUCCESS
    capsys.readouterr()
    assert task("go", tmp_path, server, verb="later").run() == Status.SUCCESS
    said = capsys.readouterr().out
    assert said.index("TypeError: ") < said.index("says ahead") < said.index("says go True")


def test_where_the_server_was_killed_the_next_task_has_another(server: TaskServer, tmp_path: Path) -> None:
    """With it the process that has begun ahead of the task, which has another too."""
    first = server._process
    assert task("go", tmp_path, server, verb="then").run() == Status.SUCCESS
    assert server._waiting.keys() == {"later"}
    first.kill()
    assert task("go", tmp_path, server, verb="later").run() == Status.SUCCESS
    assert server._process.pid != first.pid


def test_no_task_begins_after_the_stop(
    server: TaskServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.stop()
    assert task("go", tmp_path, server, lost=True).run() == Status.FAILURE
    assert not (tmp_path / "tries").exists()
    assert capfd.readouterr().out == ""


SLEEPER = """
import sys, threading
from precisionflow.pipelines.task_client import EVERY_TASK, TaskServer
from precisionflow.pipelines.task_server import Request
server = TaskServer()
server.run("sleep", Request(arguments=["--component_module_path", sys.argv[1], "--executor_input", "{}",
                                        "--function_to_execute", "sleep"], environment={}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another kernel leaves the children of a killed process")
def test_no_task_outlives_its_run(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\nprint('sleeps', flush=True)\ntime.sleep(600)\n")
    run = subprocess.Popen([sys.executable, "-c", SLEEPER, program], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    while "sleeps" not in run.stdout.readline():
        pass
    children = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    run.communicate()
    assert (len(children), alive) == (3, [])


EARLY = """
import sys
from precisionflow.pipelines.task_client import serving
from precisionflow.pipelines.task_server import Request

with serving() as server:
    print("command", *({"pydantic", "numpy", "kfp", "precisionflow.config"} & sys.modules.keys()), flush=True)
    words = ["--component_module_path", sys.argv[1], "--executor_input", "{}", "--function_to_execute", "look"]
    server.run("look", Request(words, {}))
"""


def test_a_server_begins_before_the_command_imports_anything_and_has_what_every_task_needs(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nprint('task', 'precisionflow.data.prepare' in sys.modules)\n")
    words = [sys.executable, "-c", EARLY, program]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if line.startswith(("command", "task"))]
    assert said == ["command", "task True"]
