"""Export: every figure and table of the page as files."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.csv as pcsv
import pytest
from matplotlib.image import imread

from precisionflow.ablation.aggregate import by_name, read_aggregate
from precisionflow.report.export import export
from precisionflow.report.page import Inputs, articles, render
from precisionflow.report.raster import SCALE
from tests.report.conftest import Results


@pytest.fixture(scope="module")
def page_and_files(results: Results, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    inputs = Inputs(
        by_name(results.experiments),
        models=results.models,
        evaluations=results.evaluations,
        aggregate=results.aggregate,
    )
    shown, out = articles(inputs), tmp_path_factory.mktemp("export")
    page = render(shown, keys={})
    count = export(page, shown, read_aggregate(results.aggregate), out=out)
    assert count == sum(path.is_file() for path in out.rglob("*"))
    return page, out


def test_every_figure_is_a_document_without_variables(page_and_files: tuple[str, Path]) -> None:
    page, out = page_and_files
    files = sorted((out / "figures").rglob("*.svg"))
    assert len(files) == page.count("<figure>")
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "var(" not in text
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"


def test_every_figure_is_a_picture_too(page_and_files: tuple[str, Path]) -> None:
    _, out = page_and_files
    for file in (out / "figures").rglob("*.svg"):
        box = ElementTree.fromstring(file.read_text(encoding="utf-8")).get("viewBox", "").split()
        pixels = imread(file.with_suffix(".png"))
        assert pixels.shape[1::-1] == tuple(int(SCALE * float(side)) for side in box[2:])
        assert (pixels[..., :3].min(axis=2) < 1).mean() > 0.01, file.name


def test_curves_of_several_variants_have_their_legend(page_and_files: tuple[str, Path]) -> None:
    _, out = page_and_files
    (curve,) = (out / "figures" / "twins").glob("*-loss-on-the-training-batches.svg")
    root = ElementTree.fromstring(curve.read_text(encoding="utf-8"))
    texts = [text.text for text in root.findall("{http://www.w3.org/2000/svg}text")]
    assert texts == [
        *("backprop+dot_product", "backprop+precision"),
        *("predictive_coding+dot_product", "predictive_coding+precision"),
    ]


def test_every_table_is_there_in_three_forms(page_and_files: tuple[str, Path]) -> None:
    page, out = page_and_files
    for suffix in ("csv", "md", "tex"):
        files = list((out / "tables").rglob(f"*.{suffix}"))
        assert len(files) == page.count("<caption>")
    (scores,) = (out / "tables" / "noise").glob("*-scores-on-diabetes.csv")
    rows = list(csv.reader(scores.read_text(encoding="utf-8").splitlines()))
    assert [row[0] for row in rows[1:3]] == ["homoscedastic", "heteroscedastic"]


def test_the_numbers_have_all_their_digits(results: Results, page_and_files: tuple[str, Path]) -> None:
    _, out = page_and_files
    there = read_aggregate(results.aggregate)
    for name in there._fields:
        kept = results.aggregate / f"{name}.parquet"
        assert (out / f"{name}.parquet").read_bytes() == kept.read_bytes()
    assert pcsv.read_csv(out / "table.csv")["mean"].to_pylist() == there.table["mean"].to_pylist()
