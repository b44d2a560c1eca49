"""Progress of searches on a screen: a line for each trial that ends, and in a terminal a bar below the lines."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from precisionflow.search.journal import TrialCard
from precisionflow.search.study import Study


@contextlib.contextmanager
def progress(
    studies: Sequence[Study], *, at_once: int, parallel: int, there: int, screen: TextIO
) -> Iterator[Callable[[Study, TrialCard], None]]:
    """A function that tells of a trial of a study that has ended; `there` is the number of those that ended before.

    `at_once` studies run side by side, `parallel` trials of each.
    """
    each = [study.spec.trials for study in studies]
    total = None if None in each else sum(trials or 0 for trials in each)
    if not screen.isatty():

        def tell(line: str) -> None:
            print(f"precisionflow: {line}", file=screen, flush=True)

        begun = f", {there} are there already" if there else ""
        tell(f"{_head(studies, at_once)}, {total or 'all'} trials, {at_once * parallel} at once{begun}")
        yield lambda study, card: tell(_line(study, card))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=screen)) as bars:
        name = studies[0].name if len(studies) == 1 else f"{len(studies)} studies"
        task = bars.add_task(name, total=total, completed=there)

        def tell_and_advance(study: Study, card: TrialCard) -> None:
            bars.console.print(_line(study, card), highlight=False, markup=False, soft_wrap=True)
            bars.advance(task)

        yield tell_and_advance


def _head(studies: Sequence[Study], at_once: int) -> str:
    if len(studies) == 1:
        return f"search {studies[0].name}: {studies[0].spec.algorithm.name}"
    return f"search: {len(studies)} studies, {at_once} side by side"


def _line(study: Study, card: TrialCard) -> str:
    """What a trial reached or why it failed, how long it took, what it was given."""
    result = card.cause if card.state == "failed" else f"{study.spec.objective.metric} {card.value:.6g}"
    given = ", ".join(f"{name} {value}" for name, value in card.assignments.items())
    return f"search {study.name} trial {card.number} {card.state}: {result} in {card.seconds:.1f} s ({given})"
