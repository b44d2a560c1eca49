"""The real command under kill -9: started again it goes on, and ends where an unharmed run ends."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from runs import checkpoints, finish, history, result

from precisionflow.config import overlay, resolve
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import cell_folder

PATIENCE = 300
"""Seconds until a test gives up on another process."""


def command(experiment: Path, data: Path, out: Path, *settings: str) -> list[str]:
    changes = [argument for setting in settings for argument in ("--set", setting)]
    places = ["--data", str(data), "--out", str(out)]
    return [sys.executable, "-P", "-m", "precisionflow", "train", str(experiment), *places, *changes]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Until the condition holds; fails when the process ends before."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.005)


def written(tree: dict[str, Any], changes: dict[str, Any], folder: Path) -> Path:
    file = folder / "experiment.json"
    file.write_text(json.dumps(overlay(tree, changes)), encoding="utf-8")
    return file


def gone_on_from(output: str) -> int:
    """The step from which a training says that it goes on."""
    (step,) = re.findall(r"^precisionflow: train .*: goes on from step (\d+)$", output, re.MULTILINE)
    return int(step)


def test_a_torch_run_that_is_killed_twice_ends_with_the_same_bits(text_tree, text_data, tmp_path):
    changes = {"training.steps": 300, "training.validate_every": 20, "training.checkpoint_every": 15}
    file = written(text_tree, changes, tmp_path)
    train = command(file, text_data, tmp_path / "out")

    reached = [0]
    for _ in range(2):
        training = start(*train)
        wait_for(lambda: max(checkpoints(tmp_path / "out"), default=0) > reached[-1], training)
        killed(training)
        reached.append(max(checkpoints(tmp_path / "out")))
    _, first, second = reached
    assert first < second < 300
    assert not cell_folder(tmp_path / "out", 0, 0).exists()

    output, _ = (last := start(*train)).communicate(timeout=PATIENCE)
    assert last.returncode == 0, output
    assert gone_on_from(output) == second
    finish(resolve(overlay(text_tree, changes)), text_data, tmp_path / "whole")
    assert result(tmp_path / "out") == result(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["seed-0-split-0"]


def ranks_of(launcher: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    """The ranks that a command has started."""
    children = psutil.Process(launcher.pid).children()
    return {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_run_of_two_ranks_survives_the_death_of_a_rank_and_of_its_launcher(text_tree, text_data, tmp_path):
    changes = {"training.steps": 120, "training.validate_every": 15, "training.checkpoint_every": 20}
    engine = {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 1, "device": "cpu"}}
    file, out = written(text_tree, changes | engine, tmp_path), tmp_path / "out"
    train = command(file, text_data, out)

    launcher = start(*train)
    wait_for(lambda: checkpoints(out), launcher)
    ranks_of(launcher)[1].kill()
    output, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 2, output
    assert "Traceback" not in output
    assert re.findall(r"precisionflow: error.*", output) == [
        "precisionflow: error: train: training stopped: rank 1 was killed by SIGKILL; "
        "run again to go on from the last checkpoint"
    ], output
    assert not cell_folder(out, 0, 0).exists()
    first = max(checkpoints(out))

    launcher = start(*train)
    wait_for(lambda: max(checkpoints(out), default=0) > first, launcher)
    orphans = ranks_of(launcher)
    killed(launcher)
    end = time.monotonic() + PATIENCE
    while not all(map(gone, orphans.values())):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert len(orphans) == 2
    second = max(checkpoints(out))
    assert first < second < 120
    assert not cell_folder(out, 0, 0).exists()

    shutil.copytree(out, tmp_path / "single")
    resumed = {
        "out": start(*train),
        "single": start(*command(file, text_data, tmp_path / "single", "engine.ranks=1")),
    }
    finish(resolve(overlay(text_tree, changes)), text_data, tmp_path / "whole")
    for name, process in resumed.items():
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        assert gone_on_from(output) == second
        assert [path.name for path in (tmp_path / name).iterdir()] == ["seed-0-split-0"]
        assert_same_curve(history(tmp_path / name), history(tmp_path / "whole"))
    cards = [
        read_card(cell_folder(tmp_path / name, 0, 0) / "model.json", ModelCard) for name in ("out", "single")
    ]
    assert [card.experiment.engine.ranks for card in cards] == [2, 1]


def assert_same_curve(given: list, expected: list) -> None:
    assert [row[:2] for row in given] == [row[:2] for row in expected]
    assert [row[2] for row in given] == pytest.approx([row[2] for row in expected], rel=1e-4)
