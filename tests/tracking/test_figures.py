"""Figures of a page as files: each experiment's own, whole documents."""

from xml.etree import ElementTree

from precisionflow.report.svg import canvas
from precisionflow.tracking.figures import figures_of


def drawn(name: str) -> str:
    with canvas(alt=f"A line of {name}.", name=name) as drawing:
        drawing.axes.plot([0, 1], [1, 0])
    return drawing.svg


def article(name: str, captions: list[str]) -> str:
    figures = "".join(
        f"<figure>\n{drawn(f'{name}-{i}')}\n<figcaption>{caption}</figcaption>\n</figure>"
        for i, caption in enumerate(captions)
    )
    return f'<article id="x" aria-labelledby="x-name"><h2 id="x-name">{name}</h2>{figures}</article>'


def test_an_experiment_gets_its_own_figures_as_documents() -> None:
    style = "<style>:root {\n  --ink: #1b1f24;\n}\n@media print { :root { --ink: #000; } }</style>"
    page = style + article("a", ["Share &amp; width, 95 %.", "PIT of b."]) + article("b", ["Other."])
    found = figures_of(page, "a")
    assert list(found) == ["01-share-width-95.svg", "02-pit-of-b.svg"]
    for text in found.values():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "--ink: #1b1f24;" in text
        assert 'aria-label="A line of a-' in text
    assert list(figures_of(page, "b")) == ["01-other.svg"]
    assert figures_of(page, "c") == {}
