"""Lines that say how far the stages of a run are, and how long the rest takes, while it goes on."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO, cast

from precisionflow.config import Experiment
from precisionflow.console import duration
from precisionflow.results.layout import Results
from precisionflow.results.progress import Progress, StageProgress

PAUSE, LINE_PAUSE = 2.0, 60.0
"""Seconds between two looks, and between two lines where there is no terminal, at least."""
SHARE = 0.02
"""Most of the time that looking takes."""
Stages = dict[str, StageProgress]


@contextlib.contextmanager
def stages_shown(variants: Sequence[Experiment], results: Results, *, screen: TextIO) -> Iterator[TextIO]:
    """Inside the block a terminal has one live line for each stage, another screen a line now and then.

    Yields where everything else is to be printed.
    """
    begun, first = time.monotonic(), Progress(results).stages(variants)

    def rest(stage: str, now: Stages) -> str:
        return remaining(first[stage], now[stage], seconds=time.monotonic() - begun)

    shown = _bars(first, rest, screen) if screen.isatty() else _lines(first, rest, screen)
    with shown as (tell, place), _looking(lambda: tell(Progress(results).stages(variants))):
        yield place


def remaining(before: StageProgress, now: StageProgress, *, seconds: float) -> str:
    """ "about 12 min left", by what was done since `before`; empty where nothing was, and where nothing is left."""
    done, left = now.done - before.done, now.asked - now.done
    return f"about {duration(seconds * left / done)} left" if done > 0 and left else ""


@contextlib.contextmanager
def _looking(look: Callable[[], None]) -> Iterator[None]:
    """Look again and again in a thread, and once more at the end."""
    over = threading.Event()

    def again() -> None:
        pause = PAUSE
        while not over.wait(pause):
            start = time.monotonic()
            look()
            pause = max(PAUSE, (time.monotonic() - start) / SHARE)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
        look()
    finally:
        over.set()
        thread.join()


Rest = Callable[[str, Stages], str]
Shown = tuple[Callable[[Stages], None], TextIO]
"""What takes a look's result, and where everything else is printed."""


@contextlib.contextmanager
def _bars(first: Stages, rest: Rest, screen: TextIO) -> Iterator[Shown]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(file=screen, markup=False, emoji=False, highlight=False)
    columns = (
        TextColumn("{task.description:<8}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[rest]}", markup=False),
    )
    with Bars(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bars:
        tasks = {
            stage: bars.add_task(stage, total=of.asked, completed=of.done, rest="")
            for stage, of in first.items()
        }

        def tell(now: Stages) -> None:
            for stage, of in now.items():
                bars.update(tasks[stage], completed=of.done, rest=rest(stage, now))

        yield tell, cast(TextIO, _Above(console.print))


class _Above:
    """A screen above the live lines."""

    def __init__(self, show: Callable[..., None]) -> None:
        self._show = show

    def write(self, text: str) -> int:
        """Print at once."""
        self._show(text, end="", soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


@contextlib.contextmanager
def _lines(first: Stages, rest: Rest, screen: TextIO) -> Iterator[Shown]:
    told, shown = time.monotonic(), first

    def tell(now: Stages) -> None:
        nonlocal told, shown
        if now == shown or time.monotonic() - told < LINE_PAUSE:
            return
        parts = [f"{stage} {of.done} of {of.asked}" for stage, of in now.items() if of.done < of.asked]
        words = rest("evaluate", now)
        if parts:
            print(f"run: {', '.join(parts)}{f'; {words}' if words else ''}", file=screen, flush=True)
        told, shown = time.monotonic(), now

    yield tell, screen
