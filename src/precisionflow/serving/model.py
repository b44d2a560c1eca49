"""A trained model for those who use it: from the folder of a cell or from MLflow, with its recalibrations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from precisionflow.config.external import External
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.columns import Form, InputColumn
from precisionflow.records.files import read_card
from precisionflow.records.recalibration import Fit, RecalibrationCard, SetFit
from precisionflow.results.layout import (
    EvaluatedCell,
    PreparedSplit,
    Results,
    TrainedCell,
    cell_folder,
    data_folder,
)
from precisionflow.results.stage import input_key
from precisionflow.serving.answers.unread import STANDS, is_read

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from precisionflow.evaluation.predictor import Predictor

URI = re.compile(r"[a-z][a-z0-9+.-]*:/")
"""Beginning of an MLflow address."""


@dataclass(frozen=True)
class ServedModel:
    """A predictor, and what its recalibrations were fitted to."""

    predictor: "Predictor"
    fits: Mapping[str, Fit]
    """Method -> its fit; none of a model that was not evaluated with recalibrations."""

    @property
    def inputs(self) -> tuple[InputColumn, ...]:
        """Columns that a model of a table takes: those of its training data that its answers depend on."""
        experiment = self.predictor.experiment_card.experiment
        return tuple(each for each in self.predictor.data_card.inputs if is_read(each.name, experiment))

    def encoded(
        self, rows: "pa.Table", *, origin: str, form: Form | None = None
    ) -> "tuple[np.ndarray, tuple[str, ...]]":
        """(features of some rows as the model takes them, lines on levels that training lacked).

        `form` says how their cells are written, beside the missing values of the training data. ValueError that names
        the column that is missing, or row, column and value of a cell that is nothing of its kind.
        """
        import numpy as np
        import pyarrow as pa

        from precisionflow.data.encoding import Encoder
        from precisionflow.data.readers.cells import Place
        from precisionflow.data.readers.numerals import POINT, marks_of
        from precisionflow.data.readers.table_file import check_columns

        known = self.predictor.data_card.form
        forms = [each for each in (known, form) if each is not None]
        missing = {word for each in forms for word in each.missing}
        missing_in = {
            column.name: tuple(word for each in forms for word in each.missing_in.get(column.name, ()))
            for column in self.inputs
        }
        marks = marks_of(form) if form else POINT
        place = Place(origin, marks=marks, missing=tuple(sorted(missing)), missing_in=missing_in)
        every, names = self.predictor.data_card.inputs, {column.name: None for column in self.inputs}
        check_columns(list(names), there=rows.column_names, origin=origin)
        stands = pa.array(np.full(rows.num_rows, STANDS))
        of = {each.name: rows[each.name] if each.name in names else stands for each in every}
        rows, encoder = pa.table(of), Encoder(every)
        encoder.refuse_missing(rows, place)
        return encoder.encode(rows, place), encoder.unknown(rows, place)

    @property
    def is_of_a_table(self) -> bool:
        """Whether it predicts rows of features."""
        return self.predictor.data_card.standardisation is not None

    def fit(self, method: str | None) -> Fit | None:
        """The fit of a method, none for none; ValueError for a method that the model was not evaluated with."""
        if method is None:
            return None
        if method not in self.fits:
            there = f"it has {', '.join(self.fits)}" if self.fits else "it has none"
            raise ValueError(
                f"recalibrated {method!r}: the model was not evaluated with it ({there}); name it in "
                "evaluation.recalibration of the experiment and evaluate again"
            )
        return self.fits[method]

    def check_level(self, level: float, method: str | None) -> None:
        """ValueError for a level where predictions after a method have neither intervals nor sets of classes."""
        from precisionflow.evaluation.tasks.regression import TablePredictor

        if isinstance(self.predictor, TablePredictor) or isinstance(self.fit(method), SetFit):
            return
        there = [name for name, fit in self.fits.items() if isinstance(fit, SetFit)]
        what = f"give --recalibrated {' or '.join(there)}, or leave it out" if there else "leave it out"
        raise ValueError(
            f"level {level:g}: the model predicts {self.predictor.predicts}, and a level is that of an interval of a "
            f"number or of a set of classes; {what}"
        )


def load_predictor(
    model: str | Path,
    *,
    data: Path | None = None,
    evaluation: Path | None = None,
    store: Path | None = None,
) -> ServedModel:
    """The model in the folder of a trained cell, or at an MLflow address such as models:/NAME@champion.

    A folder is RESULTS/model/EXPERIMENT/DATASET/VARIANT/seed-0-split-0; elsewhere `data` is the folder that prepare
    wrote and `evaluation` that of the evaluated cell. An address is looked up in MLFLOW_TRACKING_URI, else in the
    results folder `store`. ValueError for a model that is not there or cannot be read.
    """
    if URI.match(str(model)):
        from precisionflow.serving.logged import logged_model

        return logged_model(str(model), store=store)
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
    kind = card.experiment.model.kind
    if isinstance(card.experiment.model, External):
        raise ValueError(
            f"{folder}: model.kind {kind} states predictions of its validation and test rows alone, which stand in "
            "stated.parquet; give a network's cell for other rows"
        )
    found = prepared_for(folder, card, data=data).card
    from precisionflow.evaluation.predictor import load_predictor as predictor_in

    beside = evaluation or cell_folder(
        Results.around(folder).evaluation(card.experiment), card.seed, card.split
    )
    fits = _fits(EvaluatedCell(beside).recalibration, trained=folder)
    return ServedModel(predictor_in(folder, read_card(found, DatasetCard)), fits)


def prepared_for(cell: Path, card: ModelCard, *, data: Path | None) -> PreparedSplit:
    """The data that a cell was trained on, in `data` or the cell's results folder; ValueError where it is not there."""
    root = data or Results.around(cell).data
    found = PreparedSplit(data_folder(root, card.experiment, card.split))
    if not found.card.is_file():
        raise ValueError(f"{found.card}: does not exist; give the folder that prepare wrote as --data")
    return found


def _fits(file: Path, *, trained: Path) -> dict[str, Fit]:
    """The fits in the file of an evaluated cell, none without it; ValueError for those of another model."""
    if not file.is_file():
        return {}
    card = read_card(file, RecalibrationCard)
    if card.model != input_key(trained):
        raise ValueError(f"{file}: was fitted to other weights than those in {trained}; evaluate again")
    return fits_of(card)


def fits_of(card: RecalibrationCard) -> dict[str, Fit]:
    """Method -> fit."""
    return {fit.method: fit for fit in card.fits}


def predict_with_uncertainty(
    model: ServedModel,
    frame: "pd.DataFrame",
    *,
    levels: Sequence[float] = (0.95,),
    recalibrated: str | None = None,
) -> "pd.DataFrame":
    """One row for each row of `frame`, with its index; features by name, in their own units, other columns unread.

    Columns, in the target's units: `mean`; `std`, `aleatoric` (noise that the model states) and `epistemic` (what it
    does not know), std^2 = aleatoric^2 + epistemic^2; for each level `lower_<per cent>` and `upper_<per cent>`, ends of
    the central interval. A model of classes: `class`, `confidence`, `entropy` and its part `epistemic` in nats, and
    `p_<class>` of every class. A model of images without classes: `free_energy` of a pixel in nats and the mean squared
    errors `reconstruction_error` and `completion_error`. A model of objects: `groups`, one that shares tokens:
    `tokens`, a memory: `state`, their numbers with a blank between two. `recalibrated` names a method of
    evaluation.recalibration, fitted when the model was evaluated: its intervals in place of the model's own;
    variance_scaling multiplies the stds too, temperature tempers probabilities, aps and raps add the prediction sets
    `set_<per cent>`. ValueError for a column that is missing or holds no finite numbers, a method or level that the
    model lacks, and a model of texts.
    """
    values = features_in(model, frame)
    predicted = predictions(model, values, levels=levels, recalibrated=recalibrated)
    return predicted.set_axis(frame.index, axis=0)


def predictions(
    model: ServedModel, features: "np.ndarray", *, levels: Sequence[float], recalibrated: str | None
) -> "pd.DataFrame":
    """The columns of `predict_with_uncertainty` for features as the model takes them; ValueError as there."""
    from precisionflow.evaluation.tasks.classification import RowClassPredictor
    from precisionflow.evaluation.tasks.images import UnlabelledPredictor
    from precisionflow.evaluation.tasks.objects import ObjectPredictor
    from precisionflow.evaluation.tasks.regression import TablePredictor
    from precisionflow.evaluation.tasks.retrieval import RetrievalPredictor
    from precisionflow.evaluation.tasks.stages import StagePredictor
    from precisionflow.evaluation.tasks.videos import VideoPredictor
    from precisionflow.evaluation.uncertainty import class_table, image_table, uncertainty_table

    predictor, fit = model.predictor, cast("Any", model.fit(recalibrated))
    if isinstance(predictor, TablePredictor):
        return uncertainty_table(predictor, features, levels=levels, fit=fit)
    if isinstance(predictor, UnlabelledPredictor):
        return image_table(predictor, features)
    if isinstance(predictor, ObjectPredictor):
        return _listed("groups", predictor.groups(features))
    if isinstance(predictor, VideoPredictor | StagePredictor):
        return _listed("tokens", predictor.tokens(features))
    if isinstance(predictor, RetrievalPredictor):
        return _listed("state", predictor.states(features))
    assert isinstance(predictor, RowClassPredictor), "a model of a table"
    return class_table(predictor.stated(features), predictor.data_card.class_names, levels=levels, fit=fit)


def _listed(name: str, numbers: "np.ndarray") -> "pd.DataFrame":
    """One column: the numbers of each row in their order, with a blank between two."""
    import pandas as pd

    return pd.DataFrame({name: [" ".join(map(str, of)) for of in numbers]})


def features_in(model: ServedModel, frame: "pd.DataFrame") -> "np.ndarray":
    """The columns that the model takes, as it takes them.

    ValueError as `ServedModel.encoded`, and for a model of texts.
    """
    import pyarrow as pa

    if not model.is_of_a_table:
        raise ValueError(
            f"the model predicts {model.predictor.predicts}; a frame of features is for a model of a table, task.kind "
            "regression or classification; `precisionflow predict` and MLflow take the others"
        )
    names = {column.name for column in model.inputs}
    rows = pa.table({str(name): _column(frame[name]) for name in frame.columns if str(name) in names})
    return model.encoded(rows, origin="the rows")[0]


def _column(cells: "pd.Series[Any]") -> "pa.Array":
    """A column of a frame; NaN and None are missing values. Mixed ones are read as they are written."""
    import pyarrow as pa

    try:
        return pa.Array.from_pandas(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if cell is None or cell != cell else str(cell) for cell in cells], pa.string())
