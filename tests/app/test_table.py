"""Tables of a results folder in every form."""

import csv
import io
from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.results.layout import Results
from tests.command_line import Line
from tests.finished_cells import fill, tabulate
from tests.synthetic import regression


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    results = fill(regression(), tmp_path_factory.mktemp("finished"))
    tabulate(regression(), results)
    return results


def test_markdown_has_scores_and_verdicts(line: Line, results: Results) -> None:
    done = line("table", results.folder, "--format", "markdown")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "noise on diabetes: mean ± half of the 95 % interval, n splits:\n\n| variant | nll (nats"
    )
    assert "| heteroscedastic | **2.0" in done.out
    assert "noise on diabetes: 3 contrasts: 3 better:" in done.out
    assert "| heteroscedastic vs homoscedastic | nll | " in done.out


def test_the_terminal_shows_the_same_tables(line: Line, results: Results) -> None:
    told = line("table", results.folder).out
    assert "noise on diabetes: 3 contrasts: 3 better" in told
    assert "nats, lower" in told


def test_latex_into_a_file(line: Line, results: Results, tmp_path: Path) -> None:
    done = line("table", results.folder, "--format", "latex", "--out", tmp_path / "table.tex")
    assert (done.code, done.out) == (0, "")
    text = (tmp_path / "table.tex").read_text(encoding="utf-8")
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    assert r"\textbf{2.0" in text
    assert r"95 \% interval" in text


def test_csv_has_the_numbers_of_the_files(line: Line, results: Results) -> None:
    rows = list(csv.DictReader(io.StringIO(line("table", results.folder, "--format", "csv").out)))
    there = read_aggregate(results.aggregate)
    means = {(r["variant"], r["metric"]): r["mean"] for r in there.table.to_pylist()}
    assert {(row["variant"], row["metric"]) for row in rows} == {
        (variant, metric)
        for variant in ("homoscedastic", "heteroscedastic")
        for metric in ("nll", "crps", "rmse")
    }
    assert all(float(row["mean"]) == means[row["variant"], row["metric"]] for row in rows)
    effects = {row["metric"]: float(row["effect"]) for row in rows if row["effect"]}
    assert effects == {r["metric"]: r["effect"] for r in there.contrasts.to_pylist()}


def test_metrics_are_chosen(line: Line, results: Results) -> None:
    told = line("table", results.folder, "--format", "markdown", "--metric", "coverage_90").out
    assert "| variant | coverage_90 (calibrated at 0.9) | n |" in told
    message = line.fails("table", results.folder, "--metric", "coverage_91")
    assert message.startswith(
        "unknown metric 'coverage_91' on diabetes; allowed: nll, crps, rmse, coverage_50"
    )
    assert message.endswith("did you mean 'coverage_95'?")


def test_a_table_of_a_study_that_runs_says_so_beside_it(line: Line, tmp_path: Path) -> None:
    fill(regression(), tmp_path, without=[("heteroscedastic", 1, 6)])
    done = line("table", tmp_path, "--format", "csv")
    assert done.err.startswith("precisionflow: 27 of 28 cells done, 1 open: ")
    assert {row["n"] for row in csv.DictReader(io.StringIO(done.out))} == {"6", "7"}


def test_what_is_no_results_folder(line: Line, tmp_path: Path) -> None:
    assert "has no experiments/*.yaml" in line.fails("table", tmp_path)
