"""The measured table of a trained cell: written beside it, read where it is of this model and this machine."""

from pathlib import Path

from precisionflow.data.batches import Rows
from precisionflow.evaluation.tasks.classification import RowClassPredictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.records.arithmetic import ArithmeticCard
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, write_card
from precisionflow.results.layout import TrainedCell
from precisionflow.results.stage import input_key
from precisionflow.serving.arithmetic.calibrate import calibrated
from precisionflow.serving.arithmetic.variants import has_others, machine
from precisionflow.serving.model import URI, ServedModel, prepared_for


def measure(address: str, model: ServedModel, *, data: Path | None) -> tuple[ArithmeticCard, Path]:
    """Measure a model of a table on its validation rows; the table and where it is kept.

    ValueError for a model that has one arithmetic alone, and for one of MLflow, which has no validation rows.
    """
    predictor = model.predictor
    if URI.match(address):
        raise ValueError(
            f"{address}: MLflow keeps no validation rows; calibrate the folder of the trained cell"
        )
    if not isinstance(predictor, TablePredictor | RowClassPredictor) or not has_others(predictor):
        raise ValueError(
            f"{address}: predicts {predictor.predicts}, in float32 alone; calibrate a model of a table, task.kind "
            "regression or classification"
        )
    cell = TrainedCell(Path(address))
    prepared = prepared_for(cell.folder, read_card(cell.card, ModelCard), data=data)
    card = calibrated(predictor, Rows.read(prepared.part("valid")), model=input_key(cell.folder))
    write_card(card, cell.arithmetic)
    return card, cell.arithmetic


def kept(address: str) -> tuple[ArithmeticCard | None, str | None]:
    """(The table of a trained cell, none where there is none that holds here; what to tell about one that does not)."""
    if URI.match(address):
        return None, None
    cell = TrainedCell(Path(address))
    if not cell.arithmetic.is_file():
        return None, None
    card = read_card(cell.arithmetic, ArithmeticCard)
    for what, there, here in (
        ("model", card.model, input_key(cell.folder)),
        ("machine", card.machine, machine()),
    ):
        if there != here:
            return None, f"{cell.arithmetic}: is of another {what}; float32 alone, calibrate again"
    return card, None
