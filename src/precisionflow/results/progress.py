"""Progress of a study in a results folder: which cells are finished, and how long they took."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from precisionflow.config import Experiment, digest
from precisionflow.records.marker import read_marker
from precisionflow.results.cells import evaluation_inputs_of, training_inputs_of
from precisionflow.results.identity import stage_key, training_identity
from precisionflow.results.layout import Results, cell_folder, data_folder


class CellProgress(NamedTuple):
    """A cell, and how long its training and evaluation took; none where it is not finished."""

    seed: int
    split: int
    seconds: float | None


@dataclass(frozen=True)
class Progress:
    """A results folder, looked through once: what it holds of each variant under the present configuration and code."""

    results: Results
    _prepared: dict[Path, str | None] = field(default_factory=dict)
    """Key of prepared data."""

    def of(self, variant: Experiment) -> list[CellProgress]:
        """Every cell of a resolved variant, splits outermost."""
        models, evaluations = self.results.model(variant), self.results.evaluation(variant)
        cells = [(seed, split) for split in variant.splits for seed in variant.seeds]
        if not evaluations.is_dir():
            return [CellProgress(*cell, None) for cell in cells]
        taught = digest(training_identity(variant))
        prepared = {split: self._key(variant, split) for split in variant.splits}
        found = []
        for seed, split in cells:
            trained = read_marker(cell_folder(models, seed, split))
            evaluated = read_marker(cell_folder(evaluations, seed, split))
            key, seconds = prepared[split], None
            if key is not None and trained is not None and evaluated is not None:
                asked = training_inputs_of(taught, prepared=key, seed=seed, split=split)
                judged = evaluation_inputs_of(
                    variant, prepared=key, trained=trained.key, seed=seed, split=split
                )
                if trained.key == stage_key("train", asked) and evaluated.key == stage_key(
                    "evaluate", judged
                ):
                    seconds = trained.seconds + evaluated.seconds
            found.append(CellProgress(seed, split, seconds))
        return found

    def _key(self, variant: Experiment, split: int) -> str | None:
        """Key of the prepared data of a split; none where they are not prepared."""
        folder = data_folder(self.results.data, variant, split)
        if folder not in self._prepared:
            marker = read_marker(folder)
            self._prepared[folder] = marker.key if marker else None
        return self._prepared[folder]
