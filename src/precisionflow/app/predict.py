"""Predictions for the rows of a file: a trained model and a table in, the table with predictions out."""

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from precisionflow.app.predict_tags import tagged_file
from precisionflow.config.load import as_options, form_of, remedies_as_options
from precisionflow.config.tasks import SequenceClassification
from precisionflow.console import note
from precisionflow.data.readers.conllu import SUFFIX, is_conllu
from precisionflow.data.readers.numerals import marks_of
from precisionflow.data.readers.table_file import TableInFile, check_columns, typed
from precisionflow.records.files import replacing
from precisionflow.serving.answers.contract import LEVEL
from precisionflow.serving.model import ServedModel, load_predictor, predictions

if TYPE_CHECKING:
    import pandas as pd


def predict_table(
    model: str,
    table: Path,
    *,
    levels: Sequence[float],
    out: Path | None,
    recalibrated: str | None = None,
    data: Path | None = None,
    evaluation: Path | None = None,
    store: Path | None = None,
    form: Sequence[str] = (),
) -> str | None:
    """Write the rows of `table` with the columns of `predict_with_uncertainty` to `out`; without it return them as CSV.

    A model of texts takes the columns that MLflow's `predict` takes, and a tagger a CoNLL-U file too, which comes back
    with its tags.
    `model`, `data`, `evaluation` and `store` are those of `load_predictor`; `form` are settings of a `FileForm`, such
    as "decimal=,". No `levels` are one of 0.95. What was read off the table, or is new in it, is told. ValueError for
    every mistake, before anything is written.
    """
    from precisionflow.evaluation.uncertainty import check_levels

    check_levels(levels)
    if out is not None:
        if out.is_dir():
            raise ValueError(f"--out {out}: is a folder; give a file in it")
        if out.resolve() == table.resolve():
            raise ValueError(f"--out {out}: is the table itself; choose another file")
    load = partial(load_predictor, model, data=data, evaluation=evaluation, store=store)
    if is_conllu(table):
        if out is not None and out.suffix.lower() != SUFFIX:
            raise ValueError(f"--out {out}: should end in {SUFFIX}, as {table} does")
        text: str | None = tagged_file(
            _checked(load(), levels, recalibrated), table, recalibrated=recalibrated
        )
        whole = None
    else:
        delimiter = "," if out is None else _delimiter_of(out)
        whole = _predicted(
            load, table, levels=levels, recalibrated=recalibrated, form=form, typed_=delimiter is None
        )
        text = None if delimiter is None else _delimited(whole, delimiter, out=out)
    if out is None:
        return text
    with replacing(out) as temporary:
        if text is None:
            pq.write_table(whole, temporary, compression="zstd")
        else:
            temporary.write_text(text, encoding="utf-8")
    return None


def _predicted(
    load: Callable[[], ServedModel],
    path: Path,
    *,
    levels: Sequence[float],
    recalibrated: str | None,
    form: Sequence[str],
    typed_: bool,
) -> pa.Table:
    """The rows of a table with the model's columns beside theirs."""
    with remedies_as_options():
        file = TableInFile.open(path, form_of(form))
        written = file.whole()
    if not written.num_rows:
        raise ValueError(f"{path}: has no rows; give at least one")
    served = _checked(load(), levels, recalibrated)
    if served.is_of_a_table:
        with remedies_as_options():
            features, told = served.encoded(written, origin=str(path), form=file.form)
        predicted = predictions(served, features, levels=levels or (LEVEL,), recalibrated=recalibrated)
    else:
        told, predicted = (), _of_texts(served, written, path, levels=levels, recalibrated=recalibrated)
    for line in (*file.notes, *told):
        note(as_options(line))
    given = typed(written, marks_of(file.form)) if typed_ else written
    for name, values in predicted.items():
        if name in written.column_names:
            raise ValueError(
                f"{path}: has a column {name!r} already; rename it, predictions are written there"
            )
        given = given.append_column(str(name), pa.array(values.to_numpy()))
    return given


def _checked(served: ServedModel, levels: Sequence[float], recalibrated: str | None) -> ServedModel:
    """The model; ValueError for a method that it lacks, and for levels that its predictions have no use for."""
    served.fit(recalibrated)
    for level in levels:
        served.check_level(level, recalibrated)
    return served


def _of_texts(
    served: ServedModel,
    written: pa.Table,
    path: Path,
    *,
    levels: Sequence[float],
    recalibrated: str | None,
) -> "pd.DataFrame":
    """What MLflow's `predict` of a model of texts answers for the columns that it takes.

    A single text may stand in the column `text` or in that of the training data.
    """
    import pandas as pd

    from precisionflow.serving.answers.of_task import answers_of, contract_of
    from precisionflow.serving.answers.texts import ClassesOfTexts

    predictor = served.predictor
    task = predictor.experiment_card.experiment.task
    answers = answers_of(task)
    inputs = contract_of(predictor.experiment_card.experiment, predictor.data_card).inputs
    if set(inputs.values()) != {"string"}:
        raise ValueError(
            f"the model predicts {predictor.predicts}; predict takes a model of a table or of texts, MLflow serves the "
            "others"
        )
    columns = dict(zip(inputs, inputs, strict=True))
    if isinstance(task, SequenceClassification) and not set(inputs) & set(written.column_names):
        columns = dict(zip(inputs, task.texts, strict=True))
    check_columns(list(columns.values()), there=written.column_names, origin=str(path))
    given = {name: _texts(written, column, path) for name, column in columns.items()}
    if isinstance(answers, ClassesOfTexts):
        return answers.stated(
            served, pd.DataFrame(given), levels=levels or (LEVEL,), recalibrated=recalibrated
        )
    params = {} if recalibrated is None else {"recalibrated": recalibrated}
    return answers.answer(served, pd.DataFrame(given), params)


def _texts(table: pa.Table, column: str, path: Path) -> list[str]:
    cells = table[column].to_pylist()
    for row, cell in enumerate(cells):
        if not isinstance(cell, str):
            raise ValueError(f"{path}: row {row}, column {column!r}: {cell!r} is no text; write one")
    return cells


def _delimiter_of(out: Path) -> str | None:
    """The character between the columns of a file of text; none: the file is Parquet."""
    suffixes = {".csv": ",", ".tsv": "\t", ".parquet": None}
    if out.suffix.lower() not in suffixes:
        raise ValueError(f"--out {out}: should end in {', '.join(suffixes)}")
    return suffixes[out.suffix.lower()]


def _delimited(table: pa.Table, delimiter: str, *, out: Path | None) -> str:
    """Every text as it is, every number in the fewest digits that give it back.

    ValueError for a cell with a tab or a line break where columns are separated by tabs, which know no quotation.
    """
    text = io.StringIO()
    if delimiter == ",":
        writer = csv.writer(text, lineterminator="\n")
    else:
        writer = csv.writer(
            text, delimiter=delimiter, quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n"
        )
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    try:
        writer.writerow(table.column_names)
        writer.writerows(rows)
    except csv.Error:
        raise ValueError(
            f"--out {out}: a cell holds a tab or a line break; give a file .csv or .parquet"
        ) from None
    return text.getvalue()
