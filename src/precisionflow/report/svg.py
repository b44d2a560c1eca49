"""Drawing on a small SVG canvas whose colours are the page's CSS variables, so that one figure fits light and dark."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import east_asian_width

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SERIES = 8
"""Colours --series-0 .. --series-7; later series start again with another dash."""

# matplotlib knows no CSS variables: it draws in colours that nothing else uses, and the text is replaced afterwards.
_VARIABLES = {
    "#fe0001": "--ink",
    "#fe0002": "--muted",
    "#fe0003": "--rule",
    "#fe0004": "--band",
    "#fe0005": "--better",
    "#fe0006": "--worse",
    "#fe0007": "--surface",
    "#fe0008": "--equivalent",
    **{f"#fe01{k:02x}": f"--series-{k}" for k in range(SERIES)},
}
_COLOURS = {name.removeprefix("--"): colour for colour, name in _VARIABLES.items()}
INK, MUTED, RULE, BAND, BETTER, WORSE, EQUIVALENT, SURFACE = (
    _COLOURS[name] for name in ("ink", "muted", "rule", "band", "better", "worse", "equivalent", "surface")
)

TITLE_CHARACTERS = 38
"""Characters that fit above a figure or a line of it, in a wide font too."""

_DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_MARKERS = "osD^vPX*"

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "precisionflow",
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
}


@dataclass(frozen=True)
class Stroke:
    """How one series looks: colour, dash and marker, so that colour is never the only difference."""

    colour: str
    dash: Any
    marker: str


@dataclass(frozen=True)
class Drawing:
    """The SVG text, once the canvas is closed."""

    figure: Figure
    axes: Axes
    parts: list[str]

    @property
    def svg(self) -> str:
        return "".join(self.parts)

    def title(self, text: str, *, bold: bool = False) -> None:
        """Write a title above the axes, `shortened`."""
        self.axes.set_title(shortened(text), fontweight="bold" if bold else "normal")


def stroke(index: int) -> Stroke:
    """The look of series `index`."""
    colour = _COLOURS[f"series-{index % SERIES}"]
    return Stroke(colour, _DASHES[(index + index // SERIES) % len(_DASHES)], _MARKERS[index % len(_MARKERS)])


@contextmanager
def canvas(name: str, *, alt: str, width: float = 320, height: float = 250) -> Iterator[Drawing]:
    """Axes of `width` x `height` CSS pixels.

    After the block the drawing's `svg` is finished: its ids start with `name`, and screen readers say `alt`.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        drawing = Drawing(figure, figure.add_subplot(), [])
        yield drawing
        buffer = io.StringIO()
        figure.savefig(
            buffer,
            format="svg",
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            transparent=True,
        )
    drawing.parts.append(_inline(buffer.getvalue(), name, alt))


_EMS = {1.0: "WMmw%@…", 0.4: "ijlI.,:;|!'()[]-/ "}
"""Width of signs in the font's size, in a wide font."""
_OF_SIGN = {sign: width for width, signs in _EMS.items() for sign in signs}


def text_width(text: str, *, size: float) -> float:
    """CSS pixels that a line of text takes at most, in a font as wide as DejaVu Sans."""
    return size * sum(map(_ems, text))


def _ems(sign: str) -> float:
    if east_asian_width(sign) in "WF":
        return 1.0
    usual = 0.65 if sign.islower() or sign.isdigit() or sign == "_" else 0.88
    return _OF_SIGN.get(sign, usual)


def shortened(text: str) -> str:
    """At most TITLE_CHARACTERS; an ellipsis stands for the middle, as names of variants differ at their ends."""
    if len(text) <= TITLE_CHARACTERS:
        return text
    end = TITLE_CHARACTERS // 2
    return f"{text[: TITLE_CHARACTERS - 1 - end]}…{text[-end:]}"


def legend_sample(index: int, *, name: str) -> str:
    """A short line in the look of series `index`, for a legend in HTML."""
    with canvas(name, alt="", width=36, height=12) as drawing:
        look = stroke(index)
        drawing.figure.set_layout_engine("none")
        drawing.axes.set_axis_off()
        drawing.axes.set_position((0, 0, 1, 1))
        drawing.axes.plot(
            [0, 1, 2],
            [0, 0, 0],
            color=look.colour,
            linestyle=look.dash,
            marker=look.marker,
            markevery=[1],
            clip_on=False,
        )
    return drawing.svg.replace('role="img" aria-label=""', 'aria-hidden="true"')


def lightened(text: str) -> str:
    """The same drawing in fewer bytes: places to a hundredth of a pixel, the page's font, no turn by 0 degrees, no name
    that nothing refers to, no group without a name or a style.
    """
    text = re.sub(r" font-family: [^;\"]*;?", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    text = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), text)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    bare = re.compile(r"<g>\n((?:(?!<g\b|</g>).)*?)</g>\n?", re.S)
    while (less := bare.sub(r"\1", text)) != text:
        text = less
    return text


def _inline(text: str, name: str, alt: str) -> str:
    """The <svg> element alone: no prologue, no style sheet (it would act on the whole page), ids made unique."""
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S
    )
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = lightened(re.sub(r"font: (?:\w+ )?([\d.]+)px [^;\"]*", r"font-size: \1px", text))
    text = re.sub(r"#fe0[01][0-9a-f]{2}", lambda m: f"var({_VARIABLES[m[0]]})", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    opening = f'<svg {box[0]} role="img" aria-label="{escape(alt)}">'
    return re.sub(r"\n\s*", "\n", re.sub(r"^<svg[^>]*>", lambda _: opening, text)).strip()
