"""Figures of a page as files: each experiment's own, whole documents."""

from html import unescape
from xml.etree import ElementTree

import pytest
from matplotlib.textpath import TextPath

from precisionflow.report.drawn import Numbers
from precisionflow.report.standalone import figures_of
from precisionflow.report.svg import canvas, legend_sample

NUMBERS = Numbers(("x", "y & z"), {"a, b": ([0, 1], [1, 0])})


def drawn(name: str) -> str:
    with canvas(alt=f"A line of {name}.", name=name, numbers=NUMBERS) as drawing:
        drawing.axes.plot([0, 1], [1, 0])
    return drawing.drawn.svg


def svgs_of(page: str, experiment: str) -> list[str]:
    return [text for file, text in figures_of(page, experiment).items() if file.endswith(".svg")]


def article(name: str, captions: list[str]) -> str:
    figures = "".join(
        f"<figure>\n{drawn(f'{name}-{i}')}\n{NUMBERS.html}\n<figcaption>{caption}</figcaption>\n</figure>"
        for i, caption in enumerate(captions)
    )
    heading = f'<article id="x" aria-labelledby="x-name"><h2 id="x-name">{name}</h2>'
    return f'{heading}<div class="pictures">{figures}</div></article>'


def test_an_experiment_gets_its_own_figures_as_documents() -> None:
    style = "<style>:root {\n  --muted: #1b1f24;\n}\n@media print { :root { --muted: #000; } }</style>"
    page = style + article("a", ["Share &amp; width, 95 %.", "PIT of b."]) + article("b", ["Other."])
    found = figures_of(page, "a")
    stems = ("01-share-width-95", "02-pit-of-b")
    assert list(found) == [f"{stem}.{form}" for stem in stems for form in ("svg", "csv")]
    for stem in stems:
        assert found[f"{stem}.csv"] == 'series,x,y & z\n"a, b",0,1\n"a, b",1,0\n'
        text = found[f"{stem}.svg"]
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "#1b1f24" in text
        assert "var(--muted)" not in text
        assert 'aria-label="A line of a-' in text
    assert list(figures_of(page, "b")) == ["01-other.svg", "01-other.csv"]
    assert figures_of(page, "c") == {}


def test_a_legend_stands_below_the_figures_that_it_is_above_on_the_page() -> None:
    style = "<style>:root {\n  --ink: #000; --series-0: #00f; --band: rgb(1 2 3 / 20%);\n}</style>"
    key = legend_sample(0, name="k")
    of = f'<ul class="legend" aria-label="v">\n<li>{key}a &amp; b</li>\n</ul>\n\n'
    drawing = '<svg viewBox="0 0 300 200" role="img"><path fill="var(--band)"/></svg>'
    plain = f"<figure>\n{drawing}\n{NUMBERS.html}\n<figcaption>C.</figcaption></figure>"
    page = (
        f'{style}<article id="x"><h2 id="x-name">e</h2>{of}<div class="pictures">{plain}</div>'
        f'<div class="pictures">{plain}</div></article>'
    )
    with_legend, without = (ElementTree.fromstring(svg) for svg in svgs_of(page, "e"))
    assert (with_legend.get("viewBox"), without.get("viewBox")) == ("0 0 300 218", "0 0 300 200")
    assert [t.text for t in with_legend.findall("{http://www.w3.org/2000/svg}text")] == ["a & b"]
    assert with_legend[0].get("fill") == "rgba(1, 2, 3, 0.2)"
    assert len(with_legend.findall("{http://www.w3.org/2000/svg}svg")) == 1
    assert not without.findall("{http://www.w3.org/2000/svg}svg")


def test_a_long_line_of_a_legend_makes_a_narrow_figure_wider() -> None:
    key = legend_sample(0, name="k")
    text = "a_variant_whose_name_is_longer_than_the_figure_is_wide &amp; more"
    page = (
        f'<article id="x"><h2 id="x-name">e</h2><ul class="legend"><li>{key}{text}</li></ul>'
        '<div class="pictures"><figure>\n<svg viewBox="0 0 300 200" role="img"></svg>\n'
        f"{NUMBERS.html}<figcaption>C.</figcaption></figure></div></article>"
    )
    (svg,) = svgs_of(page, "e")
    width = float(ElementTree.fromstring(svg).attrib["viewBox"].split()[2])
    (path,) = [TextPath((0, 0), unescape(text), size=11).get_extents()]
    assert 52 + path.width < width < 52 + 1.4 * path.width


def test_a_page_of_a_time_without_numbers_is_named() -> None:
    page = article("a", ["PIT."]).replace(NUMBERS.html, "")
    with pytest.raises(ValueError, match=r"the figure 'PIT\.' has no numbers beside it, so an older version"):
        figures_of(page, "a")
