"""Layout of the folder of a search: its study, its trials, each a results folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SearchResults:
    """The folder of a search."""

    folder: Path

    @classmethod
    def usual(cls, name: str) -> "SearchResults":
        """The folder of a study with this name where none is given."""
        return cls(Path("runs", "search", name))

    @property
    def study(self) -> Path:
        """search.journal.StudyCard."""
        return self.folder / "study.json"

    @property
    def trials(self) -> Path:
        """Row for each trial."""
        return self.folder / "trials.parquet"

    @property
    def best(self) -> Path:
        """records.search.Best."""
        return self.folder / "best.json"

    @property
    def page(self) -> Path:
        """The report."""
        return self.folder / "report" / "search.html"

    def trial(self, number: int) -> "TrialResults":
        """The trial with this number."""
        return TrialResults(self.folder / "trials" / str(number))

    @property
    def begun(self) -> list["TrialResults"]:
        """Trials that have a card, in any order."""
        return [TrialResults(card.parent) for card in (self.folder / "trials").glob("*/trial.json")]


@dataclass(frozen=True)
class TrialResults:
    """The folder of one trial on this machine."""

    folder: Path

    @property
    def card(self) -> Path:
        """search.journal.TrialCard."""
        return self.folder / "trial.json"

    @property
    def log(self) -> Path:
        """What the trial printed."""
        return self.folder / "log.txt"

    @property
    def results(self) -> Path:
        """What the trial trains."""
        return self.folder / "results"
