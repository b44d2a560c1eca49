"""Critical-difference diagram: labels touch nothing, ranks and groups are where they are said to be."""

import re
from xml.etree import ElementTree

import pytest

from precisionflow.report import svg as drawing
from precisionflow.report.figures.ranks import critical_differences
from precisionflow.report.tables import rank_groups, rank_table


def ranked(*ranks: float, p: float = 0.01, difference: float = 1.2) -> list[dict]:
    of_all = {"metric": "nll", "sets": 9, "p": p, "chi2": 9.0, "critical_difference": difference}
    return [of_all | {"variant": f"variant {index}", "mean_rank": rank} for index, rank in enumerate(ranks)]


def heights(path: str) -> tuple[float, float]:
    points = [float(y) for _, y in re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", path)]
    return min(points), max(points)


@pytest.mark.parametrize(
    "ranks", [(1.0, 2.0, 3.0), (1.5, 1.4, 3.1, 4.0), tuple(float(r) for r in range(1, 13))]
)
def test_no_label_lies_on_a_mark(ranks: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Text takes the pixels from 10 above its baseline to 2 below."""
    monkeypatch.setattr(drawing, "lightened", str)  # the names of lines and texts stay
    rows = ranked(*ranks)
    svg = critical_differences(rows, rank_groups(rows, confidence=0.95), name="r").svg
    root = ElementTree.fromstring(svg)
    axes = next(g for g in root.iter("g") if g.get("id") == "r-axes_1")
    inside = [g for g in axes if g.get("id", "").startswith("r-text")]
    labels = [float(text.attrib["y"]) for g in inside for text in g.iter("text")]
    paths = [p for g in axes if g.get("id", "").startswith("r-line2d") for p in g.findall("path")]
    assert len(labels) >= 2 + len(ranks)
    assert len(paths) >= len(ranks)
    for low, high in (heights(path.attrib["d"]) for path in paths):
        for baseline in labels:
            assert high < baseline - 10 or low > baseline + 2, (low, high, baseline)


def test_what_a_screen_reader_says_is_what_the_table_says() -> None:
    rows = ranked(3.0, 1.0, 1.9)
    groups = rank_groups(rows, confidence=0.95)
    assert groups == {"variant 0": ["b"], "variant 1": ["a"], "variant 2": ["a", "b"]}
    table = rank_table(rows, caption="", confidence=0.95)
    assert [(line[0].text, line[1].text, line[1].note) for line in table.rows] == [
        ("variant 1", "1.00", "a"),
        ("variant 2", "1.90", "a, b"),
        ("variant 0", "3.00", "b"),
    ]
    said = critical_differences(rows, groups, name="r").svg
    assert "variant 1 1.00 (a), variant 2 1.90 (a b), variant 0 3.00 (b); critical difference 1.20" in said


def test_groups_stand_only_where_the_test_shows_a_difference() -> None:
    """Else all are one; a variant unlike all others is in none."""
    shown = rank_groups(ranked(1.0, 2.0, 4.0), confidence=0.95)
    assert shown == {"variant 0": ["a"], "variant 1": ["a"], "variant 2": []}
    nothing = rank_groups(ranked(1.0, 2.0, 4.0, p=0.06), confidence=0.95)
    assert set(map(tuple, nothing.values())) == {("a",)}
