"""Models from outside: what `train` writes of an estimator or of a file of predictions, in place of weights."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.config import Experiment
from precisionflow.config.external import External, LogisticRegression, PredictionFile
from precisionflow.config.tasks import Regression, Tagging
from precisionflow.data.batches import Rows
from precisionflow.data.labelled import Labelled, Texts, Words, labelled
from precisionflow.data.stated import StatedFile
from precisionflow.data.streams import Stream, Use
from precisionflow.models.classifiers import classifier, text_classifier
from precisionflow.models.estimators import fitted
from precisionflow.records.cards import DatasetCard, ModelCard, Standardisation
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.schemas import HISTORY, STATED, STATED_CLASSES
from precisionflow.results.code import code_version
from precisionflow.results.layout import PARTS, Part, PreparedSplit, TrainedCell, data_folder

Values = Float[np.ndarray, "rows columns"]
"""Of rows: mean and std in the target's units, or log p of each class."""


class Stated(NamedTuple):
    """Predictions of the parts, and what learning them took."""

    parts: dict[Part, Values]
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
    rows = {part: labelled(experiment.task, data.part(part)) for part in PARTS}
    card = read_card(data.card, DatasetCard)
    if isinstance(model, PredictionFile):
        stated = _of_a_file(_file(model, experiment, card, split=split), rows)
    else:
        drawn = Stream(seed, split).number(Use.WEIGHTS) % 2**32
        stated = _of_an_estimator(experiment, rows, card, seed=drawn)
    numbers = isinstance(experiment.task, Regression)
    write_parquet(_table(stated, rows, numbers=numbers), place.stated, STATED if numbers else STATED_CLASSES)
    loss = None
    if "valid" in stated.parts:
        found, valid = stated.parts["valid"], rows["valid"]
        loss = _loss_of_numbers(found, valid, card.table) if numbers else _loss_of_classes(found, valid)
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
    experiment: Experiment, rows: dict[Part, Labelled], card: DatasetCard, *, seed: int
) -> Stated:
    start = time.perf_counter()
    predict = _learned(experiment, rows["train"], rows["valid"], card, seed=seed)
    seconds = time.perf_counter() - start
    predicted: tuple[Part, ...] = ("valid", "test")
    return Stated({part: predict(rows[part]) for part in predicted}, 1, seconds)


def _learned(
    experiment: Experiment, train: Labelled, valid: Labelled, card: DatasetCard, *, seed: int
) -> Callable[[Any], Values]:
    """Rows of the kind of the training rows -> their predictions."""
    model = experiment.model
    if isinstance(train, Texts | Words):
        assert isinstance(model, LogisticRegression)
        return text_classifier(model, train, ids=card.known.ids, classes=len(card.class_names), seed=seed)
    assert isinstance(valid, Rows)
    if not isinstance(experiment.task, Regression):
        classify = classifier(model, train, valid, classes=len(card.class_names), seed=seed)  # type: ignore[arg-type]
        return lambda asked: classify(asked.features.astype(np.float64))
    predict, scales = fitted(model, train, valid, seed=seed), card.table  # type: ignore[arg-type]

    def moments(asked: Rows) -> Values:
        mean, std = predict(asked.features.astype(np.float64))
        return np.stack([scales.restore_target(mean), scales.restore_spread(std)], axis=1)

    return moments


def _file(model: PredictionFile, experiment: Experiment, card: DatasetCard, *, split: int) -> StatedFile:
    if isinstance(experiment.task, Regression):
        return StatedFile.numbers(model.path, split=split)
    of_words = isinstance(experiment.task, Tagging)
    return StatedFile.classes(model.path, card.class_names, split=split, of_words=of_words)


def _of_a_file(file: StatedFile, rows: dict[Part, Labelled]) -> Stated:
    """Validation rows are left out unless the file predicts them all."""
    parts: dict[Part, Values] = {"test": file.of(rows["test"].rows)}
    if not len(file.missing(rows["valid"].rows)):
        parts["valid"] = file.of(rows["valid"].rows)
    return Stated(parts, 0, 0.0)


def _table(stated: Stated, rows: dict[Part, Labelled], *, numbers: bool) -> pa.Table:
    """A records.schemas.STATED or STATED_CLASSES."""
    tables = []
    for part, values in stated.parts.items():
        key = {"part": pa.array([part] * len(values)), "row": rows[part].rows}
        columns = (
            {"mean": values[:, 0], "std": values[:, 1]} if numbers else {"log_probability": list(values)}
        )
        tables.append(pa.table(key | columns, schema=STATED if numbers else STATED_CLASSES))
    return pa.concat_tables(tables)


def _loss_of_numbers(moments: Values, rows: Labelled, scales: Standardisation) -> float:
    """Mean of -log N(y; mean, std^2) of the standardised target, in nats, as networks are validated."""
    mean = (moments[:, 0] - scales.target_mean) / scales.target_scale
    std = moments[:, 1] / scales.target_scale
    each = 0.5 * np.log(2 * np.pi * std**2) + 0.5 * ((rows.target - mean) / std) ** 2
    return float(np.average(each, weights=rows.weight))


def _loss_of_classes(log_probabilities: Values, rows: Labelled) -> float:
    """Mean of -log p(class), in nats."""
    target = rows.target.astype(np.int64)
    return float(np.average(-log_probabilities[np.arange(len(target)), target], weights=rows.weight))


def check_predictions(variant: Experiment, *, data: Path) -> None:
    """ValueError where a file of predictions cannot stand for a split, before anything is trained."""
    model = variant.model
    if not isinstance(model, PredictionFile):
        return
    for split in variant.splits:
        prepared = PreparedSplit(data_folder(data, variant, split))
        file = _file(model, variant, read_card(prepared.card, DatasetCard), split=split)
        file.of(labelled(variant.task, prepared.part("test")).rows)
        missing = file.missing(labelled(variant.task, prepared.part("valid")).rows)
        if variant.evaluation.recalibration and len(missing):
            raise ValueError(
                f"evaluation.recalibration: {file.path} does not predict validation {file.said(missing[0])} of split "
                f"{split}; predict all validation rows too, or leave the recalibration out"
            )
