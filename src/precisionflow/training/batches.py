"""Prepared data as tensors: the batch of a step, the batches of a part."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, assert_never

import numpy as np
import torch
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.tasks import Characters, Regression
from precisionflow.data.batches import Rows, TokenWindows
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.ranks import Ranks


class Batch(NamedTuple):
    """Inputs and targets with the samples along the first axis."""

    inputs: Tensor
    target: Tensor
    mask: Tensor | None = None
    """True at real tokens; none: every place is real."""
    progress: float = 1.0
    """Share of the steps that had been taken when it was drawn."""
    weight: float = 1.0
    """Samples over an equal share of the step's batch: the weighted mean over ranks is the mean over all samples."""

    def to(self, device: torch.device) -> "Batch":
        return self._replace(inputs=self.inputs.to(device), target=self.target.to(device))


def _windows(tokens: np.ndarray) -> Batch:
    windows = torch.from_numpy(tokens.astype(np.int64))
    return Batch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())


def _rows(rows: Rows) -> Batch:
    return Batch(torch.from_numpy(rows.features), torch.from_numpy(rows.target))


def training_batches(
    experiment: Experiment, data: Path, *, seed: int, ranks: Ranks
) -> Callable[[int], Batch]:
    """step -> this rank's share of the step's batch; a pure function of (seed, step).

    ValueError for a table with fewer training rows than ranks.
    """
    size = experiment.training.batch_size
    share = {
        "seed": seed,
        "batch_size": size,
        "rank": ranks.index,
        "ranks": ranks.count,
    }
    match experiment.task:
        case Characters(context=context):
            windows = TokenWindows.read(PreparedSplit(data).part("train"))
            return lambda step: _windows(windows.windows(step, context=context, **share)).to(ranks.device)
        case Regression():
            file = PreparedSplit(data).part("train")
            rows = Rows.read(file)
            if len(rows) < ranks.count:
                raise ValueError(
                    f"{file}: {len(rows)} rows are too few for engine.ranks {ranks.count}; use fewer ranks"
                )
            equal_share = min(size, len(rows)) / ranks.count

            def weighted(step: int) -> Batch:
                part = _rows(rows.batch(step, **share))
                return part._replace(
                    progress=step / experiment.training.steps, weight=len(part.target) / equal_share
                ).to(ranks.device)

            return weighted
        case _:
            assert_never(experiment.task)


def part_batches(experiment: Experiment, file: Path, *, batch_size: int = 64) -> list[Batch]:
    """All samples of a part in order, every target once."""
    match experiment.task:
        case Characters(context=context):
            windows = TokenWindows.read(file)
            return [_windows(tokens) for tokens in windows.consecutive(context, batch_size=batch_size)]
        case Regression():
            return [_rows(Rows.read(file))]
        case _:
            assert_never(experiment.task)
