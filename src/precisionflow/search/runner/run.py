"""Studies run on this machine: the very Katib Experiment, its trials as processes, its results in a folder."""

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from precisionflow.records.search import Best
from precisionflow.results.locks import exclusive
from precisionflow.results.machine import core_count
from precisionflow.search.algorithms.medianstop import MedianStop, medianstop
from precisionflow.search.algorithms.samplers import Suggester, suggester
from precisionflow.search.conclude import conclude
from precisionflow.search.journal import Journal, recorded_seed
from precisionflow.search.runner.loop import Ended, Loop, run_loops, too_many_failed
from precisionflow.search.runner.progress import progress
from precisionflow.search.study import Study
from precisionflow.stopping import ends_when_stopped


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
    asked = Asked.checked(study, out, parallel=parallel, seed=seed)
    (best,) = _run([asked], at_once=1, screen=screen or sys.stdout, store=store or out)
    return best


def run_studies(
    studies: Sequence[Study], *, outs: Sequence[Path], at_once: int, screen: TextIO, store: Path
) -> list[Best]:
    """`run_study` for each study, `at_once` of them side by side; what each finds is what it would find alone.

    The first that fails ends the others, whose trials go on in the next call.
    """
    asked = [Asked.checked(study, out) for study, out in zip(studies, outs, strict=True)]
    return _run(asked, at_once=at_once, screen=screen, store=store)


@dataclass(frozen=True)
class Asked:
    """A study that can be run on this machine, and how."""

    study: Study
    out: Path
    parallel: int
    seed: int
    suggester: Suggester
    stopping: MedianStop | None

    @classmethod
    def checked(
        cls, study: Study, out: Path, *, parallel: int | None = None, seed: int | None = None
    ) -> "Asked":
        """ValueError for a study that this machine cannot run to an end; nothing is written."""
        spec, algorithm, better = study.spec, study.spec.algorithm, study.spec.objective.better
        begun_by = recorded_seed(out, study)
        by_default = int(algorithm.settings.get("random_state", 0)) if begun_by is None else begun_by
        drawn_by = by_default if seed is None else seed
        suggesting = suggester(algorithm, spec.parameters, better=better, seed=drawn_by)
        if spec.trials is None and algorithm.name not in ("grid", "hyperband"):
            raise ValueError(
                f"study {study.name}: {algorithm.name} never ends by itself; give spec.maxTrialCount"
            )
        stopping = medianstop(spec.stopping, better) if spec.stopping else None
        return cls(study, out, parallel or spec.parallel, drawn_by, suggesting, stopping)

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        """The journal in its folder, which the block holds, and the algorithm as far as that goes."""
        with exclusive(self.out):
            journal = Journal(self.out, study=self.study, seed=self.seed)
            if too_many_failed(self.study, journal):
                journal.reopen_failed()
            journal.replay(self.suggester)
            yield journal


def _run(asked: Sequence[Asked], *, at_once: int, screen: TextIO, store: Path) -> list[Best]:
    """Run the studies; each is concluded in this thread as soon as it and all before it have ended."""
    bests, over = list[Best](), set[Loop]()

    def end(loop: Loop) -> None:
        if loop.failed:
            raise ValueError(_failure(loop.study, loop.journal))
        over.add(loop)
        while len(bests) < len(loops) and loops[len(bests)] in over:
            bests.append(_concluded(loops[len(bests)], asked[len(bests)].out, store))

    at_once, ended = min(at_once, len(asked)), Ended()
    with ends_when_stopped(), contextlib.ExitStack() as held:
        journals = [held.enter_context(each.journal()) for each in asked]
        shown = progress(
            [each.study for each in asked],
            at_once=at_once,
            parallel=asked[0].parallel,
            there=sum(len(journal.ended) for journal in journals),
            screen=screen,
        )
        told = held.enter_context(shown)
        loops = [
            Loop(
                each.study,
                parallel=each.parallel,
                threads=max(1, core_count() // (each.parallel * at_once)),
                journal=journal,
                suggester=each.suggester,
                stopping=each.stopping,
                ended=ended,
                told=functools.partial(told, each.study),
            )
            for each, journal in zip(asked, journals, strict=True)
        ]
        run_loops(loops, at_once=at_once, ended=ended, over=end)
    return bests


def _concluded(loop: Loop, out: Path, store: Path) -> Best:
    """By the trials that the study asks for: a folder may hold more of them, of a larger budget."""
    asked = loop.study.spec.trials
    made = [card for card in loop.journal.ended if asked is None or card.number < asked]
    made.sort(key=lambda card: card.number)
    return conclude(loop.study, [card.record(loop.study) for card in made], out=out, store=store)


def _failure(study: Study, journal: Journal) -> str:
    last = [card for card in journal.ended if card.state == "failed"][-1]
    return (
        f"study {study.name}: trials failed as often as maxFailedTrialCount allows ({study.spec.failures}), the last "
        f"with {last.cause}; see {journal.results(last).log}, mend it and run again"
    )
