"""Progress of a study in a results folder: which cells are finished, and how long they took."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from precisionflow.config import Experiment
from precisionflow.records.marker import StageCard, read_marker
from precisionflow.results.cells import evaluation_inputs_of, splits_beside, training_keys
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import FAILURE, Results, cell_name, data_folder
from precisionflow.results.reuse import finished_by_key


class CellProgress(NamedTuple):
    """A cell, and how long its training and evaluation took; none where it is not finished."""

    seed: int
    split: int
    seconds: float | None
    trained: bool = False
    failed: bool = False
    """Finished, and kept as failed."""


class StageProgress(NamedTuple):
    """Of a stage how much is done."""

    done: int
    asked: int


@dataclass(frozen=True)
class Progress:
    """A results folder, looked through once: what it holds of each variant under the present configuration and code."""

    results: Results
    reused: tuple[Results, ...] = ()
    """Results folders from which cells of the same content would be copied; they count."""
    _prepared: dict[Path, str | None] = field(default_factory=dict)
    """Key of prepared data."""

    @cached_property
    def _elsewhere(self) -> dict[str, StageCard]:
        """Key -> marker of every trained or evaluated cell that would be copied."""
        rooms = [room for source in self.reused for room in (source.models, source.evaluations)]
        found = (
            (key, read_marker(folder)) for room in rooms for key, folder in finished_by_key(room).items()
        )
        return {key: marker for key, marker in found if marker}

    def of(self, variant: Experiment) -> list[CellProgress]:
        """Every cell of a resolved variant, splits outermost."""
        models, evaluations = self.results.model(variant), self.results.evaluation(variant)
        cells = [(seed, split) for split in variant.splits for seed in variant.seeds]
        if not models.is_dir() and not self.reused:
            return [CellProgress(*cell, None) for cell in cells]
        prepared = {split: self._key(variant, split) for split in variant.splits}
        wanted = training_keys(variant, prepared)
        trained = {
            (seed, split): read_marker(f"{models}/{cell_name(seed, split)}") or self._elsewhere.get(key)
            for (seed, split), key in wanted.items()
        }
        found = []
        for seed, split in cells:
            name, key, own = cell_name(seed, split), prepared[split], trained.get((seed, split))
            if key is None or own is None:
                found.append(CellProgress(seed, split, None))
                continue
            others = [trained.get((seed, other)) for other in splits_beside(variant, split)]
            judged = stage_key(
                "evaluate",
                evaluation_inputs_of(
                    variant,
                    prepared=key,
                    trained=own.key,
                    beside=[other.key if other else "" for other in others],
                    seed=seed,
                    split=split,
                ),
            )
            learned = own.key == wanted[seed, split]
            there = read_marker(f"{evaluations}/{name}") or self._elsewhere.get(judged)
            evaluated = there if learned else None
            done = evaluated is not None and evaluated.key == judged
            seconds = own.seconds + evaluated.seconds if evaluated is not None and done else None
            failed = evaluated is not None and done and FAILURE in evaluated.files
            found.append(CellProgress(seed, split, seconds, learned, failed))
        return found

    def stages(self, variants: Iterable[Experiment]) -> dict[str, StageProgress]:
        """prepare, train, evaluate -> how much of it is done of all resolved variants."""
        all_of = list(variants)
        cells = [cell for variant in all_of for cell in self.of(variant)]
        data = {
            data_folder(self.results.data, variant, split): self._key(variant, split)
            for variant in all_of
            for split in variant.splits
        }
        return {
            "prepare": StageProgress(sum(key is not None for key in data.values()), len(data)),
            "train": StageProgress(sum(cell.trained for cell in cells), len(cells)),
            "evaluate": StageProgress(sum(cell.seconds is not None for cell in cells), len(cells)),
        }

    def _key(self, variant: Experiment, split: int) -> str | None:
        """Key of the prepared data of a split; none where they are not prepared."""
        folder = data_folder(self.results.data, variant, split)
        if folder not in self._prepared:
            rooms = [results.data for results in (self.results, *self.reused)]
            markers = (read_marker(data_folder(room, variant, split)) for room in rooms)
            self._prepared[folder] = next((marker.key for marker in markers if marker), None)
        return self._prepared[folder]
