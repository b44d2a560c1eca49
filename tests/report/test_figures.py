"""Figures: what the curves hold, and that their SVG fits into a page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.predictions import predictions_table, stated_distribution
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.metrics import metric_named
from precisionflow.records.schemas import PREDICTIONS
from precisionflow.report import cells, figures, svg, tables, uncertainty_figures
from precisionflow.report.cells import Predictions
from tests.report.conftest import Results
from tests.synthetic import evaluations, expand, language, models, plausible, regression


def test_curve_is_mean_and_range_at_the_steps_that_every_run_has() -> None:
    steps, mean, low, high = figures.curve([{10: 3.0, 20: 2.0, 30: 9.0}, {10: 1.0, 20: 1.0}])
    assert [x.tolist() for x in (steps, mean, low, high)] == [[10, 20], [2.0, 1.5], [1.0, 1.0], [3.0, 2.0]]


def test_long_curves_are_thinned_to_both_ends() -> None:
    steps, *_ = figures.curve([dict.fromkeys(range(1, 5001), 0.0)], points=50)
    assert (len(steps), steps[0], steps[-1]) == (50, 1, 5000)


@pytest.mark.parametrize(
    ("runs", "rows"),
    [
        ([[0, 1, 2], [0, 1, 2], [0, 1, 2]], 3),
        ([[0, 1], [2, 3]], 4),
        ([[0, 1], [1, 2]], 2),  # (1 + 2 + 1)^2 / (1 + 4 + 1) = 2.67, rounded down
    ],
)
def test_predictions_are_worth_their_independent_rows(
    runs: list[list[int]], rows: int, tmp_path: Path
) -> None:
    for index, of in enumerate(runs):
        n = len(of)
        stated = gaussian(np.zeros(n), np.ones(n))
        table = predictions_table(stated, row=np.array(of), target=np.zeros(n))
        file = tmp_path / str(index) / "predictions.parquet"
        write_parquet(table, file, PREDICTIONS)
    pooled = cells.read_predictions([tmp_path / str(index) for index in range(len(runs))], kind="regression")
    assert pooled.rows == rows
    assert pooled.pit.tolist() == [0.5] * sum(len(of) for of in runs)


def test_pooled_predictions(results: Results) -> None:
    experiment = results.experiments[1]
    variant = expand(experiment)[0]
    folders = cells.of_variant(cells.evaluated_cells(results.evaluations), variant, experiment)
    pooled = cells.read_predictions(folders, kind="regression")
    assert len(folders) == 14
    assert (len(pooled.pit), pooled.rows) == (14 * 80, 80)
    first = read_parquet(folders[0] / "predictions.parquet", PREDICTIONS)
    assert pooled.columns["mean"][:80].tolist() == stated_distribution(first).mean.tolist()


def test_two_different_models_of_one_cell_are_refused(tmp_path: Path) -> None:
    first, second = regression(), regression(("hidden: [8]", "hidden: [9]"))
    folders = models(first, tmp_path / "a") + models(second, tmp_path / "b")
    with pytest.raises(
        ValueError, match=r"differ, both are experiment 'noise'.*; keep the results of one run"
    ):
        cells.trained_cells(folders)


def test_the_same_evaluation_twice_is_one(tmp_path: Path) -> None:
    experiment = language()
    folders = evaluations(experiment, tmp_path / "a", plausible)
    again = evaluations(experiment, tmp_path / "b", plausible)
    assert cells.evaluated_cells(folders).keys() == cells.evaluated_cells([*folders, *again]).keys()


def test_svg_stands_alone_and_is_the_same_again() -> None:
    def drawn(name: str) -> str:
        with svg.canvas(name, alt='a "quoted" & <b> label') as drawing:
            drawing.axes.plot([0, 1], [0, 1], "o-", color=svg.stroke(0).colour)
            drawing.axes.set_title("<b> & title")
        return drawing.svg

    text = drawn("one")
    assert text == drawn("one")
    root = ElementTree.fromstring(text)
    assert root.attrib.keys() == {"viewBox", "role", "aria-label"}
    assert root.attrib["aria-label"] == 'a "quoted" & <b> label'
    assert "<b> & title" in "".join(root.itertext())
    ids = {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
    assert all(name.startswith("one-") for name in ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= ids
    assert "<style" not in text
    assert "var(--series-0)" in text


def test_series_differ_in_more_than_colour() -> None:
    looks = [svg.stroke(index) for index in range(16)]
    assert len({(str(look.dash), look.marker) for look in looks}) == 16


def test_a_figure_of_contrasts_without_intervals_can_be_drawn() -> None:
    row = {
        "level": "b",
        "baseline": "a",
        "effect": 0.1,
        "low": np.nan,
        "high": np.nan,
        "verdict": "one seed: no interval",
    }
    text = figures.forest([row], [""], metric_named("nll"), name="f")
    assert "better to the left" in text
    assert "better to the right" in figures.forest([row], [""], metric_named("accuracy"), name="f")


def test_band_of_the_confidence_diagram_counts_independent_rows() -> None:
    """The same tokens from four seeds: pooled counts are four times as large, the band stays."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.3, 0.99, 200)
    columns = {"confidence": confidence, "correct": generator.random(200) < confidence}
    once = Predictions(columns, 200)
    repeated = Predictions({name: np.tile(values, 4) for name, values in columns.items()}, 200)
    settings = {"bins": 5, "confidence": 0.95, "name": "f"}
    assert figures.confidence_diagram("v", once, 0, **settings) == figures.confidence_diagram(
        "v", repeated, 0, **settings
    )


def predictions_of(rows: int = 400, *, factor: float = 1.0) -> cells.Predictions:
    """Targets whose errors have `factor` times the std that is stated."""
    generator = np.random.default_rng(0)
    std = generator.uniform(0.5, 3, rows)
    target = factor * std * generator.normal(size=rows)
    stated = gaussian(np.zeros(rows), std)
    lower, upper = stated.interval(0.95)
    columns = {"target": target, "mean": stated.mean, "std": std, "pit": stated.cdf(target)}
    return cells.Predictions(columns | {"lower": lower, "upper": upper}, rows)


def test_figures_of_uncertainty_say_what_they_show() -> None:
    both = {"true": predictions_of(), "narrow": predictions_of(factor=3.0)}
    for draw in (uncertainty_figures.error_against_scale, uncertainty_figures.sparsification_curves):
        text = draw(both, name="f")
        assert "true, narrow" in text
        assert text == draw(both, name="f")
    narrow = uncertainty_figures.ordered_intervals("narrow", both["narrow"], 0, name="f")
    outside = int(re.search(r"(\d+) targets outside", narrow)[1])
    assert 50 < outside < 100
    assert "150 rows of narrow" in narrow


def test_before_and_after_stand_beside_each_other() -> None:
    row = {"variant": "v", "low": 0.9, "high": 1.1, "std": 0.1, "n": 5}
    rows = [
        row | {"metric": name, "mean": mean}
        for name, mean in (
            ("nll", 1.0),
            ("width_50", 2.0),
            ("width_95", 3.0),
            ("nll_after_variance_scaling", 0.5),
            ("width_50_after_variance_scaling", 2.5),
            ("width_95_after_variance_scaling", 3.5),
        )
    ]
    table = tables.recalibration_table(rows, caption="c")
    assert [[entry.text for entry in line[:3]] for line in table.rows] == [
        ["v", "variance scaling", "nll"],
        ["v", "variance scaling", "width_95"],
    ]
    assert tables.recalibration_table(rows[:3], caption="c") is None
