"""Prepared data as tensors: the batch of a step, the batches of a part, sequences of unequal length as one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.tasks import (
    Allocation,
    Classification,
    Images,
    NextToken,
    Objects,
    Planning,
    Regression,
    Retrieval,
    SequenceClassification,
    StageAllocation,
    Synthetic,
    Tagging,
    Task,
    VideoAllocation,
)
from precisionflow.config.training import Training
from precisionflow.data.bags import Padded
from precisionflow.data.batches import Rows, Sequences, TokenWindows, rank_slice
from precisionflow.data.streams import Stream, Use
from precisionflow.models.networks.dropout import Draw, derived
from precisionflow.models.numerics import counted_sum
from precisionflow.records.schemas import NOT_COUNTED
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.ranks import Ranks

SMALLEST_COUNT = 1e-30
"""Least divisor of a mean: where nothing counts it is 0."""


class Batch(NamedTuple):
    """Inputs and targets with the samples along the first axis, the places of a sequence along the second."""

    inputs: Tensor
    target: Tensor
    mask: Bool[Tensor, "batch places"] | None = None
    """True at real places of the inputs, False at padding; none where every place is real."""
    counts: Float[Tensor, "*targets"] | None = None
    """1 where a target counts in losses, 0 where nothing is to be predicted; none: each counts."""
    importance: Float[Tensor, "batch"] | None = None
    """Factor of each sample's losses, 1 on average over its part; none: each has 1."""
    progress: float = 1.0
    """Share of the training steps that come before this batch."""
    weight: float = 1.0
    """Count of its targets over an equal share of the step's, so that the weighted mean over ranks is that over all."""
    draw: Draw | None = None
    """Decides the units that are dropped; none: nothing is learned from this batch."""

    @property
    def counted(self) -> float:
        """Number of targets that count."""
        return float(self.target.numel() if self.counts is None else self.counts.sum())

    @property
    def factors(self) -> Float[Tensor, "*targets"] | None:
        """Factor of each target's loss in a sum; none: 1."""
        if self.importance is None:
            return self.counts
        each = self.importance.view(-1, *[1] * (self.target.ndim - 1)).expand(self.target.shape)
        return each if self.counts is None else each * self.counts

    def mean(self, losses: Float[Tensor, "*targets"]) -> Float[Tensor, ""]:
        """Sum of the targets' losses, each times its factor, over the number that count; 0 where none counts.

        Weights of samples are no divisor: a batch of small weights teaches little, and the expected gradient is that of
        the weighted mean over the part.
        """
        if self.factors is None:
            return losses.mean()
        return counted_sum(losses, self.factors) / max(self.counted, SMALLEST_COUNT)

    def parts(self, count: int) -> list["Batch"]:
        """The batch in `count` parts, one after the other, whose weighted mean is that of the batch."""
        return [self] if count == 1 else [self._part(index, count) for index in range(count)]

    def _part(self, index: int, count: int) -> "Batch":
        part = self.taken(rank_slice(len(self.target), rank=index, ranks=count))
        share = part.counted / max(self.counted, SMALLEST_COUNT)
        return part._replace(weight=self.weight * count * share)

    def taken(self, of: slice) -> "Batch":
        """Some of the samples."""
        return self._replace(
            inputs=self.inputs[of],
            target=self.target[of],
            mask=None if self.mask is None else self.mask[of],
            counts=None if self.counts is None else self.counts[of],
            importance=None if self.importance is None else self.importance[of],
            draw=None if self.draw is None else self.draw.share(of),
        )

    def to(self, device: torch.device) -> "Batch":
        mask = None if self.mask is None else self.mask.to(device)
        counts = None if self.counts is None else self.counts.to(device)
        importance = None if self.importance is None else self.importance.to(device)
        draw = None if self.draw is None else self.draw.to(device)
        inputs, target = self.inputs.to(device), self.target.to(device)
        return self._replace(
            inputs=inputs, target=target, mask=mask, counts=counts, importance=importance, draw=draw
        )


@dataclass(frozen=True)
class TableRows:
    """Rows of a table; the whole part is one batch."""

    rows: Rows

    def size(self, batch_size: int) -> int:
        """Number of samples that a step takes over all ranks."""
        return min(batch_size, len(self.rows))

    def share(self, step: int, **share: Any) -> Batch:
        """This rank's share of the step's batch; a pure function of (stream, step)."""
        return _rows(self.rows, self.rows.drawn(step, **share))

    def whole(self, *, batch_size: int) -> list[Batch]:  # noqa: ARG002
        """All samples in order, every target once."""
        return [_rows(self.rows, slice(None))]


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


@dataclass(frozen=True)
class TaggedTexts:
    """Texts of unequal length; every token has a target, or none that counts."""

    texts: Sequences

    def size(self, batch_size: int) -> int:
        return min(batch_size, len(self.texts))

    def share(self, step: int, **share: Any) -> Batch:
        texts = self.texts.batch(step, **share)
        return _tagged(texts, texts.taught())

    def whole(self, *, batch_size: int) -> list[Batch]:
        """Without the columns that are learned beside."""
        return [_tagged(part, part.tags()) for part in self.texts.consecutive(batch_size=batch_size)]


@dataclass(frozen=True)
class ClassifiedImages:
    """Images with a class; the inputs are the classes, the targets the images."""

    rows: Rows

    def size(self, batch_size: int) -> int:
        return min(batch_size, len(self.rows))

    def share(self, step: int, **share: Any) -> Batch:
        return _images(self.rows, self.rows.drawn(step, **share))

    def whole(self, *, batch_size: int) -> list[Batch]:
        firsts = range(0, len(self.rows), batch_size)
        return [_images(self.rows, slice(first, first + batch_size)) for first in firsts]


Samples = TableRows | ClassifiedImages | TextWindows | ClassifiedTexts | TaggedTexts
"""The samples of one part of a data set."""


def read_samples(task: Task, file: Path) -> Samples:
    """The samples in `<part>.parquet`."""
    match task:
        case (
            Regression()
            | Classification()
            | Objects()
            | Allocation()
            | VideoAllocation()
            | StageAllocation()
            | Retrieval()
        ):
            return TableRows(Rows.read(file))
        case Images():
            return ClassifiedImages(Rows.read(file))
        case NextToken(context=context):
            return TextWindows(TokenWindows.read(file), context)
        case SequenceClassification():
            return ClassifiedTexts(Sequences.read(file))
        case Synthetic(source=source):
            sequences = Sequences.read(file, tagged=source.tagged)
            return TaggedTexts(sequences) if source.tagged else ClassifiedTexts(sequences)
        case Tagging():
            return TaggedTexts(Sequences.read(file, tagged=True))
        case Planning():
            raise TypeError("episodes are played, no batch is drawn of them")
        case _:
            assert_never(task)


def _rows(rows: Rows, chosen: Int[np.ndarray, "chosen"] | slice) -> Batch:
    features, target = torch.from_numpy(rows.features[chosen]), torch.from_numpy(rows.target[chosen])
    importance = None if rows.importance is None else torch.from_numpy(rows.importance[chosen])
    return Batch(features, target, importance=importance)


def _images(rows: Rows, chosen: Int[np.ndarray, "chosen"] | slice) -> Batch:
    classes, images = rows.target[chosen].astype(np.int64), rows.features[chosen]
    return Batch(torch.from_numpy(classes), torch.from_numpy(images))


def _sequences(texts: Sequences) -> Batch:
    tokens, mask = masked(*texts.padded())
    return Batch(tokens, torch.from_numpy(texts.classes().astype(np.int64)), mask)


def _tagged(texts: Sequences, taught: Int[np.ndarray, "texts places *columns"]) -> Batch:
    """Tags, which count where there is one; of auxiliary columns NOT_COUNTED stays, for their losses to know."""
    tokens, mask = masked(*texts.padded())
    target = torch.from_numpy(taught.astype(np.int64))
    tags = target if target.ndim == 2 else target[..., 0]
    counts = (tags != NOT_COUNTED).float()
    tags.clamp_min_(0)
    return Batch(tokens, target, mask, counts=counts)


def masked(ids: Padded, mask: Bool[np.ndarray, "texts places"]) -> tuple[Tensor, Tensor | None]:
    """Ids and mask as tensors; no mask where every place is real."""
    return torch.from_numpy(ids), None if mask.all() else torch.from_numpy(mask)


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
    if size < ranks.count * training.accumulate:
        raise ValueError(
            f"{file}: {size} rows are too few for {ranks.count} shares of a batch and training.accumulate "
            f"{training.accumulate}; use fewer"
        )

    key = torch.tensor(stream.number(Use.DROPOUT))

    def share(step: int) -> Batch:
        drawn = samples.share(
            step, stream=stream, batch_size=training.batch_size, rank=ranks.index, ranks=ranks.count
        )
        whole = partial(samples.share, step, stream=stream, batch_size=training.batch_size)
        weight = weighted(drawn, size, whole, ranks)
        places = rank_slice(size, rank=ranks.index, ranks=ranks.count)
        draw = Draw(derived(key, step), torch.arange(places.start, places.stop))
        return drawn._replace(progress=step / training.steps, weight=weight, draw=draw).to(ranks.device)

    return share


def weighted(drawn: Batch, size: int, whole: Callable[[], Batch], ranks: Ranks) -> float:
    """`Batch.weight` of this rank's share of a step's batch of `size` samples; `whole` is that of all ranks."""
    if drawn.counts is None or ranks.count == 1:
        return len(drawn.target) / (size / ranks.count)
    return drawn.counted / max(whole().counted / ranks.count, SMALLEST_COUNT)


def part_batches(experiment: Experiment, file: Path, *, batch_size: int = 64) -> list[Batch]:
    """All samples of a part in order, every target once."""
    return read_samples(experiment.task, file).whole(batch_size=batch_size)
