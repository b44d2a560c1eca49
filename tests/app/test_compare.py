"""Results folders beside each other: pairs, families, and what cannot be compared."""

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.design import Variant
from precisionflow.app.compare import _labels
from precisionflow.config import Experiment
from tests.command_line import Line
from tests.finished_cells import fill, tabulate
from tests.synthetic import Measure, plausible, regression


def measure(shift: float) -> Measure:
    """nll split + seed, shifted by split² in the second variant: what two folders share and cancels."""

    def of(variant: Variant, seed: int, split: int) -> dict[str, float]:
        learned = variant.name == "heteroscedastic"
        return plausible(variant, seed, split) | {"nll": split + seed + shift * (1 + learned * split)}

    return of


def finished(folder: Path, shift: float, experiment: Experiment | None = None, **given: str) -> Path:
    whole = experiment or regression()
    tabulate(whole, fill(whole, folder, measure=measure(shift), **given))
    return folder


def rows_of(line: Line, *words: str | Path) -> list[dict[str, str]]:
    done = line("compare", *words, "--format", "csv")
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


def test_variants_of_one_name_are_paired_over_their_units(line: Line, tmp_path: Path) -> None:
    """By the corrected t of splits; Holm's family has both variants."""
    old, new = finished(tmp_path / "old", 0.0), finished(tmp_path / "new", 0.5)
    rows = [row for row in rows_of(line, old, new) if row["metric"] == "nll" and row["effect"]]
    assert [(row["variant"], row["baseline_variant"]) for row in rows] == [
        (f"new: {name}", f"old: {name}") for name in ("homoscedastic", "heteroscedastic")
    ]
    assert (float(rows[0]["effect"]), float(rows[0]["p"])) == (0.5, 0.0)
    differences = [0.5 * (1 + split) for split in range(7)]
    error = np.sqrt((1 / 7 + 44 / 398) * np.var(differences, ddof=1))
    p = 2 * stats.t(6).sf(np.mean(differences) / error)
    assert float(rows[1]["p"]) == pytest.approx(p)
    assert float(rows[1]["p_adjusted"]) == pytest.approx(p)
    assert [row["verdict"] for row in rows] == ["worse", "worse"]


def test_a_third_folder_is_compared_with_the_first(line: Line, tmp_path: Path) -> None:
    folders = [finished(tmp_path / name, shift) for name, shift in (("a", 0.0), ("b", 1.0), ("c", -1.0))]
    rows = [row for row in rows_of(line, *folders) if row["metric"] == "nll" and row["effect"]]
    assert {(row["variant"].split(":")[0], row["baseline_variant"].split(":")[0]) for row in rows} == {
        ("b", "a"),
        ("c", "a"),
    }


def test_folders_stand_beside_each_other_and_say_what_differs(line: Line, tmp_path: Path) -> None:
    longer = regression(
        ("objective: {kind: gaussian_nll}\n", "objective: {kind: gaussian_nll}\ntraining: {steps: 7}\n")
    )
    contrasted = regression(("ablation:\n", "ablation:\n  contrasted: [noise]\n"))
    old, new = finished(tmp_path / "old", 0.0, contrasted), finished(tmp_path / "new", 0.0, longer)
    told = line("compare", old, new, "--format", "markdown").out
    assert "| variant | metric | old | new | n |" in told
    assert "| new vs old (variant=homoscedastic) | nll | " in told
    (steps,) = [row for row in told.splitlines() if "training.steps" in row]
    assert steps.endswith("| 7 |")
    assert told.count("training.steps") == 1
    assert "ablation" not in told


def test_single_variants_are_compared_whatever_their_names(line: Line, tmp_path: Path) -> None:
    one = regression().model_dump(mode="json") | {"ablation": {}, "variant": "one"}
    other = one | {"variant": "other", "name": "else"}
    old = finished(tmp_path / "old", 0.0, Experiment.model_validate(one))
    new = finished(tmp_path / "new", 0.5, Experiment.model_validate(other))
    (row,) = [row for row in rows_of(line, old, new) if row["metric"] == "nll" and row["effect"]]
    assert float(row["effect"]) == 0.5


def test_runs_of_one_name_are_told_apart_by_their_ids() -> None:
    runs = {f"mlflow:{digit * 32}": SimpleNamespace(name="toy") for digit in "ab"}
    assert _labels([*runs], runs) == ["toy aaaaaaaa", "toy bbbbbbbb"]
    assert _labels(["x/toy", *runs], runs) == ["x/toy", "toy aaaaaaaa", "toy bbbbbbbb"]
    assert _labels(["x/one", "y/two"], {}) == ["one", "two"]
    assert _labels(["x/one", "y/one"], {}) == ["x/one", "y/one"]


def test_folders_that_cannot_be_compared(line: Line, tmp_path: Path) -> None:
    old, few = finished(tmp_path / "old", 0.0), regression(("[0, 1, 2, 3, 4, 5, 6]", "[0, 1, 2]"))
    assert line.fails("compare", old) == "compare: give two results folders or more, the baseline first"
    unknown = line.fails("compare", old, "mlflow:0123")
    assert unknown == "mlflow:0123: no server is known; set MLFLOW_TRACKING_URI, or give --store DIR"
    assert "one of them stands there twice" in line.fails("compare", old, old)
    assert line.fails("compare", old, finished(tmp_path / "few", 0.0, few)) == (
        "splits differ of homoscedastic: old has 0, 1, 2, 3, 4, 5, 6, few has 0, 1, 2; compare runs with the same ones"
    )
    other = finished(tmp_path / "other", 0.0, source_sha256="1")
    assert line.fails("compare", old, other).startswith(
        "homoscedastic on diabetes, split 0: old and other test other"
    )
    linnerud = regression(("name: diabetes", "name: linnerud"))
    assert line.fails("compare", old, finished(tmp_path / "data", 0.0, linnerud)).startswith(
        "compare: no variant of one name is on one data set (old has homoscedastic on diabetes, heteroscedastic on "
    )
    message = line.fails("compare", old, finished(tmp_path / "new", 0.0), "--metric", "ece")
    assert message.startswith("old: homoscedastic has no metric 'ece' (there are coverage_50, ")


def test_a_study_that_runs_is_compared_by_what_stands(line: Line, tmp_path: Path) -> None:
    old, new = finished(tmp_path / "old", 0.0), tmp_path / "new"
    fill(regression(), new, measure=measure(0.5), without=[("homoscedastic", 0, 6)])
    done = line("compare", old, new, "--format", "csv")
    assert done.err.startswith("precisionflow: new: 27 of 28 cells done, 1 open")
    rows = [row for row in csv.DictReader(io.StringIO(done.out)) if row["metric"] == "nll" and row["effect"]]
    assert [row["n"] for row in rows] == ["6", "7"]
