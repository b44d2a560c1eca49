"""Drawing on a small SVG canvas whose colours are the page's CSS variables, so that one figure fits light and dark."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any
from unicodedata import east_asian_width

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from precisionflow.report.drawn import Drawn, Numbers

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
class Sketch:
    """Axes, and the SVG text once they are left."""

    figure: Figure
    axes: Axes
    parts: list[str]

    @property
    def svg(self) -> str:
        return "".join(self.parts)

    def title(self, text: str, *, bold: bool = False) -> None:
        """Write a title above the axes, `shortened`."""
        self.axes.set_title(shortened(text), fontweight="bold" if bold else "normal")


@dataclass(frozen=True)
class Drawing(Sketch):
    """A sketch of numbers: a figure of the page."""

    numbers: Numbers

    @property
    def drawn(self) -> Drawn:
        """The finished figure."""
        return Drawn(self.svg, self.numbers)


def stroke(index: int) -> Stroke:
    """The look of series `index`."""
    colour = _COLOURS[f"series-{index % SERIES}"]
    return Stroke(colour, _DASHES[(index + index // SERIES) % len(_DASHES)], _MARKERS[index % len(_MARKERS)])


@contextmanager
def canvas(
    name: str, *, alt: str, numbers: Numbers, width: float = 320, height: float = 250
) -> Iterator[Drawing]:
    """Axes of `width` x `height` CSS pixels, on which the block draws `numbers`.

    After it the drawing is finished, as `drawn`: its ids start with `name`, and screen readers say `alt`.
    """
    with sketch(name, alt=alt, width=width, height=height) as of:
        yield Drawing(of.figure, of.axes, of.parts, numbers)


@contextmanager
def sketch(name: str, *, alt: str, width: float, height: float) -> Iterator[Sketch]:
    """Axes of anything; its `svg` is finished after the block."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        drawing = Sketch(figure, figure.add_subplot(), [])
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
    return _sample(index).replace(f"{_NAME}-", f"{name}-")


_NAME = "name-of-the-sample"
"""Start of the ids of a sample that is drawn once for all legends."""


@cache
def _sample(index: int) -> str:
    with sketch(_NAME, alt="", width=36, height=12) as drawing:
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


_STEPS = re.compile(r"\s*([MLHVCQZz])\s*")
_USE = r'<use href="(#[^"]*)" x="([^"]*)" y="([^"]*)" style="([^"]*)"/>\n'
_ALIKE = re.compile(rf'{_USE}(?:<use href="\1" x="[^"]*" y="[^"]*" style="\4"/>\n)+')
_BARE = re.compile(r"<g>\n((?:(?!<g\b|</g>).)*?)</g>\n?", re.S)


def lightened(text: str) -> str:
    """The same drawing in fewer bytes.

    Places to a hundredth of a pixel, paths without blanks, short names, one style for marks that are alike, the page's
    font, no turn by 0 degrees, nothing unseen, no name that nothing refers to, no group without a name or a style.
    """
    text = re.sub(r"\n\s*", "\n", re.sub(r" font-family: [^;\"]*;?", "", text))
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    text = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), text)
    text = re.sub(r'<path d="[^"]*" style="fill: none"/>\n', "", text)
    text = re.sub(r' d="([^"]*)"', lambda m: f' d="{_STEPS.sub(_letter, m[1].strip())}"', text)
    used = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    for place, name in enumerate(used):
        text = re.sub(
            rf'((?: id="|href="#|url\(#)){re.escape(name)}(?=[")])', rf"\g<1>{_short(name, place)}", text
        )
    text = _ALIKE.sub(_together, text)
    while (less := _BARE.sub(r"\1", text)) != text:
        text = less
    return text


def _letter(step: re.Match[str]) -> str:
    return step[1]


def _short(name: str, place: int) -> str:
    """The name of the figure, and the place of the name in it instead of what the drawing calls it."""
    return f"{name.rpartition('-')[0]}-{place}"


def _together(uses: re.Match[str]) -> str:
    """Marks of one look in a group that has it."""
    marks = re.sub(_USE, r'<use href="\1" x="\2" y="\3"/>\n', uses[0])
    return f'<g style="{uses[4]}">\n{marks}</g>\n'


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
    return re.sub(r"^<svg[^>]*>", lambda _: opening, text).strip()
