"""A study that is not finished: what is done, and tables of the units that are complete."""

import shutil
from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import aggregate
from precisionflow.app.status import print_progress
from precisionflow.config import Experiment
from precisionflow.destination import LocalResults
from precisionflow.results.layout import Results, cell_folder
from tests.synthetic import evaluations, plausible, regression

SECOND = "heteroscedastic"


def begun(experiment: Experiment, folder: Path) -> Results:
    """A results folder in which the second variant has only splits 0 to 3, and split 3 with one seed of two."""
    results = Results(folder)
    LocalResults(results).keep(experiment)
    for made in evaluations(experiment, folder / "made", plausible):
        shutil.copytree(made, folder / "evaluation" / experiment.name / "diabetes" / made.name)
    shutil.rmtree(folder / "made")
    late = folder / "evaluation" / experiment.name / "diabetes" / SECOND
    for seed, split in [(1, 3), *((seed, split) for seed in (0, 1) for split in (4, 5, 6))]:
        shutil.rmtree(cell_folder(late, seed, split))
    return results


def test_the_units_that_are_complete_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path for path in begun(regression(), tmp_path).folder.rglob("*"))
    print_progress(tmp_path)
    told = capsys.readouterr().out
    assert "noise: 28 cells, 0 done, 28 open" in told
    rows = {line.split()[0]: line.split() for line in told.splitlines() if " ± " in line}
    assert (rows["homoscedastic"][-1], rows[SECOND][-1]) == ("7", "3")
    assert "too few splits: 3 of 6" in " ".join(told.split())
    assert "verdicts hold once all cells are done" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_data_sets_without_a_cell_and_studies_without_any_have_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = (
        "ablation:\n",
        "ablation:\n  datasets:\n    d: {task.source.name: diabetes}\n    l: {task.source.name: linnerud}\n",
    )
    results = begun(regression(), tmp_path)
    LocalResults(results).keep(regression(two))
    print_progress(tmp_path)
    told = capsys.readouterr().out
    assert "noise on diabetes: mean" in told
    assert "noise on linnerud" not in told
    shutil.rmtree(tmp_path / "evaluation")
    print_progress(tmp_path)
    assert "mean ±" not in capsys.readouterr().out


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"has no experiments/\*\.yaml; give a folder that `precisionflow run` made"
    ):
        print_progress(tmp_path)


def test_what_is_absent_is_refused_where_the_whole_is_asked_for(tmp_path: Path) -> None:
    begun(regression(), tmp_path)
    folders = sorted((tmp_path / "evaluation" / "noise" / "diabetes").iterdir())
    with pytest.raises(ValueError, match="no metrics of"):
        aggregate([regression()], evaluations=folders, out=tmp_path / "out")
