"""The tables in the terminal: the same numbers as in the files."""

import math
from pathlib import Path

import pytest
from rich.console import Console

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.report.terminal import print_tables, terminal
from tests.report.conftest import Results, results_of
from tests.synthetic import language


def test_terminal_shows_scores_and_contrasts_of_every_experiment(results: Results) -> None:
    console = Console(width=160)
    with console.capture() as capture:
        print_tables(results.experiments, results.aggregate, console)
    text = capture.get()
    assert "noise on diabetes: mean ± half of the 95 % interval, n splits" in text
    assert "noise on diabetes: 3 contrasts: 3 better" in text
    assert "twins on scikit_learn_text: 12 contrasts: 12 undecidable (too few seeds: 3 of 8)" in text
    assert "predictive_coding vs backprop (attention=precision)" in text
    assert text.count("best") == 3
    assert text.count("by chance") == 4
    assert text.count("± 0.") == 2 * 3 + 4 * 3


def test_terminal_and_file_agree(results: Results) -> None:
    table = read_aggregate(results.aggregate).table.to_pylist()
    row = next(r for r in table if (r["variant"], r["metric"]) == ("homoscedastic", "nll"))
    console = Console(width=160)
    with console.capture() as capture:
        print_tables(results.experiments, results.aggregate, console)
    assert f"{row['mean']:.3f} ± {row['high'] - row['mean']:.3f}" in capture.get()
    assert not math.isnan(row["high"])


@pytest.mark.parametrize(("width", "whole"), [(200, True), (64, False)])
def test_tables_take_the_width_that_is_there(results: Results, width: int, whole: bool) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        print_tables(results.experiments, results.aggregate, console)
    text = capture.get()
    assert ("after Holm" in text) == whole
    assert max(map(len, text.splitlines())) <= width


def test_a_file_takes_whole_tables_and_text_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    line = "mlflow: run[bold]/:smile:/" + "x" * 300
    terminal().print(line, soft_wrap=True)
    assert capsys.readouterr().out == line + "\n"
    assert terminal().width > 1000
    monkeypatch.setenv("COLUMNS", "90")
    assert terminal().width == 90


def test_verdicts_and_margins_are_whole_in_80_characters(tmp_path: Path) -> None:
    """No word of a verdict is broken, whatever the length of the contrast's name."""
    margins = "  margins: {nll: {relative: 0.05}, ece: {absolute: 0.01}}\n  axes:\n"
    experiment = language(("  axes:\n", margins), ("seeds: [0, 1, 2]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7]"))
    found = results_of([experiment], tmp_path)
    console = Console(width=80)
    with console.capture() as capture:
        print_tables(found.experiments, found.aggregate, console)
    text = " ".join(capture.get().split())
    assert "margins: nll ±5 % of the baseline, ece ±0.01" in text
    assert "equivalent" in capture.get().split("verdict")[1]
    shown = [r["verdict"] for r in read_aggregate(found.aggregate).contrasts.to_pylist()]
    assert "equivalent, slightly better" in shown
    table = capture.get().split("verdict")[1]
    assert table.count("slightly better\n") + table.count("slightly better ") == 2
    words = capture.get().split("verdict")[1].split()
    assert words.count("equivalent") + words.count("equivalent,") == sum("equivalent" in v for v in shown)
