"""Journal of a search: the study and a small file for each trial, from which a killed search goes on."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from precisionflow.records.card import Card
from precisionflow.records.files import read_card, write_card
from precisionflow.records.search import Report, Trial
from precisionflow.results.locks import exclusive, parents_of
from precisionflow.results.search_layout import SearchResults, TrialResults
from precisionflow.search.algorithms.samplers import Suggester
from precisionflow.search.metric_lines import chosen
from precisionflow.search.study import Study
from precisionflow.search.trained import trained_key
from precisionflow.search.trial import trial_record


class TrialCard(Card):
    """trials/<number>/trial.json: written before the trial starts, and again when it has ended."""

    number: int
    """Index of the trial in the order in which trials were suggested."""
    assignments: dict[str, str]
    """Parameter of the study -> suggested value."""
    told: int
    """Number of trials that had ended when the algorithm suggested this one."""
    threshold: float | None = None
    """Threshold of early stopping, fixed when the trial is made."""
    state: Literal["begun", "succeeded", "stopped", "failed"] = "begun"
    end: int | None = None
    """Index of the trial in the order in which trials ended; none while it runs."""
    reports: tuple[Report, ...] = ()
    """Every report in the order of printing."""
    value: float | None = None
    """Objective; none where it was not measured."""
    seconds: float = 0.0
    """Wall time of the trial's process."""
    cause: str = ""
    """Why the trial failed."""

    @property
    def values(self) -> dict[str, list[float]]:
        """Metric -> its reports in the order of printing."""
        found: dict[str, list[float]] = {}
        for metric, value in self.reports:
            found.setdefault(metric, []).append(value)
        return found

    def record(self, study: Study) -> Trial:
        """The trial as it is shown, tracked and written; it has ended."""
        assert self.end is not None
        assert self.state != "begun"
        strategies = study.spec.objective.strategies
        return trial_record(
            study,
            name=f"{study.name}-{self.number}",
            number=self.number,
            end=self.end,
            state=self.state,
            assignments=self.assignments,
            metrics={metric: chosen(values, strategies[metric]) for metric, values in self.values.items()},
            seconds=self.seconds,
            cause=self.cause,
            reports=self.reports,
        )


class StudyCard(Card):
    """study.json."""

    study: dict[str, Any]
    key: str
    seed: int
    trained: str = ""
    """Digest of what trials train, and by what code; empty where they run another program."""


class Journal:
    """The trials of a search, in its folder."""

    def __init__(self, out: Path, *, study: Study, seed: int) -> None:
        """ValueError where the folder holds another search."""
        self._out, self._results = out, SearchResults(out)
        card = StudyCard(study=study.content, key=study.key, seed=seed, trained=trained_key(study))
        if self._results.study.exists():
            there = read_card(self._results.study, StudyCard)
            if (there.key, there.seed, there.trained) != (card.key, card.seed, card.trained):
                raise ValueError(
                    f"{out}: holds another search ({_difference(there, card)}); choose another --out"
                )
        elif any(path.name != ".lock" for path in out.iterdir()):
            raise ValueError(f"{out}: holds files that no search wrote; choose another --out or remove it")
        write_card(card, self._results.study)
        found = [read_card(trial.card, TrialCard) for trial in self._results.begun]
        self.cards = {card.number: card for card in sorted(found, key=lambda card: card.number)}

    def results(self, card: TrialCard) -> TrialResults:
        """Where the trial's log and results lie."""
        return self._results.trial(card.number)

    def write(self, card: TrialCard) -> None:
        """Keep what is known of a trial."""
        write_card(card, self.results(card).card)
        self.cards[card.number] = card

    @property
    def begun(self) -> list[TrialCard]:
        """Trials that have not ended, in the order in which they were suggested."""
        return [card for card in self.cards.values() if card.end is None]

    @property
    def ended(self) -> list[TrialCard]:
        """Trials that have ended, in the order in which they ended."""
        ended = [card for card in self.cards.values() if card.end is not None]
        return sorted(ended, key=lambda card: card.end or 0)

    @property
    def next_end(self) -> int:
        """Index that the next trial to end gets."""
        return max((card.end for card in self.cards.values() if card.end is not None), default=-1) + 1

    def reopen_failed(self) -> None:
        """Let every failed trial run again."""
        for card in self.ended:
            if card.state == "failed":
                fresh = TrialCard(
                    number=card.number, assignments=card.assignments, told=card.told, threshold=card.threshold
                )
                self.results(card).log.unlink(missing_ok=True)
                self.write(fresh)

    def replay(self, suggester: Suggester) -> None:
        """Bring a fresh algorithm to the state of this search: ask and tell it all in the same order.

        ValueError where it suggests something else.
        """
        untold = self.ended
        for card in self.cards.values():
            while untold and untold[0].end is not None and untold[0].end < card.told:
                _tell(suggester, untold.pop(0))
            if suggester.ask() != card.assignments:
                raise ValueError(
                    f"{self._out}: trial {card.number} cannot be suggested again, the search was begun with other "
                    "versions of precisionflow or Optuna; choose another --out"
                )
        for card in untold:
            _tell(suggester, card)


def recorded_seed(out: Path, study: Study) -> int | None:
    """Seed of the search of this study that a folder holds; none where it holds none, or another one."""
    card = _study_card(out)
    same = card is not None and (card.key, card.trained) == (study.key, trained_key(study))
    return card.seed if card and same else None


def adopt(study: Study, *, places: Iterable[Path], out: Path) -> Path | None:
    """Begin a search in `out` with the trials that one of `places` has of the same study; that place, or none.

    A trial that had not ended begins anew. An `out` that holds a search keeps it. A place that `out` lies in is held by
    the caller; ValueError where a search is running in another.
    """
    if SearchResults(out).study.exists():
        return None
    place = next((place for place in places if recorded_seed(place, study) is not None), None)
    if place is None:
        return None
    held = contextlib.nullcontext() if out.is_relative_to(place) else exclusive(place)
    with held, parents_of(out), tempfile.TemporaryDirectory(dir=out.parent) as folder:
        there, here = SearchResults(place), SearchResults(Path(folder, out.name))
        here.folder.mkdir()
        shutil.copyfile(there.study, here.study)
        for trial in there.begun:
            card = read_card(trial.card, TrialCard)
            copied = here.trial(card.number)
            copied.folder.mkdir(parents=True)
            shutil.copyfile(trial.card, copied.card)
            if card.end is not None and trial.log.exists():
                shutil.copyfile(trial.log, copied.log)
        here.folder.rename(out)
    return place


def _study_card(out: Path) -> StudyCard | None:
    """What a folder says of its search; none where it has none that can be read."""
    file = SearchResults(out).study
    with contextlib.suppress(ValueError):
        return read_card(file, StudyCard) if file.exists() else None
    return None


def _tell(suggester: Suggester, card: TrialCard) -> None:
    suggester.tell(card.number, card.value)


def _difference(there: StudyCard, card: StudyCard) -> str:
    """How two studies or their seeds differ, in a few words."""
    if there.key == card.key:
        if there.seed != card.seed:
            return f"with seed {there.seed}, not {card.seed}"
        return "its trials trained another experiment, or by other code"
    old, new = (c.study.get("metadata", {}).get("name") for c in (there, card))
    return f"{old}, not {new}" if old != new else f"{old} with another spec"
