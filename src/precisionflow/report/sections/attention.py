"""Attention: entropy and precision of every head, symbols that are trusted least and most, over training; edges."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import ATTENTION, ATTENTION_HISTORY, EDGES
from precisionflow.report.attention import Measure, head_table, history_table, symbol_table
from precisionflow.report.figures.attention import heatmap
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import MOST_FIGURES, Picture
from precisionflow.report.section import Section
from precisionflow.report.tables import Table
from precisionflow.results.layout import EvaluatedCell, TrainedCell


def section(material: Material) -> Section | None:
    """Tables and maps of every variant; none where none asks to look inside (evaluation.inspect, monitor_every)."""
    tables = [
        table
        for group in material.groups
        for tables in (tables_of(group), histories(group))
        for table in tables
    ]
    if not tables:
        return None
    pictures = [picture for group in material.groups for picture in maps(group)]
    return Section("Attention", "sections/attention.html.jinja", {"tables": tables, "pictures": pictures})


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


def maps(group: Group) -> Iterator[Picture]:
    """Edges with their tokens in the first cell of the first variants; nothing where evaluation left none."""
    for variant in group.variants[:MOST_FIGURES]:
        file = EvaluatedCell(group.evaluations[variant.name][0]).edges
        if not file.is_file():
            continue
        rows = read_parquet(file, EDGES).to_pylist()
        tokens = [row["attended"] for row in rows if row["query"] == 0]
        probabilities = np.reshape([row["probability"] for row in rows], (len(tokens), len(tokens)))
        seed, split = variant.experiment.seeds[0], variant.experiment.splits[0]
        head = f"layer {rows[0]['layer']} head {rows[0]['head']}"
        where = f"{variant.name} on {group.dataset}, seed {seed}, split {split}"
        yield Picture(
            heatmap(probabilities, tokens, alt=f"Posterior over edges of {head}, {where}"),
            f"{where}: {head}, that of the least entropy, over the first {len(tokens)} tokens of the test text.",
        )


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
