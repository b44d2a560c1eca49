"""Export of a report: every figure as SVG, PNG and csv, every table as csv, the numbers behind them as Parquet."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.csv as pcsv

from precisionflow.ablation.aggregate import Aggregate
from precisionflow.records.files import replacing, write_parquet
from precisionflow.report.article import Article
from precisionflow.report.forms import latex, markdown, separated
from precisionflow.report.raster import png_of
from precisionflow.report.standalone import figures_of, file_stem
from precisionflow.report.tables import Table


def export(page: str, articles: Sequence[Article], results: Aggregate, *, out: Path) -> int:
    """Write what a page shows into folders of `out`, and the number of files.

    `figures/<experiment>/*`, each as svg and png in the page's light colours, with its numbers as csv;
    `tables/<experiment>/*`, each table as it is shown, as csv, md and tex; those of `aggregate` with all their digits
    as csv and parquet.
    """
    files = dict[Path, str | bytes]()
    for article in articles:
        name = article.experiment.name
        for file, text in figures_of(page, name).items():
            place = out / "figures" / name / file
            files[place] = text
            if place.suffix == ".svg":
                files[place.with_suffix(".png")] = png_of(text)
        for number, table in enumerate(_tables(article), start=1):
            stem = out / "tables" / name / file_stem(number, table.caption)
            for suffix, form in (("csv", separated), ("md", markdown), ("tex", latex)):
                files[stem.with_name(f"{stem.name}.{suffix}")] = form(table)
    for place, content in files.items():
        with replacing(place) as temporary:
            temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, rows in results._asdict().items():
        write_parquet(rows, out / f"{name}.parquet", rows.schema)
        with replacing(out / f"{name}.csv") as temporary:
            pcsv.write_csv(rows, temporary)
    return len(files) + 2 * len(results)


def _tables(article: Article) -> Iterator[Table]:
    """Every table of an article, in the order of its sections."""
    for section in article.sections:
        if section is not None:
            yield from _inside(section.context)


def _inside(content: Any) -> Iterator[Table]:
    match content:
        case Table():
            yield content
        case Mapping():
            for value in content.values():
                yield from _inside(value)
        case list() | tuple():
            for value in content:
                yield from _inside(value)
        case _ if dataclasses.is_dataclass(content) and not isinstance(content, type):
            for field in dataclasses.fields(content):
                yield from _inside(getattr(content, field.name))
