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


NAN = float("nan")


def scored(variant: str, metric: str, low: float = NAN, high: float = NAN) -> dict[str, Any]:
    row = {"variant": variant, "metric": metric, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 2}
    return row | {"chance_low": low, "chance_high": high}


def test_a_variant_without_the_metric_has_a_dash() -> None:
    table = score_table([scored("a", "nll"), scored("b", "crps")], ("crps",), caption="", best={})
    assert [[entry.text for entry in line] for line in table.rows] == [
        ["a", "—", "—"],
        ["b", "0.50 ± 0.10", "2"],
    ]


def test_a_band_that_all_variants_share_is_the_last_line() -> None:
    rows = [scored("a", "coverage_90", 0.8, 0.95), scored("a", "nll"), scored("b", "coverage_90", 0.8, 0.95)]
    table = score_table([*rows, scored("b", "nll")], ("coverage_90", "nll"), caption="", best={})
    value = "0.50 ± 0.10"
    assert [[entry.text for entry in line] for line in table.rows] == [
        ["a", value, value, "2"],
        ["b", value, value, "2"],
        ["calibrated", "0.80 to 0.95", "", ""],
    ]
    assert not any(entry.chance for line in table.rows for entry in line)
    assert table.rows[-1][0].note == "by chance"


def test_bands_of_their_own_stand_under_the_values_and_beside_the_mark() -> None:
    rows = [scored("a", "ence", 0.1, 0.2), scored("b", "ence", 0.3, 0.4)]
    table = score_table(rows, ("ence",), caption="", best={"ence": "b"})
    assert [(line[1].note, line[1].kind, line[1].chance) for line in table.rows] == [
        ("", "", "0.10 to 0.20"),
        ("best", "best", "0.30 to 0.40"),
    ]


def test_a_metric_that_a_variant_has_not_is_a_dash() -> None:
    rows = [scored("a", "nll"), scored("b", "nll"), scored("a", "ence", 0.1, 0.2)]
    table = score_table(rows, ("nll", "ence"), caption="", best={})
    assert [line[2].text for line in table.rows] == ["0.50 ± 0.10", "—", "0.10 to 0.20"]


def test_metrics_without_a_band_have_no_line_of_it() -> None:
    assert len(score_table([scored("a", "nll")], ("nll",), caption="", best={}).rows) == 1


def test_before_and_after_stand_beside_each_other() -> None:
    row = {"variant": "v", "low": 0.9, "high": 1.1, "std": 0.1, "n": 5}
    row |= {"chance_low": NAN, "chance_high": NAN}
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
