"""Attention: entropy and precision of every head, symbols that are trusted least and most, both over training."""

from collections.abc import Iterator
from typing import Literal

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import ATTENTION, ATTENTION_HISTORY
from precisionflow.report.attention import Measure, head_table, history_table, symbol_table
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import MOST_FIGURES
from precisionflow.report.section import Section
from precisionflow.report.tables import Table
from precisionflow.results.layout import EvaluatedCell, TrainedCell


def section(material: Material) -> Section | None:
    """The tables of every variant; none where none asks to look inside (evaluation.inspect, training.monitor_every)."""
    tables = [
        table
        for group in material.groups
        for tables in (tables_of(group), histories(group))
        for table in tables
    ]
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


def histories(group: Group) -> Iterator[Table]:
    """Means over all cells of a variant at some steps of its training; nothing where training left no table."""
    for variant in group.variants[:MOST_FIGURES]:
        files = [TrainedCell(folder).attention for folder in group.cells_of(group.trained.folders, variant)]
        if not all(file.is_file() for file in files):
            continue
        rows = [row for file in files for row in read_parquet(file, ATTENTION_HISTORY).to_pylist()]
        name = variant.name
        asked: list[tuple[Literal["layer", "symbol"], Measure, str]] = [
            ("layer", "entropy", f"Entropy of the edges by layer while {name} trains, nats"),
            ("layer", "log_precision", f"Precision by layer while {name} trains, geometric mean"),
            ("symbol", "log_precision", f"Precision by symbol while {name} trains, geometric mean"),
        ]
        for of, column, caption in asked:
            table = history_table(rows, of=of, column=column, caption=caption)
            if table is not None:
                yield table
