"""Cells that are finished under the keys of their stages: by their markers alone, or with invented results."""

import itertools
from collections.abc import Collection
from pathlib import Path

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment
from precisionflow.destination import LocalResults
from precisionflow.records.files import write_text
from precisionflow.records.marker import MARKER, read_marker
from precisionflow.results.cells import evaluation_inputs, preparation_inputs, training_inputs
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import PreparedSplit, Results, cell_folder, data_folder
from precisionflow.results.stage import input_marker, once
from tests.synthetic import Measure, plausible, write_evaluated, write_trained


def prepare(variant: Experiment, results: Results, *, source_sha256: str = "0") -> None:
    """The data of every split: test rows that hold the digest of their source."""
    for split in variant.splits:
        inputs = preparation_inputs(variant, source_sha256=source_sha256, split=split)
        once(
            data_folder(results.data, variant, split),
            verb="prepare",
            inputs=inputs,
            work=lambda out: write_text(source_sha256, PreparedSplit(out).part("test")),
        )


def train(variant: Experiment, results: Results, *, seed: int, split: int, seconds: float) -> None:
    """A cell whose training took `seconds`."""
    trained = cell_folder(results.model(variant), seed, split)
    inputs = training_inputs(variant, data=results.data, seed=seed, split=split)
    once(trained, verb="train", inputs=inputs, work=_nothing)
    _took(trained, seconds)


def finish(variant: Experiment, results: Results, *, seed: int, split: int, seconds: float) -> None:
    """A cell whose training took `seconds` and whose evaluation took one."""
    where = {"seed": seed, "split": split}
    data, model = results.data, results.model(variant)
    train(variant, results, seed=seed, split=split, seconds=seconds)
    evaluated = cell_folder(results.evaluation(variant), seed, split)
    inputs = evaluation_inputs(variant, data=data, model=model, **where)
    once(evaluated, verb="evaluate", inputs=inputs, work=_nothing)
    _took(evaluated, 1.0)


def fail(variant: Experiment, results: Results, *, seed: int, split: int) -> None:
    """A cell whose training failed at once."""
    where = {"seed": seed, "split": split}
    data, model = results.data, results.model(variant)

    def kept(out: Path) -> None:
        write_failure(out, variant, **where, stage="train", error=ValueError("diverged"))

    inputs = training_inputs(variant, data=data, **where)
    once(cell_folder(model, seed, split), verb="train", inputs=inputs, work=kept)
    inputs = evaluation_inputs(variant, data=data, model=model, **where)
    once(cell_folder(results.evaluation(variant), seed, split), verb="evaluate", inputs=inputs, work=kept)


def fill(
    experiment: Experiment,
    folder: Path,
    *,
    measure: Measure = plausible,
    without: Collection[tuple[str, int, int]] = (),
    source_sha256: str = "0",
) -> Results:
    """A results folder as a run leaves it before its tables, `without` the cells (variant, seed, split)."""
    results = Results(folder)
    LocalResults(results).keep(experiment)
    for variant in expand(experiment):
        resolved = variant.experiment
        prepare(resolved, results, source_sha256=source_sha256)
        for split, seed in itertools.product(experiment.splits, experiment.seeds):
            if (variant.name, seed, split) not in without:
                measured(variant, results, seed=seed, split=split, measure=measure)
    return results


def measured(
    variant: Variant, results: Results, *, seed: int, split: int, measure: Measure = plausible
) -> None:
    """A cell with card, history, metrics and predictions."""
    resolved, where = variant.experiment, {"seed": seed, "split": split}
    data, model = results.data, results.model(resolved)
    rows = input_marker(data_folder(data, resolved, split)).files["test.parquet"]
    once(
        cell_folder(model, seed, split),
        verb="train",
        inputs=training_inputs(resolved, data=data, **where),
        work=lambda out: write_trained(out, variant, seed, split),
    )
    once(
        cell_folder(results.evaluation(resolved), seed, split),
        verb="evaluate",
        inputs=evaluation_inputs(resolved, data=data, model=model, **where),
        work=lambda out: write_evaluated(out, variant, seed, split, measure=measure, rows=40, test=rows),
    )


def tabulate(experiment: Experiment, results: Results) -> None:
    """The tables of a finished study."""
    evaluations = [results.evaluation(variant.experiment) for variant in expand(experiment)]
    aggregate([experiment], evaluations=evaluations, out=results.aggregate)


def _nothing(_folder: Path) -> None:
    """No file."""


def _took(folder: Path, seconds: float) -> None:
    marker = read_marker(folder)
    assert marker
    text = marker.model_copy(update={"seconds": seconds}).model_dump_json()
    (folder / MARKER).write_text(text, encoding="utf-8")
