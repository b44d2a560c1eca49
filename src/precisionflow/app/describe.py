"""`precisionflow describe`: a file's columns, what is wrong with them, and the block to paste into an experiment."""

from collections.abc import Sequence
from pathlib import Path

from precisionflow.config.load import form_of, remedies_as_options
from precisionflow.config.yaml12 import write_yaml
from precisionflow.data.description.column import Described
from precisionflow.data.description.file import describe_file
from precisionflow.data.readers.mistakes import in_one_line

HEADER = ("column", "kind", "missing", "holds")


def described(path: Path, *, target: str | None, form: Sequence[str]) -> str:
    """What is printed of a file; ValueError for a file that cannot be read."""
    with remedies_as_options():
        found = describe_file(path, target=target, form=form_of(form))
    parts = [f"{path}: {found.summary}"]
    if found.columns:
        parts.append(_table(found.columns))
    if found.problems:
        parts.append("\n".join(["To look at:", *(f"  {problem}" for problem in found.problems)]))
    if found.task is None:
        parts.append(f"No task: {found.said}.")
    else:
        parts.append(
            f"Paste into an experiment ({found.said}):\n\n{write_yaml({'task': found.task})}".rstrip()
        )
    return "\n\n".join(parts)


def _table(columns: Sequence[Described]) -> str:
    rows = [HEADER, *((in_one_line(c.name), c.kind, str(c.missing), c.holds) for c in columns)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADER) - 1)]
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )
