"""Models from outside: what `train` writes of an estimator or of a file of predictions, in place of weights."""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.config import Experiment
from precisionflow.config.external import Estimator, External, PredictionFile
from precisionflow.data.batches import Rows
from precisionflow.data.stated import StatedFile
from precisionflow.data.streams import Stream, Use
from precisionflow.models.estimators import fitted
from precisionflow.records.cards import DatasetCard, ModelCard, Standardisation
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.schemas import HISTORY, STATED
from precisionflow.results.code import code_version
from precisionflow.results.layout import PARTS, Part, PreparedSplit, TrainedCell, data_folder

Moments = tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "rows"]]
"""Mean and std of rows, in the target's units."""


class Stated(NamedTuple):
    """Predictions of the parts, and what learning them took."""

    parts: dict[Part, Moments]
    steps: int
    """1 of an estimator, whose only step is on all training rows; 0 of a file."""
    seconds: float


def write_external(
    experiment: Experiment, data: PreparedSplit, folder: Path, *, seed: int, split: int
) -> dict[str, float]:
    """Write the cell's files into `folder`; validation loss and seconds, where they are known.

    ValueError for a file that does not predict every test row once.
    """
    model, place = experiment.model, TrainedCell(folder)
    assert isinstance(model, External)
    rows = {part: Rows.read(data.part(part)) for part in PARTS}
    card = read_card(data.card, DatasetCard)
    scales = card.table
    if isinstance(model, PredictionFile):
        stated = _of_a_file(model, rows, split=split)
    else:
        stated = _of_an_estimator(model, rows, scales, seed=Stream(seed, split).number(Use.WEIGHTS) % 2**32)
    write_parquet(_table(stated, rows), place.stated, STATED)
    loss = _loss(stated.parts["valid"], rows["valid"], scales) if "valid" in stated.parts else None
    measured = {} if loss is None else {"validation_loss": loss, "seconds_per_step": stated.seconds}
    entries = [{"step": stated.steps, "metric": name, "value": value} for name, value in measured.items()]
    write_parquet(pa.Table.from_pylist(entries, HISTORY), place.history, HISTORY)
    write_card(
        ModelCard(
            experiment=experiment,
            experiment_hash=experiment.hash,
            code_version=code_version("train"),
            source_sha256=card.source_sha256,
            seed=seed,
            split=split,
            parameters=None,
            steps=stated.steps,
            planned_steps=stated.steps,
            batch_size=len(rows["train"]) * stated.steps,
            validation_loss=loss,
            seconds_per_step=stated.seconds,
        ),
        place.card,
    )
    return measured


def _of_an_estimator(
    model: Estimator, rows: dict[Part, Rows], scales: Standardisation, *, seed: int
) -> Stated:
    start = time.perf_counter()
    predict = fitted(model, rows["train"], rows["valid"], seed=seed)
    seconds = time.perf_counter() - start
    parts: dict[Part, Moments] = {}
    for part in ("valid", "test"):
        mean, std = predict(rows[part].features.astype(np.float64))
        parts[part] = scales.restore_target(mean), scales.restore_spread(std)
    return Stated(parts, 1, seconds)


def _of_a_file(model: PredictionFile, rows: dict[Part, Rows], *, split: int) -> Stated:
    """Validation rows are left out unless the file predicts them all."""
    file = StatedFile.read(model.path, split=split)
    parts: dict[Part, Moments] = {"test": file.of(rows["test"].rows)}
    if not len(file.missing(rows["valid"].rows)):
        parts["valid"] = file.of(rows["valid"].rows)
    return Stated(parts, 0, 0.0)


def _table(stated: Stated, rows: dict[Part, Rows]) -> pa.Table:
    """A records.schemas.STATED."""
    tables = [
        pa.table(
            {"part": pa.array([part] * len(mean)), "row": rows[part].rows, "mean": mean, "std": std},
            schema=STATED,
        )
        for part, (mean, std) in stated.parts.items()
    ]
    return pa.concat_tables(tables)


def _loss(moments: Moments, rows: Rows, scales: Standardisation) -> float:
    """Mean of -log N(y; mean, std^2) of the standardised target, in nats, as networks are validated."""
    mean = (moments[0] - scales.target_mean) / scales.target_scale
    std = moments[1] / scales.target_scale
    each = 0.5 * np.log(2 * np.pi * std**2) + 0.5 * ((rows.target - mean) / std) ** 2
    return float(np.average(each, weights=rows.weight))


def check_predictions(variant: Experiment, *, data: Path) -> None:
    """ValueError where a file of predictions cannot stand for a split, before anything is trained."""
    model = variant.model
    if not isinstance(model, PredictionFile):
        return
    for split in variant.splits:
        prepared = PreparedSplit(data_folder(data, variant, split))
        file = StatedFile.read(model.path, split=split)
        file.of(Rows.read(prepared.part("test")).rows)
        missing = file.missing(Rows.read(prepared.part("valid")).rows)
        if variant.evaluation.recalibration and len(missing):
            raise ValueError(
                f"evaluation.recalibration: {file.path} does not predict validation row {missing[0]} of split {split}; "
                "predict all validation rows too, or leave the recalibration out"
            )
