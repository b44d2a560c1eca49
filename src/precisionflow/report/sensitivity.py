"""Tables and sentences of a sensitivity analysis, for the page and for the terminal."""

import math
from collections.abc import Mapping, Sequence

from precisionflow.ablation.analyses.layout import short_names, value_at
from precisionflow.config import Experiment
from precisionflow.config.analyses import Range, Sensitivity
from precisionflow.records.metrics import metric_named
from precisionflow.report import digits, grouping, wording
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

TITLES = {
    "swing": ("swing", "highest less lowest mean"),
    "mu_star": ("μ*", "mean size of an effect"),
    "mu": ("μ", "mean effect"),
    "sigma": ("σ", "spread of the effects"),
    "first_order": ("first order", "share of the variance, alone"),
    "total": ("total", "share of the variance, alone and with others"),
}
"""Measure -> its name and what it is."""
MAIN = {"swing": "units", "mu_star": "trajectories", "total": "rows of the samples"}
"""The measures that parameters are ordered by, and what their n counts."""


def moving(rows: Sequence[Row]) -> list[Row]:
    """The rows of the measure that parameters are ordered by."""
    return [row for row in rows if row["measure"] in MAIN]


def finding(rows: Sequence[Row], *, names: Mapping[str, str]) -> str:
    """ "learning_rate moves it most (μ* 0.31 [0.22, 0.41]), then beta; not above what noise gives: width"."""
    ranked = _ranked(rows)
    known = [row for row in ranked if not math.isnan(row["value"])]
    if not known:
        return _nothing(ranked)
    told = [row for row in known if row["value"] > 0 and not row["value"] <= row["chance"]]
    silent = [names[row["parameter"]] for row in known if row not in told]
    unknown = [names[row["parameter"]] for row in ranked if row not in known]
    parts = []
    if told:
        first, *others = told
        shown = digits.with_interval(first["value"], first["low"], first["high"], sign=False)
        parts.append(f"{names[first['parameter']]} moves it most ({TITLES[first['measure']][0]} {shown})")
        if others:
            parts[0] += ", then " + ", ".join(names[row["parameter"]] for row in others)
    if silent:
        parts.append(f"not above what noise gives: {', '.join(silent)}")
    if unknown:
        parts.append(f"unknown, as runs failed: {', '.join(unknown)}")
    if any(math.isnan(row["chance"]) for row in known):
        parts.append("one unit shows no noise; give more seeds")
    return "; ".join(parts)


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """A row for each parameter, that which moves most first, those of which nothing is known last."""
    return sorted(moving(rows), key=lambda row: (math.isnan(row["value"]), -row["value"]))


def _nothing(ranked: Sequence[Row]) -> str:
    """Why no parameter has a number."""
    if ranked and ranked[0]["failed"]:
        return f"nothing is said: {wording.count(ranked[0]['failed'], 'run')} failed"
    return (
        "it does not change over the ranges" if ranked and ranked[0]["n"] > 1 else "nothing is measured yet"
    )


def index_table(rows: Sequence[Row], *, names: Mapping[str, str], caption: str) -> Table:
    """Parameters by measures, that which moves most first."""
    measures = list(grouping.by(rows, "measure"))
    where = {(row["parameter"], row["measure"]): row for row in rows}
    body = []
    for main in _ranked(rows):
        of = [where[main["parameter"], measure] for measure in measures]
        entries = [
            Entry(
                digits.with_interval(row["value"], row["low"], row["high"], sign=False),
                ""
                if math.isnan(row["chance"])
                else f"noise up to {digits.significant(row['chance'], digits=2)}",
            )
            for row in of
        ]
        body.append((Entry(names[main["parameter"]]), *entries, Entry(str(main["n"]))))
    counted = [MAIN[measure] for measure in measures if measure in MAIN]
    headings = (
        Entry("parameter"),
        *(Entry(*TITLES[measure]) for measure in measures),
        Entry("n", ", ".join(counted)),
    )
    return Table(caption, headings, tuple(body))


def recommendation_table(rows: Sequence[Row], experiment: Experiment, *, caption: str) -> Table:
    """Parameters: own value, robust values, the one to recommend, what was tried; rows of RESPONSE of one metric."""
    analysis = experiment.analysis
    assert isinstance(analysis, Sensitivity)
    tree = experiment.model_dump(mode="json")
    names = short_names(list(analysis.parameters))
    body = []
    for key, of in grouping.by(rows, "parameter").items():
        ordered = isinstance(analysis.parameters[key], Range)
        chosen = next((row for row in of if row["recommended"]), None)
        robust = [row["value"] for row in of if row["robust"]]
        note = "its own value" if chosen and chosen["own"] else "the best level" if chosen else "too few runs"
        own = _text(value_at(tree, key))
        best = chosen and digits.plus_minus(chosen["mean"], chosen["high"] - chosen["mean"])
        body.append(
            (
                Entry(names[key]),
                Entry(own),
                Entry(_stretch(robust, ordered=ordered), "all levels" if len(robust) == len(of) else ""),
                Entry(own if chosen and chosen["own"] else chosen["value"] if chosen else "—", note),
                Entry(best or "—"),
                Entry(
                    _stretch([row["value"] for row in of], ordered=ordered), wording.count(len(of), "level")
                ),
            )
        )
    headings = ("parameter", "own value", "robust", "recommended", "mean there", "tried")
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def response_table(rows: Sequence[Row], *, names: Mapping[str, str], caption: str) -> Table:
    """The numbers behind the responses of one metric."""
    headings = ("parameter", "value", "mean", "worse than the best", "n", "robust")
    body = [
        tuple(
            map(
                Entry,
                (
                    names[row["parameter"]],
                    row["value"] + (" (own)" if row["own"] else ""),
                    digits.plus_minus(row["mean"], row["high"] - row["mean"]),
                    _behind(row),
                    str(row["n"]),
                    "yes" if row["robust"] else "no",
                ),
            )
        )
        for row in rows
    ]
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def _behind(row: Row) -> str:
    if row["behind"] == 0:
        return "the best"
    return digits.with_interval(row["behind"], row["behind_low"], row["behind_high"])


def quantity(metric: str) -> str:
    """What is analysed: the metric, or its distance from the calibrated value."""
    return wording.quantity(metric_named(metric))


def _stretch(values: Sequence[str], *, ordered: bool) -> str:
    """ "0.001 to 0.01"; listed values one by one; an em dash for none."""
    if not values:
        return "—"
    if not ordered:
        return ", ".join(values)
    ends = (values[0].split(" to ")[0], values[-1].split(" to ")[-1])
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
