"""Scores of next-character predictions, batch by batch: only what the metrics need is kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Integer
from scipy import special

from precisionflow.config import Experiment
from precisionflow.evaluation.calibration.classes import ClassBins, class_bins
from precisionflow.evaluation.metrics import class_metrics, token_metrics
from precisionflow.evaluation.predictor import Predictor
from precisionflow.evaluation.recalibration.temperature import temperature
from precisionflow.evaluation.scores.classes import brier, entropy
from precisionflow.records.schemas import TOKEN_PREDICTIONS
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.batches import part_batches

LogProbabilities = Float[np.ndarray, "tokens classes"]
"""Nats."""
Targets = Integer[np.ndarray, " tokens"]

FITTED_TOKENS = 10_000
"""Validation tokens that a temperature is fitted on: its standard error is then about one per cent."""


@dataclass
class TokenScores:
    """The predictions of a part, so far."""

    bins: int
    columns: list[dict[str, np.ndarray]] = field(default_factory=list)
    classes: ClassBins | None = None

    def add(self, log_probabilities: LogProbabilities, target: Targets) -> None:
        """Score one batch."""
        self.columns.append(token_columns(log_probabilities, target))
        found = class_bins(np.exp(log_probabilities), target, bins=self.bins)
        self.classes = found if self.classes is None else self.classes + found

    @property
    def table(self) -> pa.Table:
        """records.TOKEN_PREDICTIONS; `row` is the position of the target in the part."""
        columns = {name: np.concatenate([part[name] for part in self.columns]) for name in self.columns[0]}
        count = len(columns["target"])
        return pa.table({"row": np.arange(1, count + 1), **columns}, schema=TOKEN_PREDICTIONS)

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of a text."""
        assert self.classes is not None
        return token_metrics(self.table, bins=self.bins) | class_metrics(self.classes)


def token_columns(log_probabilities: LogProbabilities, target: Targets) -> dict[str, np.ndarray]:
    """The columns of records.TOKEN_PREDICTIONS but `row`."""
    probabilities = np.exp(log_probabilities)
    return {
        "target": target.astype(np.int32),
        "log_probability": np.take_along_axis(log_probabilities, target[:, None], axis=1)[:, 0],
        "confidence": np.minimum(probabilities.max(1), 1.0),
        "correct": probabilities.argmax(1) == target,
        "entropy": entropy(probabilities),
        "brier": brier(probabilities, target),
    }


def score_text(
    predictor: Predictor, experiment: Experiment, data: Path
) -> tuple[TokenScores, dict[str, float]]:
    """Scores of the test part, and `<metric>_after_temperature` where the experiment asks for it.

    The temperature is fitted on characters of the validation part, which early stopping has looked at.
    """
    bins = experiment.evaluation.bins
    plain, tempered = TokenScores(bins), TokenScores(bins)
    factor = None
    if "temperature" in experiment.evaluation.recalibration:
        factor = validation_temperature(predictor, experiment, data)
    for log_probabilities, target in _stated(predictor, experiment, PreparedSplit(data).part("test")):
        plain.add(log_probabilities, target)
        if factor is not None:
            tempered.add(special.log_softmax(log_probabilities / factor, axis=1), target)
    if factor is None:
        return plain, {}
    return plain, {f"{name}_after_temperature": value for name, value in tempered.metrics.items()}


def validation_temperature(predictor: Predictor, experiment: Experiment, data: Path) -> float:
    """T of `recalibration.temperature` on the first `FITTED_TOKENS` characters of the validation part."""
    parts, count = [], 0
    for log_probabilities, target in _stated(predictor, experiment, PreparedSplit(data).part("valid")):
        parts.append((np.exp(log_probabilities), target))
        count += len(target)
        if count >= FITTED_TOKENS:
            break
    probabilities, targets = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return temperature(probabilities, targets)


def _stated(
    predictor: Predictor, experiment: Experiment, file: Path
) -> Iterator[tuple[LogProbabilities, Targets]]:
    for batch in part_batches(experiment, file):
        stated = predictor.token_log_probabilities(batch.inputs).flatten(0, 1).numpy()
        yield stated, batch.target.flatten().numpy()
