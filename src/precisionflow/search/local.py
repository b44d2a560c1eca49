"""A study run on this machine: the very Katib Experiment, its trials as processes, its results in a folder."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from precisionflow.results.locks import exclusive
from precisionflow.search import medianstop, samplers, space
from precisionflow.search.conclude import Ended, conclude
from precisionflow.search.engine import Engine, chosen
from precisionflow.search.journal import Journal, TrialCard
from precisionflow.search.plan import Plan, plan_of
from precisionflow.search.trials import NAN, Best, Trial, searched_settings


def run_study(
    study: Mapping[str, Any],
    *,
    out: Path,
    parallel: int | None = None,
    seed: int | None = None,
    screen: TextIO | None = None,
) -> Best:
    """Run the trials that `out` lacks; write `trials.parquet`, `best.json`, `report/search.html` and MLflow's runs.

    `study` is a valid Katib Experiment. `parallel` trials run at once (default: its parallelTrialCount); `seed` is that
    of the algorithm (default: its random_state, else 0). Progress goes to `screen`, standard output by default.
    ValueError for an algorithm that needs Katib, for a folder of another search, and when too many trials failed; what
    has ended is kept, and trials that failed so run again in the next call.
    """
    plan = plan_of(study)
    plan = replace(plan, parallel=parallel or plan.parallel)
    chosen_seed = int(plan.settings.get("random_state", 0)) if seed is None else seed
    suggester = samplers.suggester(
        plan.algorithm, plan.settings, plan.parameters, better=plan.better, seed=chosen_seed
    )
    if plan.trials is None and plan.algorithm not in ("grid", "hyperband"):
        raise ValueError(f"study {plan.name}: {plan.algorithm} never ends by itself; give spec.maxTrialCount")
    stopping = medianstop.medianstop(plan.stopping, plan.better) if plan.stopping is not None else None
    with exclusive(out):
        journal = Journal(out, plan=plan, study=study, seed=chosen_seed)
        with _progress(plan, journal, screen or sys.stdout) as told:
            engine = Engine(plan, journal=journal, suggester=suggester, stopping=stopping, told=told)
            if engine.failed:
                journal.reopen_failed()
            journal.replay(suggester)
            engine.run()
        if engine.failed:
            last = [card for card in journal.ended if card.state == "failed"][-1]
            raise ValueError(
                f"study {plan.name}: trials failed as often as maxFailedTrialCount allows ({plan.failures}), the last "
                f"with {last.cause}; see {journal.folder(last.number) / 'log.txt'}, mend it and run again"
            )
        ended = sorted(journal.ended, key=lambda card: card.number)
        results = [Ended(_trial(plan, card), card.number, card.end or 0, card.reports) for card in ended]
        return conclude(plan, results, out=out, store=out)


def _trial(plan: Plan, card: TrialCard) -> Trial:
    """As it is told to others."""
    return Trial(
        name=f"{plan.name}-{card.number}",
        state="failed" if card.state == "begun" else card.state,
        settings=searched_settings(plan.template, card.assignments),
        parameters={p.name: space.typed(card.assignments[p.name], p) for p in plan.parameters},
        metrics={name: chosen(values, plan.strategies[name]) for name, values in card.values.items()},
        value=NAN if card.value is None else card.value,
        seconds=card.seconds,
        cause=card.cause,
    )


@contextlib.contextmanager
def _progress(plan: Plan, journal: Journal, screen: TextIO) -> Iterator[Callable[[TrialCard], None]]:
    """A function that tells of a trial that has ended; in a terminal there is a bar under the lines."""
    there, total = len(journal.ended), plan.trials
    begun = f", {there} are there already" if there else ""
    if not screen.isatty():

        def tell(line: str) -> None:
            print(f"precisionflow: {line}", file=screen, flush=True)

        tell(f"search {plan.name}: {plan.algorithm}, {total or 'all'} trials, {plan.parallel} at once{begun}")
        yield lambda card: tell(_told(plan, card))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=screen)) as bars:
        task = bars.add_task(plan.name, total=total, completed=there)

        def tell_and_advance(card: TrialCard) -> None:
            bars.console.print(_told(plan, card), highlight=False, markup=False, soft_wrap=True)
            bars.advance(task)

        yield tell_and_advance


def _told(plan: Plan, card: TrialCard) -> str:
    result = card.cause if card.state == "failed" else f"{plan.metric} {card.value:.6g}"
    given = ", ".join(f"{name} {value}" for name, value in card.assignments.items())
    return f"search {plan.name} trial {card.number} {card.state}: {result} in {card.seconds:.1f} s ({given})"
