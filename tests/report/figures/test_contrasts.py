"""Forests of contrasts: what they say without intervals, and where their marks and labels are."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from precisionflow.report import svg as drawing
from precisionflow.report.figures.contrasts import forest

ROW = {
    "metric": "nll",
    "level": "b",
    "baseline": "a",
    "effect": -0.02,
    "low": -0.05,
    "high": 0.01,
    "margin": 0.03,
    "verdict": "undecided",
}


def test_a_figure_of_contrasts_without_intervals_can_be_drawn() -> None:
    row = ROW | {"low": np.nan, "high": np.nan, "margin": np.nan, "verdict": "too few seeds: 1 of 6"}
    text = forest([row], [""], name="f").svg
    assert "better to the left" in text
    assert "better to the right" in forest([row | {"metric": "accuracy"}], [""], name="f").svg


def heights(path: str) -> tuple[float, float]:
    """Smallest and largest y of the points of an SVG path."""
    points = [float(y) for _, y in re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", path)]
    return min(points), max(points)


@pytest.mark.parametrize("contrasts", [1, 2, 4, 9])
@pytest.mark.parametrize("setting", ["", "attention=dot_product"])
def test_no_label_lies_on_a_mark_or_on_the_zero_line(
    contrasts: int, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text takes the pixels from 10 above its baseline to 2 below; intervals and zero lines keep out of them."""
    monkeypatch.setattr(drawing, "lightened", str)  # the names of lines and texts stay
    svg = forest([ROW] * contrasts, [setting] * contrasts, name="f").svg
    root = ElementTree.fromstring(svg)
    texts = {"b vs a", setting} - {""}
    labels = [t for t in root.iter("text") if "".join(t.itertext()) in texts]
    assert len(labels) == contrasts * len(texts)
    baselines = [float(label.attrib["y"]) for label in labels]
    axes = next(g for g in root.iter("g") if g.get("id") == "f-axes_1")
    drawn = [
        path.attrib["d"] for g in axes if g.get("id", "").startswith("f-line2d") for path in g.findall("path")
    ]
    marks = [heights(d) for d in drawn]
    assert len(marks) == 2 * contrasts
    for low, high in marks:
        for baseline in baselines:
            assert high < baseline - 10 or low > baseline + 2, (low, high, baseline)


def test_margin_and_verdict_are_shown() -> None:
    shown = forest([ROW | {"verdict": "equivalent"}], [""], name="f").svg
    assert "var(--equivalent)" in shown
    assert "var(--band)" in shown
    bare = forest([ROW | {"margin": np.nan}], [""], name="f").svg
    assert "var(--band)" not in bare
    assert "var(--equivalent)" not in bare
