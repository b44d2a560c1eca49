"""Tables on the screen or in a file: as a terminal shows them, as Markdown, LaTeX or comma-separated values."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, assert_never

from rich.console import Console

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.app.standing import something_standing
from precisionflow.console import note
from precisionflow.records.files import write_text
from precisionflow.report.forms import latex, markdown, separated
from precisionflow.report.summary import numbers_of, summary
from precisionflow.report.tables import Table
from precisionflow.report.terminal import UNBOUNDED, print_table, terminal

Form = Literal["text", "markdown", "latex", "csv"]


def table_of_folder(folder: Path, *, form: Form, metrics: Sequence[str], out: Path | None) -> None:
    """The scores and contrasts of a results folder; of a study that is not finished those of what stands.

    `metrics` are those of the scores, by default those that are contrasted. ValueError where no cell is done, and for
    a metric that is not measured.
    """
    with something_standing(folder) as there:
        results = read_aggregate(there.aggregate)
        tables = list(summary(there.experiments, results, metrics=metrics))
        if form == "csv":
            tables = [numbers_of(there.experiments, results, metrics=metrics)]
        if there.told:
            note(there.told)
    give(tables, form=form, out=out)


def give(tables: Sequence[Table], *, form: Form, out: Path | None) -> None:
    """Tables in a form to standard output, or into a file."""
    if form == "text" and out is None:
        console = terminal()
        for table in tables:
            print_table(table, console)
        return
    text = _text(tables, form)
    if out is None:
        print(text, end="")
    else:
        write_text(text, out)


def _text(tables: Iterable[Table], form: Form) -> str:
    match form:
        case "text":
            file = io.StringIO()
            console = Console(file=file, width=UNBOUNDED, markup=False, emoji=False, highlight=False)
            for table in tables:
                print_table(table, console)
            return file.getvalue().lstrip("\n")
        case "markdown":
            return "\n".join(map(markdown, tables))
        case "latex":
            return "\n".join(map(latex, tables))
        case "csv":
            return "\n".join(map(separated, tables))
        case _:
            assert_never(form)
