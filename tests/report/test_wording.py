"""Numbers as people read them."""

import math

import pytest

from precisionflow.records.metrics import metric_named
from precisionflow.report import wording


@pytest.mark.parametrize(
    ("mean", "high", "text"),
    [
        (2.06123, 2.06463, "2.0612 ± 0.0034"),
        (56.31, 60.0, "56.3 ± 3.7"),
        (202.4, 215.4, "202 ± 13"),
        (1234.5, 2234.5, "1234 ± 1000"),
        (-1.204, -1.094, "−1.20 ± 0.11"),
        (0.02, 0.02, "0.02000 ± 0.00000"),
        (2.345678, math.nan, "2.346"),
        (0.0, math.nan, "0.000"),
        (0.7, 0.7 + 1e-15, "0.7000 ± 0.0000"),
    ],
)
def test_plus_minus_has_two_digits_of_the_half_width(mean: float, high: float, text: str) -> None:
    assert wording.plus_minus({"mean": mean, "high": high}) == text


@pytest.mark.parametrize(
    ("effect", "low", "high", "text"),
    [
        (-0.0123, -0.0207, -0.0039, "−0.0123 [−0.0207, −0.0039]"),
        (0.05, -0.06, 0.16, "+0.05 [−0.06, 0.16]"),
        (-0.0381, math.nan, math.nan, "−0.03810"),
        (0.0, 0.0, 0.0, "0.000 [0.000, 0.000]"),
        (-0.0001, -0.9, 0.9, "0.00 [−0.90, 0.90]"),
    ],
)
def test_effect_has_a_sign_and_its_interval(effect: float, low: float, high: float, text: str) -> None:
    assert wording.effect({"effect": effect, "low": low, "high": high}) == text


def test_probability() -> None:
    assert [wording.probability(p) for p in (0.0156, 1.0, 2e-5, math.nan)] == [
        "0.016",
        "1.000",
        "< 0.001",
        "—",
    ]


def test_contrast_in_words() -> None:
    row = {"metric": "nll", "axis": "attention", "level": "precision", "baseline": "dot_product"}
    row |= {"effect": -0.0123, "low": -0.0207, "high": -0.0039, "n": 3}
    assert wording.comparison(row, {"learning": "backprop", "attention": "precision"}) == (
        "precision vs dot_product (learning=backprop)"
    )
    assert wording.comparison(row, {"attention": "precision"}) == "precision vs dot_product"
    assert wording.finding(row, unit="seed") == "nll −0.0123 [−0.0207, −0.0039], n = 3 seeds"


def test_nominal_metrics_are_named_by_their_distance() -> None:
    coverage = metric_named("coverage_90")
    assert wording.quantity(coverage) == "|coverage_90 − 0.9|"
    assert wording.direction(coverage) == "calibrated at 0.9"
    assert wording.direction(metric_named("accuracy")) == "higher is better"


def test_tally_counts_the_decided_first() -> None:
    verdicts = ["no difference shown", "worse", "better", "no difference shown"]
    assert wording.tally([{"verdict": v} for v in verdicts]) == (
        "4 contrasts: 1 better, 1 worse, 2 no difference shown"
    )
    assert wording.tally([{"verdict": "one seed: no interval"}]) == (
        "1 contrast: 1 undecidable (one seed: no interval)"
    )
