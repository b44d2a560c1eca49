"""Figures of an experiment on the report's page as files that stand alone."""

import re
from html import unescape

_FIGURE = re.compile(r"<figure>\s*<svg(.*?</svg>)\s*<figcaption>(.*?)</figcaption>", re.DOTALL)
_ARTICLE = re.compile(r"<article id=.*?</article>", re.DOTALL)
_COLOURS = re.compile(r":root \{.*?\}", re.DOTALL)
_SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def figures_of(page: str, experiment: str) -> dict[str, str]:
    """File name -> SVG of each figure in the article on `experiment`, in the page's order and its light colours."""
    heading = f">{experiment}</h2>"
    article = next((text for text in _ARTICLE.findall(page) if heading in text), "")
    colours = _COLOURS.search(page)
    style = f"<style>{colours[0] if colours else ''} svg {{ background: white; }}</style>"
    found = {}
    for number, (drawing, caption) in enumerate(_FIGURE.findall(article), start=1):
        words = re.sub(r"[^a-z0-9]+", "-", unescape(caption).lower()).strip("-")[:60].strip("-")
        opening, _, rest = drawing.partition(">")
        found[f"{number:02d}-{words}.svg"] = f"<svg {_SPACES}{opening}>{style}{rest}\n"
    return found
