"""Status of a study on this machine while it runs: cells done and open, and the tables of what is there."""

import tempfile
from pathlib import Path

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import expand
from precisionflow.app.plan import print_plan
from precisionflow.config import Experiment, load, tuned
from precisionflow.results.layout import Results


def print_progress(folder: Path) -> None:
    """Say how far the experiments of a results folder are, and show the tables of the units that are complete.

    ValueError when the folder is none that `precisionflow run` made. Nothing is written there.
    """
    from precisionflow.report.terminal import print_tables, terminal

    results = Results(folder)
    experiments = [load(str(file)) for file in results.experiments]
    if not experiments:
        raise ValueError(f"{folder}: has no experiments/*.yaml; give a folder that `precisionflow run` made")
    print_plan(experiments, folder=folder)
    console = terminal()
    for experiment in experiments:
        evaluations = _evaluations(experiment, results)
        if not evaluations:
            continue
        shown = tuned(experiment, ["ablation.missing=drop_pair"])
        with tempfile.TemporaryDirectory(prefix="precisionflow-") as scratch:
            out = Path(scratch) / "aggregate"
            aggregate([shown], evaluations=evaluations, out=out, partial=True)
            print_tables([shown], out, console)
        console.print("units that are complete; verdicts hold once all cells are done", soft_wrap=True)


def _evaluations(experiment: Experiment, results: Results) -> list[Path]:
    """Folders of the variants that have an evaluated cell."""
    folders = [results.evaluation(variant.experiment) for variant in expand(experiment)]
    return [folder for folder in folders if any(folder.glob("seed-*-split-*"))]
