"""A study run on this machine: the very Katib Experiment, its trials as processes, its results in a folder."""

import sys
from pathlib import Path
from typing import TextIO

from precisionflow.records.search import Best
from precisionflow.results.locks import exclusive
from precisionflow.search.algorithms.medianstop import medianstop
from precisionflow.search.algorithms.samplers import suggester
from precisionflow.search.conclude import conclude
from precisionflow.search.journal import Journal, recorded_seed
from precisionflow.search.runner.loop import Loop
from precisionflow.search.runner.progress import progress
from precisionflow.search.study import Study


def run_study(
    study: Study,
    *,
    out: Path,
    parallel: int | None = None,
    seed: int | None = None,
    screen: TextIO | None = None,
    store: Path | None = None,
) -> Best:
    """Run the trials that `out` lacks; write `trials.parquet`, `best.json`, `report/search.html` and MLflow's runs.

    `parallel` trials run at once (default: the study's parallelTrialCount); `seed` is the algorithm's (default: that
    of the search in `out`, else its random_state, else 0). Progress goes to `screen`, standard output by default; runs
    of MLflow to `store`, by default the one in `out`.
    ValueError for an algorithm that needs Katib, for a folder of another search, and when too many trials failed; what
    has ended is kept, and the failed trials run again in the next call.
    """
    spec, algorithm, better = study.spec, study.spec.algorithm, study.spec.objective.better
    at_once = parallel or spec.parallel
    begun_by = recorded_seed(out, study)
    by_default = int(algorithm.settings.get("random_state", 0)) if begun_by is None else begun_by
    drawn_by = by_default if seed is None else seed
    suggesting = suggester(algorithm, spec.parameters, better=better, seed=drawn_by)
    if spec.trials is None and algorithm.name not in ("grid", "hyperband"):
        raise ValueError(
            f"study {study.name}: {algorithm.name} never ends by itself; give spec.maxTrialCount"
        )
    stopping = medianstop(spec.stopping, better) if spec.stopping else None
    with exclusive(out):
        journal = Journal(out, study=study, seed=drawn_by)
        screen = screen or sys.stdout
        with progress(study, parallel=at_once, there=len(journal.ended), screen=screen) as told:
            loop = Loop(
                study,
                parallel=at_once,
                journal=journal,
                suggester=suggesting,
                stopping=stopping,
                told=told,
            )
            if loop.failed:
                journal.reopen_failed()
            journal.replay(suggesting)
            loop.run()
        if loop.failed:
            raise ValueError(_failure(study, journal))
        made = sorted(journal.ended, key=lambda card: card.number)
        return conclude(study, [card.record(study) for card in made], out=out, store=store or out)


def _failure(study: Study, journal: Journal) -> str:
    last = [card for card in journal.ended if card.state == "failed"][-1]
    return (
        f"study {study.name}: trials failed as often as maxFailedTrialCount allows ({study.spec.failures}), the last "
        f"with {last.cause}; see {journal.results(last).log}, mend it and run again"
    )
