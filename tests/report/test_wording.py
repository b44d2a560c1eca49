"""Measured rows in words."""

import math

import pytest

from precisionflow.records.metrics import metric_named
from precisionflow.report import wording


def test_rows_are_told_with_their_intervals() -> None:
    assert wording.plus_minus({"mean": 2.06123, "high": 2.06463}) == "2.0612 ± 0.0034"
    row = {"effect": -3.81e-8, "low": -4.9e-8, "high": -2.72e-8}
    assert wording.effect(row) == "(−3.8 [−4.9, −2.7])×10⁻⁸"


def test_probability() -> None:
    assert [wording.probability(p) for p in (0.0156, 1.0, 2e-5, math.nan)] == [
        "0.016",
        "1.000",
        "< 0.001",
        "—",
    ]


def test_contrast_in_words() -> None:
    row = {"metric": "nll", "axis": "attention", "level": "precision", "baseline": "dot_product"}
    row |= {"effect": -0.0123, "low": -0.0207, "high": -0.0039, "n": 3, "margin": math.nan}
    row |= {"variant": "backprop+precision", "baseline_variant": "backprop+dot_product"}
    levels = {
        "backprop+precision": {"learning": "backprop", "attention": "precision"},
        "backprop+dot_product": {"learning": "backprop", "attention": "dot_product"},
        "pc+precision": {"learning": "pc", "attention": "precision"},
    }
    assert wording.comparison(row, levels) == "precision vs dot_product (learning=backprop)"
    zipped = row | {"variant": "pc+precision", "level": "pc+precision", "baseline": "backprop+dot_product"}
    assert wording.comparison(zipped, levels) == "pc+precision vs backprop+dot_product"
    assert wording.finding(row, unit="seed") == "nll −0.0123 [−0.0207, −0.0039], n = 3 seeds"
    assert wording.finding(row | {"margin": 0.0213}, unit="seed") == (
        "nll −0.0123 [−0.0207, −0.0039], margin ±0.021, n = 3 seeds"
    )


def test_a_margin_has_two_digits_at_every_scale() -> None:
    shown = [wording.margin({"margin": value}) for value in (0.01, 2.134, 4.2e-7, math.nan)]
    assert shown == ["±0.010", "±2.1", "±4.2×10⁻⁷", "—"]


def test_nominal_metrics_are_named_by_their_distance() -> None:
    coverage = metric_named("coverage_90")
    assert wording.quantity(coverage) == "|coverage_90 − 0.9|"
    assert wording.direction(coverage) == "calibrated at 0.9"
    assert wording.direction(metric_named("accuracy")) == "higher is better"


@pytest.mark.parametrize(
    ("difference", "equivalence", "told"),
    [
        (23, math.nan, "n = 23 would show the difference"),
        (math.nan, 1741, "n = 1,741 would show equivalence"),
        (23, 41, "n = 23 would show the difference, 41 equivalence"),
        (math.nan, math.nan, "no n up to 10,000 would decide"),
    ],
)
def test_what_would_decide(difference: float, equivalence: float, told: str) -> None:
    row = {"units_for_difference": difference, "units_for_equivalence": equivalence, "std": 0.1}
    assert wording.deciding(row | {"verdict": "undecided"}) == told
    assert wording.deciding(row | {"verdict": "better"}) == ""
    assert wording.deciding(row | {"verdict": "undecided", "std": 0.0}) == ""


def test_tally_counts_the_decided_first() -> None:
    verdicts = ["undecided", "equivalent", "worse", "better", "equivalent, slightly worse", "undecided"]
    assert wording.tally([{"verdict": v} for v in verdicts]) == (
        "6 contrasts: 1 better, 1 worse, 1 equivalent, 1 equivalent (slightly worse), 2 undecided"
    )
    assert wording.tally([{"verdict": "too few seeds: 1 of 6"}]) == (
        "1 contrast: 1 undecidable (too few seeds: 1 of 6)"
    )


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("better", "better"),
        ("worse", "worse"),
        ("equivalent", "equivalent"),
        ("equivalent, slightly better", "equivalent"),
        ("undecided", "open"),
        ("too few splits: 2 of 6", "too-few"),
    ],
)
def test_kind_of_a_verdict(verdict: str, kind: str) -> None:
    assert wording.verdict_kind(verdict) == kind


def test_differences_that_hinge_on_normality_are_named() -> None:
    levels = {name: {"width": name} for name in "abcde"}
    row = {"metric": "nll", "baseline": "a", "baseline_variant": "a"}
    rows = [
        row | {"level": name, "variant": name, "verdict": verdict, "sign_flip_adjusted": p}
        for name, verdict, p in [
            ("b", "better", 0.06),
            ("c", "equivalent, slightly worse", 0.2),
            ("d", "worse", 0.04),
            ("e", "undecided", 0.5),
        ]
    ]
    found = wording.hinges(rows, levels, confidence=0.95)
    assert found.endswith("no normal differences: nll of b vs a, nll of c vs a.")
    assert wording.hinges(rows, levels, confidence=0.5) == ""
    older = [{name: value for name, value in of.items() if "flip" not in name} for of in rows]
    splits = [of | {"sign_flip_adjusted": math.nan} for of in rows]
    assert (
        wording.hinges(older, levels, confidence=0.95)
        == wording.hinges(splits, levels, confidence=0.95)
        == ""
    )
