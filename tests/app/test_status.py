"""A study that is not finished: what is done, and tables of the units that are complete."""

import shutil
from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import expand
from precisionflow.app import status
from precisionflow.app.status import follow, print_progress
from precisionflow.destination import LocalResults
from precisionflow.results.layout import Results
from precisionflow.results.locks import exclusive, is_held
from tests.command_line import Line
from tests.finished_cells import fill, measured, tabulate
from tests.synthetic import regression

SECOND = "heteroscedastic"
OPEN = [(SECOND, 1, 3), *((SECOND, seed, split) for seed in (0, 1) for split in (4, 5, 6))]
"""Of the second variant splits 4 to 6, and of split 3 one seed of two."""


def begun(folder: Path) -> Results:
    return fill(regression(), folder, without=OPEN)


def test_the_units_that_are_complete_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path for path in begun(tmp_path).folder.rglob("*"))
    print_progress(tmp_path)
    told = capsys.readouterr().out
    assert "noise: 28 cells, 21 done, 7 open" in told
    rows = {line.split()[0]: line.split() for line in told.splitlines() if " ± " in line}
    assert (rows["homoscedastic"][-1], rows[SECOND][-1]) == ("7", "3")
    assert "too few splits: 3 of 6" in " ".join(told.split())
    assert "21 of 28 cells done, 7 open: means and contrasts are of the units that are complete" in told
    assert f"no run is going on here; `precisionflow run {tmp_path}/experiments/noise.yaml --out" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_cells_of_another_configuration_are_in_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They lie where the new ones will."""
    results = begun(tmp_path)
    longer = ("objective: {kind: gaussian_nll}\n", "objective: {kind: gaussian_nll}\ntraining: {steps: 7}\n")
    LocalResults(results).keep(regression(longer))
    print_progress(tmp_path)
    told = capsys.readouterr().out
    assert "28 cells, 0 done" in told
    assert " ± " not in told


def test_data_sets_without_a_cell_and_studies_without_any_have_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = (
        "ablation:\n",
        "ablation:\n  datasets:\n    d: {task.source.name: diabetes}\n    l: {task.source.name: linnerud}\n",
    )
    results = begun(tmp_path)
    LocalResults(results).keep(regression(two))
    print_progress(tmp_path)
    told = capsys.readouterr().out
    assert "noise on diabetes: mean" in told
    assert "noise on linnerud" not in told
    shutil.rmtree(tmp_path / "evaluation")
    print_progress(tmp_path)
    assert "mean ±" not in capsys.readouterr().out


def test_a_finished_study_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tabulate(regression(), fill(regression(), tmp_path))
    print_progress(tmp_path)
    told = capsys.readouterr().out
    assert "noise on diabetes: 3 contrasts: 3 better" in told
    assert "open: means" not in told
    assert "no run is going on" not in told


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"has no experiments/\*\.yaml; give a folder that `precisionflow run` made"
    ):
        print_progress(tmp_path)


def test_what_is_no_folder_and_no_run(line: Line) -> None:
    message = "runs/none: is no folder; give a results folder, or the name or id of a run on a cluster"
    assert line.fails("status", "runs/none") == message
    assert line.fails("status", "name", "--follow").startswith(
        "name: --follow is of a results folder; follow a run"
    )


def test_what_is_absent_is_refused_where_the_whole_is_asked_for(tmp_path: Path) -> None:
    begun(tmp_path)
    folders = sorted((tmp_path / "evaluation" / "noise" / "diabetes").iterdir())
    with pytest.raises(ValueError, match="no metrics of"):
        aggregate([regression()], evaluations=folders, out=tmp_path / "out")


def test_it_is_followed_until_the_run_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown when a cell is done, not at every look, and once more at the end."""
    results, waits = begun(tmp_path), []
    second = next(v for v in expand(regression()) if v.name == SECOND)
    held = exclusive(tmp_path)

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        match len(waits):
            case 1:
                assert is_held(tmp_path)
            case 2:
                measured(second, results, seed=1, split=3)
            case _:
                held.__exit__(None, None, None)

    monkeypatch.setattr(status.time, "sleep", sleep)
    held.__enter__()
    follow(tmp_path)
    told = capsys.readouterr().out
    assert told.count("21 done, 7 open") == 1
    assert told.count("22 done, 6 open") == 2
    assert min(waits) >= status.PAUSE
    assert not is_held(tmp_path)
