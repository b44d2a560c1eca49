"""An experiment with an analysis, and its invented results."""

from pathlib import Path
from typing import Any

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.design import expand
from precisionflow.ablation.measured import Measured, Scores
from precisionflow.config import Experiment, parse, resolve
from precisionflow.results.cells import Cell
from tests.synthetic import REGRESSION, Measure, evaluations

PARAMETERS = {
    "training.learning_rate": {"kind": "range", "low": 1e-4, "high": 1e-2, "scale": "log"},
    "objective.beta": {"kind": "range", "low": 0, "high": 1},
    "model.hidden": {"kind": "choice", "values": [[8], [16], [32]]},
}


def analysed(analysis: dict[str, Any], **changes: Any) -> Experiment:
    """The regression of `tests.synthetic` on one split with an analysis in place of its axis."""
    tree = parse(REGRESSION).model_dump(mode="json")
    tree |= {"splits": [0], "seeds": [0, 1, 2], "ablation": {"metrics": ["nll"]}, "analysis": analysis}
    return resolve(tree | changes)


def sensitivity(kind: str, parameters: dict[str, Any] = PARAMETERS, **method: Any) -> dict[str, Any]:
    """A sensitivity analysis by a method."""
    return {"kind": "sensitivity", "method": {"kind": kind} | method, "parameters": parameters}


def measured_by(experiment: Experiment, measure: Measure) -> Measured:
    """What the cells of an experiment measured, without files."""
    return {
        Cell(experiment.name, variant.dataset, variant.name, seed, split): Scores(
            measure(variant, seed, split), 44, 398, "0", {}
        )
        for variant in expand(experiment)
        for seed in experiment.seeds
        for split in experiment.splits
    }


def tables(experiment: Experiment, folder: Path, measure: Measure) -> Any:
    """The aggregate of an experiment whose cells measured what `measure` says."""
    folders = evaluations(experiment, folder, measure)
    aggregate([experiment], evaluations=folders, out=folder / "aggregate")
    return read_aggregate(folder / "aggregate")
