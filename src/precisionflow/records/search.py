"""A search that has ended: its trials, the best of them, and the files that keep both."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa

from precisionflow.records.card import Card
from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import TRIALS

Better = Literal["minimize", "maximize"]
State = Literal["succeeded", "stopped", "failed"]
"""stopped: by early stopping; what the trial reached counts."""
Value = int | float | str
"""Value of a searched parameter."""
Report = tuple[str, float]
"""Metric and value: one line that a trial printed."""
NAN = float("nan")


@dataclass(frozen=True)
class Trial:
    """A trial that has ended, wherever it ran."""

    name: str
    number: int
    """Index of the trial in the order in which trials were made."""
    end: int
    """Index of the trial in the order in which trials ended."""
    state: State
    value: float = NAN
    """Objective; NaN where it was not measured."""
    seconds: float = NAN
    """Wall time; NaN where it is not known."""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """Parameter of the study -> searched value."""
    settings: tuple[str, ...] = ()
    """Searched settings of the experiment, such as training.learning_rate=0.01."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metric -> the report that counts: lowest, highest or latest."""
    reports: tuple[Report, ...] = ()
    """Every report in the order of printing; none where Katib kept only those that count."""
    cause: str = ""
    """Why the trial failed."""

    @property
    def measured(self) -> bool:
        """Whether there is a value of the objective."""
        return self.value == self.value


class Best(Card):
    """best.json: the trial with the best objective."""

    study: str
    trial: str
    settings: tuple[str, ...]
    metric: str
    value: float
    trials: int
    """Number of trials that ended, failed ones among them."""
    parameters: dict[str, Value] = {}
    """Parameter of the study -> value of the best trial."""


@dataclass(frozen=True)
class Search:
    """A search that has ended, wherever it ran."""

    name: str
    key: str
    """Digest of the study."""
    metric: str
    """Objective."""
    better: Better
    algorithm: str
    parameters: tuple[str, ...]
    logarithmic: frozenset[str]
    """Parameters that are drawn by their logarithms."""
    trials: tuple[Trial, ...]
    """Trials that have ended, in the order in which they were made."""

    @property
    def measured(self) -> list[Trial]:
        """Trials with a value of the objective."""
        return [trial for trial in self.trials if trial.measured]

    @property
    def best(self) -> Trial:
        """Trial with the best objective, the earliest of equal ones. ValueError where none has a value."""
        if not self.measured:
            raise ValueError(
                f"study {self.name}: none of {len(self.trials)} trials measured {self.metric}; look at their logs"
            )
        return (min if self.better == "minimize" else max)(self.measured, key=lambda trial: trial.value)

    @property
    def best_card(self) -> Best:
        """The best trial as best.json has it."""
        best = self.best
        return Best(
            study=self.name,
            trial=best.name,
            settings=best.settings,
            metric=self.metric,
            value=best.value,
            trials=len(self.trials),
            parameters=dict(best.parameters),
        )


def write_trials(search: Search, file: Path) -> None:
    """Write `trials.parquet`: a row for each trial."""
    rows = [
        {
            "trial": trial.name,
            "state": trial.state,
            "value": trial.value,
            "settings": json.dumps(list(trial.settings)),
            "parameters": json.dumps(dict(trial.parameters)),
            "metrics": json.dumps(dict(trial.metrics), sort_keys=True),
            "seconds": trial.seconds,
            "cause": trial.cause,
        }
        for trial in search.trials
    ]
    write_parquet(pa.Table.from_pylist(rows, TRIALS), file, TRIALS)
