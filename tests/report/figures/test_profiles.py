"""Performance profiles: every variant is a line, read from the best score to the worst."""

from precisionflow.report.figures.profiles import performance_profiles
from precisionflow.report.grouping import by


def profiles(*, sign: int = 1) -> list[dict]:
    return [
        {
            "metric": "nll",
            "variant": name,
            "threshold": sign * k / 4,
            "share": share,
            "low": share,
            "high": 1.0,
        }
        for name, shares in {"a": [0, 0.25, 0.5, 1, 1], "b": [0, 0, 0, 0.5, 1]}.items()
        for k, share in enumerate(shares)
    ]


def test_what_a_screen_reader_says_is_the_score_of_half_the_runs() -> None:
    svg = performance_profiles(by(profiles(), "variant"), x="difference in nll", name="p").svg
    assert "Score that half the runs reach: a 0.5; b 0.75" in svg
    assert "var(--series-0)" in svg
    assert "var(--series-1)" in svg


def test_a_score_that_is_to_be_high_falls_to_the_right() -> None:
    svg = performance_profiles(by(profiles(sign=-1), "variant"), x="difference in accuracy", name="p").svg
    assert "Score that half the runs reach: a -0.5; b -0.75" in svg
