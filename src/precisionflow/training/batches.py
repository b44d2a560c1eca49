"""Prepared data as tensors: the batch of a step, the batches of a part, sequences of unequal length as one batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.tasks import Characters, Regression, SequenceClassification, Task
from precisionflow.config.training import Training
from precisionflow.data.batches import Rows, Sequences, TokenWindows, rank_slice
from precisionflow.data.streams import Stream, Use
from precisionflow.models.networks.dropout import Draw, derived
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.ranks import Ranks


class Batch(NamedTuple):
    """Inputs and targets with the samples along the first axis, the places of a sequence along the second."""

    inputs: Tensor
    target: Tensor
    mask: Bool[Tensor, "batch places"] | None = None
    """True at real places, False at padding; none where every place is real. Losses and metrics count real places."""
    progress: float = 1.0
    """Share of the training steps that come before this batch."""
    weight: float = 1.0
    """Samples over an equal share of the step's batch, so that the weighted mean over ranks is that over samples."""
    draw: Draw | None = None
    """Decides the units that are dropped; none: nothing is learned from this batch."""

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """Number of real places of each sequence."""
        if self.mask is None:
            return torch.full(self.inputs.shape[:1], self.inputs.shape[1], device=self.inputs.device)
        return self.mask.sum(dim=1)

    def to(self, device: torch.device) -> "Batch":
        mask = None if self.mask is None else self.mask.to(device)
        draw = None if self.draw is None else self.draw.to(device)
        return self._replace(
            inputs=self.inputs.to(device), target=self.target.to(device), mask=mask, draw=draw
        )


def padded(
    sequences: Sequence[Int[np.ndarray, "_"]],
) -> tuple[Int[Tensor, "batch places"], Bool[Tensor, "batch places"] | None]:
    """(tokens, mask) of sequences, padded with token 0 to the longest; no mask where all are equally long.

    ValueError for no sequence and for one without tokens.
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    if not len(lengths) or not lengths.min():
        raise ValueError(
            f"sequences of {lengths.tolist()} tokens; give at least one, each with at least one token"
        )
    tokens = torch.zeros(len(sequences), int(lengths.max()), dtype=torch.int64)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
    mask = torch.arange(tokens.shape[1]) < lengths[:, None]
    return tokens, None if bool(mask.all()) else mask


@dataclass(frozen=True)
class TableRows:
    """Rows of a table; the whole part is one batch."""

    rows: Rows

    def size(self, batch_size: int) -> int:
        """Number of samples that a step takes over all ranks."""
        return min(batch_size, len(self.rows))

    def share(self, step: int, **share: Any) -> Batch:
        """This rank's share of the step's batch; a pure function of (stream, step)."""
        return _rows(self.rows.batch(step, **share))

    def whole(self, *, batch_size: int) -> list[Batch]:  # noqa: ARG002
        """All samples in order, every target once."""
        return [_rows(self.rows)]


@dataclass(frozen=True)
class TextWindows:
    """Windows of a text; the target of a character is the next one."""

    tokens: TokenWindows
    context: int

    def size(self, batch_size: int) -> int:
        return batch_size

    def share(self, step: int, **share: Any) -> Batch:
        return _windows(self.tokens.windows(step, context=self.context, **share))

    def whole(self, *, batch_size: int) -> list[Batch]:
        return [_windows(part) for part in self.tokens.consecutive(self.context, batch_size=batch_size)]


@dataclass(frozen=True)
class ClassifiedTexts:
    """Texts of unequal length; the target of a text is its class."""

    texts: Sequences

    def size(self, batch_size: int) -> int:
        return min(batch_size, len(self.texts))

    def share(self, step: int, **share: Any) -> Batch:
        return _sequences(self.texts.batch(step, **share))

    def whole(self, *, batch_size: int) -> list[Batch]:
        return [_sequences(part) for part in self.texts.consecutive(batch_size=batch_size)]


Samples = TableRows | TextWindows | ClassifiedTexts
"""The samples of one part of a data set."""


def read_samples(task: Task, file: Path) -> Samples:
    """The samples in `<part>.parquet`."""
    match task:
        case Regression():
            return TableRows(Rows.read(file))
        case Characters(context=context):
            return TextWindows(TokenWindows.read(file), context)
        case SequenceClassification():
            return ClassifiedTexts(Sequences.read(file))
        case _:
            assert_never(task)


def _rows(rows: Rows) -> Batch:
    return Batch(torch.from_numpy(rows.features), torch.from_numpy(rows.target))


def _sequences(texts: Sequences) -> Batch:
    tokens, mask = padded(texts.tokens)
    return Batch(tokens, torch.from_numpy(texts.target.astype(np.int64)), mask)


def _windows(tokens: np.ndarray) -> Batch:
    windows = torch.from_numpy(tokens.astype(np.int64))
    return Batch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())


def training_batches(
    experiment: Experiment, data: Path, *, training: Training, stream: Stream, ranks: Ranks
) -> Callable[[int], Batch]:
    """step -> this rank's share of the step's batch; a pure function of (stream, step).

    ValueError for a part with fewer training rows than ranks.
    """
    file = PreparedSplit(data).part("train")
    samples = read_samples(experiment.task, file)
    size = samples.size(training.batch_size)
    if size < ranks.count:
        raise ValueError(f"{file}: {size} rows are too few for engine.ranks {ranks.count}; use fewer ranks")

    key = torch.tensor(stream.number(Use.DROPOUT))

    def share(step: int) -> Batch:
        drawn = samples.share(
            step, stream=stream, batch_size=training.batch_size, rank=ranks.index, ranks=ranks.count
        )
        weight = len(drawn.target) / (size / ranks.count)
        places = rank_slice(size, rank=ranks.index, ranks=ranks.count)
        draw = Draw(derived(key, step), torch.arange(places.start, places.stop))
        return drawn._replace(progress=step / training.steps, weight=weight, draw=draw).to(ranks.device)

    return share


def part_batches(experiment: Experiment, file: Path, *, batch_size: int = 64) -> list[Batch]:
    """All samples of a part in order, every target once."""
    return read_samples(experiment.task, file).whole(batch_size=batch_size)
