"""The tables of a run in the terminal."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from precisionflow.ablation.aggregate import by_dataset, by_name, read_aggregate
from precisionflow.config import Experiment
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.report import tables
from precisionflow.report.remarks import remarks
from precisionflow.report.summary import summary
from precisionflow.report.tables import Entry, Table
from precisionflow.results.failures import parted
from precisionflow.results.layout import Results, TrainedCell, cell_folders

NAME_WIDTH, LAST_WIDTH = 18, 11
"""Characters that the first and the last column keep, so that common names and verdicts are broken at blanks alone."""
SPARED = ("margin", "p", "p equivalent", "n")
"""Headings of columns of contrasts that a narrow terminal does without."""
UNBOUNDED = 10_000
"""Characters that no table has."""
STYLES = {"better": "green", "worse": "red", "equivalent": "cyan", "best": "bold", "too-few": "dim"}
"""Kind of an entry -> how rich shows it."""


def print_tables(experiments: Sequence[Experiment], aggregate: Path, console: Console) -> None:
    """Show the tables of an aggregate folder: by experiment and data set the contrasted metrics, then the contrasts."""
    for table in summary(experiments, read_aggregate(aggregate)):
        print_table(table, console)


def print_table(table: Table, console: Console) -> None:
    """Show one table after an empty line."""
    console.print()
    console.print(_fitting(table, console))


def print_remarks(experiments: Sequence[Experiment], results: Results, console: Console) -> None:
    """Say which trainings of a results folder should be looked at."""
    for experiment in by_name(experiments):
        for dataset, variants in by_dataset(experiment).items():
            cards = {
                variant.name: [
                    read_card(TrainedCell(folder).card, ModelCard)
                    for folder in parted(cell_folders([results.model(variant.experiment)]))[0]
                ]
                for variant in variants
            }
            cards = {name: of for name, of in cards.items() if of}
            for remark in remarks(cards):
                console.print(
                    f"look at {experiment.name} on {dataset}, {remark}", highlight=False, soft_wrap=True
                )


def terminal() -> Console:
    """The terminal in its width; a file or a pipe takes tables as wide as they are. Text is printed as it is."""
    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if narrow else UNBOUNDED, markup=False, emoji=False, highlight=False)


def _fitting(table: Table, console: Console) -> RichTable:
    """The whole table where it is narrow enough, else without the columns that can be done without."""
    whole = _rich(table)
    if Measurement.get(console, console.options.update_width(UNBOUNDED), whole).maximum <= console.width:
        return whole
    return _rich(tables.without(table, SPARED) if table.columns[0].text == "contrast" else table)


def _rich(table: Table) -> RichTable:
    made = RichTable(
        title=table.caption, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    last = len(table.columns) - 1
    first_widest, last_widest = (max(len(row[place].text) for row in table.rows) for place in (0, last))
    for index, heading in enumerate(table.columns):
        text = Text(heading.text if not heading.note else f"{heading.text}\n{heading.note}")
        outer = index in (0, last)
        made.add_column(
            text,
            justify="left" if outer else "right",
            no_wrap=not outer and not heading.note,
            overflow="fold",
            min_width={0: min(NAME_WIDTH, first_widest), last: min(LAST_WIDTH, last_widest)}.get(index),
        )
    for row in table.rows:
        made.add_row(*map(_shown, row))
    return made


def _shown(entry: Entry) -> Text:
    note = f"({entry.note})" if entry.kind == "open" and entry.note else entry.note
    beside, under = f"{entry.text} {note}".strip(), f"\nby chance {entry.chance}"
    return Text(beside + (under if entry.chance else ""), style=STYLES.get(entry.kind, ""))
