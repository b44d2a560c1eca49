"""The page of a search: self-contained HTML with its best trial, figures and every trial."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from precisionflow import __version__
from precisionflow.records.files import write_text
from precisionflow.records.search import Search, Trial, Value
from precisionflow.report.page import templates
from precisionflow.report.pictures import Picture
from precisionflow.report.search import figures, landscape
from precisionflow.report.tables import Entry, Table

FEWEST_FOR_IMPORTANCE = 4
"""Below, the trees of fANOVA have nothing to split."""
MOST_SLICES = 4
"""Parameters with a slice."""
SURE_FROM = 50
"""Trials from which on an importance is more than a hint."""


def write_search_page(search: Search, file: Path) -> None:
    """Write the page; at least one trial has a value."""
    best = search.best
    text = (
        templates()
        .get_template("search/page.html.jinja")
        .render(
            search=search,
            best=best,
            facts=_facts(search),
            pictures=_pictures(search),
            trials=_table(search, best),
            version=__version__,
        )
    )
    write_text(text, file)


def importance(trials: Sequence[Trial], *, logarithmic: Collection[str]) -> dict[str, float]:
    """fANOVA's share of the objective's variance by each parameter alone; empty where there is too little.

    What is left to 1 is what parameters do together (Hutter et al. 2014; Optuna's own normalises the shares to 1).
    The variance is that over places even in the parameters, and in the logarithms of the `logarithmic` ones, as they
    were drawn: Optuna's own is even in the numbers themselves, so that of four decades the last has nine tenths.
    `trials` have values.
    """
    import optuna

    names = trials[0].parameters.keys() if trials else ()
    varied = [name for name in names if len({trial.parameters[name] for trial in trials}) > 1]
    values = {trial.value for trial in trials}
    if len(trials) < FEWEST_FOR_IMPORTANCE or not varied or len(values) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    places = [
        {name: landscape.place(trial.parameters[name], logarithmic=name in logarithmic) for name in varied}
        for trial in trials
    ]
    spaces = {name: _space([of[name] for of in places]) for name in varied}
    study = optuna.create_study()
    for trial, parameters in zip(trials, places, strict=True):
        study.add_trial(optuna.trial.create_trial(params=parameters, distributions=spaces, value=trial.value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: float(v)
            for name, v in optuna.importance.get_param_importances(
                study, evaluator=evaluator, normalize=False
            ).items()
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


def _facts(search: Search) -> list[str]:
    states = [trial.state for trial in search.trials]
    counts = [
        f"{states.count(state)} {state}" for state in ("succeeded", "stopped", "failed") if state in states
    ]
    seconds = sum(trial.seconds for trial in search.trials)
    return [
        search.algorithm,
        f"{len(states)} trials: {', '.join(counts)}",
        f"{seconds:.0f} s inside the trials",
    ]


def _pictures(search: Search) -> list[Picture]:
    maximize = search.better == "maximize"
    measured = search.measured
    in_order = sorted(search.trials, key=lambda trial: trial.end)
    path = figures.history(
        [trial.value for trial in in_order], metric=search.metric, maximize=maximize, name="history"
    )
    lines = figures.parallel_coordinates(
        [trial.parameters for trial in measured],
        [trial.value for trial in measured],
        logarithmic=search.logarithmic,
        metric=search.metric,
        maximize=maximize,
        name="coordinates",
    )
    pictures = [
        Picture(path, "Dots: trials in the order of their ends. Line: the best so far."),
        Picture(
            lines,
            "A line a trial; the best quarter is drawn strongly. Each coordinate has its own scale.",
        ),
    ]
    shares = importance(measured, logarithmic=search.logarithmic)
    if shares:
        n = len(measured)
        caveat = "a hint, no measurement" if n < SURE_FROM else "of the region that was searched"
        drawn = figures.importance_bars(shares, name="importance")
        rest = f"{100 * max(0.0, 1 - sum(shares.values())):.0f} %"
        pictures.append(
            Picture(
                drawn,
                f"From {n} trials: {caveat}; a parameter that was hardly varied looks unimportant. The rest, {rest}, "
                "is what parameters do together.",
            )
        )
    return [*pictures, *_landscape(search, shares)]


def _landscape(search: Search, shares: Mapping[str, float]) -> Iterator[Picture]:
    """Slices by the most important parameters, contours over two of them, the front against cost."""
    measured, names = search.measured, sorted(search.parameters, key=lambda name: -shares.get(name, 0.0))
    if len(measured) < FEWEST_FOR_IMPORTANCE:
        return
    for index, name in enumerate(names[:MOST_SLICES]):
        drawn = landscape.slices(
            measured,
            name,
            logarithmic=name in search.logarithmic,
            metric=search.metric,
            name=f"slice-{index}",
        )
        yield Picture(drawn, f"Slice: every trial over {name}, whatever the others were.")
    numbers = [n for n in names if not any(isinstance(t.parameters[n], str) for t in measured)]
    if landscape.has_contours(measured, numbers, logarithmic=search.logarithmic):
        drawn = landscape.contours(
            measured,
            numbers,
            logarithmic=search.logarithmic,
            metric=search.metric,
            maximize=search.better == "maximize",
            name="contours",
        )
        yield Picture(
            drawn,
            "Lines of equal objective, linear between the trials, the better the thicker; star: the best one.",
        )
    timed = [trial for trial in measured if trial.seconds == trial.seconds]
    if len(timed) >= FEWEST_FOR_IMPORTANCE:
        drawn = landscape.pareto(
            timed, maximize=search.better == "maximize", metric=search.metric, name="pareto"
        )
        yield Picture(drawn, "Pareto front: no trial was both as fast and as good as one of these.")


def _table(search: Search, best: Trial) -> Table:
    headings = ("trial", "state", search.metric, *search.parameters, "seconds")
    rows = []
    for trial in search.trials:
        known = trial.value == trial.value
        value = Entry(f"{trial.value:.6g}" if known else "–", "", "")
        if trial is best:
            value = Entry(value.text, "best", "best")
        state = Entry(trial.state, trial.cause)
        settings = [Entry(_shown(trial.parameters[name])) for name in search.parameters]
        rows.append((Entry(str(trial.number)), state, value, *settings, Entry(f"{trial.seconds:.1f}")))
    return Table(
        "Trials in the order in which they were suggested", tuple(Entry(h) for h in headings), tuple(rows)
    )


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
