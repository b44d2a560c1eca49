"""Trainings in the workspace: unfinished ones with their checkpoints, and weights of finished cells by their key."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from precisionflow.config import Experiment, digest
from precisionflow.console import say, title
from precisionflow.records.marker import MARKER, digests_of, read_marker, sha256_of
from precisionflow.results.cells import training_inputs
from precisionflow.results.copies import copy_stage
from precisionflow.results.failures import failure_of
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import cell_folder
from precisionflow.results.locks import turn
from precisionflow.results.stage import finished_key

TRAININGS = "trainings"
"""Folder of unfinished trainings, each by the key of all its weights."""
CELLS = "cells"
"""Folder of finished cells, each by its own key."""


def cell_keys(experiment: Experiment, *, data: Path) -> dict[tuple[int, int], str]:
    """(seed, split) of every cell of a variant -> its key; ValueError when its data is not prepared."""
    return {
        (seed, split): stage_key("train", training_inputs(experiment, data=data, seed=seed, split=split))
        for split in experiment.splits
        for seed in experiment.seeds
    }


def training_key(experiment: Experiment, *, data: Path) -> str:
    """Identity of all weights that a variant's training gives; ValueError when its data is not prepared."""
    return digest(list(cell_keys(experiment, data=data).values()))


@dataclass(frozen=True)
class Training:
    """The training of a variant on its prepared data, in a workspace that outlives every pod."""

    experiment: Experiment
    data: Path
    workspace: Path

    @property
    def place(self) -> Path:
        """Folder of this training while it is not finished."""
        return self.workspace / TRAININGS / training_key(self.experiment, data=self.data)

    @property
    def model(self) -> Path:
        """Where its cells are trained, beside their checkpoints."""
        return self.place / "model"

    def find(self) -> int:
        """Bring finished cells of this or an earlier training to `model`; their number.

        A kept cell that has lost its bytes is removed.
        """
        found = 0
        for cell, key in cell_keys(self.experiment, data=self.data).items():
            kept = self.workspace / CELLS / key
            if not _whole(kept):
                shutil.rmtree(kept, ignore_errors=True)
                continue
            found += copy_stage(kept, cell_folder(self.model, *cell))
            os.utime(kept)
        return found

    def hand_over(self, out: Path) -> None:
        """Copy its finished cells to `out`, the failed ones too, and keep the others; the training's folder goes.

        ValueError where a cell is not finished. A workspace without room keeps nothing, and that is told.
        """
        cells = cell_keys(self.experiment, data=self.data)
        for cell in cells:
            trained = cell_folder(self.model, *cell)
            if finished_key(trained) is None:
                raise ValueError(f"{trained}: is not finished; run its training again")
            copy_stage(trained, cell_folder(out, *cell), of=self.experiment)
        try:
            for cell, key in cells.items():
                if failure_of(cell_folder(self.model, *cell)) is None:
                    copy_stage(cell_folder(self.model, *cell), self.workspace / CELLS / key)
        except OSError as error:
            say(f"train {title(self.experiment)}: not kept in the workspace ({error.strerror})")
        shutil.rmtree(self.place, ignore_errors=True)

    @contextlib.contextmanager
    def in_this_pod(self, out: Path) -> Iterator[Path]:
        """Folder in which the training goes on where an earlier pod stopped; what it leaves is handed to `out`.

        Two pods with the same training take turns, and the second finds what the first has trained. Without a workspace
        that can be written the folder is `out`, and nothing outlives the pod.
        """
        name = title(self.experiment)
        if not self.workspace.is_dir() or not os.access(self.workspace, os.W_OK | os.X_OK):
            if self.workspace.is_dir():
                say(f"train {name}: {self.workspace} can not be written, no checkpoint is kept")
            yield out
            return
        self.place.mkdir(parents=True, exist_ok=True)
        with turn(self.place, waits=lambda: say(f"train {name}: waits for another run that trains the same")):
            if found := self.find():
                say(f"train {name}: {found} of its cells were trained before")
            yield self.model
            self.hand_over(out)


def _whole(kept: Path) -> bool:
    """Whether a kept cell holds the bytes that its training wrote."""
    marker = read_marker(kept)
    return marker is not None and digests_of(kept) == marker.files | {MARKER: sha256_of(kept / MARKER)}
