"""The command line: what it prints, one line and exit code 2 for every mistake, nothing written by it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from precisionflow import __version__
from precisionflow.config import load, parse, shipped, to_yaml
from precisionflow.config.schema import json_schema
from tests.command_line import Line
from tests.hostile import write_modules


def process(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "precisionflow", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_version_help_list(line: Line) -> None:
    assert line("--version") == (0, f"precisionflow {__version__}\n", "")
    assert line() == line("--help")
    code, out, err = line("--help")
    assert (code, err) == (0, "")
    for command in (
        "list",
        "show",
        "expand",
        "run",
        "prepare",
        "train",
        "evaluate",
        "aggregate",
        "report",
        "track",
    ):
        assert f"\n  {command} " in out
        assert line(command, "--help").code == 0
    assert [row.split()[0] for row in line("list").out.splitlines()] == list(shipped())


def test_show_prints_what_it_reads(line: Line, tmp_path: Path) -> None:
    for name in shipped():
        code, out, err = line("show", name, "--set", "training.steps=777")
        assert (code, err) == (0, "")
        experiment = load(name, ["training.steps=777"])
        assert parse(out) == experiment
        (tmp_path / "own.yaml").write_text(out)
        assert line("show", tmp_path / "own.yaml").out == out == to_yaml(experiment)


def test_expand_prints_a_variant_a_line(line: Line) -> None:
    rows = line("expand", "quickstart-language").out.splitlines()
    variants = [parse(row) for row in rows]
    assert len({variant.hash for variant in variants}) == 4
    assert [variant.variant for variant in variants][1] == "backprop+precision"


def test_schema_is_json(line: Line) -> None:
    assert json.loads(line("schema").out) == json_schema()


USAGE = {
    "shw": "No such command 'shw'. Did you mean 'show'?",
    "show": "Missing argument 'EXPERIMENT'.",
    "show a b": "Got unexpected extra argument(s) (b)",
    "show quickstart-language --sett a=1": "No such option: --sett (Possible options: --set)",
    "--verson": "No such option: --verson (Possible options: --version)",
    "train quickstart-language --out x": "Missing option '--data'.",
    "show quickstart-language --set": "Option '--set' requires an argument.",
    "run --out x": "Missing argument 'EXPERIMENT...'.",
}


@pytest.mark.parametrize("words", USAGE)
def test_usage(words: str, line: Line, tmp_path: Path) -> None:
    assert line.fails(*words.split()) == f"{USAGE[words]} `precisionflow --help` lists what there is"
    assert list(tmp_path.iterdir()) == []


WRITING = {
    "run": [],
    "prepare": [],
    "train": ["--data", "d"],
    "evaluate": ["--data", "d", "--model", "m"],
    "aggregate": ["--evaluation", "e"],
    "report": ["--model", "m", "--evaluation", "e", "--aggregate", "a"],
}
CONFIGURATIONS = {
    "quickstart-regresion": f"unknown experiment 'quickstart-regresion'; allowed: {', '.join(shipped())}, "
    "or a YAML file; did you mean 'quickstart-regression'?",
    "missing.yaml": "missing.yaml: cannot be read (No such file or directory); give a YAML file or a name",
    "broken.yaml": "broken.yaml: not valid YAML: line 2, column 1: did not find expected",
    "latin.yaml": "latin.yaml: cannot be read (not UTF-8 text); give a YAML file or a name",
    "quickstart-regression --set training.stepz=1": "training.stepz: unknown key (given 1); allowed: accumulate, ",
    "quickstart-regression --set training.steps=x": "training.steps: given 'x'; should be a valid integer",
    "quickstart-regression --set training.steps=0": "training.steps: given 0; should be greater than or equal to 1",
    "quickstart-regression --set model.kind=net": "model.kind: unknown value 'net'; allowed: transformer, mlp",
    "quickstart-regression --set model.kind=transformer": "model.kind: transformer needs rows that are sequences",
    "quickstart-regression --set training": "--set 'training': should be dotted.key=value, for instance ",
    "quickstart-regression --set ablation.axes.noise.x={model.nose: 1}": "ablation noise=x: model.nose: unknown key",
}


@pytest.mark.parametrize("command", [*WRITING, "show", "expand"])
@pytest.mark.parametrize("words", CONFIGURATIONS)
def test_a_bad_configuration_writes_nothing(command: str, words: str, line: Line, tmp_path: Path) -> None:
    if "axes" in words and command in ("show", "aggregate", "report"):
        return  # they do not expand the axes, or only after they have found their inputs
    (tmp_path / "broken.yaml").write_text("name: [")
    (tmp_path / "latin.yaml").write_bytes(b"question: gr\xf6\xdfe")
    name, *rest = words.split(" ", 2)
    out = ["--out", "out"] if command in WRITING else []
    assert line.fails(command, name, *rest, *WRITING.get(command, []), *out).startswith(CONFIGURATIONS[words])
    assert sorted(os.listdir(tmp_path)) == ["broken.yaml", "latin.yaml"]


def test_a_line_feed_in_a_word_stays_one_line(line: Line) -> None:
    assert line.fails("show", "a\nb").startswith(r"unknown experiment 'a\nb'; allowed")
    assert line.fails("show", "quickstart-language", "--set", "a\nb=1").startswith(
        "a b: unknown key (given 1)"
    )
    assert line.fails("show", "no\nsuch.yaml").startswith("no such.yaml: cannot be read")


def test_run_refuses_one_name_twice(line: Line, tmp_path: Path) -> None:
    message = line.fails("run", "quickstart-language", "quickstart-language", "--out", "out")
    assert message.startswith(
        "experiments quickstart-language, quickstart-language: two have the same name; rename"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["list"], ["show", "quickstart-language"], ["schema"]])
def test_first_answers_import_little(words: list[str]) -> None:
    heavy = "torch deepspeed mlflow kfp matplotlib scipy sklearn pandas numpy pyarrow kubernetes"
    program = f"""
        import atexit, sys
        atexit.register(lambda: print(*(set("{heavy}".split()) & sys.modules.keys()), file=sys.stderr))
        sys.argv = {["precisionflow", *words]}
        from precisionflow.cli import main
        main()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
    assert done.stdout


def test_help_needs_no_configuration() -> None:
    program = "import sys, precisionflow.cli; print('pydantic' in sys.modules, 'yaml' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
        == "False False\n"
    )


def test_as_a_module_in_a_process(tmp_path: Path) -> None:
    done = process("show", "quickstart-regresion", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("precisionflow: error: unknown experiment 'quickstart-regresion'")
    assert done.stderr.count("\n") == 1


def test_as_a_module_it_imports_nothing_from_the_current_folder(tmp_path: Path) -> None:
    write_modules(tmp_path)
    for seen_by_python_itself in ("precisionflow", "types"):
        (tmp_path / f"{seen_by_python_itself}.py").unlink()
    done = process("show", "quickstart-regression", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert parse(done.stdout) == load("quickstart-regression")


def test_a_reader_that_goes_away_is_no_mistake() -> None:
    command = [sys.executable, "-m", "precisionflow", "schema"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("at_work", [False, True])
def test_a_process_ends_by_the_interpreter_where_a_thread_is_at_work_alone(at_work: bool) -> None:
    """What the end of the interpreter runs is not run; what is registered for the exit is."""
    program = f"""
        import atexit, sys, threading
        from precisionflow import cli
        class Kept:
            def __del__(self): print("end of the interpreter")
        kept = Kept()
        atexit.register(print, "exit")
        if {at_work}:
            threading.Timer(0.1, print, ["thread"]).start()
        sys.argv = ["precisionflow", "--version"]
        cli.entry()
    """
    words = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    rest = ["thread", "exit", "end of the interpreter"] if at_work else ["exit"]
    assert done.stdout.splitlines() == [f"precisionflow {__version__}", *rest]


def test_an_interrupt_is_one_line(tmp_path: Path) -> None:
    program = """
        import os, signal
        from precisionflow import cli, config
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts deaf to it
        config.load = lambda *_: os.kill(os.getpid(), signal.SIGINT)
        cli.main()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), "show", "quickstart-language"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "")
    again = "`precisionflow show quickstart-language` goes on"
    assert done.stderr == f"precisionflow: stopped; what is finished is kept, {again}\n"
