"""Figures as PNG: the elements of SVG that the page's figures use, drawn by matplotlib.

Known are svg, g, path (M L H V C Q Z), rect, use, text with tspan, image, clipPath, transforms, and as attributes or as
style: fill, stroke, their opacities, widths, dashes and caps, size and anchor of texts.
"""

import base64
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import BboxImage, imread
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox, IdentityTransform, Transform

SCALE = 2
"""Pixels of the PNG for each of the figure's."""
POINTS = 72
"""Pixels of a figure for an inch, so that a width in pixels is one in points."""
_HREF = "{http://www.w3.org/1999/xlink}href"
_ANCHORS: dict[str, Literal["left", "center", "right"]] = {
    "start": "left",
    "middle": "center",
    "end": "right",
}
_CAPS = {"square": "projecting"}
_TOKEN = re.compile(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_CALL = re.compile(r"(\w+)\(([^)]*)\)")

Style = Mapping[str, str]


def png_of(svg: str) -> bytes:
    """An SVG document in resolved colours as PNG on white; the same bytes for the same text.

    ValueError for an element, a path or a colour that is none of those known.
    """
    root = ElementTree.fromstring(svg)
    *_, width, height = _numbers(root.get("viewBox", ""))
    with rc_context({"font.family": "sans-serif", "path.simplify": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=(width / POINTS, height / POINTS), dpi=POINTS * SCALE, facecolor="white")
        place = Affine2D().scale(1, -1).translate(0, height).scale(SCALE)
        named = {of.get("id", ""): of for of in root.iter()}
        for order, artist in enumerate(_children(root, {}, place, named)):
            artist.set_zorder(order)
            figure.add_artist(artist)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _children(
    parent: Element, style: Style, place: Affine2D, named: Mapping[str, Element]
) -> Iterator[Artist]:
    for element in parent:
        yield from _drawn(element, style, place, named)


def _drawn(element: Element, above: Style, place: Affine2D, named: Mapping[str, Element]) -> Iterator[Artist]:
    """The artists of an element, in the order in which they are painted; `place` is of its parent's coordinates."""
    style, place = _style(element, above), _then(_transform(element.get("transform", "")), place)
    clip = style.get("clip-path", "")
    match element.tag.rpartition("}")[2]:
        case "g":
            found = _children(element, style, place, named)
        case "svg":
            found = _children(element, style, _then(_box(element), place), named)
        case "use":
            moved = Affine2D().translate(_attribute(element, "x"), _attribute(element, "y"))
            found = _drawn(named[_reference(element)[1:]], style, _then(moved, place), named)
        case "path" | "rect":
            found = iter([_patch(_outline(element), style, place)])
        case "text":
            found = _texts(element, style, place)
        case "image":
            found = iter([_image(element, place)])
        case "defs" | "clipPath" | "title" | "desc":
            found = iter([])
        case tag:
            raise ValueError(f"<{tag}>: is no element that a figure of the page has")
    for artist in found:
        if clip.startswith("url(#") and artist.get_clip_path() is None:
            (area,) = named[clip[5:-1]]
            outline = _outline(area)
            artist.set_clip_path(outline, transform=place)
            artist.set_clip_box(outline.get_extents(place))  # all that Agg clips a text by
        yield artist


def _style(element: Element, above: Style) -> dict[str, str]:
    """An element's own style over that above it; opacities of groups are multiplied."""
    own = {name: value for name, value in element.attrib.items() if name not in ("style", "transform", "id")}
    own |= dict(re.findall(r"([\w-]+)\s*:\s*([^;]+)", element.get("style", "")))
    found = {name: value for name, value in above.items() if name not in ("clip-path", "x", "y", "d")} | own
    if "opacity" in own and "opacity" in above:
        found["opacity"] = str(float(own["opacity"]) * float(above["opacity"]))
    return {name: value.strip() for name, value in found.items()}


def _patch(path: Path, style: Style, place: Transform) -> PathPatch:
    width, whole = float(style.get("stroke-width", 1)), float(style.get("opacity", 1))
    stroke = _colour(style.get("stroke", "none"), whole * float(style.get("stroke-opacity", 1)))
    dashes = [] if style.get("stroke-dasharray", "none") == "none" else _numbers(style["stroke-dasharray"])
    return PathPatch(
        path,
        facecolor=_colour(style.get("fill", "black"), whole * float(style.get("fill-opacity", 1))),
        edgecolor=stroke,
        linewidth=width if stroke[3] else 0.0,
        linestyle=(
            (float(style.get("stroke-dashoffset", 0)) / width, [d / width for d in dashes])
            if dashes
            else "solid"
        ),
        capstyle=_CAPS.get(style.get("stroke-linecap", "butt"), style.get("stroke-linecap", "butt")),
        joinstyle=style.get("stroke-linejoin", "round"),
        transform=place,
    )


def _texts(element: Element, style: Style, place: Affine2D) -> Iterator[Text]:
    """The text of an element, and of each <tspan> in it by characters where each has its own place."""
    yield from _pieces(element, style, place)
    for part in element:
        yield from _pieces(part, _style(part, style), place)


def _pieces(element: Element, style: Style, place: Affine2D) -> Iterator[Text]:
    text = (element.text or "").strip()
    x, y = (_numbers(element.get(name, "0")) for name in ("x", "y"))
    pieces = list(text) if len(x) == len(text) > 1 else [text] * bool(text)
    (a, _, _), (b, _, _), _ = place.get_matrix()
    for index, piece in enumerate(pieces):
        left, top = place.transform((x[min(index, len(x) - 1)], y[min(index, len(y) - 1)]))
        yield Text(
            left,
            top,
            piece,
            color=_colour(style.get("fill", "black"), float(style.get("opacity", 1))),
            fontsize=_numbers(style.get("font-size", "10"))[0],
            horizontalalignment=_ANCHORS[style.get("text-anchor", "start")],
            verticalalignment="baseline",
            rotation=math.degrees(math.atan2(b, a)),
            rotation_mode="anchor",
            parse_math=False,
            transform=IdentityTransform(),
        )


def _image(element: Element, place: Affine2D) -> BboxImage:
    data = _reference(element).partition("base64,")[2]
    x, y, width, height = (_attribute(element, name) for name in ("x", "y", "width", "height"))
    (left, top), (right, bottom) = place.transform([(x, y), (x + width, y + height)])
    found = BboxImage(Bbox.from_extents(left, bottom, right, top), interpolation="nearest", origin="upper")
    found.set_data(imread(io.BytesIO(base64.b64decode(data))))
    return found


def _outline(element: Element) -> Path:
    """The outline of a path or a rectangle."""
    if element.tag.rpartition("}")[2] == "rect":
        x, y, width, height = (_attribute(element, name) for name in ("x", "y", "width", "height"))
        return Path([(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], closed=True)
    return _path(element.get("d", ""))


def _path(text: str) -> Path:
    """The path of an attribute d; capital commands have absolute places, small ones relative to where they start."""
    tokens = _TOKEN.findall(text)
    points, codes, here, start = list[np.ndarray](), list[int](), np.zeros(2), np.zeros(2)
    command, position = "", 0
    while position < len(tokens):
        if tokens[position].isalpha():
            command, position = tokens[position], position + 1
            if command in "Zz":
                points.append(start)
                codes.append(int(Path.CLOSEPOLY))
                here = start
                continue
        count = {"H": 1, "V": 1, "M": 2, "L": 2, "Q": 4, "C": 6}.get(command.upper())
        if count is None:
            raise ValueError(f"path {text[:40]!r}: command {command!r} is none that a figure of the page has")
        given = np.array([float(number) for number in tokens[position : position + count]])
        position += count
        origin = here if command.islower() else np.zeros(2)
        match command.upper():
            case "H":
                steps = np.array([[origin[0] + given[0], here[1]]])
            case "V":
                steps = np.array([[here[0], origin[1] + given[0]]])
            case _:
                steps = given.reshape(-1, 2) + origin
        code = {"M": Path.MOVETO, "Q": Path.CURVE3, "C": Path.CURVE4}.get(command.upper(), Path.LINETO)
        points += list(steps)
        codes += [int(code)] * len(steps)
        here = steps[-1]
        if command in "Mm":
            start, command = here, {"M": "L", "m": "l"}[command]
    return Path(np.array(points).reshape(-1, 2), codes)


def _box(element: Element) -> Affine2D:
    """Coordinates inside a nested <svg> to those around it."""
    left, top, width, height = _numbers(element.get("viewBox", ""))
    x, y = _attribute(element, "x"), _attribute(element, "y")
    sides = float(element.get("width", width)) / width, float(element.get("height", height)) / height
    return Affine2D().translate(-left, -top).scale(*sides).translate(x, y)


def _transform(text: str) -> Affine2D:
    """Of several the last acts first."""
    found = Affine2D()
    for name, inside in reversed(_CALL.findall(text)):
        given = _numbers(inside)
        match name:
            case "translate":
                found = found.translate(given[0], given[1] if len(given) > 1 else 0.0)
            case "scale":
                found = found.scale(given[0], given[-1])
            case "rotate":
                x, y = given[1:] or (0.0, 0.0)
                found = found.rotate_deg_around(x, y, given[0])
            case "matrix":
                found = _then(found, Affine2D.from_values(*given))
            case _:
                raise ValueError(f"transform {name!r} is none that a figure of the page has")
    return found


def _colour(text: str, opacity: float) -> tuple[float, float, float, float]:
    if text == "none":
        return (0.0, 0.0, 0.0, 0.0)
    if text.startswith("rgba("):
        red, green, blue, alpha = _numbers(text)
        return (red / 255, green / 255, blue / 255, alpha * opacity)
    red, green, blue, alpha = to_rgba(text)
    return (red, green, blue, alpha * opacity)


def _reference(element: Element) -> str:
    return element.get("href") or element.get(_HREF) or ""


def _then(first: Affine2D, second: Affine2D) -> Affine2D:
    return Affine2D(second.get_matrix() @ first.get_matrix())


def _attribute(element: Element, name: str) -> float:
    return float(element.get(name, 0))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(text)]
