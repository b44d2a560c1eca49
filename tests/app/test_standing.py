"""Finished studies of an older configuration: read by what their folder says of itself."""

import csv
import io
import re
from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import by_name, read_aggregate
from precisionflow.config import Experiment
from precisionflow.config.yaml12 import read_yaml, write_yaml
from precisionflow.records.marker import MARKER, read_marker
from precisionflow.results.identity import inputs_digest
from precisionflow.results.layout import FAILURE, Results
from tests.command_line import Line
from tests.finished_cells import fill, tabulate
from tests.synthetic import plausible, regression

NEW = "monitor_every"
"""A field of `training` that the older configuration lacks."""
TOLD = (
    "finished by another configuration than the present one (train by code 0a1d, evaluate by code 0a1d, aggregate by "
    "code 0a1d): what it found then; a run here begins anew"
)


def marked(stage: Path, **changes: str) -> None:
    marker = read_marker(stage)
    assert marker is not None
    (stage / MARKER).write_text(marker.model_copy(update=changes).model_dump_json(), encoding="utf-8")


def aged(experiment: Experiment, folder: Path) -> Results:
    """A finished study as a version left it whose experiments had no field NEW: other keys, other folders of data."""
    results = fill(experiment, folder)
    tabulate(experiment, results)
    for number, stage in enumerate(sorted(folder.glob("*/**/seed-*-split-*"))):
        marked(stage, key=f"old-{number}", inputs=f"asked-{number}", code="0a1d")
    for data in results.data.iterdir():
        data.rename(data.with_name("older"))
    file = results.experiment(experiment.name)
    tree = read_yaml(file.read_text(encoding="utf-8"))
    del tree["training"][NEW]
    file.write_text(write_yaml(tree), encoding="utf-8")
    text, dropped = re.subn(
        rf'"{NEW}":[^,}}]*,', "", by_name([experiment])[0].model_dump_json(exclude={"cluster"})
    )
    assert dropped == 1
    cells = [marker for of in results.evaluations.glob("*/*/*/*") if (marker := read_marker(of))]
    states = {f"{cell.key} failed" if FAILURE in cell.files else cell.key for cell in cells}
    asked = {"experiments": [text], "evaluations": sorted(states), "partial": False}
    marked(results.aggregate, inputs=inputs_digest("aggregate", asked), code="0a1d")
    return results


SMALL = ("[0, 1, 2, 3, 4, 5, 6]", "[0, 1, 2]")
FLOATS = (
    "objective: {kind: gaussian_nll}\n",
    "objective: {kind: gaussian_nll}\ntraining: {learning_rate: 0.00003}\n",
)
"""A float that YAML and JSON write in different ways."""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return aged(regression(SMALL, FLOATS), tmp_path_factory.mktemp("older"))


def test_the_tables_of_an_older_configuration_are_shown_with_a_line(line: Line, older: Results) -> None:
    done = line("table", older.folder, "--format", "csv")
    assert (done.code, done.err) == (0, f"precisionflow: {TOLD}\n")
    effects = {
        row["metric"]: float(row["effect"]) for row in csv.DictReader(io.StringIO(done.out)) if row["effect"]
    }
    assert effects == {
        r["metric"]: r["effect"] for r in read_aggregate(older.aggregate).contrasts.to_pylist()
    }


def test_its_status_shows_them_too(line: Line, older: Results) -> None:
    told = line("status", older.folder).out
    assert "0 done" in told
    assert "noise on diabetes: 3 contrasts" in told
    assert TOLD in told


def test_its_page_begins_with_the_line_and_replaces_no_page(line: Line, older: Results) -> None:
    done = line("report", older.folder)
    assert done.code == 0, done.err
    assert TOLD in done.out
    assert f'<p class="unfinished">{TOLD}</p>' in (older.partial / "report.html").read_text(encoding="utf-8")
    assert not older.report.exists()


def test_it_is_compared_with_a_study_of_the_present(line: Line, older: Results, tmp_path: Path) -> None:
    present = fill(
        regression(SMALL),
        tmp_path / "new",
        measure=lambda *cell: {name: value + 0.5 for name, value in plausible(*cell).items()},
    )
    tabulate(regression(SMALL), present)
    done = line("compare", older.folder, present.folder, "--format", "csv")
    assert (done.code, done.err) == (0, f"precisionflow: {older.folder.name}: {TOLD}\n")
    effects = [
        float(row["effect"])
        for row in csv.DictReader(io.StringIO(done.out))
        if row["effect"] and row["metric"] == "nll"
    ]
    assert effects == pytest.approx([0.5, 0.5])
    shown = line("compare", older.folder, present.folder, "--format", "markdown").out
    assert "| code of train | 0a1d | " in shown


@pytest.mark.parametrize("change", ["experiment", "cell", "field"])
def test_what_is_not_the_study_of_the_files_is_not_shown(line: Line, tmp_path: Path, change: str) -> None:
    """An edited experiment, a cell made anew, a field written otherwise: the tables are of something else."""
    folder = aged(regression(SMALL), tmp_path / "study")
    match change:
        case "experiment":
            file = folder.experiment("noise")
            tree = read_yaml(file.read_text(encoding="utf-8"))
            tree["training"]["steps"] += 1
            file.write_text(write_yaml(tree), encoding="utf-8")
        case "field":
            file = folder.experiment("noise")
            tree = read_yaml(file.read_text(encoding="utf-8"))
            file.write_text(write_yaml(tree | {"training": tree["training"] | {NEW: None}}), encoding="utf-8")
        case "cell":
            marked(next(folder.evaluations.glob("*/*/*/*")), key="another")
    assert "none of 12 cells is done by this configuration and code" in line.fails("table", folder.folder)
