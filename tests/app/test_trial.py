"""One trial: the metrics that it prints are those that were measured."""

import contextlib
import re
from pathlib import Path

import pytest

from precisionflow import stages
from precisionflow.app.trial import run_trial
from precisionflow.config import load
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.search.metric_lines import SEARCHED, parse_line
from precisionflow.training.ranks import VARIABLES
from tests.command_line import TINY, Line

STEPS = ("--set", "training.steps=3")
LONGER = ("training.steps=6", "training.validate_every=1", "training.checkpoint_every=1")


def reports(printed: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in SEARCHED}
    for line in printed.splitlines():
        pairs = parse_line(line, SEARCHED)
        assert len(pairs) <= 1
        for name, value in pairs:
            found[name].append(value)
    return found


def losses(file: Path) -> list[float]:
    rows = read_parquet(file, HISTORY).to_pylist()
    return [row["value"] for row in rows if row["metric"] == "validation_loss"]


def test_a_trial_of_one_cell_prints_every_validation(line: Line, tmp_path: Path) -> None:
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    done = line("trial", "tiny.yaml", *STEPS, "--out", "kept")
    assert done.code == 0, done.err
    found = reports(done.out)
    assert found["validation_loss"] == pytest.approx(
        losses(tmp_path / "kept/model/seed-0-split-0/history.parquet")
    )
    assert len(found["validation_loss"]) == 3
    for seconds, rate in zip(found["seconds_per_step"], found["samples_per_second"], strict=True):
        assert seconds * rate == pytest.approx(8)
    assert not list((tmp_path / "kept").rglob("predictions.parquet")), "no test row is scored"


def test_a_trial_whose_pod_is_lost_goes_on_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next pod prints what the first had measured as well: Katib hears of a pod when it ends."""
    experiment = load("toy", ["ablation.axes={}", "seeds=[0]", "splits=[0]", *LONGER])
    (tmp_path / "workspace").mkdir()
    heard: list[str] = []

    def lost(_seed: int, _split: int, step: int, _measured: dict[str, float]) -> None:
        heard.append(str(step))
        if len(heard) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as first:
        first.setattr(stages, "metric_lines", lambda _: contextlib.nullcontext(lost))
        with pytest.raises(KeyboardInterrupt):
            run_trial(experiment, out=tmp_path / "lost", workspace=tmp_path / "workspace")
    capsys.readouterr()
    run_trial(experiment, out=tmp_path / "next", workspace=tmp_path / "workspace")
    printed = capsys.readouterr().out
    assert re.search(r"goes on from step [1-9]", printed)
    whole = losses(tmp_path / "next/model/seed-0-split-0/history.parquet")
    assert reports(printed)["validation_loss"][-len(whole) :] == pytest.approx(whole)
    assert not list((tmp_path / "workspace" / "trainings").iterdir())
    run_trial(experiment, out=tmp_path / "again", workspace=tmp_path / "workspace")
    again = capsys.readouterr().out
    assert "1 of its cells were trained before" in again
    assert reports(again)["validation_loss"] == pytest.approx(whole), "nothing is trained, all of it is told"


def test_a_trial_that_is_a_rank_leaves_as_a_rank(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """mpirun starts trials as ranks; in this process they are plain ones."""
    left: list[int] = []
    monkeypatch.setattr("precisionflow.results.lifetime.leave", lambda: left.append(1))
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    assert line("trial", "tiny.yaml", *STEPS).code == 0
    assert left == []
    for name, value in zip(VARIABLES, ("0", "0", "1", "localhost", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert line("trial", "tiny.yaml", *STEPS).code == 0
    assert left == [1]


def test_a_trial_of_several_cells_prints_their_means(line: Line, tmp_path: Path) -> None:
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    done = line("trial", "tiny.yaml", *STEPS, "--set", "seeds=[0,1]", "--out", "kept")
    files = sorted((tmp_path / "kept/model").glob("seed-*/history.parquet"))
    means = [sum(values) / 2 for values in zip(*map(losses, files), strict=True)]
    assert reports(done.out)["validation_loss"] == pytest.approx(means)


def test_results_that_nobody_wants_are_removed(line: Line, tmp_path: Path) -> None:
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    assert line("trial", "tiny.yaml", *STEPS).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_trial_that_fails_says_why(line: Line) -> None:
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    assert "learning_rate" in line.fails("trial", "tiny.yaml", "--set", "training.learning_rate=-1")
