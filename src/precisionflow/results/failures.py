"""Failed cells: written where their result would lie, found again, removed to be tried again."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.records.failure import FailureCard, FallibleStage
from precisionflow.records.files import read_card, write_card
from precisionflow.records.marker import MARKER, check_written, digests_of, read_marker
from precisionflow.results.cells import Cell, evaluation_inputs, training_inputs
from precisionflow.results.layout import Results, cell_folder, failure_file
from precisionflow.results.stage import begun, once, partial_of


def write_failure(
    folder: Path,
    variant: Experiment,
    *,
    seed: int,
    split: int,
    stage: FallibleStage,
    error: Exception,
) -> None:
    """Write into the folder of a cell why it failed."""
    cause = " ".join(f"{'' if isinstance(error, ValueError) else f'{type(error).__name__}: '}{error}".split())
    card = FailureCard(
        experiment=variant.name,
        dataset=variant.dataset,
        variant=variant.variant,
        seed=seed,
        split=split,
        stage=stage,
        cause=cause,
    )
    write_card(card, failure_file(folder))


def fail_begun(
    variant: Experiment, *, stage: FallibleStage, data: Path, model: Path, out: Path, cause: str
) -> tuple[int, int] | None:
    """Of a stage whose process has died, make the cell that was in work a failed one: its (seed, split).

    None where the process died between cells. `model` is the variant's folder; `out` is that of its evaluations, or
    `model` of the stage train.
    """
    for split in variant.splits:
        for seed in variant.seeds:
            cell = cell_folder(out, seed, split)
            if not begun(cell):
                continue
            if stage == "train":
                inputs = training_inputs(variant, data=data, seed=seed, split=split)
            else:
                inputs = evaluation_inputs(variant, data=data, model=model, seed=seed, split=split)

            def work(folder: Path, *, of: tuple[int, int] = (seed, split)) -> None:
                error = ValueError(cause)
                write_failure(folder, variant, seed=of[0], split=of[1], stage=stage, error=error)

            if once(cell, verb=stage, inputs=inputs, work=work):
                return seed, split
    return None


def fail_unreadable(variant: Experiment, *, out: Path) -> list[tuple[int, int, str]]:
    """Make evaluated cells failed that do not hold what evaluation wrote: seed, split and cause of each."""
    found = []
    for split in variant.splits:
        for seed in variant.seeds:
            cell = cell_folder(out, seed, split)
            marker = read_marker(cell)
            try:
                for name in marker.files if marker else ():
                    check_written(cell / name)
            except ValueError as error:
                assert marker is not None
                found.append((seed, split, str(error)))
                with partial_of(cell.resolve()) as partial:
                    write_failure(partial, variant, seed=seed, split=split, stage="evaluate", error=error)
                    write_card(marker.model_copy(update={"files": digests_of(partial)}), partial / MARKER)
                    shutil.rmtree(cell)
                    partial.rename(cell)
    return found


def failure_of(folder: Path) -> FailureCard | None:
    """Why a finished cell failed; none where it did not."""
    file = failure_file(folder)
    return read_card(file, FailureCard) if file.exists() else None


def parted(folders: Iterable[Path]) -> tuple[list[Path], dict[Cell, FailureCard]]:
    """Folders of the cells that did not fail, and the failures of the others."""
    whole, failed = [], {}
    for folder in folders:
        card = failure_of(folder)
        if card is None:
            whole.append(folder)
        else:
            failed[Cell(card.experiment, card.dataset, card.variant, card.seed, card.split)] = card
    return whole, failed


def remove_failures(results: Results) -> int:
    """Remove the failed cells of a results folder, so that they are tried again; their number."""
    files = [file for room in results.rooms for file in room.glob(f"**/{failure_file(Path()).name}")]
    for file in files:
        shutil.rmtree(file.parent)
    return len({file.parent.relative_to(results.folder).parts[1:] for file in files})
