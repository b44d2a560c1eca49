"""The end of a search, wherever it ran: its files, its page, its runs in MLflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from precisionflow.report.search_page import Attempt, Searched, write_search_page
from precisionflow.search.plan import Plan
from precisionflow.search.trials import Best, Trial, best_of, write_trials
from precisionflow.tracking.search import Recorded, RecordedTrial, track_search


class Ended(NamedTuple):
    """A finished trial and what is shown of it beside its result."""

    trial: Trial
    number: int
    """In the order of their making."""
    end: int
    """The how manieth to end."""
    reports: tuple[tuple[str, float], ...] = ()
    """Every report in its order: metric, value."""


def conclude(plan: Plan, ended: Sequence[Ended], *, out: Path, store: Path | None) -> Best:
    """Write `trials.parquet`, `best.json` and `report/search.html` into `out`, and track all.

    ValueError where no trial measured the objective.
    """
    trials = [one.trial for one in ended]
    best = best_of(trials, study=plan.name, metric=plan.metric, better=plan.better)
    write_trials(trials, best, out)
    searched = Searched(
        name=plan.name,
        metric=plan.metric,
        better=plan.better,
        algorithm=plan.algorithm,
        parameters=tuple(parameter.name for parameter in plan.parameters),
        logarithmic=frozenset(p.name for p in plan.parameters if p.space.distribution.startswith("log")),
        attempts=tuple(
            Attempt(one.number, one.end, t.state, t.value, t.seconds, t.parameters, t.cause)
            for one, t in zip(ended, trials, strict=True)
        ),
        best=best.trial,
        settings=best.settings,
    )
    write_search_page(searched, out / "report" / "search.html")
    recorded = Recorded(
        name=plan.name,
        key=plan.key,
        metric=plan.metric,
        algorithm=plan.algorithm,
        best=best.trial,
        value=best.value,
        settings=best.settings,
        trials=tuple(
            RecordedTrial(t.name, t.state, t.parameters, t.settings, t.metrics, t.cause, one.reports)
            for one, t in zip(ended, trials, strict=True)
        ),
        files=(out / "report" / "search.html", out / "trials.parquet", out / "best.json"),
    )
    track_search(recorded, store=store)
    return best
