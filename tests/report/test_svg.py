"""The canvas: SVG that fits into a page, series that differ in more than colour."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from precisionflow.report import svg


def test_svg_stands_alone_and_is_the_same_again() -> None:
    def drawn(name: str) -> str:
        with svg.sketch(name, alt='a "quoted" & <b> label', width=320, height=250) as drawing:
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


def test_of_long_titles_both_ends_are_kept() -> None:
    assert svg.shortened("a" * svg.TITLE_CHARACTERS) == "a" * svg.TITLE_CHARACTERS
    assert svg.shortened("ab" * 30 + "1") == "ab" * 9 + "…" + "ab" * 9 + "1"
    assert len(svg.shortened("a" * 60)) == svg.TITLE_CHARACTERS
    with svg.sketch("t", alt="", width=320, height=250) as drawing:
        drawing.title("b" * 60)
    assert svg.shortened("b" * 60) in drawing.svg
    assert "b" * svg.TITLE_CHARACTERS not in drawing.svg


def test_every_figure_writes_its_title_that_way() -> None:
    files = Path(svg.__file__).parent.rglob("*.py")
    assert [f.name for f in files if "set_title" in f.read_text(encoding="utf-8")] == ["svg.py"]


def test_a_light_drawing_is_the_same_to_a_hundredth_of_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn() -> str:
        with svg.sketch("one", alt="p = 0.12345", width=320, height=250) as drawing:
            drawing.axes.plot([0, 1, 3], [0, 1.23456, 2], "o-", color=svg.stroke(0).colour)
            drawing.axes.annotate("0.98765", (1, 1), rotation=30)
            drawing.axes.set_ylabel("turned")
        return drawing.svg

    light = drawn()
    monkeypatch.setattr(svg, "lightened", str)
    whole = drawn()
    assert len(light) < 0.65 * len(whole)
    ours, theirs = (list(ElementTree.fromstring(text).iter()) for text in (light, whole))
    for tag in ("path", "text", "use", "clipPath"):
        seen = ([e for e in of if e.tag == tag and e.get("style") != "fill: none"] for of in (ours, theirs))
        pairs = list(zip(*seen, strict=True))
        assert pairs
        for one, other in pairs:
            assert (one.text or "").strip() == (other.text or "").strip()
            for name in one.attrib.keys() & {"d", "x", "y", "transform"}:
                numbers = (
                    [float(n) for n in re.findall(r"-?\d+\.?\d*", e.attrib[name])] for e in (one, other)
                )
                assert next(numbers) == pytest.approx(next(numbers), abs=0.01)
    assert 'aria-label="p = 0.12345"' in light
    assert "0.98765" in light
    assert "rotate(-90" in light
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', light)) == set(re.findall(r' id="([^"]*)"', light))
