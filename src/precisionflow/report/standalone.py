"""Figures of an experiment on the report's page as files: pictures with the legend above them there, and numbers."""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from math import ceil

from precisionflow.report.drawn import separated
from precisionflow.report.svg import text_width

_ARTICLE = re.compile(r"<article id=.*?</article>", re.DOTALL)
_GROUP = re.compile(
    r'(?:<ul class="legend"[^>]*>(?P<legend>.*?)</ul>\s*)?<div class="pictures">'
    r"(?P<figures>\s*(?:<figure>.*?</figure>\s*)*)</div>",
    re.DOTALL,
)
_KEY = re.compile(r"<li><svg(.*?)</svg>(.*?)</li>", re.DOTALL)
_FIGURE = re.compile(r"<figure>\s*(<svg.*?</svg>)(.*?)<figcaption>(.*?)</figcaption>", re.DOTALL)
_BOX = re.compile(r'^<svg viewBox="0 0 ([\d.]+) ([\d.]+)"')
_COLOURS = re.compile(r":root \{(.*?)\}", re.DOTALL)
_COLOUR = re.compile(r"(--[\w-]+): ([^;]+);")
_MODERN = re.compile(r"rgb\((\d+) (\d+) (\d+) / (\d+)%\)")
_SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
_LINE, _TEXT, _SIZE = 18, 52, 11
"""Of a legend: height of a line, where its text begins, size of the font; a long text makes the figure wider."""


def figures_of(page: str, experiment: str) -> dict[str, str]:
    """File name -> SVG of each figure in the article on `experiment`, in the page's order and its light colours.

    Beside each are its numbers as csv. ValueError where the page is of a time when figures had none.
    """
    heading = f">{experiment}</h2>"
    article = next((text for text in _ARTICLE.findall(page) if heading in text), "")
    colours = _light(page)
    found = dict[str, str]()
    for number, (drawing, numbers, keys, caption) in enumerate(_drawings(article), start=1):
        if "<tr>" not in numbers:
            raise ValueError(
                f"the figure {caption!r} has no numbers beside it, so an older version wrote the page"
            )
        stem = file_stem(number, caption)
        found |= {f"{stem}.svg": _standalone(drawing, keys, colours), f"{stem}.csv": separated(numbers)}
    return found


def file_stem(number: int, caption: str) -> str:
    """ "03-differences-in-nll": a file's name without its suffix."""
    words = re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")[:60].strip("-")
    return f"{number:02d}-{words}"


def _drawings(article: str) -> Iterator[tuple[str, str, list[tuple[str, str]], str]]:
    """Figure, its numbers, lines of the legend above it, caption."""
    for group in _GROUP.finditer(article):
        keys = _KEY.findall(group["legend"] or "")
        for drawing, numbers, caption in _FIGURE.findall(group["figures"]):
            yield drawing, numbers, keys, unescape(caption)


def _light(page: str) -> dict[str, str]:
    """Variable -> colour, as every reader of SVG understands it."""
    found = _COLOURS.search(page)
    return {
        name: _MODERN.sub(lambda m: f"rgba({m[1]}, {m[2]}, {m[3]}, {int(m[4]) / 100:g})", colour)
        for name, colour in _COLOUR.findall(found[1] if found else "")
    }


def _standalone(drawing: str, keys: Sequence[tuple[str, str]], colours: dict[str, str]) -> str:
    box = _BOX.match(drawing)
    assert box is not None, drawing[:80]
    height = float(box[2])
    width = max([float(box[1]), *(_TEXT + ceil(text_width(unescape(text), size=_SIZE)) for _, text in keys)])
    whole = height + _LINE * len(keys)
    opening = (
        f'<svg {_SPACES} width="{width:g}" height="{whole:g}" viewBox="0 0 {width:g} {whole:g}" '
        'font-family="sans-serif" style="background: white"'
    )
    legend = "".join(
        f'<svg x="8" y="{height + _LINE * place:g}" width="36" height="12"{sample}</svg>'
        f'<text x="{_TEXT}" y="{height + _LINE * place + 10:g}" font-size="{_SIZE}" fill="var(--ink)">{text}</text>'
        for place, (sample, text) in enumerate(keys)
    )
    text = f"{opening}{drawing[box.end() :].removesuffix('</svg>')}{legend}</svg>\n"
    return re.sub(r"var\((--[\w-]+)\)", lambda m: colours.get(m[1], m[0]), text)
