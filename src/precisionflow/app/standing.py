"""What stands in a results folder: all of a finished study, or what is done of one that runs or was stopped."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from precisionflow.ablation.aggregate import aggregate, aggregated, aggregated_by_files
from precisionflow.ablation.design import expand
from precisionflow.config import Experiment, load, tuned
from precisionflow.records.marker import read_marker
from precisionflow.report.wording import count
from precisionflow.results.layout import Results, cell_folder, cell_folders
from precisionflow.results.progress import Progress


@dataclass(frozen=True)
class Standing:
    """Inputs of the tables and of the page: folders as stages take them."""

    experiments: tuple[Experiment, ...]
    """Where cells are open, as if `ablation.missing` were drop_pair; without those that have no cell."""
    models: tuple[Path, ...]
    evaluations: tuple[Path, ...]
    aggregate: Path
    done: int
    cells: int
    made_by: str = ""
    """Of a study that another configuration finished: by which code."""

    @property
    def open(self) -> int:
        return self.cells - self.done

    @property
    def told(self) -> str:
        """What a reader has to know first; empty of a study that the present configuration finished."""
        if self.made_by:
            return (
                f"finished by another configuration than the present one ({self.made_by}): what it found then; a run "
                "here begins anew"
            )
        if not self.open:
            return ""
        return (
            f"{self.done} of {count(self.cells, 'cell')} done, {self.open} open: means and contrasts are of the units "
            "that are complete, and verdicts hold once all cells are done"
        )


def experiments_of(results: Results) -> list[Experiment]:
    """The experiments of a results folder; ValueError where it is none that `precisionflow run` made."""
    experiments = [load(str(file)) for file in results.experiments]
    if not experiments:
        raise ValueError(
            f"{results.folder}: has no experiments/*.yaml; give a folder that `precisionflow run` made"
        )
    return experiments


@contextlib.contextmanager
def something_standing(folder: Path) -> Iterator[Standing]:
    """What stands in a results folder; ValueError where no cell does."""
    with standing(folder) as there:
        if not there.done:
            raise ValueError(
                f"{folder}: none of {count(there.cells, 'cell')} is done by this configuration and code; wait for the "
                "first one, or run again, with --trust-code to keep cells of other code"
            )
        yield there


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[Standing]:
    """What stands in a results folder, in which nothing is written; gone after the block.

    All of a study whose tables are, by their own marker, of the experiments in its files and of its cells, whatever
    configuration and code made them. Else cells count that the present configuration and code would make. ValueError
    where the folder is none that `precisionflow run` made.
    """
    results = Results(folder)
    experiments = experiments_of(results)
    variants = [variant.experiment for whole in experiments for variant in expand(whole)]
    evaluations = tuple(results.evaluation(variant) for variant in variants)
    own = aggregated(results.aggregate, experiments, evaluations=evaluations)
    if own or aggregated_by_files(results.aggregate, results.experiments, evaluations=evaluations):
        models = tuple(results.model(variant) for variant in variants)
        cells = sum(len(variant.seeds) * len(variant.splits) for variant in variants)
        made_by = "" if own else _codes(models, evaluations, results.aggregate)
        yield Standing(tuple(experiments), models, evaluations, results.aggregate, cells, cells, made_by)
        return
    with tempfile.TemporaryDirectory(prefix="precisionflow-") as scratch:
        yield _in_part(experiments, variants, results, Results(Path(scratch)))


def _codes(models: Sequence[Path], evaluations: Sequence[Path], tables: Path) -> str:
    """The code of every verb, more than one where results of other code were kept."""
    folders = {"train": cell_folders(models), "evaluate": cell_folders(evaluations), "aggregate": [tables]}
    told = []
    for verb, of in folders.items():
        codes = sorted({marker.code for folder in of if (marker := read_marker(folder))})
        told.append(f"{verb} by code {' and '.join(codes)}")
    return ", ".join(told)


def _in_part(
    experiments: Sequence[Experiment], variants: Sequence[Experiment], results: Results, scratch: Results
) -> Standing:
    """Links to the finished cells, and their tables, in an empty folder."""
    progress, done, cells = Progress(results), 0, 0
    begun: list[Experiment] = []
    for variant in variants:
        found = progress.of(variant)
        finished = [cell for cell in found if cell.seconds is not None]
        done, cells = done + len(finished), cells + len(found)
        for cell in finished:
            for place in (Results.model, Results.evaluation):
                link = cell_folder(place(scratch, variant), cell.seed, cell.split)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(cell_folder(place(results, variant), cell.seed, cell.split).resolve())
        begun += [variant] if finished else []
    named = {variant.name for variant in begun}
    shown = tuple(whole for whole in experiments if whole.name in named)
    if done < cells:
        shown = tuple(tuned(whole, ["ablation.missing=drop_pair"]) for whole in shown)
    models = tuple(scratch.model(variant) for variant in begun)
    evaluations = tuple(scratch.evaluation(variant) for variant in begun)
    if shown:
        aggregate(shown, evaluations=evaluations, out=scratch.aggregate, partial=done < cells)
    return Standing(shown, models, evaluations, scratch.aggregate, done, cells)
