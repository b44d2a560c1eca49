"""Attention: entropy and precision of every head, and the symbols that are trusted least and most."""

from collections.abc import Iterator

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import ATTENTION
from precisionflow.report.attention import head_table, symbol_table
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import MOST_FIGURES
from precisionflow.report.section import Section
from precisionflow.report.tables import Table
from precisionflow.results.layout import EvaluatedCell


def section(material: Material) -> Section | None:
    """The tables of every variant; none where no experiment asks to look inside (evaluation.inspect)."""
    tables = [table for group in material.groups for table in tables_of(group)]
    return Section("Attention", "sections/attention.html.jinja", {"tables": tables}) if tables else None


def tables_of(group: Group) -> Iterator[Table]:
    """Means over all cells of a variant, of the first variants; nothing where evaluation left no table."""
    for variant in group.variants[:MOST_FIGURES]:
        files = [EvaluatedCell(folder).attention for folder in group.evaluations[variant.name]]
        if not all(file.is_file() for file in files):
            continue
        rows = [row for file in files for row in read_parquet(file, ATTENTION).to_pylist()]
        yield head_table(rows, caption=f"Heads of {variant.name} on {group.dataset}")
        trusted = symbol_table(rows, caption=f"Symbols of {variant.name} by the precision that they state")
        if trusted is not None:
            yield trusted
