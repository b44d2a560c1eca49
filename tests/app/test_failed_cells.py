"""A run in which cells fail: the others are trained, everything is told, and failed ones are tried again when asked."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.results.layout import Results
from tests.command_line import TINY, Line

AXES = "ablation: {axes: {rate: {sane: {training.learning_rate: 0.001}, wild: {training.learning_rate: 1.0e+30}}}}\n"
RATES = AXES.replace("sane", "slow").replace("wild", "fast").replace("1.0e+30", "0.01") + "seeds: [0, 1]\n"


def test_a_variant_that_fails_does_not_hide_the_others(line: Line, tmp_path: Path) -> None:
    experiment, out = tmp_path / "tiny.yaml", tmp_path / "out"
    experiment.write_text(
        TINY.replace("steps: 2,", "steps: 40,") + AXES + "seeds: [0, 1]\n", encoding="utf-8"
    )
    done = line("run", experiment, "--out", out)
    assert done.code == 1, done.err
    assert "train tiny linnerud wild seed 1 split 0: failed: validation loss is" in done.out
    assert "tiny on linnerud: 2 failed cells; nothing is said of a variant with one" in done.out
    assert "run: 2 cells failed, see the table above; run with --retry-failed to try them again" in done.out
    tables = read_aggregate(Results(out).aggregate)
    assert {(row["variant"], row["seed"]) for row in tables.failures.to_pylist()} == {
        ("wild", 0),
        ("wild", 1),
    }
    assert {row["verdict"] for row in tables.contrasts.to_pylist()} == {"refused: 2 of 2 seeds failed"}
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "2 failed cells" in page
    assert "validation loss is" in page

    planned = line("status", out).out
    assert "tiny: 4 cells, 2 done, 2 failed, 0 open; nothing is left" in planned
    assert (
        f"2 cells failed; `precisionflow run {out}/experiments/tiny.yaml --out {out} --retry-failed` tries"
        in planned
    )

    again = line("run", experiment, "--out", out)
    assert (again.code, "0 of 11 stages run" in again.out) == (1, True)
    retried = line("run", experiment, "--out", out, "--retry-failed")
    assert "run: tries 2 failed cells again" in retried.out
    assert "train tiny linnerud wild seed 0 split 0: failed: " in retried.out
    assert "train tiny linnerud sane" not in retried.out


def test_a_cell_whose_task_is_killed_fails_and_the_run_goes_on(line: Line, tmp_path: Path) -> None:
    experiment, out = tmp_path / "tiny.yaml", tmp_path / "out"
    experiment.write_text(TINY.replace("steps: 2,", "steps: 400,") + RATES, encoding="utf-8")
    killed = list[int]()

    def kill() -> None:
        """The process that trains seed 0 of the variant `fast`, as soon as it trains."""
        lock = out / "model/tiny/linnerud/fast/.seed-0-split-0.partial/lock"
        while not killed:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if lock.exists() and str(lock) in [file.path for file in child.open_files()]:
                        child.kill()
                        killed.append(child.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    done = line("run", experiment, "--out", out)
    killer.join()
    cause = "killed by signal 9 (SIGKILL), perhaps out of memory"
    assert done.code == 1, done.err
    assert f"train tiny linnerud fast seed 0 split 0: failed: {cause}" in done.out
    assert "run: 1 cell failed, see the table above; run with --retry-failed to try them again" in done.out
    failures = read_aggregate(Results(out).aggregate).failures.to_pylist()
    assert [(row["variant"], row["seed"], row["stage"], row["cause"]) for row in failures] == [
        ("fast", 0, "train", cause)
    ]
    assert "killed by signal 9 (SIGKILL)" in (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "tiny: 4 cells, 3 done, 1 failed, 0 open; nothing is left" in line("status", out).out

    retried = line("run", experiment, "--out", out, "--retry-failed")
    assert (retried.code, retried.err) == (0, "")
    assert not read_aggregate(Results(out).aggregate).failures.num_rows
    assert not list(out.glob("**/.*.partial"))


def test_an_interrupt_ends_the_run_and_no_further_cell_is_begun(line: Line, tmp_path: Path) -> None:
    experiment, out = tmp_path / "tiny.yaml", tmp_path / "out"
    rates = ", ".join(f"r{rate}: {{training.learning_rate: 0.00{rate}}}" for rate in range(1, 7))
    axes = f"ablation: {{axes: {{rate: {{{rates}}}}}}}\n"
    experiment.write_text(TINY.replace("steps: 2,", "steps: 1000000,") + axes, encoding="utf-8")
    begun = (
        "import signal; from precisionflow.cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a job in the background starts deaf to it
        "main()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", begun, "run", experiment, "--out", out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(out.glob("model/tiny/linnerud/*/.*.partial")):
        assert run.poll() is None
        time.sleep(0.05)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert (run.returncode, "goes on" in said) == (128 + signal.SIGINT, True), said
    assert not psutil.wait_procs(children, timeout=30)[1]
    assert len(list(out.glob("model/tiny/linnerud/*"))) <= 2, "tasks at once"
    assert "tiny: 6 cells, 0 done, 6 open" in line("status", out).out
