"""Predictions for the rows of a file: a trained model and a table in, the table with predictions out."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from precisionflow.config.load import form_of
from precisionflow.console import note
from precisionflow.data.readers.table_file import TableInFile, typed
from precisionflow.records.files import replacing
from precisionflow.serving.model import load_predictor, predictions


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

    `model`, `data`, `evaluation` and `store` are those of `load_predictor`; `form` are settings of a `FileForm`, such
    as "decimal=,". What was read off the table, or is new in it, is told. ValueError for every mistake, before
    anything is written.
    """
    from precisionflow.evaluation.uncertainty import check_levels

    delimiter = "," if out is None else _delimiter_of(out)
    if out is not None:
        if out.is_dir():
            raise ValueError(f"--out {out}: is a folder; give a file in it")
        if out.resolve() == table.resolve():
            raise ValueError(f"--out {out}: is the table itself; choose another file")
    check_levels(levels)
    file = TableInFile.open(table, form_of(form))
    written = file.whole()
    if not written.num_rows:
        raise ValueError(f"{table}: has no rows; give at least one")
    served = load_predictor(model, data=data, evaluation=evaluation, store=store)
    if not served.is_of_a_table:
        raise ValueError(
            f"{model}: predicts {served.predictor.predicts}; predict takes a model of a table, task.kind regression or "
            "classification, MLflow serves the others"
        )
    served.fit(recalibrated)
    features, told = served.encoded(written, origin=str(table), form=file.form)
    for line in (*file.notes, *told):
        note(line)
    given = written if delimiter is not None else typed(written)
    whole = given
    predicted = predictions(served, features, levels=levels, recalibrated=recalibrated)
    for name, values in predicted.items():
        if name in given.column_names:
            raise ValueError(
                f"{table}: has a column {name!r} already; rename it, predictions are written there"
            )
        whole = whole.append_column(str(name), pa.array(values.to_numpy()))
    text = None if delimiter is None else _delimited(whole, delimiter, out=out)
    if out is None:
        return text
    with replacing(out) as temporary:
        if text is None:
            pq.write_table(whole, temporary, compression="zstd")
        else:
            temporary.write_text(text, encoding="utf-8")
    return None


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
