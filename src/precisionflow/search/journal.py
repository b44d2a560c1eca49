"""A search's folder: the study it belongs to and a small file for every trial, from which a killed search goes on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from precisionflow.records.cards import Card
from precisionflow.records.files import read_card, write_card
from precisionflow.search.plan import Plan
from precisionflow.search.samplers import Suggester

Report = tuple[str, float]
"""metric, value: one line that a trial printed."""


class TrialCard(Card):
    """trials/<number>/trial.json: written before the trial starts, and again when it has ended."""

    number: int
    """From 0, in the order of asking."""
    assignments: dict[str, str]
    told: int
    """How many ends of trials the algorithm knew when it was asked."""
    threshold: float | None = None
    """Of the early stopping, fixed at the start."""
    state: Literal["begun", "succeeded", "stopped", "failed"] = "begun"
    end: int | None = None
    """The how manieth trial to end, from 0."""
    reports: tuple[Report, ...] = ()
    value: float | None = None
    """Of the objective."""
    seconds: float = 0.0
    cause: str = ""
    """Why it failed."""

    @property
    def values(self) -> dict[str, list[float]]:
        """metric -> its reports in their order."""
        found: dict[str, list[float]] = {}
        for metric, value in self.reports:
            found.setdefault(metric, []).append(value)
        return found


class StudyCard(Card):
    """study.json."""

    study: dict[str, Any]
    key: str
    seed: int


class Journal:
    """The trials of a search, in its folder."""

    def __init__(self, out: Path, *, plan: Plan, study: Mapping[str, Any], seed: int) -> None:
        """ValueError where the folder holds another search."""
        self._out, self._plan = out, plan
        file = out / "study.json"
        card = StudyCard(study=dict(study), key=plan.key, seed=seed)
        if file.exists():
            there = read_card(file, StudyCard)
            if (there.key, there.seed) != (card.key, card.seed):
                raise ValueError(
                    f"{out}: holds another search ({_difference(there, card)}); choose another --out"
                )
        elif any(path.name != ".lock" for path in out.iterdir()):
            raise ValueError(f"{out}: holds files that no search wrote; choose another --out or remove it")
        write_card(card, file)
        found = [read_card(path, TrialCard) for path in (out / "trials").glob("*/trial.json")]
        self.cards = {card.number: card for card in sorted(found, key=lambda card: card.number)}

    def folder(self, number: int) -> Path:
        return self._out / "trials" / str(number)

    def write(self, card: TrialCard) -> None:
        """Keep what is known of a trial."""
        write_card(card, self.folder(card.number) / "trial.json")
        self.cards[card.number] = card

    @property
    def ended(self) -> list[TrialCard]:
        """Trials that have ended, in the order of their ends."""
        return sorted(
            (card for card in self.cards.values() if card.end is not None), key=lambda card: card.end or 0
        )

    @property
    def ends(self) -> int:
        """Number of the next end."""
        return max((card.end for card in self.cards.values() if card.end is not None), default=-1) + 1

    def reopen_failed(self) -> None:
        """Let every failed trial run again."""
        for card in self.ended:
            if card.state == "failed":
                fresh = TrialCard(
                    number=card.number, assignments=card.assignments, told=card.told, threshold=card.threshold
                )
                (self.folder(card.number) / "log.txt").unlink(missing_ok=True)
                self.write(fresh)

    def replay(self, suggester: Suggester) -> None:
        """Bring a fresh algorithm to where it was: asked and told in the same order.

        ValueError where it suggests something else.
        """
        ended = iter(self.ended)
        following = next(ended, None)
        for card in self.cards.values():
            while following and following.end is not None and following.end < card.told:
                suggester.tell(following.number, following.value)
                following = next(ended, None)
            if suggester.ask() != card.assignments:
                raise ValueError(
                    f"{self._out}: trial {card.number} cannot be suggested again, the search was begun with other "
                    "versions of precisionflow or Optuna; choose another --out"
                )
        for card in _rest(following, ended):
            suggester.tell(card.number, card.value)


def _rest(first: TrialCard | None, others: Iterable[TrialCard]) -> list[TrialCard]:
    return [first, *others] if first else []


def _difference(there: StudyCard, card: StudyCard) -> str:
    if there.key == card.key:
        return f"with seed {there.seed}, not {card.seed}"
    old, new = (c.study.get("metadata", {}).get("name") for c in (there, card))
    return f"{old}, not {new}" if old != new else f"{old} with another spec"
