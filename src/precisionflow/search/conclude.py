"""The end of a search, wherever it ran: its files, its page, its runs in MLflow."""

from collections.abc import Sequence
from pathlib import Path

from precisionflow.records.files import write_card
from precisionflow.records.search import Best, Search, Trial, write_trials
from precisionflow.report.search.page import write_search_page
from precisionflow.results.search_layout import SearchResults
from precisionflow.search.study import Study
from precisionflow.tracking.search import track_search


def conclude(study: Study, trials: Sequence[Trial], *, out: Path, store: Path | None) -> Best:
    """Write `trials.parquet`, `best.json` and `report/search.html` into `out`, and track all.

    `trials` have ended and are in the order in which they were made. ValueError where none measured the objective.
    """
    search, results = search_of(study, trials), SearchResults(out)
    best = search.best_card
    write_trials(search, results.trials)
    write_card(best, results.best)
    write_search_page(search, results.page)
    track_search(search, results=results, store=store)
    return best


def search_of(study: Study, trials: Sequence[Trial]) -> Search:
    """The record of a study whose trials have ended."""
    spec = study.spec
    return Search(
        name=study.name,
        key=study.key,
        metric=spec.objective.metric,
        better=spec.objective.better,
        algorithm=spec.algorithm.name,
        parameters=tuple(parameter.name for parameter in spec.parameters),
        logarithmic=frozenset(p.name for p in spec.parameters if p.space.logarithmic),
        trials=tuple(trials),
    )
