"""Reuse of cells by content: the same key is the same result, whatever experiment and folder it was made for."""

from collections.abc import Iterable
from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.records.marker import MARKER, read_marker
from precisionflow.results.cells import evaluation_inputs_of, splits_beside, training_keys
from precisionflow.results.copies import copy_stage
from precisionflow.results.failures import failure_of
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import Results, cell_folder, data_folder


def reuse(variants: Iterable[Experiment], *, source: Results, results: Results) -> int:
    """Copy what resolved variants need and lack from another results folder; the number of trained cells.

    Prepared data, trained cells of the same configuration, data, seed, split and code, and evaluations that have the
    same names too. A stage looks at what was copied as at its own: data whose source has changed are prepared again,
    and what follows from them. Failed cells are left. ValueError where `source` is no results folder.
    """
    check_source(source)
    models, evaluations = finished_by_key(source.models), finished_by_key(source.evaluations)
    copied = 0
    for variant in variants:
        prepared: dict[int, str] = {}
        for split in variant.splits:
            data = data_folder(results.data, variant, split)
            _copy(data_folder(source.data, variant, split), data)
            if marker := read_marker(data):
                prepared[split] = marker.key
        trained = training_keys(variant, prepared)
        for (seed, split), key in trained.items():
            copied += _copy(models.get(key), cell_folder(results.model(variant), seed, split), of=variant)
            judged = evaluation_inputs_of(
                variant,
                prepared=prepared[split],
                trained=key,
                beside=[trained.get((seed, other), "") for other in splits_beside(variant, split)],
                seed=seed,
                split=split,
            )
            evaluated = evaluations.get(stage_key("evaluate", judged))
            _copy(evaluated, cell_folder(results.evaluation(variant), seed, split))
    return copied


def check_source(source: Results) -> None:
    """ValueError where it is no results folder."""
    if not source.data.is_dir():
        raise ValueError(
            f"{source.folder}: has no prepared data; give a folder that `precisionflow run` made"
        )


def finished_by_key(root: Path) -> dict[str, Path]:
    """Key -> folder of the finished cells below a folder that did not fail."""
    folders = [file.parent for file in sorted(root.glob(f"*/*/*/seed-*-split-*/{MARKER}"))]
    found = ((read_marker(folder), folder) for folder in folders)
    return {marker.key: folder for marker, folder in found if marker and failure_of(folder) is None}


def _copy(source: Path | None, target: Path, *, of: Experiment | None = None) -> bool:
    """Copy a finished stage, where there is one and nothing is in its place; whether it was copied."""
    return source is not None and not target.exists() and copy_stage(source, target, of=of)
