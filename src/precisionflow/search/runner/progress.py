"""Progress of a search on a screen: a line for each trial that ends, and in a terminal a bar below the lines."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TextIO

from precisionflow.search.journal import TrialCard
from precisionflow.search.study import Study


@contextlib.contextmanager
def progress(
    study: Study, *, parallel: int, there: int, screen: TextIO
) -> Iterator[Callable[[TrialCard], None]]:
    """A function that tells of a trial that has ended; `there` is the number of those that ended before."""
    total = study.spec.trials
    if not screen.isatty():

        def tell(line: str) -> None:
            print(f"precisionflow: {line}", file=screen, flush=True)

        begun = f", {there} are there already" if there else ""
        algorithm = study.spec.algorithm.name
        tell(f"search {study.name}: {algorithm}, {total or 'all'} trials, {parallel} at once{begun}")
        yield lambda card: tell(_line(study, card))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=screen)) as bars:
        task = bars.add_task(study.name, total=total, completed=there)

        def tell_and_advance(card: TrialCard) -> None:
            bars.console.print(_line(study, card), highlight=False, markup=False, soft_wrap=True)
            bars.advance(task)

        yield tell_and_advance


def _line(study: Study, card: TrialCard) -> str:
    """What a trial reached or why it failed, how long it took, what it was given."""
    result = card.cause if card.state == "failed" else f"{study.spec.objective.metric} {card.value:.6g}"
    given = ", ".join(f"{name} {value}" for name, value in card.assignments.items())
    return f"search {study.name} trial {card.number} {card.state}: {result} in {card.seconds:.1f} s ({given})"
