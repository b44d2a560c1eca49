"""Tables: what is marked, what ratios say, what the terminal shows."""

import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.ablation.design import expand
from precisionflow.config import load
from precisionflow.evaluation.calibration.bands import uniform_band
from precisionflow.evaluation.calibration.coverage import coverage_band
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.records.cards import ModelCard
from precisionflow.report.cells import Predictions
from precisionflow.report.section import chance_bands
from precisionflow.report.tables import (
    cost_table,
    milliseconds,
    print_tables,
    proven_best,
    score_table,
    twin_table,
)
from tests.report.conftest import Results
from tests.synthetic import language, regression


def contrast(variant: str, baseline: str, verdict: str, metric: str = "nll") -> dict[str, Any]:
    return {"variant": variant, "baseline_variant": baseline, "verdict": verdict, "metric": metric}


@pytest.mark.parametrize(
    ("contrasts", "best"),
    [
        ([contrast("b", "a", "better"), contrast("c", "a", "worse")], "b"),
        ([contrast("b", "a", "worse"), contrast("c", "a", "worse")], "a"),
        ([contrast("b", "a", "better"), contrast("c", "a", "better")], None),
        ([contrast("b", "a", "better"), contrast("c", "a", "no difference shown")], None),
        ([contrast("b", "a", "5 seeds cannot reach significance")], None),
        ([contrast("b", "a", "better", "crps"), contrast("c", "a", "worse", "crps")], None),
        ([], None),
    ],
)
def test_best_beats_every_other_directly_or_through_others(contrasts: list[dict], best: str | None) -> None:
    assert proven_best(contrasts, ["a", "b", "c"], "nll") == best


def test_a_variant_alone_is_not_best() -> None:
    assert proven_best([], ["a"], "nll") is None


def card(*, loss: float, seconds: float, steps: int = 10) -> ModelCard:
    return ModelCard(
        experiment=language(),
        experiment_hash="0",
        code_version="0",
        seed=0,
        split=0,
        parameters=1_234_567,
        steps=steps,
        validation_loss=loss,
        seconds_per_step=seconds,
    )


def twin_cards(loss: float, seconds: float, *, twin_loss: float = 2.0) -> dict[str, list[ModelCard]]:
    cards = {}
    for variant in expand(language()):
        settles = variant.levels["learning"] == "predictive_coding"
        cards[variant.name] = [
            card(loss=loss if settles else twin_loss, seconds=seconds if settles else 0.02)
        ] * 3
    return cards


@pytest.mark.parametrize(
    ("loss", "seconds", "texts"),
    [
        (2.04, 0.06, ["1.0200", "holds", "3.00", "holds"]),
        (2.05, 0.02, ["1.0250", "does not hold", "1.00", "holds"]),
        (1.9, 0.07, ["0.9500", "holds", "3.50", "does not hold"]),
    ],
)
def test_twin_ratios_and_their_bars(loss: float, seconds: float, texts: list[str]) -> None:
    table = twin_table(expand(language()), twin_cards(loss, seconds))
    assert table is not None
    assert [row[0].text for row in table.rows] == ["attention=dot_product", "attention=precision"]
    assert [entry.text for entry in table.rows[0][1:]] == texts


def test_a_twin_with_a_negative_loss_has_no_ratio() -> None:
    table = twin_table(expand(language()), twin_cards(1.0, 0.02, twin_loss=-0.5))
    assert table is not None
    assert [entry.text for entry in table.rows[0][1:3]] == ["—", "no ratio"]


def test_experiments_without_a_learning_axis_have_no_twins() -> None:
    assert twin_table(expand(regression()), {}) is None


def test_cost_is_the_mean_loss_and_the_median_time() -> None:
    runs = [
        card(loss=1.0, seconds=0.010),
        card(loss=2.0, seconds=0.012, steps=8),
        card(loss=6.0, seconds=9.0),
    ]
    (row,) = cost_table({"a": runs}, caption="").rows
    assert [entry.text for entry in row] == ["a", "3.0", "12.0", "8 to 10", "1\u202f234\u202f567", "3"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00123456, "1.23"), (0.0456, "45.6"), (1.5, "1500"), (0.0, "0")]
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


def test_terminal_shows_scores_and_contrasts_of_every_experiment(results: Results) -> None:
    console = Console(width=160)
    with console.capture() as capture:
        print_tables(results.experiments, results.aggregate, console)
    text = capture.get()
    assert "noise on diabetes: mean ± half of the 95 % interval, n splits" in text
    assert "noise on diabetes: 3 contrasts: 3 better" in text
    assert "twins on pydoc_topics: 12 contrasts: 12 undecidable (3 seeds cannot reach significance)" in text
    assert "predictive_coding vs backprop (attention=precision)" in text
    assert text.count("best") == 3
    assert text.count("± 0.") == 2 * 3 + 4 * 3


def test_terminal_and_file_agree(results: Results) -> None:
    table = read_aggregate(results.aggregate).table.to_pylist()
    row = next(r for r in table if (r["variant"], r["metric"]) == ("homoscedastic", "nll"))
    console = Console(width=160)
    with console.capture() as capture:
        print_tables(results.experiments, results.aggregate, console)
    assert f"{row['mean']:.3f} ± {row['high'] - row['mean']:.3f}" in capture.get()
    assert not math.isnan(row["high"])


def test_a_calibrated_models_line_is_for_as_many_rows_as_are_independent() -> None:
    """Two splits that predict the same 30 rows are one data set of 30."""
    experiment = load("quickstart-regression", ["seeds=[0]", "splits=[0, 1]", "evaluation.levels=[0.9]"])
    pit = np.linspace(0.01, 0.99, 60)
    bands = {rows: chance_bands(experiment, {"a": Predictions({"pit": pit}, rows)}) for rows in (30, 60)}
    for rows, found in bands.items():
        assert found["coverage_90"] == pytest.approx(coverage_band(rows, level=0.9))
        assert found["pit_error"] == uniform_band(pit_error, rows=30, cells=rows // 30)
    assert chance_bands(load("quickstart-language"), {}) == {}
    names = ("coverage_90", "nll")
    row = {"variant": "a", "mean": 0.5, "low": 0.4, "high": 0.6, "n": 2}
    table = score_table(
        [row | {"metric": name} for name in names],
        names,
        caption="",
        best={},
        chance={"coverage_90": (0.8, 0.95)},
    )
    assert [[entry.text for entry in line] for line in table.rows][-1] == [
        "calibrated",
        "0.80 to 0.95",
        "",
        "",
    ]
