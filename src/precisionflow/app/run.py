"""A whole run on this machine: the pipeline, then tables, times and where everything is."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from precisionflow.ablation.design import shortfall
from precisionflow.config import Experiment, load
from precisionflow.console import say
from precisionflow.destination import LocalResults
from precisionflow.records.marker import MARKER
from precisionflow.results.layout import Reported, Results, SearchResults
from precisionflow.results.locks import exclusive
from precisionflow.results.stage import finished_seconds
from precisionflow.search.journal import adopt
from precisionflow.search.study import Study


def run_experiments(experiments: Sequence[Experiment], *, folder: Path) -> None:
    """Run the pipeline into `folder` and say what came out."""
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise ValueError(f"experiments {', '.join(names)}: two have the same name; rename one in its file")
    from precisionflow.pipelines.local import run_locally

    with _told(folder) as done:
        for experiment in experiments:
            LocalResults(Results(folder)).keep(experiment)
            warn_of_few_units(experiment)
        run_locally(experiments, folder=folder, screen=sys.stdout)
        done += experiments


def search_and_train(study: Study, experiment: Experiment, *, folder: Path) -> None:
    """Search with a `study`, train `experiment` with what was found, say what came out.

    Trials that `precisionflow search` of this study has run, in `folder` or where it runs them by default, count.
    """
    from precisionflow.pipelines.local import search_and_train_locally

    with _told(folder) as done:
        warn_of_few_units(experiment)
        results = Results(folder)
        places = (folder, SearchResults.usual(study.name).folder)
        if place := adopt(study, places=places, out=results.search):
            print(f"search {study.name}: the trials in {place} are used")
        search_and_train_locally(study, experiment, folder=folder, screen=sys.stdout)
        done.append(load(str(results.experiment(experiment.name))))


def warn_of_few_units(experiment: Experiment) -> None:
    """Say before anything is trained that no contrast can have a verdict, and how many units would do."""
    if short := shortfall(experiment):
        say(f"run {experiment.name}: {short} for a verdict")


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[list[Experiment]]:
    """Hold a results folder; at the end, tables of the experiments that the block lists, times, and where all is."""
    from rich.console import Console

    from precisionflow.report.terminal import print_remarks, print_tables
    from precisionflow.tracking import ui_command

    start, experiments = time.perf_counter(), list[Experiment]()
    with exclusive(folder):
        before = finished_stages(folder)
        yield experiments
        seconds = time.perf_counter() - start
        console = Console()
        print_tables(experiments, Results(folder).aggregate, console)
        print_remarks(experiments, Results(folder), console)
        after = finished_stages(folder)
    done = {path: spent for path, spent in after.items() if path not in before or before[path] != spent}
    console.print(
        f"\n{len(done)} of {len(after)} stages run, the others were finished: "
        f"wall time {seconds:.1f} s, work inside the stages {sum(done.values()):.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"report: {Reported(Results(folder).report).page}", highlight=False, soft_wrap=True)
    console.print(f"mlflow: {ui_command(folder)}", highlight=False, soft_wrap=True)


def finished_stages(folder: Path) -> dict[Path, float]:
    """Every finished stage under a results folder and the seconds that its work took."""
    return {marker.parent: finished_seconds(marker.parent) for marker in sorted(folder.glob(f"**/{MARKER}"))}
