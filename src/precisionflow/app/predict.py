"""Predictions for the rows of a file: a trained model and a table in, the table with predictions out."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from precisionflow.data.readers.table_file import (
    check_columns,
    check_suffix,
    delimiter_of,
    number_columns,
    read_rows,
)
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, replacing
from precisionflow.results.layout import PreparedSplit, Results, TrainedCell, data_folder

if TYPE_CHECKING:
    from precisionflow.evaluation.predictor import Predictor

_URI = re.compile(r"[a-z][a-z0-9+.-]*:/")


def predict_table(
    model: str,
    table: Path,
    *,
    levels: Sequence[float],
    out: Path | None,
    data: Path | None = None,
    store: Path | None = None,
) -> str | None:
    """Write the rows of `table` with the columns of `predict_with_uncertainty` to `out`; without it return them as CSV.

    `model` is the folder of a trained cell or an MLflow model URI. ValueError for every mistake, before anything is
    written.
    """
    from precisionflow.evaluation.uncertainty import check_levels, predict_with_uncertainty

    delimiter = "," if out is None else delimiter_of(out)
    if out is not None:
        check_suffix(out)
        if out.is_dir():
            raise ValueError(f"--out {out}: is a folder; give a file in it")
        if out.resolve() == table.resolve():
            raise ValueError(f"--out {out}: is the table itself; choose another file")
    check_levels(levels)
    given = read_rows(table, texts=delimiter is not None)
    if not given.num_rows:
        raise ValueError(f"{table}: has no rows; give at least one")
    predictor = find_predictor(model, data=data, store=store)
    from precisionflow.evaluation.tasks.regression import TablePredictor

    if not isinstance(predictor, TablePredictor):
        raise ValueError(
            f"{model}: predicts {predictor.predicts}; predict takes a model of task.kind regression, "
            "MLflow serves the others"
        )
    names = predictor.data_card.feature_names
    check_columns(names, there=given.column_names, origin=str(table))
    features = number_columns(given, names, origin=str(table))
    whole = given
    for name, values in predict_with_uncertainty(predictor, features, levels=levels).items():
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


def find_predictor(model: str, *, data: Path | None = None, store: Path | None = None) -> "Predictor":
    """The model of a cell's folder, with its data's card from `data` or the results folder; or of an MLflow URI."""
    if _URI.match(model):
        from precisionflow.tracking.served import served_predictor

        return served_predictor(model, store=store)
    folder = Path(model)
    if not TrainedCell(folder).card.is_file():
        cells = TrainedCell.below(folder)
        hint = (
            f"give one of its cells, such as {cells[0].folder}" if cells else "give a folder that train wrote"
        )
        raise ValueError(
            f"{folder}: holds no trained model; {hint}, or an MLflow URI such as models:/NAME@champion"
        )
    card = read_card(TrainedCell(folder).card, ModelCard)
    root = data or Results.around(folder).data
    found = PreparedSplit(data_folder(root, card.experiment, card.split)).card
    if not found.is_file():
        raise ValueError(f"{found}: does not exist; give the folder that prepare wrote as --data")
    from precisionflow.evaluation.predictor import load_predictor

    return load_predictor(folder, read_card(found, DatasetCard))


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
