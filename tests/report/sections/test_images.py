"""The section on images from invented ones: what is drawn in which shades, and that it stays on the page."""

import base64
import io
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread

from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import IMAGES
from precisionflow.report.figures.images import image_rows, shades
from precisionflow.report.page import templates
from precisionflow.report.sections import images


def drawn(svg):
    """Every PNG of a figure as grey values from 0 to 255, with its place."""
    assert ElementTree.fromstring(svg).attrib["role"] == "img"
    found = re.findall(r'<image x="(\d+)" y="(\d+)"[^>]*base64,([^"]+)"', svg)
    read = [(int(x), int(y), imread(io.BytesIO(base64.b64decode(data)))) for x, y, data in found]
    return [(x, y, np.round(255 * image[..., :3])) for x, y, image in read]


def test_shades_run_from_the_lower_to_the_upper_end_and_stop_there():
    values = [0.0, 5.0, 10.0, -3.0, 12.0, 2.5]
    assert shades(values, (2, 3), ends=(0.0, 10.0)).tolist() == [[0, 128, 255], [0, 255, 64]]
    assert shades([4.0] * 4, (2, 2), ends=(4.0, 4.0)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("shape", "drawn_as"),
    [
        ((9,), (3, 3)),
        ((6,), (1, 6)),
        ((4, 5), (4, 5)),
        ((4, 5, 1), (4, 5)),
        ((1, 4, 5), (4, 5)),
        ((4, 5, 3), (4, 5, 3)),
        ((3, 4, 5), (4, 5, 3)),
        ((4, 5, 2), (4, 5)),
        ((100, 50), (34, 17)),
    ],
    ids=str,
)
def test_images_of_every_shape_are_drawn(shape, drawn_as):
    values = np.random.default_rng(0).random(np.prod(shape))
    assert shades(values, shape, ends=(0.0, 1.0)).shape == drawn_as


def test_colours_before_and_behind_the_places_are_drawn_alike():
    values = np.random.default_rng(0).random((4, 5, 3))
    behind = shades(values.ravel(), (4, 5, 3), ends=(0.0, 1.0))
    before = shades(np.moveaxis(values, 2, 0).ravel(), (3, 4, 5), ends=(0.0, 1.0))
    np.testing.assert_array_equal(before, behind)


def test_a_figure_holds_its_images_in_rows_with_names_and_notes():
    of = [np.full((2, 2), grey, dtype=np.uint8) for grey in (10, 200)]
    figure = image_rows({"one & all": of, "two": of[::-1]}, alt="<alt>", notes=("1", "2"))
    svg = figure.svg
    places = drawn(svg)
    assert [float(image.mean()) for *_, image in places] == [10, 200, 200, 10]
    assert [x for x, *_ in places] == [0, 38, 0, 38]
    assert len({y for _, y, _ in places}) == 2
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "<alt>"
    assert [text for text in root.itertext() if text.strip()] == ["one & all", "two", "1", "2"]
    assert svg == image_rows({"one & all": of, "two": of[::-1]}, alt="<alt>", notes=("1", "2")).svg
    assert {name: columns[1] for name, columns in figure.numbers.series.items()} == {
        "one & all": [10.0, 200.0],
        "two": [200.0, 10.0],
    }


def group_of(folder, *, with_images):
    """One variant with two first images and one strange one."""
    if with_images:
        line = {"free_energy": 0.5, "shape": [1, 2], "reconstruction": [1.0, 1.0], "completed": [0.0, 2.0]}
        rows = [
            line | {"chosen": chosen, "row": row, "original": original}
            for chosen, row, original in (
                ("first", 1, [0.0, 1.0]),
                ("first", 2, [2.0, 1.0]),
                ("strangest", 7, [1.0, 5.0]),
            )
        ]
        write_parquet(pa.Table.from_pylist(rows, schema=IMAGES), folder / "images.parquet", IMAGES)
    variant = SimpleNamespace(name="deep", experiment=SimpleNamespace(seeds=(0,), splits=(3,)))
    return SimpleNamespace(dataset="digits", variants=[variant], evaluations={"deep": [folder]})


def test_the_section_shows_the_first_images_and_the_strangest(tmp_path):
    group = group_of(tmp_path, with_images=True)
    section = images.section(SimpleNamespace(groups=(group,), several=False))
    (of,) = section.context["groups"]
    first, strangest = of.pictures
    assert [image[0, :, 0].tolist() for *_, image in drawn(first.drawn.svg)] == [
        *([0, 128], [255, 128]),
        *([128, 128], [128, 128]),
        *([0, 255], [0, 255]),
    ]
    assert [image[0, :, 0].tolist() for *_, image in drawn(strangest.drawn.svg)] == [[0, 255], [0, 0]]
    assert ">0.50</text>" in strangest.drawn.svg
    assert "split 3" in first.caption
    page = templates().get_template(section.template).render(section.context, title=section.title)
    assert page.count("<image") == 8


def test_without_images_there_is_no_section(tmp_path):
    group = group_of(tmp_path, with_images=False)
    assert images.section(SimpleNamespace(groups=(group,), several=False)) is None


def test_the_page_may_show_images_that_it_holds_itself():
    text = templates().loader.get_source(templates(), "head.html.jinja")[0]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text
