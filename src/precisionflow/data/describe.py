"""What a file of a user's holds: its columns, what is wrong with them, and the `task:` block that reads it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from precisionflow.config.sources import SUFFIXES, TextFile, table_suffix
from precisionflow.config.tables import FileForm
from precisionflow.config.tasks import Tagging, Task
from precisionflow.config.tasks.texts import Tag
from precisionflow.data.described import FEW, Described
from precisionflow.data.described_table import beside, describe_columns
from precisionflow.data.encoding import MOST_LEVELS
from precisionflow.data.prepare import open_task
from precisionflow.data.readers.conllu import Skipped, is_conllu, read_sentences
from precisionflow.data.readers.header import NoNamesError
from precisionflow.data.readers.json_lines import NestedError
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.readers.table_signs import table_remedy
from precisionflow.data.sources.table_rows import place_of
from precisionflow.data.sources.text_file import open_text_files

MOST_ROWS = 100_000
"""Rows of a table that are looked at."""
MOST_CELLS = 2_000_000
MOST_BYTES = 1 << 28
"""Of a file whose block is tried, where more than its beginning has to be read."""
MOST_CHARACTERS = 1 << 24
"""Characters of a text that are looked at."""
TAGS: tuple[Tag, ...] = get_args(Tag)
"""Columns that can be predicted, the first that says something before others."""
CALLED = {"delimited": "delimited text", "json_lines": "JSON lines", "parquet": "Parquet"}
_TASK: TypeAdapter[Task] = TypeAdapter(Task)
_ONE_ROW = "give more rows of it, join it with another class, or remove its row"


@dataclass(frozen=True)
class Description:
    """A file, as far as it was looked at."""

    summary: str
    columns: tuple[Described, ...]
    problems: tuple[str, ...]
    """What is wrong, and what was read off the file."""
    task: dict[str, Any] | None
    """Block for an experiment; none where no task fits."""
    said: str
    """What the block predicts, or why there is none."""


def describe_file(path: Path, *, target: str | None = None, form: FileForm | None = None) -> Description:
    """The description of a table, a text or tagged sentences from its beginning.

    ValueError for a file that cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"{path}: is no file; give a table or a text")
    if is_conllu(path):
        found, whole = _describe_sentences(path, target)
    elif _is_table(path, target, form):
        found, whole = _describe_table(TableInFile.open(path, form), target, form)
    else:
        found, whole = _describe_text(path, form)
    if whole or path.stat().st_size <= MOST_BYTES:
        return _tried(found)
    untried = f"the block is not tried, as {path} is larger than {MOST_BYTES >> 20} MiB: a row behind may be refused"
    return replace(found, problems=(*found.problems, untried)) if found.task is not None else found


def _describe_sentences(path: Path, target: str | None) -> tuple[Description, bool]:
    """(what the beginning of a CoNLL-U file holds, whether that is all); `target` is the column of the tags.

    ValueError for a line that the format does not allow, and where no word has a tag.
    """
    skipped: Counter[Skipped] = Counter()
    sentences = list(islice(read_sentences(path, TAGS, skipped), MOST_ROWS))
    words = [labels for sentence in sentences for labels in sentence.labels]
    if target is not None and target not in TAGS:
        raise ValueError(f"{path}: --target {target}; CoNLL-U has tags in {' and '.join(TAGS)}")
    wanted = TAGS if target is None else (target,)
    counted = {name: Counter(labels[TAGS.index(name)] for labels in words) for name in wanted}
    tagged = {name: counts for name, counts in counted.items() if set(counts) - {None}}
    if not tagged:
        raise ValueError(f"{path}: no word has a tag in {' or '.join(wanted)}; write one, a `_` says nothing")
    column, counts = next(iter(tagged.items()))
    without, longest = counts.pop(None, 0), max(len(sentence.words) for sentence in sentences)
    task: dict[str, Any] = {
        "kind": "tagging",
        "source": {"kind": "conllu", "path": str(path.absolute())},
        "column": column,
    }
    problems = [f"{count} {name} are no words and are skipped" for name, count in skipped.items()]
    if without:
        problems.append(f"{without} words have no tag in {column} and are read, not predicted")
    if longest > Tagging.model_fields["context"].default:
        task["context"] = longest
    else:
        problems.append(f"the longest sentence has {longest} words")
    of = f"the first {len(sentences)}" if len(sentences) == MOST_ROWS else str(len(sentences))
    marked = sentences[-1].document
    documents = f" of {marked} documents" if marked else ""
    summary = f"CoNLL-U, {of} sentences{documents}: {len(words)} words, {len(counts)} tags in {column}"
    said = f"predicts the tag {column} of each word"
    return Description(summary, (), tuple(problems), task, said), len(sentences) < MOST_ROWS


def _is_table(path: Path, target: str | None, form: FileForm | None) -> bool:
    """Whether a file is called a table, or is a `.txt` with a column of numbers, truth values or dates beside others.

    ValueError for what seems to be a table: the reason why it cannot be read as one.
    """
    suffix = table_suffix(path.name)
    if suffix not in SUFFIXES:
        if remedy := table_remedy(path):
            raise ValueError(f"{path}: {remedy}")
        return False
    if suffix != ".txt" or target is not None:
        return True
    try:
        found, _ = _describe_table(TableInFile.open(path, form), None, form)
    except NoNamesError:
        raise
    except ValueError:
        if table_remedy(path):
            raise
        return False
    return len(found.columns) > 1 and any(c.kind in ("number", "boolean", "date") for c in found.columns)


def _describe_text(path: Path, form: FileForm | None) -> tuple[Description, bool]:
    source = {"kind": "text_file", "path": str(path.absolute())}
    if form is not None and form.encoding is not None:
        source["encoding"] = form.encoding
    text = open_text_files(TextFile.model_validate(source)).text
    begun, whole = "", True
    for chunk in text.chunks():
        begun += chunk.decode()
        if len(begun) > MOST_CHARACTERS:
            whole = False
            break
    counted = f"{len(begun)} characters" if whole else f"of the first {len(begun)} characters"
    summary = f"text, {counted}: {len(set(begun))} symbols, {len(begun.split())} words"
    problems = list(text.notes)
    if "\r" in begun:
        problems.append(f"carriage returns ({begun.count(chr(13))}) are characters like any other")
    task = {"kind": "next_token", "source": source}
    return Description(summary, (), tuple(problems), task, "predicts the next character"), whole


def _describe_table(file: TableInFile, target: str | None, form: FileForm | None) -> tuple[Description, bool]:
    """(the description, whether all rows were looked at)."""
    if target is not None:
        file.check_columns([target])
    rows, whole, nested = _beginning(file)
    known = {
        column.name: column for column in describe_columns(rows, place_of(file), index=file.index_columns)
    }
    alone = tuple(nested.get(name) or known[name] for name in file.names)
    chosen = _target(alone, target)
    columns = beside(alone, chosen)
    task, said, left_out = _task(file, columns, chosen, form)
    if task is not None and target is None:
        said += ", the last column that may be a target; name another with --target"
    counted = f"{'' if whole else 'the first '}{rows.num_rows} {'row' if rows.num_rows == 1 else 'rows'}"
    problems = [problem for column in columns for problem in _problems(column, target=column.name == target)]
    summary = (
        f"{CALLED[file.form.kind]}, {counted}, {len(columns)} {'column' if len(columns) == 1 else 'columns'}"
    )
    return Description(summary, columns, (*file.notes, *problems, *left_out), task, said), whole


def _problems(column: Described, *, target: bool) -> Iterator[str]:
    """What is wrong with a column, and why it is left out; the user may have called it the target for all that."""
    for problem in column.problems:
        yield f"column {column.name!r} {problem}"
    if column.fault is not None:
        said = column.fault if target else f"is left out: it {column.fault}"
        yield f"column {column.name!r} {said}"


def _tried(found: Description) -> Description:
    """The description without a block that `prepare` would refuse: what it says is the reason."""
    if found.task is None:
        return found
    with TemporaryDirectory() as folder:
        try:
            prepared = open_task(_TASK.validate_python(found.task), 0).write(Path(folder))
        except ValidationError as error:
            return replace(found, task=None, said=str(error.errors()[0]["msg"]))
        except ValueError as error:
            return replace(found, task=None, said=str(error))
    return replace(found, problems=(*found.problems, *prepared.repeats))


def _beginning(file: TableInFile) -> tuple[pa.Table, bool, dict[str, Described]]:
    """(the rows that are looked at, whether they are all, columns of JSON lines with a list or an object)."""
    nested: dict[str, Described] = {}
    while names := [name for name in file.names if name not in nested]:
        try:
            return *_rows_at_first(file, names), nested
        except NestedError as error:
            said = str(error).removeprefix(f"{file.path}: ").partition(";")[0]
            nested[error.column] = Described(error.column, "other", "lists or objects").faulty(
                f"holds lists or objects ({said}); write their values in columns of their own"
            )
    raise ValueError(
        f"{file.path}: every column holds lists or objects; write their values in columns of their own"
    )


def _rows_at_first(file: TableInFile, names: Sequence[str]) -> tuple[pa.Table, bool]:
    most = max(1, min(MOST_ROWS, MOST_CELLS // len(file.names)))
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in file.batches(names):
        held.append(batch)
        count += batch.num_rows
        if count > most:
            break
    if not held:
        raise ValueError(f"{file.path}: has no rows; give at least one")
    return pa.Table.from_batches(held).slice(0, most), count <= most


def _target(columns: Sequence[Described], name: str | None) -> Described | None:
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


def _task(
    file: TableInFile, columns: Sequence[Described], target: Described | None, form: FileForm | None
) -> tuple[dict[str, Any] | None, str, tuple[str, ...]]:
    """(block for an experiment, what it predicts, columns that it leaves out); (none, why, ()) where no task fits."""
    if target is None:
        return None, "no column may be a target: a task predicts numbers, or the class of a text", ()
    others = [column for column in columns if column.usable and column.name != target.name]
    texts = _texts_among(columns)
    source: dict[str, Any] = {"kind": "table_file", "path": str(file.path.absolute()), "target": target.name}
    stated = {} if form is None else form.model_dump(mode="json", exclude_defaults=True)
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
    words = sorted({word for column in (*used, target) for word in column.words} | {*file.form.missing})
    if stated or words:
        source["form"] = stated | ({"missing": words} if words else {})
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
