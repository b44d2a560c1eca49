"""Figures of uncertainty: what they say that they show."""

import re

import numpy as np

from precisionflow.evaluation.distribution import gaussian
from precisionflow.report.figures.uncertainty import (
    error_against_scale,
    ordered_intervals,
    sparsification_curves,
)
from precisionflow.report.predictions import NumberPredictions


def predictions_of(rows: int = 400, *, factor: float = 1.0) -> NumberPredictions:
    """Targets whose errors have `factor` times the std that is stated."""
    generator = np.random.default_rng(0)
    std = generator.uniform(0.5, 3, rows)
    target = factor * std * generator.normal(size=rows)
    predictive = gaussian(np.zeros(rows), std)
    lower, upper = predictive.interval(0.95)
    return NumberPredictions(target, predictive.mean, std, predictive.cdf(target), lower, upper, rows)


def test_figures_of_uncertainty_say_what_they_show() -> None:
    both = {"true": predictions_of(), "narrow": predictions_of(factor=3.0)}
    for draw in (error_against_scale, sparsification_curves):
        text = draw(both, name="f").svg
        assert "true, narrow" in text
        assert text == draw(both, name="f").svg
    narrow = ordered_intervals("narrow", both["narrow"], 0, name="f").svg
    outside = int(re.search(r"(\d+) targets outside", narrow)[1])
    assert 20 < outside < 40
    assert "60 rows of narrow" in narrow


def test_a_short_axis_has_more_than_one_number() -> None:
    """Between 30 and 45 lies none of 1, 2, 5, 10 but powers of ten."""
    n = 400
    std, target = np.full(n, 36.0), np.resize([-38.0, 38.0], n)
    predictive = gaussian(np.zeros(n), std)
    alike = NumberPredictions(
        target, predictive.mean, std, predictive.cdf(target), *predictive.interval(0.95), n
    )
    numbers = re.findall(r"<text[^>]*>(\d+)</text>", error_against_scale({"alike": alike}, name="f").svg)
    assert len(numbers) >= 4
    assert len(set(numbers)) == len(numbers) / 2
