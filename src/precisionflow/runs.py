"""A whole run on this machine: the pipeline, then tables, times and where everything is."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from precisionflow.config import Experiment, to_yaml
from precisionflow.records import write_text
from precisionflow.stage import MARKER, exclusive, finished_seconds


def run_experiments(experiments: Sequence[Experiment], *, folder: Path) -> None:
    """Run the pipeline into `folder` and say what came out."""
    from rich.console import Console

    from precisionflow.pipelines.local import run_locally
    from precisionflow.report.tables import print_tables
    from precisionflow.tracking import ui_command

    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise ValueError(f"experiments {', '.join(names)}: two have the same name; rename one in its file")
    start = time.perf_counter()
    with exclusive(folder):
        before = finished_stages(folder)
        for experiment in experiments:
            write_text(to_yaml(experiment), folder / "experiments" / f"{experiment.name}.yaml")
        run_locally(experiments, folder=folder, screen=sys.stdout)
        seconds = time.perf_counter() - start
        console = Console()
        print_tables(experiments, folder / "aggregate", console)
        after = finished_stages(folder)
    done = {path: spent for path, spent in after.items() if path not in before or before[path] != spent}
    print(f"\n{len(done)} of {len(after)} stages run, the others were finished: wall time {seconds:.1f} s, {_sums(done)}")
    print(f"report: {folder / 'report' / 'report.html'}")
    print(f"mlflow: {ui_command(folder)}")


def finished_stages(folder: Path) -> dict[Path, float]:
    """Every finished stage under a results folder and the seconds that its work took."""
    return {marker.parent: finished_seconds(marker.parent) for marker in sorted(folder.glob(f"**/{MARKER}"))}


def stage_seconds(stages: dict[Path, float], folder: Path) -> dict[str, float]:
    """Seconds of work by the first folder of a stage's path: data, model, evaluation, aggregate, report."""
    sums: Counter[str] = Counter()
    for path, spent in stages.items():
        sums[path.relative_to(folder).parts[0]] += spent  # type: ignore[assignment]
    return dict(sums)


def _sums(done: dict[Path, float]) -> str:
    return f"work inside them {sum(done.values()):.1f} s"
