"""The canvas: SVG that fits into a page, series that differ in more than colour."""

import re
from pathlib import Path
from xml.etree import ElementTree

from precisionflow.report import svg


def test_svg_stands_alone_and_is_the_same_again() -> None:
    def drawn(name: str) -> str:
        with svg.canvas(name, alt='a "quoted" & <b> label') as drawing:
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


def test_long_titles_end_in_an_ellipsis() -> None:
    assert svg.shortened("a" * svg.TITLE_CHARACTERS) == "a" * svg.TITLE_CHARACTERS
    assert svg.shortened("a" * 60) == "a" * (svg.TITLE_CHARACTERS - 1) + "…"
    with svg.canvas("t", alt="") as drawing:
        drawing.title("b" * 60)
    assert "b" * (svg.TITLE_CHARACTERS - 1) + "…" in drawing.svg
    assert "b" * svg.TITLE_CHARACTERS not in drawing.svg


def test_every_figure_writes_its_title_that_way() -> None:
    files = Path(svg.__file__).parent.rglob("*.py")
    assert [f.name for f in files if "set_title" in f.read_text(encoding="utf-8")] == ["svg.py"]
