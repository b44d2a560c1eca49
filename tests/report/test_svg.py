"""The canvas: SVG that fits into a page, series that differ in more than colour."""

import re
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
    assert svg.shortened("a" * 46) == "a" * 46
    assert svg.shortened("a" * 47) == "a" * 45 + "…"
