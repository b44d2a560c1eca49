"""What a search leaves behind, wherever it ran: `trials.parquet`, a row for each trial, and `best.json`."""

import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from precisionflow.records.cards import Card
from precisionflow.records.files import write_card, write_parquet

TRIALS = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False, metadata={"nan": "allowed"}),
        pa.field("settings", pa.string(), nullable=False),
        pa.field("parameters", pa.string(), nullable=False),
        pa.field("metrics", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False, metadata={"nan": "allowed"}),
        pa.field("cause", pa.string(), nullable=False),
    ]
)
"""trials.parquet: value and seconds are NaN where there are none; settings, parameters and metrics are JSON."""
State = Literal["succeeded", "stopped", "failed"]
"""stopped: by the early stopping; what it reached counts."""
NAN = float("nan")


@dataclass(frozen=True)
class Trial:
    """A finished trial."""

    name: str
    state: State
    settings: tuple[str, ...]
    """What it was given, such as training.learning_rate=0.01."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """metric -> the value that Katib would take: lowest, highest or latest."""
    value: float = NAN
    """Of the objective; NaN where it was not measured."""
    seconds: float = NAN
    cause: str = ""
    """Why it failed."""
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)
    """Searched values by the study's names for them."""


class Best(Card):
    """best.json: the trial with the best objective."""

    study: str
    trial: str
    settings: tuple[str, ...]
    metric: str
    value: float
    trials: int
    """How many were finished, failed ones among them."""
    parameters: dict[str, int | float | str] = {}
    """The settings' values by the study's names for them."""


def best_of(
    trials: Sequence[Trial], *, study: str, metric: str, better: Literal["minimize", "maximize"]
) -> Best:
    """The trial with the best objective, the earliest of equal ones. ValueError where none has a value."""
    measured = [trial for trial in trials if trial.value == trial.value]
    if not measured:
        raise ValueError(f"study {study}: none of {len(trials)} trials measured {metric}; look at their logs")
    best = (min if better == "minimize" else max)(measured, key=lambda trial: trial.value)
    return Best(
        study=study,
        trial=best.name,
        settings=best.settings,
        metric=metric,
        value=best.value,
        trials=len(trials),
        parameters=dict(best.parameters),
    )


def write_trials(trials: Sequence[Trial], best: Best, out: Path) -> None:
    """Write both files into `out`."""
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
        for trial in trials
    ]
    write_parquet(pa.Table.from_pylist(rows, TRIALS), out / "trials.parquet", TRIALS)
    write_card(best, out / "best.json")


def searched_settings(template: Any, assignments: Mapping[str, str]) -> tuple[str, ...]:
    """The `--set` words of a trial's command that take a parameter, filled in; fixed ones are the trials' own affair.

    `template` is a study's `spec.trialTemplate`, `assignments` the values by the names of the study's parameters.
    """
    values = {p["name"]: assignments[p["reference"]] for p in template["trialParameters"]}
    return tuple(
        _PLACEHOLDER.sub(lambda found: values[found.group(1)], word)
        for word in dict.fromkeys(_set_words(template["trialSpec"]))
        if _PLACEHOLDER.search(word)
    )


_PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^}]+)\}")


def _set_words(node: Any) -> Iterator[str]:
    """What follows `--set` in any command inside a resource."""
    if isinstance(node, dict):
        for value in node.values():
            yield from _set_words(value)
    elif isinstance(node, list) and all(isinstance(item, str) for item in node):
        words = [word for item in node for word in shlex.split(item, comments=False)]
        for flag, word in itertools.pairwise(words):
            if flag == "--set":
                yield word.rstrip(";")
    elif isinstance(node, list):
        for item in node:
            yield from _set_words(item)
