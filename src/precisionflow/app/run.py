"""A whole run on this machine: the pipeline, then tables, times and where everything is."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.ablation.design import at_looks, expand, shortfall
from precisionflow.app.lasting import outliving_terminal
from precisionflow.app.live import stages_shown
from precisionflow.config import Experiment, load
from precisionflow.destination import LocalResults
from precisionflow.records.marker import MARKER, StageCard, read_marker
from precisionflow.results.failures import remove_failures
from precisionflow.results.layout import Reported, Results, cell_folder, data_folder
from precisionflow.results.locks import exclusive
from precisionflow.results.reuse import reuse
from precisionflow.results.search_layout import SearchResults
from precisionflow.search.journal import adopt
from precisionflow.search.study import Study
from precisionflow.search.tuning import tune

if TYPE_CHECKING:
    from precisionflow.pipelines.task_client import TaskServer


def run_experiments(
    experiments: Sequence[Experiment],
    *,
    folder: Path,
    server: "TaskServer",
    reused: Sequence[Path] = (),
    retry_failed: bool = False,
    trust_code: bool = False,
) -> bool:
    """Run the pipeline into `folder` and say what came out; whether no cell failed. Studies of tuned axes come first.

    Its tasks come from the `server`. Cells of the same content are copied from the results folders `reused`. With
    `retry_failed`, failed cells are tried again; with `trust_code`, results of other code are kept.
    """
    from precisionflow.report.wording import count

    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise ValueError(f"experiments {', '.join(names)}: two have the same name; rename one in its file")
    with _told(folder) as done:
        experiments = [tune(experiment, Results(folder), screen=sys.stdout) for experiment in experiments]
        if retry_failed:
            print(f"run: tries {count(remove_failures(Results(folder)), 'failed cell')} again", flush=True)
        for source in reused:
            variants = [variant.experiment for whole in experiments for variant in expand(whole)]
            copied = reuse(variants, source=Results(source), results=Results(folder))
            print(f"run: copied {count(copied, 'trained cell')} from {source}", flush=True)
        for experiment in experiments:
            warn_of_few_units(experiment)
        done += _look_by_look(experiments, folder=folder, server=server, trust_code=trust_code)
    if failed := failed_cells(Results(folder)):
        again = "run with --retry-failed to try them again"
        print(f"run: {count(failed, 'cell')} failed, see the table above; {again}", flush=True)
    return not failed


def _look_by_look(
    experiments: Sequence[Experiment], *, folder: Path, server: "TaskServer", trust_code: bool
) -> list[Experiment]:
    """Run the pipeline at one look after another, an experiment to that which decides it; each as it was run last."""
    from precisionflow.pipelines.local import run_locally

    results, looks = Results(folder), [at_looks(experiment) for experiment in experiments]
    while True:
        now = [of[0] for of in looks]
        for experiment in now:
            LocalResults(results).keep(experiment)
        variants = [variant.experiment for whole in now for variant in expand(whole)]
        with stages_shown(variants, results, screen=sys.stdout) as screen:
            run_locally(now, folder=folder, server=server, screen=screen, trust_code=trust_code)
        ahead = [of for of in looks if len(of) > 1 and _is_open(*of[:2], results=results)]
        if not ahead:
            return now
        for of in ahead:
            del of[0]


def _is_open(experiment: Experiment, following: Experiment, *, results: Results) -> bool:
    """Whether more seeds could decide a contrast; says so, and how many follow."""
    from precisionflow.ablation.aggregate import read_aggregate
    from precisionflow.report.wording import count

    rows = read_aggregate(results.aggregate).contrasts.select(["experiment", "verdict"]).to_pylist()
    verdicts = [row["verdict"] for row in rows if row["experiment"] == experiment.name]
    still = sum(verdict.startswith(("undecided", "too few")) for verdict in verdicts)
    if still:
        seeds = len(experiment.seeds)
        print(
            f"run {experiment.name}: {still} of {count(len(verdicts), 'contrast')} open after {seeds} seeds, "
            f"{len(following.seeds) - seeds} more are run",
            flush=True,
        )
    return still > 0


def failed_cells(results: Results) -> int:
    """Number of the failed cells that the aggregated experiments have."""
    from precisionflow.ablation.aggregate import read_aggregate

    return read_aggregate(results.aggregate).failures.num_rows


def search_and_train(study: Study, experiment: Experiment, *, folder: Path, server: "TaskServer") -> None:
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
        search_and_train_locally(study, experiment, folder=folder, server=server, screen=sys.stdout)
        done.append(load(str(results.experiment(experiment.name))))


def warn_of_few_units(experiment: Experiment) -> None:
    """Say before anything is trained that no contrast can have a verdict, and how many units would do."""
    if short := shortfall(experiment):
        print(f"run {experiment.name}: {short} for a verdict", flush=True)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[list[Experiment]]:
    """Hold a results folder; at the end, tables of the experiments that the block lists, times, and where all is."""
    from precisionflow.pipelines.local import LOG
    from precisionflow.report.terminal import print_remarks, print_tables, terminal
    from precisionflow.tracking.store import ui_command

    with outliving_terminal(folder / LOG):
        start, experiments = time.perf_counter(), list[Experiment]()
        with exclusive(folder):
            before = finished_stages(folder)
            yield experiments
            seconds = time.perf_counter() - start
            console = terminal()
            print_tables(experiments, Results(folder).aggregate, console)
            print_remarks(experiments, Results(folder), console)
            shutil.rmtree(Results(folder).partial, ignore_errors=True)
            after = finished_stages(folder)
        asked, search = _stages_of(experiments, Results(folder)), Results(folder).search
        there = {path: m for path, m in after.items() if path in asked or path.is_relative_to(search)}
        done = [m for path, m in there.items() if path not in before or before[path].key != m.key]
        trusted = sum(marker.trusted is not None for marker in there.values())
        console.print(
            f"\n{len(done)} of {len(there)} stages run, the others were finished"
            f"{f', {trusted} of them by other code' if trusted else ''}: "
            f"wall time {seconds:.1f} s, work inside the stages {sum(m.seconds for m in done):.1f} s",
            soft_wrap=True,
        )
        console.print(f"report: {Reported(Results(folder).report).page}", soft_wrap=True)
        console.print(f"mlflow: {ui_command(folder)}", soft_wrap=True)


def finished_stages(folder: Path) -> dict[Path, StageCard]:
    """Markers of all finished stages under a results folder, those of other experiments too."""
    files = [file for room in Results(folder).rooms for file in sorted(room.glob(f"**/{MARKER}"))]
    found = {file.parent: read_marker(file.parent) for file in files}
    return {path: marker for path, marker in found.items() if marker}


def _stages_of(experiments: Sequence[Experiment], results: Results) -> set[Path]:
    """Folders of the stages that a run of these experiments has."""
    folders = {results.aggregate, results.report}
    for variant in (variant.experiment for whole in experiments for variant in expand(whole)):
        for split in variant.splits:
            folders.add(data_folder(results.data, variant, split))
            for seed in variant.seeds:
                folders.add(cell_folder(results.model(variant), seed, split))
                folders.add(cell_folder(results.evaluation(variant), seed, split))
    return folders
