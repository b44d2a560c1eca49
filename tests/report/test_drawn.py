"""Figures and their numbers: what is drawn is in the table below, on the page and in the file."""

import csv
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import same_color
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from precisionflow.report import svg
from precisionflow.report.drawn import DIGITS, Drawn, Numbers, separated
from precisionflow.report.search.page import write_search_page
from precisionflow.report.svg import BAND, MUTED, RULE
from tests.report.gallery import study, write_gallery, write_report
from tests.report.search.test_page import searched, trials
from tests.synthetic import language

FIGURE = re.compile(r"<figure>(.*?)</figure>", re.DOTALL)
TABLE = re.compile(
    r'</svg>\s*<details class="numbers">.*?(<table>.*?</table>)\s*</div>\s*</details>', re.DOTALL
)
ALT = re.compile(r'role="img" aria-label="([^"]*)"')


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, list[set[float]]]]:
    """A report, figures of every kind and a search; the numbers of every canvas by what screen readers say."""
    folder, found = tmp_path_factory.mktemp("pages"), dict[str, list[set[float]]]()
    of_axes = svg.sketch

    @contextmanager
    def watched(name: str, **given: Any) -> Iterator[svg.Sketch]:
        with of_axes(name, **given) as sketch:
            yield sketch
            found.setdefault(given["alt"], []).append(drawn_on(sketch.axes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "sketch", watched)
        write_search_page(searched(trials(9)), folder / "search.html")
        files = [
            folder / "search.html",
            write_gallery(folder / "gallery.html"),
            write_report([study(), language()], folder),
        ]
    return [file.read_text(encoding="utf-8") for file in files], found


def drawn_on(axes: Axes) -> set[float]:
    """Places of marks and lines, ends of shades, lengths of bars; not those of axes, lanes, bands and what is faint."""
    lanes = not len(axes.get_yticks())
    numbers: list[float] = []
    for line in axes.get_lines():
        if not of_the_frame(line) and line.get_transform().contains_branch(axes.transData):
            numbers += list(line.get_xdata(orig=False)) + ([] if lanes else list(line.get_ydata(orig=False)))
    for shade in axes.collections:
        if isinstance(shade, PolyCollection) and not lanes:
            numbers += [y for path in shade.get_paths() for y in np.asarray(path.vertices)[:, 1]]
    for bar in axes.patches:
        if isinstance(bar, Rectangle) and not same_color(bar.get_facecolor(), BAND):
            numbers.append(bar.get_width() if lanes else bar.get_height())
    return {float(number) for number in numbers if math.isfinite(number)}


def of_the_frame(line: Line2D) -> bool:
    return any(same_color(line.get_color(), colour) for colour in (MUTED, RULE))


def numbers_in(table: str) -> np.ndarray:
    texts = re.findall(r"<td>(-?[\d.]+(?:e[-+]\d+)?)</td>", table)
    return np.array([float(text) for text in texts])


def test_every_figure_has_its_numbers_and_they_are_those_that_are_drawn(
    pages: tuple[list[str], dict[str, list[set[float]]]],
) -> None:
    texts, drawn = pages
    figures = [figure for text in texts for figure in FIGURE.findall(text)]
    compared = 0
    for figure in figures:
        (alt,), (table,) = ALT.findall(figure), TABLE.findall(figure)
        there = numbers_in(table)
        assert len(there), alt
        alt = unescape(alt)
        if alt not in drawn or alt.startswith("Parallel coordinates") or alt.endswith("over kind"):
            continue  # a map, or places that are shares of a range or those of names
        of_this = drawn[alt].pop(0)
        wanted = np.array(sorted(of_this))
        assert len(wanted), alt
        close = np.isclose(wanted[:, None], there[None, :], rtol=10.0 ** (1 - DIGITS), atol=1e-12).any(axis=1)
        assert close.all(), (alt, wanted[~close], table[:300])
        compared += 1
    assert len(figures) > 80
    assert compared > len(figures) - 10


def test_a_map_has_the_numbers_behind_its_shades(pages: tuple[list[str], Any]) -> None:
    (_, gallery, _), _ = pages
    of = {unescape(ALT.findall(figure)[0]): figure for figure in FIGURE.findall(gallery)}
    assert len(numbers_in(of["map"])) == 33 * (1 + 6)
    assert sorted(set(numbers_in(of["edges"]))) == [0.05]
    assert len(numbers_in(of["edges"])) == 400


def test_numbers_are_on_the_page_and_in_a_file_as_they_are() -> None:
    of: dict[str, tuple[Any, ...]] = {
        "a < b": ([1, 2.5], [True, False], ["x, y", "z"]),
        "": (np.array([1e-7, 123456.0]), [None, math.nan], ["", "-"]),
    }
    numbers = Numbers(("step & more", "on", "text"), of)
    rows = list(csv.reader(separated(f"<div>{numbers.html}</div>").splitlines()))
    assert rows == [
        ["series", "step & more", "on", "text"],
        ["a < b", "1", "yes", "x, y"],
        ["a < b", "2.5", "no", "z"],
        ["a < b", "1e-07", "", ""],
        ["a < b", "123456", "", "-"],
    ]
    assert "a &lt; b</th>" in numbers.html
    alone = Numbers(("x",), {"": ([1 / 3, 2 / 3],)})
    assert separated(alone.html) == "x\n0.33333\n0.66667\n"


@pytest.mark.parametrize(
    ("headings", "series"),
    [((), {"": ()}), (("x",), {}), (("x", "y"), {"": ([1],)}), (("x", "y"), {"": ([1], [1, 2])})],
)
def test_there_is_no_figure_without_numbers_and_no_column_without_its_heading(
    headings: Any, series: Any
) -> None:
    with pytest.raises(ValueError, match=r"a figure has numbers|should be \d of equal length"):
        Drawn("<svg/>", Numbers(headings, series))


def test_on_paper_the_numbers_of_figures_are_left_out() -> None:
    style = (Path(svg.__file__).parent / "page.css").read_text(encoding="utf-8")
    assert ".numbers { display: none; }" in style.split("@media print")[1]
