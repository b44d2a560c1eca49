"""Members: the networks that a variant trains, their rows, their order of batches, their random streams."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from precisionflow.config.networks import Model, ensemble_of
from precisionflow.data.batches import order
from precisionflow.data.folds import out_of_fold
from precisionflow.data.streams import Stream

Indices = Int[np.ndarray, "rows"]


@dataclass(frozen=True)
class Member:
    """One network of a cell; rows are indices into the training rows followed by the validation rows."""

    seed: int
    split: int
    index: int
    """Place in the cell's ensemble."""
    train: Int[np.ndarray, "train"]
    valid: Int[np.ndarray, "valid"]

    @property
    def stream(self) -> Stream:
        """Of its initial weights, its order of batches, the units that it drops."""
        return Stream(self.seed, self.split, self.index)


def members(model: Model, *, seed: int, split: int, train: int, valid: int) -> list[Member]:
    """The networks of one cell with so many training and validation rows.

    Without folds every network trains on the training rows and stops early by the validation rows. With folds these
    rows are pooled; every network stops early by its own fold and trains on the others. ValueError for fewer rows than
    folds.
    """
    ensemble = ensemble_of(model)
    first, second = np.arange(train), np.arange(train, train + valid)
    if ensemble is None or ensemble.folds is None:
        count = ensemble.members if ensemble else 1
        return [Member(seed, split, index, first, second) for index in range(count)]
    if train + valid < ensemble.folds:
        raise ValueError(
            f"model.posterior.folds {ensemble.folds} needs as many rows; split {split} has "
            f"{train + valid}; give more rows or fewer folds"
        )
    excluded = out_of_fold(ensemble, rows=train + valid, seed=seed, split=split)
    return [
        Member(seed, split, index, np.flatnonzero(~own), np.flatnonzero(own))
        for index in range(ensemble.members)
        for own in [(excluded == index).any(axis=1)]
    ]


def batch_indices(
    members: Sequence[Member], first: int, last: int, *, batch_size: int
) -> tuple[Int[np.ndarray, "networks steps rows"], Float[np.ndarray, "networks rows"]]:
    """(indices, used) of the batches of steps [first, last), as `data.batches.Rows.batch` draws them.

        `used` is 1 at a row of the batch, 0 at padding.

    A network with no more rows than a batch sees all of them at every step.
    """
    size = min(batch_size, max(len(m.train) for m in members))
    indices = np.zeros((len(members), last - first, size), dtype=np.int64)
    used = np.zeros((len(members), size), dtype=np.float32)
    for i, member in enumerate(members):
        count = len(member.train)
        used[i, : min(count, batch_size)] = 1
        if batch_size >= count:
            indices[i, :, :count] = member.train
            continue
        epoch, place = divmod(first * batch_size, count)
        end = last * batch_size - epoch * count
        orders = [order(count, member.stream, e) for e in range(epoch, epoch + math.ceil(end / count))]
        indices[i] = member.train[np.concatenate(orders)[place:end]].reshape(last - first, batch_size)
    return indices, used


def padded(
    lists: Sequence[Int[np.ndarray, "..."]],
) -> tuple[Int[np.ndarray, "lists longest"], Bool[np.ndarray, "lists longest"]]:
    """(indices, mask): each list padded with its first index to the longest; True at an index of the list itself."""
    longest = max(map(len, lists))
    rows = np.stack([np.concatenate([of, np.full(longest - len(of), of[0])]) for of in lists])
    return rows, np.arange(longest)[None] < np.array([len(of) for of in lists])[:, None]
