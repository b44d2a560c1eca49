"""Numbers of scores and contrasts in one table."""

import math

from precisionflow.report.numbers import numbers

KEY = {"experiment": "e", "dataset": "d", "metric": "nll"}
SCORE = {"mean": 2.0, "low": 1.0, "high": math.nan, "std": 0.5, "n": 3, "failed": 0}


def test_a_score_stands_once_for_each_contrast_about_it() -> None:
    scores = [KEY | {"variant": name} | SCORE for name in ("a", "b")]
    rest = {
        "p": 0.1,
        "p_adjusted": 0.2,
        "margin": math.nan,
        "equivalence_adjusted": math.nan,
        "verdict": "undecided",
    }
    contrasts = [
        KEY | {"variant": "b", "baseline_variant": base, "effect": 0.125, "low": -1.0, "high": 1.0} | rest
        for base in ("a", "c")
    ]
    table = numbers(scores, contrasts)
    names = [entry.text for entry in table.columns]
    rows = [dict(zip(names, (entry.text for entry in row), strict=True)) for row in table.rows]
    assert [(row["variant"], row["baseline_variant"]) for row in rows] == [("a", ""), ("b", "a"), ("b", "c")]
    assert (rows[0]["mean"], rows[0]["high"], rows[0]["effect"], rows[0]["verdict"]) == ("2.0", "", "", "")
    assert (rows[1]["low"], rows[1]["effect_low"], rows[1]["effect"]) == ("1.0", "-1.0", "0.125")
    assert len(set(names)) == len(names)
