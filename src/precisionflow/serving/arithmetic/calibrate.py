"""Measurement of every arithmetic of a model: seconds of batches in turn with float32, errors on validation rows."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from precisionflow.data.batches import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.tasks.classification import RowClassPredictor, Stated
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.records.arithmetic import ArithmeticCard, Timed, Variant
from precisionflow.serving.arithmetic.variants import machine, variants_of

BATCHES = (1, 10, 100, 1000, 10_000)
TURNS, WARM = 40, 3
LONGEST = 2.0
"""Seconds of one arithmetic at one number of rows, after which no turn begins."""
FASTER, SHARE = 0.95, 0.8


def calibrated(
    predictor: TablePredictor | RowClassPredictor,
    valid: Rows,
    *,
    model: str,
    batches: Sequence[int] = BATCHES,
) -> ArithmeticCard:
    """Every arithmetic of the predictor on the validation rows, which are repeated to fill a batch."""
    largest = float(np.abs(valid.features).max())
    variants = variants_of(predictor, largest=largest)
    features = torch.from_numpy(valid.features)
    times: dict[str, list[Timed]] = {name: [] for name in variants}
    for rows in batches:
        batch = features[torch.arange(rows) % len(features)]
        found = _in_turn([variant.standardised for variant in variants.values()], batch)
        for name, seconds in zip(variants, found, strict=True):
            times[name].append(_timed(rows, seconds, found[0]))
    exact = predictor.standardised(features)
    return ArithmeticCard(
        model=model,
        machine=machine(),
        largest=largest,
        variants=tuple(
            Variant(
                arithmetic=name,
                error=_error(exact, stated := variant.standardised(features)),
                excess_nll=float(np.mean(_log(exact, valid, predictor) - _log(stated, valid, predictor))),
                times=tuple(times[name]),
            )
            for name, variant in variants.items()
        ),
    )


def _in_turn(work: Sequence[Callable[[Tensor], object]], batch: Tensor) -> list[np.ndarray]:
    """Seconds of each of some functions of a batch, called one after the other in every turn."""
    for function in work:
        for _ in range(WARM):
            function(batch)
    seconds: list[list[float]] = []
    begun = time.perf_counter()
    while len(seconds) < TURNS and (len(seconds) < 5 or time.perf_counter() - begun < LONGEST * len(work)):
        turn = []
        for function in work:
            start = time.perf_counter()
            function(batch)
            turn.append(time.perf_counter() - start)
        seconds.append(turn)
    return list(np.array(seconds).T)


def _timed(rows: int, seconds: np.ndarray, exact: np.ndarray) -> Timed:
    ratio = seconds / exact
    faster = bool(np.median(ratio) <= FASTER and (ratio < 1).mean() >= SHARE)
    most = float(np.quantile(seconds, 0.95))
    return Timed(rows=rows, median=float(np.median(seconds)), most=most, faster=faster)


def _error(exact: Distribution | Stated, other: Distribution | Stated) -> float:
    """See `Variant.error`."""
    match exact, other:
        case Distribution(), Distribution():
            shift = np.abs(other.mean - exact.mean) / exact.std
            errors = np.maximum(shift, np.abs(np.log(other.std / exact.std)))
        case Stated(), Stated():
            errors = np.abs(other.probabilities - exact.probabilities).sum(axis=1) / 2
        case _:
            raise TypeError("predictions of unlike kinds")
    return float(np.quantile(errors, 0.99))


def _log(
    stated: Distribution | Stated, valid: Rows, predictor: TablePredictor | RowClassPredictor
) -> np.ndarray:
    """log p(target) of each row, in nats."""
    if isinstance(stated, Distribution):
        return stated.log_density(predictor.data_card.table.restore_target(valid.target))
    return stated.log_probabilities[np.arange(len(valid.target)), valid.target.astype(int)]
