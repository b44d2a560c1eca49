"""The ablation pipeline on this machine: the whole line once, nothing twice, one line for a failure."""

import io
import logging
import os
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest
from kfp import dsl
from kfp.local.config import LocalExecutionConfig
from precisionflow.pipelines import at_once
from precisionflow.pipelines.at_once import tasks_at_once
from precisionflow.pipelines.kfp_local import subprocess_runner
from precisionflow.pipelines.relay import Relay, relayed
from precisionflow.pipelines.task_client import Begun
from precisionflow.pipelines.task_server import Request

from precisionflow.app.run import finished_stages
from tests.command_line import Line
from tests.whole_run import Run

STAGES = 1 + 4 + 4 + 1 + 1
"""Of 2 variants and 2 seeds: prepare, train, evaluate, aggregate, report."""


def test_a_run_says_what_it_does_and_where_everything_is(tiny_run: Run) -> None:
    assert (tiny_run.done.returncode, tiny_run.done.stderr) == (0, "")
    rows = tiny_run.done.stdout.splitlines()
    assert rows[0] == "run tiny: 2 seeds, 1 contrast: 6 needed for a verdict"
    assert rows[1] == "prepare linnerud split 0: prepared"
    for verb, count in {"train": 4, "evaluate": 4, "aggregate": 1, "report": 1}.items():
        assert sum(row.startswith(f"{verb} ") for row in rows) == count
    assert "precisionflow: " not in tiny_run.done.stdout
    assert f"{STAGES} of {STAGES} stages run" in tiny_run.done.stdout
    assert f"report: {tiny_run.folder}/report/report.html" in rows
    assert rows[-1].startswith("mlflow: mlflow ui --backend-store-uri ")


def test_a_run_leaves_every_stage_and_nothing_else(tiny_run: Run) -> None:
    assert len(finished_stages(tiny_run.folder)) == STAGES
    assert {path.name for path in tiny_run.folder.iterdir() if not path.name.startswith(".")} == {
        *("aggregate", "data", "evaluation", "experiments", "model", "report"),
        *("mlartifacts", "mlflow.db", "pipeline.log"),
    }
    hidden = {path.name for path in tiny_run.folder.rglob(".*")}
    assert hidden <= {".tracking.lock"}
    assert list(tiny_run.folder.parent.iterdir()) == [tiny_run.folder]


def test_every_cell_is_in_the_store(tiny_run: Run) -> None:
    with sqlite3.connect(tiny_run.folder / "mlflow.db") as store:
        verbs = store.execute("select value from tags where key = 'precisionflow.verb'").fetchall()
    store.close()
    assert sorted(verb for (verb,) in verbs) == ["aggregate"] * 2 + ["evaluate"] * 4 + ["report"]


def test_the_log_has_what_every_task_said(tiny_run: Run) -> None:
    log = (tiny_run.folder / "pipeline.log").read_text(encoding="utf-8")
    for verb in ("prepare", "train", "evaluate", "aggregate", "report"):
        assert f"precisionflow: {verb} " in log
    assert "'ablation'" in log.splitlines()[-1]
    assert "SUCCESS" in log.splitlines()[-1]


def test_a_second_run_does_no_stage_again(tiny_run: Run, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are copied to MLflow ahead of the last task there too."""
    ahead, send = list[str](), Begun.send

    def seen(begun: Begun, request: Request) -> None:
        ahead.append(request.ahead)
        send(begun, request)

    monkeypatch.setattr(Begun, "send", seen)

    def state() -> dict[Path, tuple[int, int]]:
        files = [path for path in tiny_run.folder.rglob("*") if path.suffix in (".json", ".parquet", ".html")]
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_ino)
            for path in files
            if "mlartifacts" not in path.parts
        }

    before, handlers, plain_print = state(), logging.getLogger().handlers[:], print
    assert len([path for path in before if path.name == "stage.json"]) == STAGES
    code, out, err = line("run", tiny_run.experiment, "--out", tiny_run.folder)
    assert (code, err) == (0, "")
    assert f"0 of {STAGES} stages run, the others were finished" in out
    assert state() == before
    verbs = [function.rpartition(".")[2] for function in ahead]
    assert verbs[-3:] == ["", "track:track_cells_ahead", ""]
    assert verbs.count("importlib:import_module") == 3
    assert "Traceback" not in (tiny_run.folder / "pipeline.log").read_text(encoding="utf-8")
    test_every_cell_is_in_the_store(tiny_run)
    assert LocalExecutionConfig.instance is None
    assert logging.getLogger().handlers == handlers
    assert print is plain_print


def test_a_failing_component_is_one_line_and_its_log_stays(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays among the temporary files, where a task's command leaves its program."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "text.yaml").write_text(
        f"""
        name: text
        question: 'precisionflow: error: is this shown?'
        task: {{kind: next_token, source: {{kind: text_file, path: {tmp_path}/none.txt}}}}
        model: {{kind: transformer}}
        objective: {{kind: cross_entropy}}
        """
    )
    message = line.fails("run", "text.yaml", "--out", "out")
    assert message.startswith(f"prepare: {tmp_path}/none.txt: cannot be read (No such file or directory); ")
    assert message.endswith(" (log: out/pipeline.log)")
    assert "none.txt: cannot be read" in Path("out", "pipeline.log").read_text(encoding="utf-8")
    assert sorted(os.listdir("out")) == ["experiments", "pipeline.log"]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert LocalExecutionConfig.instance is None


@dsl.component(base_image="python:3.12", install_kfp_package=False)
def meets(folder: str, me: str, all_of_them: int):  # type: ignore[no-untyped-def]
    """Ends when all are at work."""
    import time
    from pathlib import Path

    (Path(folder) / me).touch()
    end = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < all_of_them:
        if time.monotonic() > end:
            raise TimeoutError("the others have not begun")
        time.sleep(0.05)


def test_as_many_tasks_run_at_once_as_are_asked_for(tmp_path: Path) -> None:
    """kfp.local alone runs two: with three, each waits for the other two."""
    (tmp_path / "met").mkdir()

    @dsl.pipeline
    def meeting(folder: str):  # type: ignore[no-untyped-def]
        with dsl.ParallelFor(["a", "b", "c"], parallelism=2) as me:
            meets(folder=folder, me=me, all_of_them=3)

    plain_print = print
    with (
        relayed(io.StringIO(), io.StringIO()),
        subprocess_runner(tmp_path / "scratch", at_once=3),
    ):
        meeting(folder=str(tmp_path / "met"))
    assert sorted(os.listdir(tmp_path / "met")) == ["a", "b", "c"]
    assert print is plain_print


@pytest.mark.parametrize(
    ("cores", "gibibytes", "gpus", "tasks"),
    [
        (1, 64, (0, False), 2),
        (2, 64, (0, False), 2),
        (16, 64, (0, False), 16),
        (16, 5, (0, False), 5),
        (16, 1, (0, False), 2),
        (16, 64, (1, False), 2),
        (16, 64, (0, True), 2),
    ],
)
def test_tasks_at_once_are_as_many_as_cores_and_memory_take_and_two_share_a_gpu(
    cores: int, gibibytes: int, gpus: tuple[int, bool], tasks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "core_count", lambda: cores)
    monkeypatch.setattr(at_once, "free_memory", lambda: gibibytes << 30)
    monkeypatch.setattr(at_once, "gpus", lambda: gpus)
    assert tasks_at_once() == tasks


def test_the_relay_shows_our_lines_and_keeps_the_first_error() -> None:
    log, screen = io.StringIO(), io.StringIO()
    relay = Relay(log, screen)
    relay.write("    precisionflow: train a: step ")
    other = threading.Thread(target=relay.write, args=("    precisionflow: train b\nnoise\n",))
    other.start()
    other.join()
    relay.write("1\n")
    relay.write('{"question": "precisionflow: error: not said by us"}\n')
    relay.write("    precisionflow: error: prepare: first\n    precisionflow: error: train: second\n")
    assert screen.getvalue() == "train b\ntrain a: step 1\n"
    assert relay.error == "prepare: first"
    assert log.getvalue().count("\n") == 6
