"""Scores of class probabilities, batch by batch: only what the metrics need is kept."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.networks import posterior_of
from precisionflow.evaluation.calibration.by_class import class_table, confusion_table
from precisionflow.evaluation.calibration.chance import ClassChance, Draws
from precisionflow.evaluation.calibration.classes import ClassBins, class_bins
from precisionflow.evaluation.metrics import class_metrics, class_wise_metrics
from precisionflow.evaluation.recalibration.of_classes import LogProbabilities, SetScores, Targets, fitted
from precisionflow.evaluation.recalibration.temperature import log_tempered
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.classes import Probabilities, brier, entropy
from precisionflow.evaluation.where import Bins
from precisionflow.evaluation.where_classes import Kept, class_bins_table
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.recalibration import ClassFit, SetFit, TemperatureFit
from precisionflow.records.schemas import CLASS_PREDICTIONS
from precisionflow.results.layout import Part, PreparedSplit
from precisionflow.training.batches import Batch, part_batches

Predict = Callable[[Batch], Float[Tensor, "... classes"] | Voices]
"""log p(class) of every target of a batch in nats, or what the networks of a posterior state."""

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


class StatedTargets(NamedTuple):
    """What is stated of some targets, and what they are."""

    log_probabilities: LogProbabilities
    target: Targets
    mutual_information: Float[np.ndarray, " rows"] | None = None
    """Epistemic part of the entropy, in nats; none: no posterior is asked."""


class HoldsOut(ABC):
    """A predictor of classes whose recalibrations can be fitted on what the networks of other splits predict too."""

    @abstractmethod
    def held_out(self, experiment: Experiment, data: Path) -> StatedTargets:
        """What is stated of the validation targets."""

    @abstractmethod
    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """Scores of the test part; recalibrations are fitted on the validation targets and on those `beside`."""


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
    mutual_information: list[Float[np.ndarray, " rows"]] = field(default_factory=list)
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
    def beside(self) -> dict[str, float]:
        """Means of the entropy and its epistemic part, in nats; nothing where no posterior was asked."""
        if not self.mutual_information:
            return {}
        entropies = np.concatenate([part["entropy"] for part in self.columns])
        epistemic = np.concatenate(self.mutual_information)
        return {
            "predictive_entropy": float(entropies.mean()),
            "mutual_information": float(epistemic.mean()),
        }

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
    stated: Float[Tensor, "*places classes"] | Voices,
    target: Tensor,
    counted: Bool[np.ndarray, "*places"] | None = None,
) -> StatedTargets:
    """What is stated of each place that counts; without `counted` of each place."""
    chosen = slice(None) if counted is None else counted.ravel()
    classes = target.numpy().ravel()[chosen]
    if not isinstance(stated, Voices):
        return StatedTargets(stated.flatten(0, -2).numpy()[chosen], classes)
    log_probabilities = stated.log_probabilities().flatten(0, -2).numpy()[chosen]
    return StatedTargets(log_probabilities, classes, stated.epistemic().flatten().numpy()[chosen])


def score_classes(
    predict: Predict,
    experiment: Experiment,
    data: Path,
    *,
    row: Targets,
    measure: Callable[[ClassScores], dict[str, float]],
    named: Named | None = None,
    beside: Sequence[StatedTargets] = (),
) -> Scored:
    """The test part as predicted, and after the recalibrations that the experiment asks for.

    `row` is where each target of the part stands; class by class and in bins where the classes are `named`.
    Recalibrations are fitted on the validation part, which early stopping has looked at, and on what is `beside`.
    """
    return score_parts(
        _of_part(predict, experiment, data, "test"),
        experiment,
        row=row,
        calibration=lambda: calibration_targets(predict, experiment, data),
        measure=measure,
        named=named,
        beside=beside,
    )


@dataclass
class _Tempered:
    """Scores after temperature."""

    fit: TemperatureFit
    scores: ClassScores
    measure: Callable[[ClassScores], dict[str, float]]

    def add(self, log_probabilities: LogProbabilities, target: Targets) -> None:
        self.scores.add(log_tempered(log_probabilities, self.fit.factor), target)

    @property
    def metrics(self) -> dict[str, float]:
        return self.measure(self.scores)

    @property
    def chance(self) -> dict[str, Draws]:
        return self.scores.chance


def score_parts(
    parts: Iterable[StatedTargets],
    experiment: Experiment,
    *,
    row: Targets,
    calibration: Callable[[], StatedTargets],
    measure: Callable[[ClassScores], dict[str, float]],
    named: Named | None = None,
    beside: Sequence[StatedTargets] = (),
) -> Scored:
    """The same of all test targets with their predictions; `calibration` is asked where a recalibration is wanted."""
    fits: tuple[ClassFit, ...] = ()
    if experiment.evaluation.recalibration:
        held_out = _joined([calibration(), *beside])
        fits = fitted(held_out.log_probabilities, held_out.target, experiment=experiment)
    bins = experiment.evaluation.bins
    plain = ClassScores(bins, row)
    kept = None if named is None else Kept(row)
    after = [
        SetScores(fit, row) if isinstance(fit, SetFit) else _Tempered(fit, ClassScores(bins, row), measure)
        for fit in fits
    ]
    for log_probabilities, target, epistemic in parts:
        plain.add(log_probabilities, target)
        if kept is not None:
            kept.add(log_probabilities)
        if epistemic is not None:
            plain.mutual_information.append(epistemic)
        for each in after:
            each.add(log_probabilities, target)
    metrics, chance = measure(plain) | plain.beside, plain.chance
    for each in after:
        metrics |= {f"{name}_after_{each.fit.method}": value for name, value in each.metrics.items()}
        chance |= {f"{name}_after_{each.fit.method}": draws for name, draws in each.chance.items()}
    scored = Scored(plain.table, CLASS_PREDICTIONS, metrics, chance, recalibrations=fits)
    if named is None or kept is None:
        return scored
    classes, confusions = by_class(plain, named.names)
    where = class_bins_table(plain.table, kept, keys=named.keys(np.concatenate(plain.predicted)))
    return scored._replace(classes=classes, confusions=confusions, bins=where)


def calibration_targets(predict: Predict, experiment: Experiment, data: Path) -> StatedTargets:
    """What is stated of validation targets from end to end of the part.

    Every k-th sample of each batch, at least `FITTED_TARGETS` targets where their probabilities are no more than
    `FITTED_NUMBERS`: the beginning of a text is not like the rest.
    """
    batches, classes = part_batches(experiment, PreparedSplit(data).part("valid")), _classes(data)
    wanted = min(FITTED_TARGETS, max(1, FITTED_NUMBERS // classes))
    stride = max(1, int(sum(batch.counted for batch in batches)) // wanted)
    numbers = classes * _voices(experiment)
    chosen = (part for batch in batches for part in _parts(batch.taken(slice(None, None, stride)), numbers))
    return _joined([_predicted(predict, part) for part in chosen])


def _joined(parts: Sequence[StatedTargets]) -> StatedTargets:
    """What is stated of the targets of all parts, without the parts of its entropy."""
    return StatedTargets(*(np.concatenate([part[column] for part in parts]) for column in (0, 1)))


def _classes(data: Path) -> int:
    """Number of classes that are predicted."""
    card = read_card(PreparedSplit(data).card, DatasetCard)
    return card.known.ids if card.classes is None else len(card.classes)


def _voices(experiment: Experiment) -> int:
    """Networks that state probabilities of each target."""
    posterior = posterior_of(experiment.model)
    return 1 if posterior is None else posterior.voices


def _parts(batch: Batch, numbers: int) -> Iterator[Batch]:
    """The samples of a batch, as many at a time as have `PREDICTED_NUMBERS` probabilities, `numbers` each target."""
    samples = len(batch.target)
    size = max(1, PREDICTED_NUMBERS * samples // (batch.target.numel() * numbers))
    return (batch.taken(slice(first, first + size)) for first in range(0, samples, size))


def _predicted(predict: Predict, batch: Batch) -> StatedTargets:
    """The targets of a batch that count, with their predicted probabilities."""
    counted = None if batch.counts is None else batch.counts.numpy() > 0
    return real_places(predict(batch), batch.target, counted)


def _of_part(predict: Predict, experiment: Experiment, data: Path, part: Part) -> Iterator[StatedTargets]:
    """Every target of a part that counts, with its predicted probabilities."""
    numbers = _classes(data) * _voices(experiment)
    for batch in part_batches(experiment, PreparedSplit(data).part(part)):
        for piece in _parts(batch, numbers):
            yield _predicted(predict, piece)
