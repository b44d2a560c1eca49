"""Cells that are finished by their markers alone: what a results folder tells of progress."""

from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.records.marker import MARKER, read_marker
from precisionflow.results.cells import evaluation_inputs, preparation_inputs, training_inputs
from precisionflow.results.layout import Results, cell_folder, data_folder
from precisionflow.results.stage import once


def prepare(variant: Experiment, results: Results) -> None:
    """The data of every split."""
    for split in variant.splits:
        inputs = preparation_inputs(variant, source_sha256="0", split=split)
        once(data_folder(results.data, variant, split), verb="prepare", inputs=inputs, work=_nothing)


def finish(variant: Experiment, results: Results, *, seed: int, split: int, seconds: float) -> None:
    """A cell whose training took `seconds` and whose evaluation took one."""
    where = {"seed": seed, "split": split}
    data, model = results.data, results.model(variant)
    trained = cell_folder(model, seed, split)
    once(trained, verb="train", inputs=training_inputs(variant, data=data, **where), work=_nothing)
    _took(trained, seconds)
    evaluated = cell_folder(results.evaluation(variant), seed, split)
    inputs = evaluation_inputs(variant, data=data, model=model, **where)
    once(evaluated, verb="evaluate", inputs=inputs, work=_nothing)
    _took(evaluated, 1.0)


def _nothing(_folder: Path) -> None:
    """No file."""


def _took(folder: Path, seconds: float) -> None:
    marker = read_marker(folder)
    assert marker
    text = marker.model_copy(update={"seconds": seconds}).model_dump_json()
    (folder / MARKER).write_text(text, encoding="utf-8")
