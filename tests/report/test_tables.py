"""Tables: what is marked, and what stands beside it."""

from typing import Any

import pytest

from precisionflow.report.tables import proven_best, proven_bests, recalibration_table, score_table


def contrast(variant: str, baseline: str, verdict: str, metric: str = "nll") -> dict[str, Any]:
    return {"variant": variant, "baseline_variant": baseline, "verdict": verdict, "metric": metric}


@pytest.mark.parametrize(
    ("contrasts", "best"),
    [
        ([contrast("b", "a", "better"), contrast("c", "a", "worse")], "b"),
        ([contrast("b", "a", "worse"), contrast("c", "a", "worse")], "a"),
        ([contrast("b", "a", "better"), contrast("c", "a", "better")], None),
        ([contrast("b", "a", "better"), contrast("c", "a", "undecided")], None),
        ([contrast("b", "a", "too few seeds: 5 of 7")], None),
        ([contrast("b", "a", "equivalent, slightly better"), contrast("c", "a", "worse")], None),
        ([contrast("b", "a", "better", "crps"), contrast("c", "a", "worse", "crps")], None),
        ([], None),
    ],
)
def test_best_beats_every_other_directly_or_through_others(contrasts: list[dict], best: str | None) -> None:
    assert proven_best(contrasts, ["a", "b", "c"], "nll") == best


def test_a_variant_alone_is_not_best() -> None:
    assert proven_best([], ["a"], "nll") is None


def test_metrics_without_a_proven_best_are_left_out() -> None:
    contrasts = [contrast("b", "a", "better"), contrast("b", "a", "undecided", "crps")]
    assert proven_bests(contrasts, ["a", "b"], ["nll", "crps"]) == {"nll": "b"}


def test_a_calibrated_models_line_is_the_last() -> None:
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
    table = recalibration_table(rows, caption="c")
    assert [[entry.text for entry in line[:3]] for line in table.rows] == [
        ["v", "variance scaling", "nll"],
        ["v", "variance scaling", "width_95"],
    ]
    assert recalibration_table(rows[:3], caption="c") is None
