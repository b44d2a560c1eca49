"""Figures as PNG: shapes, strokes, texts and images lie where the SVG has them; what is unknown is refused."""

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from precisionflow.report.raster import SCALE, png_of

SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
RED, WHITE = [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]


def drawn(content: str, *, width: int = 40, height: int = 20) -> np.ndarray:
    """Colours of the pixels, (rows, columns, 3), of a drawing."""
    text = f'<svg {SPACES} viewBox="0 0 {width} {height}">{content}</svg>'
    assert png_of(text) == png_of(text)
    pixels = imread(io.BytesIO(png_of(text)))[..., :3]
    assert pixels.shape[:2] == (height * SCALE, width * SCALE)
    return pixels


def at(pixels: np.ndarray, x: float, y: float) -> list[float]:
    return np.round(pixels[int(y * SCALE), int(x * SCALE)], 2).tolist()


def place_of(pixels: np.ndarray) -> tuple[float, float]:
    """Mean (x, y) of the ink."""
    rows, columns = np.nonzero(pixels.min(axis=2) < 0.5)
    return float(columns.mean() / SCALE), float(rows.mean() / SCALE)


@pytest.mark.parametrize(
    "d", ["M 10 5 L 20 5 L 20 15 L 10 15 z", "M10 5h10v10h-10z", "m 10 5 10 0 0 10 -10 0 Z"]
)
def test_a_path_is_filled_where_it_is(d: str) -> None:
    pixels = drawn(f'<path fill="#ff0000" d="{d}"/>')
    assert at(pixels, 15, 10) == at(pixels, 10.5, 5.5) == at(pixels, 19.4, 14.4) == RED
    assert at(pixels, 8, 10) == at(pixels, 22, 10) == at(pixels, 15, 3) == at(pixels, 15, 17) == WHITE


def test_curves_bend_by_their_middle_points() -> None:
    quadratic = drawn('<path fill="#f00" d="M 0 20 Q 20 -20 40 20 z"/>')
    assert at(quadratic, 20, 2) == RED
    assert at(quadratic, 5, 2) == WHITE
    cubic = drawn('<path fill="#f00" d="M 0 20 C 0 0 40 0 40 20 z"/>')
    assert at(cubic, 20, 7) == RED
    assert at(cubic, 20, 3) == WHITE


def test_transforms_and_references_move_what_is_drawn() -> None:
    mark = '<defs><path id="m" d="M 0 0 h 4 v 4 h -4 z"/></defs>'
    used = drawn(
        f'{mark}<g transform="translate(10 2) scale(2)"><use href="#m" x="3" y="1" style="fill: #f00"/></g>'
    )
    assert at(used, 17, 5) == at(used, 23.4, 11.4) == RED
    assert at(used, 15, 5) == at(used, 25, 11) == at(used, 17, 13) == WHITE
    turned = drawn('<path fill="#f00" transform="rotate(90 20 10)" d="M 20 9 h 8 v 2 h -8 z"/>')
    assert at(turned, 20, 14) == RED
    assert at(turned, 25, 10) == WHITE


def test_nested_drawings_and_clipped_ones_keep_to_their_boxes() -> None:
    inner = '<svg x="10" y="5" width="20" height="10" viewBox="0 0 2 1"><path fill="#f00" d="M0 0h1v1h-1z"/></svg>'
    nested = drawn(inner)
    assert at(nested, 15, 10) == RED
    assert at(nested, 25, 10) == at(nested, 15, 3) == WHITE
    clip = '<defs><clipPath id="c"><rect x="0" y="0" width="20" height="20"/></clipPath></defs>'
    clipped = drawn(f'{clip}<path clip-path="url(#c)" fill="#f00" d="M 10 5 h 20 v 10 h -20 z"/>')
    assert at(clipped, 15, 10) == RED
    assert at(clipped, 25, 10) == WHITE


CORNERS = np.array([[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 0]]], dtype=float)
"""Red and green above blue and black."""


def image(x: float, y: float, width: float, height: float, more: str = "") -> str:
    """An <image> of the four CORNERS."""
    buffer = io.BytesIO()
    imsave(buffer, CORNERS, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    box = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    return f'<image {more} {box} xlink:href="data:image/png;base64,{data}"/>'


def test_an_image_fills_its_box_the_first_row_above() -> None:
    pixels = drawn(image(10, 5, 20, 10))
    found = [[at(pixels, x, y) for x in (10.5, 19.4, 20.5, 29.4)] for y in (5.5, 9.4, 10.5, 14.4)]
    assert found == np.repeat(np.repeat(CORNERS, 2, axis=0), 2, axis=1).tolist()
    assert at(pixels, 9, 10) == at(pixels, 31, 10) == at(pixels, 20, 4) == at(pixels, 20, 16) == WHITE
    moved = drawn(f'<g transform="translate(10 5) scale(2)">{image(0, 0, 10, 5)}</g>')
    assert np.array_equal(moved, pixels)


def test_what_comes_later_is_painted_over_what_comes_before() -> None:
    """Of whatever kind: matplotlib by itself puts texts over shapes and shapes over images."""
    rect = '<rect fill="#f0f" x="0" y="0" width="40" height="20"/>'
    half = '<rect fill="#f0f" x="20" y="0" width="20" height="20"/>'
    text = '<text x="2" y="18" font-size="18">mmmmm</text>'
    over = drawn(rect + image(0, 0, 40, 20) + half)
    assert at(over, 10, 5) == RED
    assert at(over, 10, 15) == [0.0, 0.0, 1.0]
    assert at(over, 30, 5) == at(over, 30, 15) == [1.0, 0.0, 1.0]
    assert (drawn(rect + text) == drawn(rect)).all(axis=2).mean() < 0.9
    assert np.array_equal(drawn(text + rect), drawn(rect))


def test_a_clip_holds_for_all_that_is_drawn_in_it() -> None:
    clip = '<defs><clipPath id="c"><path d="M 0 0 H 20 V 20 H 0 z"/></clipPath></defs>'
    inside = {
        "shape": '<path fill="#f00" d="M 2 2 H 38 V 18 H 2 z"/>',
        "text": '<text x="2" y="16" font-size="14">mmmm</text>',
        "image": image(2, 2, 36, 16),
    }
    for kind, content in inside.items():
        whole, clipped = drawn(content), drawn(f'{clip}<g clip-path="url(#c)">{content}</g>')
        left, right = np.s_[:, : 20 * SCALE - 1], np.s_[:, 20 * SCALE + 1 :]
        assert np.array_equal(clipped[left], whole[left]), kind
        assert (clipped[right] == 1).all(), kind
        assert not (whole[right] == 1).all(), kind
    moved = drawn(f'{clip}<g transform="translate(10 0)"><g clip-path="url(#c)">{inside["shape"]}</g></g>')
    assert at(moved, 29, 10) == RED
    assert at(moved, 31, 10) == WHITE


def test_strokes_have_their_width_dashes_and_opacity() -> None:
    line = drawn('<path style="fill: none; stroke: #ff0000; stroke-width: 4" d="M 0 10 L 40 10"/>')
    assert at(line, 20, 8.6) == at(line, 20, 11.4) == RED
    assert at(line, 20, 7) == at(line, 20, 13) == WHITE
    style = "fill: none; stroke: #ff0000; stroke-width: 4; stroke-dasharray: 10,10; stroke-opacity: 0.5"
    dashed = drawn(f'<path style="{style}" d="M 0 10 L 40 10"/>')
    assert at(dashed, 5, 10) == at(dashed, 25, 10) == pytest.approx([1.0, 0.5, 0.5], abs=0.01)
    assert at(dashed, 15, 10) == at(dashed, 35, 10) == WHITE
    group = drawn('<g opacity="0.5"><path fill="rgba(255, 0, 0, 0.5)" d="M0 0h40v20h-40z"/></g>')
    assert at(group, 20, 10) == pytest.approx([1.0, 0.75, 0.75], abs=0.01)


def test_texts_stand_at_their_anchors_and_turn() -> None:
    def text(attributes: str) -> tuple[float, float]:
        return place_of(drawn(f'<text font-size="10" {attributes}>mmm</text>', width=120, height=80))

    middle, start, end = (text(f'x="60" y="40" text-anchor="{a}"') for a in ("middle", "start", "end"))
    assert end[0] + 10 < middle[0] < start[0] - 10
    assert middle[0] == pytest.approx(60, abs=1)
    assert 34 < middle[1] < 40
    up = text('transform="translate(60 40) rotate(-90)"')
    assert up[1] < 30
    assert up[0] < 60
    across, down = place_of(drawn("<text x='5' y='15' font-size='10'>$m$</text>"))
    assert 13 < across < 20, "dollars are characters, no mathematics"
    assert 9 < down < 15


def test_parts_of_a_text_stand_by_their_characters() -> None:
    tspan = '<text><tspan x="5 30" y="15" style="font-size: 8px">11</tspan></text>'
    pixels = drawn(tspan)
    assert (pixels[:, : 15 * SCALE] < 0.5).any()
    assert (pixels[:, 28 * SCALE :] < 0.5).any()
    assert not (pixels[:, 15 * SCALE : 28 * SCALE] < 0.5).any()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<circle r='3'/>", "<circle>"),
        ("<path d='M 0 0 A 1 1 0 0 0 1 1'/>", "command 'A'"),
        ("<g transform='skewX(3)'><path d='M 0 0 L 1 1'/></g>", "skewX"),
        ("<path fill='var(--ink)' d='M 0 0 L 1 1'/>", "var"),
    ],
)
def test_what_is_unknown_is_refused(content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        drawn(content)
