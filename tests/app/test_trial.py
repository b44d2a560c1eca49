"""One trial: the metrics that it prints are those that were measured."""

from pathlib import Path

import pytest

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.search.metric_lines import SEARCHED, parse_line
from precisionflow.training.ranks import VARIABLES
from tests.command_line import TINY, Line

STEPS = ("--set", "training.steps=3")


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


def test_a_trial_that_is_a_rank_leaves_as_a_rank(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """mpirun starts trials as ranks; in this process they are plain ones."""
    left: list[int] = []
    monkeypatch.setattr("precisionflow.training.launch.leave", lambda: left.append(1))
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
