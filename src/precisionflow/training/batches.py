"""Prepared data as tensors: the batch of a step, the batches of a part."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, assert_never

import numpy as np
import torch
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.task import Characters, Regression
from precisionflow.data.batches import Rows, TokenWindows
from precisionflow.training.ranks import Ranks


class Batch(NamedTuple):
    """Inputs and targets with the samples along the first axis."""

    inputs: Tensor
    target: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.inputs.to(device), self.target.to(device))


def _windows(tokens: np.ndarray) -> Batch:
    windows = torch.from_numpy(tokens.astype(np.int64))
    return Batch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())


def _rows(rows: Rows) -> Batch:
    return Batch(torch.from_numpy(rows.features), torch.from_numpy(rows.target))


def training_batches(
    experiment: Experiment, data: Path, *, seed: int, ranks: Ranks
) -> Callable[[int], Batch]:
    """step -> this rank's share of the step's batch; a pure function of (seed, step)."""
    share = {
        "seed": seed,
        "batch_size": experiment.training.batch_size,
        "rank": ranks.index,
        "ranks": ranks.count,
    }
    match experiment.task:
        case Characters(context=context):
            windows = TokenWindows.read(data / "train.parquet")
            return lambda step: _windows(windows.windows(step, context=context, **share)).to(ranks.device)
        case Regression():
            rows = Rows.read(data / "train.parquet")
            return lambda step: _rows(rows.batch(step, **share)).to(ranks.device)
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
