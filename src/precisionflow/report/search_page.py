"""The page of a search: self-contained HTML with its best trial, three figures and every trial."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from precisionflow import __version__
from precisionflow.records.files import write_text
from precisionflow.report import search_figures as figures
from precisionflow.report.page import templates
from precisionflow.report.search_figures import Value
from precisionflow.report.tables import Entry, Table

FEWEST_FOR_IMPORTANCE = 4
"""Below, the trees of fANOVA have nothing to split."""
SURE_FROM = 50
"""Trials from which on an importance is more than a hint."""


@dataclass(frozen=True)
class Attempt:
    """One finished trial."""

    number: int
    end: int
    """The how manieth to end."""
    state: str
    value: float
    """NaN where the objective was not measured."""
    seconds: float
    parameters: "dict[str, Value] | Any"
    cause: str = ""


@dataclass(frozen=True)
class Searched:
    """A search that has ended."""

    name: str
    metric: str
    better: Literal["minimize", "maximize"]
    algorithm: str
    parameters: tuple[str, ...]
    logarithmic: frozenset[str]
    attempts: tuple[Attempt, ...]
    best: str
    settings: tuple[str, ...]

    @property
    def measured(self) -> list[Attempt]:
        """Those with a value."""
        return [attempt for attempt in self.attempts if attempt.value == attempt.value]


@dataclass(frozen=True)
class Picture:
    """A figure and what it says."""

    svg: Markup
    caption: str


def write_search_page(searched: Searched, file: Path) -> None:
    """Write the page; at least one attempt has a value."""
    here = Path(__file__).parent
    best = (max if searched.better == "maximize" else min)(searched.measured, key=lambda a: a.value)
    text = (
        templates()
        .get_template("search.html.jinja")
        .render(
            searched=searched,
            best=best,
            facts=_facts(searched),
            pictures=_pictures(searched),
            trials=_table(searched, best),
            style=(here / "page.css").read_text(encoding="utf-8"),
            version=__version__,
        )
    )
    write_text(text, file)


def importance(attempts: Sequence[Attempt]) -> dict[str, float]:
    """fANOVA's share of the objective's variance by parameter (Hutter et al. 2014); empty where there is too little.

    `attempts` have values.
    """
    import optuna

    names = attempts[0].parameters.keys() if attempts else ()
    varied = [name for name in names if len({attempt.parameters[name] for attempt in attempts}) > 1]
    values = {attempt.value for attempt in attempts}
    if len(attempts) < FEWEST_FOR_IMPORTANCE or not varied or len(values) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {name: _space([attempt.parameters[name] for attempt in attempts]) for name in varied}
    study = optuna.create_study()
    for attempt in attempts:
        parameters = {name: attempt.parameters[name] for name in varied}
        trial = optuna.trial.create_trial(params=parameters, distributions=spaces, value=attempt.value)
        study.add_trial(trial)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: float(v)
            for name, v in optuna.importance.get_param_importances(study, evaluator=evaluator).items()
        }


def _space(values: Sequence[Value]) -> Any:
    """What Optuna takes the values to be drawn from: what lies between those that were."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if any(isinstance(value, str) for value in values):
        return CategoricalDistribution(sorted(set(values), key=str))
    numbers = [value for value in values if not isinstance(value, str)]
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(int(min(numbers)), int(max(numbers)))
    return FloatDistribution(float(min(numbers)), float(max(numbers)))


def _facts(searched: Searched) -> list[str]:
    states = [attempt.state for attempt in searched.attempts]
    counts = [
        f"{states.count(state)} {state}" for state in ("succeeded", "stopped", "failed") if state in states
    ]
    seconds = sum(attempt.seconds for attempt in searched.attempts)
    return [
        searched.algorithm,
        f"{len(states)} trials: {', '.join(counts)}",
        f"{seconds:.0f} s inside the trials",
    ]


def _pictures(searched: Searched) -> list[Picture]:
    maximize = searched.better == "maximize"
    measured = searched.measured
    in_order = sorted(searched.attempts, key=lambda attempt: attempt.end)
    path = figures.history(
        [attempt.value for attempt in in_order], metric=searched.metric, maximize=maximize, name="history"
    )
    lines = figures.parallel_coordinates(
        [attempt.parameters for attempt in measured],
        [attempt.value for attempt in measured],
        logarithmic=searched.logarithmic,
        metric=searched.metric,
        maximize=maximize,
        name="coordinates",
    )
    pictures = [
        Picture(Markup(path), "Dots: trials in the order of their ends. Line: the best so far."),
        Picture(
            Markup(lines),
            "A line a trial; the best quarter is drawn strongly. Each coordinate has its own scale.",
        ),
    ]
    shares = importance(measured)
    if shares:
        n = len(measured)
        caveat = "a hint, no measurement" if n < SURE_FROM else "of the region that was searched"
        svg = Markup(figures.importance_bars(shares, name="importance"))
        pictures.append(
            Picture(svg, f"From {n} trials: {caveat}; a parameter that was hardly varied looks unimportant.")
        )
    return pictures


def _table(searched: Searched, best: Attempt) -> Table:
    headings = ("trial", "state", searched.metric, *searched.parameters, "seconds")
    rows = []
    for attempt in searched.attempts:
        known = attempt.value == attempt.value
        value = Entry(f"{attempt.value:.6g}" if known else "–", "", "")
        if attempt is best:
            value = Entry(value.text, "best", "best")
        state = Entry(attempt.state, attempt.cause)
        settings = [Entry(_shown(attempt.parameters[name])) for name in searched.parameters]
        rows.append((Entry(str(attempt.number)), state, value, *settings, Entry(f"{attempt.seconds:.1f}")))
    return Table(
        "Trials in the order in which they were suggested", tuple(Entry(h) for h in headings), tuple(rows)
    )


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
