"""Scores of class probabilities, batch by batch: only what the metrics need is kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.evaluation.calibration.by_class import class_table, confusion_table
from precisionflow.evaluation.calibration.chance import ClassChance, Draws
from precisionflow.evaluation.calibration.classes import ClassBins, class_bins
from precisionflow.evaluation.metrics import class_metrics, class_wise_metrics
from precisionflow.evaluation.recalibration.temperature import log_tempered, temperature
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.classes import Probabilities, brier, entropy
from precisionflow.evaluation.where import Bins
from precisionflow.evaluation.where_classes import Kept, class_bins_table
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.recalibration import TemperatureFit
from precisionflow.records.schemas import CLASS_PREDICTIONS
from precisionflow.results.layout import Part, PreparedSplit
from precisionflow.training.batches import Batch, part_batches

LogProbabilities = Float[np.ndarray, "rows classes"]
"""Nats."""
Targets = Integer[np.ndarray, " rows"]
Predict = Callable[[Batch], Float[Tensor, "... classes"]]
"""log p(class) of every target of a batch, in nats."""

FITTED_TARGETS = 100_000
"""Validation targets, at least, that a temperature is fitted on: its standard error is then about a third of a per
cent."""
FITTED_NUMBERS = 1 << 26
"""Probabilities that a temperature is fitted on at most: with many classes those of fewer targets."""
PREDICTED_NUMBERS = 1 << 23
"""Probabilities that are in memory at once, a few times over; those of one sample may be more."""


@dataclass(frozen=True)
class Named:
    """Classes that are told one by one, and what their predictions are put into bins by."""

    names: Sequence[str]
    keys: Callable[[Targets], Mapping[str, Bins]]
    """The most probable class of every row -> bins of the rows, beside those of the confidence."""


@dataclass
class ClassScores:
    """The scores of the predictions that were added so far."""

    bins: int
    row: Targets
    """Where each target stands, those of later batches too."""
    columns: list[dict[str, np.ndarray]] = field(default_factory=list)
    predicted: list[Targets] = field(default_factory=list)
    """The most probable class of every target."""
    classes: ClassBins | None = None
    drawn: ClassChance = field(init=False)

    def __post_init__(self) -> None:
        self.drawn = ClassChance(self.bins)

    def add(self, log_probabilities: LogProbabilities, target: Targets) -> None:
        """Score one batch."""
        probabilities, count = np.exp(log_probabilities), self.count
        columns = class_columns(log_probabilities, probabilities, target)
        self.columns.append(columns)
        self.predicted.append(log_probabilities.argmax(1))
        found = class_bins(probabilities, target, bins=self.bins)
        self.classes = found if self.classes is None else self.classes + found
        self.drawn.add(probabilities, columns["confidence"], self.row[count : count + len(target)])

    @property
    def count(self) -> int:
        """Number of predictions."""
        return sum(len(part["target"]) for part in self.columns)

    @property
    def table(self) -> pa.Table:
        """A records.schemas.CLASS_PREDICTIONS."""
        columns = {name: np.concatenate([part[name] for part in self.columns]) for name in self.columns[0]}
        return pa.table({"row": self.row[: self.count], **columns}, schema=CLASS_PREDICTIONS)

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of class probabilities."""
        assert self.classes is not None
        return class_metrics(self.table, bins=self.bins) | class_wise_metrics(self.classes)

    @property
    def chance(self) -> dict[str, Draws]:
        """Calibration errors in worlds where the probabilities are true."""
        assert self.classes is not None
        return self.drawn.scores(self.classes)


def by_class(scores: ClassScores, names: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """records.schemas.CLASSES and CONFUSIONS of all predictions."""
    assert scores.classes is not None
    target, confidence = (
        np.concatenate([part[name] for part in scores.columns]) for name in ("target", "confidence")
    )
    predicted = np.concatenate(scores.predicted)
    table = class_table(names, scores.classes, target=target, predicted=predicted, confidence=confidence)
    return table, confusion_table(names, target=target, predicted=predicted)


def class_columns(
    log_probabilities: LogProbabilities, probabilities: Probabilities, target: Targets
) -> dict[str, np.ndarray]:
    """The columns of records.schemas.CLASS_PREDICTIONS but `row`."""
    likeliest = log_probabilities.argmax(1)[:, None]
    return {
        "target": target.astype(np.int32),
        "log_probability": np.take_along_axis(log_probabilities, target[:, None], axis=1)[:, 0],
        "confidence": np.minimum(np.take_along_axis(probabilities, likeliest, axis=1)[:, 0], 1.0),
        "correct": likeliest[:, 0] == target,
        "entropy": entropy(probabilities),
        "brier": brier(probabilities, target),
    }


def real_places(
    log_probabilities: Float[np.ndarray, "*places classes"],
    target: Integer[np.ndarray, "*places"],
    mask: Bool[np.ndarray, "*places"] | None = None,
) -> tuple[LogProbabilities, Targets]:
    """One row for each place where the mask is True; without a mask, for each place."""
    if mask is not None:
        return log_probabilities[mask], target[mask]
    return log_probabilities.reshape(-1, log_probabilities.shape[-1]), target.ravel()


def score_classes(
    predict: Predict,
    experiment: Experiment,
    data: Path,
    *,
    row: Targets,
    measure: Callable[[ClassScores], dict[str, float]],
    named: Named | None = None,
) -> Scored:
    """The test part as predicted, and after temperature where the experiment asks for it.

    `row` is where each target of the part stands; class by class and in bins where the classes are `named`. The
    temperature is fitted on the validation part, which early stopping has looked at.
    """
    return score_parts(
        _of_part(predict, experiment, data, "test"),
        experiment,
        row=row,
        calibrate=lambda: validation_temperature(predict, experiment, data),
        measure=measure,
        named=named,
    )


def score_parts(
    parts: Iterable[tuple[LogProbabilities, Targets]],
    experiment: Experiment,
    *,
    row: Targets,
    calibrate: Callable[[], float],
    measure: Callable[[ClassScores], dict[str, float]],
    named: Named | None = None,
) -> Scored:
    """The same of all test targets with their predictions; `calibrate` is asked where a temperature is wanted."""
    plain, tempered = (ClassScores(experiment.evaluation.bins, row) for _ in range(2))
    kept = None if named is None else Kept(row)
    fits: tuple[TemperatureFit, ...] = ()
    if "temperature" in experiment.evaluation.recalibration:
        fits = (TemperatureFit(factor=calibrate()),)
    for log_probabilities, target in parts:
        plain.add(log_probabilities, target)
        if kept is not None:
            kept.add(log_probabilities)
        for fit in fits:
            tempered.add(log_tempered(log_probabilities, fit.factor), target)
    metrics, chance = measure(plain), plain.chance
    if fits:
        metrics |= {f"{name}_after_temperature": value for name, value in measure(tempered).items()}
        chance |= {f"{name}_after_temperature": draws for name, draws in tempered.chance.items()}
    scored = Scored(plain.table, CLASS_PREDICTIONS, metrics, chance, recalibrations=fits)
    if named is None or kept is None:
        return scored
    classes, confusions = by_class(plain, named.names)
    bins = class_bins_table(plain.table, kept, keys=named.keys(np.concatenate(plain.predicted)))
    return scored._replace(classes=classes, confusions=confusions, bins=bins)


def validation_temperature(predict: Predict, experiment: Experiment, data: Path) -> float:
    """T of `recalibration.temperature` on validation targets from end to end of the part.

    Every k-th sample of each batch, at least `FITTED_TARGETS` targets where their probabilities are no more than
    `FITTED_NUMBERS`: the beginning of a text is not like the rest.
    """
    batches, classes = part_batches(experiment, PreparedSplit(data).part("valid")), _classes(data)
    wanted = min(FITTED_TARGETS, max(1, FITTED_NUMBERS // classes))
    stride = max(1, int(sum(batch.counted for batch in batches)) // wanted)
    chosen = (part for batch in batches for part in _parts(batch.taken(slice(None, None, stride)), classes))
    parts = [_predicted(predict, part) for part in chosen]
    log_probabilities, targets = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return temperature(np.exp(log_probabilities), targets)


def _classes(data: Path) -> int:
    """Number of classes that are predicted."""
    card = read_card(PreparedSplit(data).card, DatasetCard)
    return card.known.ids if card.classes is None else len(card.classes)


def _parts(batch: Batch, classes: int) -> Iterator[Batch]:
    """The samples of a batch, as many at a time as have `PREDICTED_NUMBERS` probabilities."""
    samples = len(batch.target)
    size = max(1, PREDICTED_NUMBERS * samples // (batch.target.numel() * classes))
    return (batch.taken(slice(first, first + size)) for first in range(0, samples, size))


def _predicted(predict: Predict, batch: Batch) -> tuple[LogProbabilities, Targets]:
    """The targets of a batch that count, with their predicted probabilities."""
    counted = None if batch.counts is None else batch.counts.numpy() > 0
    return real_places(predict(batch).numpy(), batch.target.numpy(), counted)


def _of_part(
    predict: Predict, experiment: Experiment, data: Path, part: Part
) -> Iterator[tuple[LogProbabilities, Targets]]:
    """Every target of a part that counts, with its predicted probabilities."""
    classes = _classes(data)
    for batch in part_batches(experiment, PreparedSplit(data).part(part)):
        for piece in _parts(batch, classes):
            yield _predicted(predict, piece)
