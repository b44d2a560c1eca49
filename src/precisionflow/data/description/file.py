"""`describe`: a table, a text or tagged sentences, and whether `prepare` takes the block that is proposed."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter, ValidationError

from precisionflow.config.sources import SUFFIXES, table_suffix
from precisionflow.config.tables import FileForm
from precisionflow.config.tasks import Task
from precisionflow.data.description.described import Description
from precisionflow.data.description.sentences import describe_sentences
from precisionflow.data.description.table import describe_table
from precisionflow.data.description.text import describe_text
from precisionflow.data.prepare import open_task
from precisionflow.data.readers.conllu import is_conllu
from precisionflow.data.readers.header import NoNamesError
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.readers.table_signs import table_remedy

MOST_BYTES = 1 << 28
"""Of a file whose block is tried, where more than its beginning has to be read."""
_TASK: TypeAdapter[Task] = TypeAdapter(Task)


def describe_file(path: Path, *, target: str | None = None, form: FileForm | None = None) -> Description:
    """The description of a table, a text or tagged sentences from its beginning.

    ValueError for a file that cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"{path}: is no file; give a table or a text")
    if is_conllu(path):
        found, whole = describe_sentences(path, target)
    elif _is_table(path, target, form):
        found, whole = describe_table(TableInFile.open(path, form), target, form)
    else:
        found, whole = describe_text(path, form)
    if whole or path.stat().st_size <= MOST_BYTES:
        return _tried(found)
    untried = f"the block is not tried, as {path} is larger than {MOST_BYTES >> 20} MiB: a row behind may be refused"
    return replace(found, problems=(*found.problems, untried)) if found.task is not None else found


def _is_table(path: Path, target: str | None, form: FileForm | None) -> bool:
    """Whether a file is called a table, or is a `.txt` whose columns are no prose.

    Those of prose stand between commas or semicolons, and hold no numbers, truth values or dates. ValueError for what
    seems to be a table: the reason why it cannot be read as one.
    """
    suffix = table_suffix(path.name)
    if suffix not in SUFFIXES:
        if remedy := table_remedy(path):
            raise ValueError(f"{path}: {remedy}")
        return False
    if suffix != ".txt" or target is not None:
        return True
    try:
        file = TableInFile.open(path, form)
        found, _ = describe_table(file, None, form)
    except NoNamesError as error:
        raise NoNamesError(f"{error}; where it is a text, let an experiment read it as a text_file") from None
    except ValueError:
        if table_remedy(path) or _is_quoted_table(path, form):
            raise
        return False
    of_prose = file.form.kind == "delimited" and file.form.delimiter in ",;"
    typed = any(column.kind in ("number", "boolean", "date") for column in found.columns)
    return len(found.columns) > 1 and (typed or not of_prose)


def _is_quoted_table(path: Path, form: FileForm | None) -> bool:
    """Whether a file is a table of several columns once its cells may stand in quotation marks."""
    quoted = FileForm(quotes="double") if form is None else form.model_copy(update={"quotes": "double"})
    try:
        file = TableInFile.open(path, quoted)
        return (
            len(file.names) > 1
            and file.form.delimiter == "\t"
            and any(True for _ in file.batches(file.names))
        )
    except ValueError:
        return False


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
