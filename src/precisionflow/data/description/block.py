"""The block of an experiment that reads a table: its target, the task that predicts it, what is left out and why."""

from collections.abc import Sequence
from typing import Any

from precisionflow.config.tables import FileForm
from precisionflow.data.description.column import Described
from precisionflow.data.description.signs import FEW
from precisionflow.data.encoding import MOST_LEVELS
from precisionflow.data.readers.table_file import TableInFile

_ONE_ROW = "give more rows of it, join it with another class, or remove its row"


def target_of(columns: Sequence[Described], name: str | None) -> Described | None:
    """The named column; else the last that may hold classes of texts, or without texts classes or numbers; rather one
    without a class of one row."""
    if name is not None:
        return next(column for column in columns if column.name == name)
    texts = _texts_among(columns)
    candidates = [
        column
        for column in columns
        if column.usable and (column.holds_classes or (column.kind == "number" and not texts))
    ]
    plain = [column for column in candidates if not column.once or (column.kind == "number" and not texts)]
    candidates = plain or candidates
    return candidates[-1] if candidates else None


def _texts_among(columns: Sequence[Described]) -> list[Described]:
    """The column of texts, or the two of pairs, where the others that say something may be their classes or are dates;
    else none."""
    usable = [column for column in columns if column.usable]
    texts = [column for column in usable if column.kind == "text"]
    others = [column for column in usable if column.kind not in ("text", "date")]
    return texts if len(texts) in (1, 2) and all(column.holds_classes for column in others) else []


def _is_class(target: Described) -> bool:
    """Whether a column of levels or of two whole numbers is read as classes: each in two rows or more."""
    return target.kind in ("category", "boolean") or (
        target.holds_classes and target.levels == 2 and not target.once
    )


def task_of(
    file: TableInFile, columns: Sequence[Described], target: Described | None, form: FileForm | None
) -> tuple[dict[str, Any] | None, str, tuple[str, ...]]:
    """(block for an experiment, what it predicts, columns that it leaves out); (none, why, ()) where no task fits."""
    if target is None:
        return None, "no column may be a target: a task predicts numbers, or the class of a text", ()
    others = [column for column in columns if column.usable and column.name != target.name]
    texts = _texts_among(columns)
    source: dict[str, Any] = {"kind": "table_file", "path": str(file.path.absolute()), "target": target.name}
    of_texts = bool(target.holds_classes and texts)
    if not of_texts and target.kind not in ("number", "category", "boolean"):
        return (
            None,
            f"column {target.name!r} holds {target.kind} values: tasks predict numbers and classes",
            (),
        )
    by_class = of_texts or _is_class(target)
    if by_class and target.once:
        return None, f"column {target.name!r} has the class {target.once[0]!r} in one row; {_ONE_ROW}", ()
    read = ("text",) if of_texts else ("number", "boolean", "date", "category")
    used = [column for column in others if column.kind in read]
    left_out = tuple(_left_out(column, of_texts=of_texts) for column in others if column not in used)
    if not used:
        return None, f"no column is left to predict {target.name!r} from", left_out
    if of_texts or len(used) < len(columns) - 1:
        source["features"] = [column.name for column in used]
    if written := _form(file, (*used, target), form):
        source["form"] = written
    said = {} if of_texts else {column.name: column.said for column in used if column.said}
    if any(column.missing for column in used):
        source["missing"] = "drop" if of_texts else "median"
    if target.missing:
        said[target.name] = (target.said or {"kind": "number"}) | {"missing": "drop"}
    if said:
        source["columns"] = said
    if of_texts:
        pairs = " of pairs of texts" if len(used) == 2 else ""
        return (
            {"kind": "sequence_classification", "source": source},
            f"predicts the class {target.name!r}{pairs}",
            left_out,
        )
    if by_class:
        numbers = ", as its two numbers are read as classes" if target.kind == "number" else ""
        said_of = f"predicts the class {target.name!r}{numbers}"
        return {"kind": "classification", "source": source}, said_of, left_out
    few = f"; where its {target.levels} numbers are classes, state task.kind: classification"
    said_of = (
        f"predicts the number {target.name!r}{few if target.holds_classes and target.levels <= FEW else ''}"
    )
    return {"kind": "regression", "source": source}, said_of, left_out


def _form(file: TableInFile, read: Sequence[Described], form: FileForm | None) -> dict[str, Any]:
    """task.source.form: what was stated, and the words for missing values of the columns that are read."""
    stated = {} if form is None else form.model_dump(mode="json", exclude_defaults=True)
    words = sorted({*file.form.missing, *(word for column in read for word in column.words)})
    own = {name: list(found) for name, found in file.form.missing_in.items()}
    for column in read:
        if column.own_words:
            own[column.name] = sorted({*own.get(column.name, ()), *column.own_words})
    return stated | ({"missing": words} if words else {}) | ({"missing_in": own} if own else {})


def _left_out(column: Described, *, of_texts: bool) -> str:
    """Why a column without a fault is no feature."""
    if of_texts:
        return f"column {column.name!r} is left out: texts are classified by their words alone"
    remedy = "replace it by numbers or fewer levels"
    if column.levels <= MOST_LEVELS:
        remedy = "say {kind: category} of it in task.source.columns, and name it in features, where these are levels"
    return (
        f"column {column.name!r} is left out: it holds {column.levels} texts, {column.holds}, and tables are read as "
        f"numbers, truth values, dates and levels; {remedy}"
    )
