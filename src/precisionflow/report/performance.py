"""Tables and sentences of a performance analysis, for the page and for the terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence

from precisionflow.ablation.analyses.performance import front
from precisionflow.ablation.contrasts import contrasted
from precisionflow.config import Experiment
from precisionflow.records.columns import listed
from precisionflow.records.metrics import Metric
from precisionflow.report import digits, grouping, wording
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

PHASES = ("forward", "settling", "backward", "optimiser", "other")
NAMED = 3
"""Variants that a sentence names, at most: the tables have all."""
MEBIBYTE, GIGA = 2**20, 1e9
Found = Mapping[str, Mapping[str, Row]]
"""Variant -> measure -> row of PERFORMANCE."""


def found_in(rows: Sequence[Row]) -> Found:
    """What the rows of one data set say."""
    return {
        variant: {row["measure"]: row for row in of} for variant, of in grouping.by(rows, "variant").items()
    }


def phases_of(found: Found) -> list[str]:
    """The phases that some variant has."""
    return [phase for phase in PHASES if any(phase in of for of in found.values())]


def finding(found: Found, experiment: Experiment, scores: Sequence[Row]) -> str:
    """ "shortest step: backprop, 0.011 ± 0.002 s; longest: predictive, 2.00 times that; most of a step is backward"."""
    return "; ".join([_steps(found), _largest_phase(found), *_on_fronts(found, experiment, scores)])


def _steps(found: Found) -> str:
    """Shortest and longest steps, or that their intervals do not tell them apart."""
    steps = sorted(
        ((variant, of["step"]) for variant, of in found.items()), key=lambda each: each[1]["value"]
    )
    (first, shortest), (last, longest) = steps[0], steps[-1]
    if len(steps) == 1:
        return f"a step takes {_measured(shortest)} s"
    alike = [variant for variant, step in steps if not shortest["high"] < step["low"]]
    if last in alike:
        told = f"steps take {_measured(shortest)} s ({first}) to {_measured(longest)} s ({last})"
        alone = math.isnan(shortest["high"])
        return f"{told}, {'of one unit each' if alone else 'which their intervals do not tell apart'}"
    times = digits.significant(longest["value"] / shortest["value"], digits=3)
    return f"shortest step: {listed(alike, most=NAMED)}, {_measured(shortest)} s; longest: {last}, {times} times that"


def _largest_phase(found: Found) -> str:
    """The phase that takes most of a step, with its shares."""
    shares: dict[str, list[float]] = {}
    for of in found.values():
        seconds = {phase: of[phase]["value"] for phase in PHASES if phase in of}
        whole = math.fsum(seconds.values())
        if whole:
            largest = max(seconds, key=seconds.__getitem__)
            shares.setdefault(largest, []).append(seconds[largest] / whole)
    if not shares:
        return "no step was timed part by part"
    told = []
    for phase, values in shares.items():
        among = f", {wording.count(len(values), 'variant')}" if len(shares) > 1 else ""
        told.append(f"{phase} ({_shares(values)} of it{among})")
    return f"most of a step is {', '.join(told)}"


def _shares(values: Sequence[float]) -> str:
    """ "60 %", "48 to 60 %"."""
    ends = list(dict.fromkeys(f"{100 * end:.0f}" for end in (min(values), max(values))))
    return f"{' to '.join(ends)} %"


def _on_fronts(found: Found, experiment: Experiment, scores: Sequence[Row]) -> Iterator[str]:
    for metric, known, best, _ in fronts(found, experiment, scores):
        if len(known) > 1:
            named = listed([variant for variant, on in zip(known, best, strict=True) if on], most=NAMED)
            yield f"best {metric.name} for its seconds of training: {named}"


def fronts(
    found: Found, experiment: Experiment, scores: Sequence[Row]
) -> Iterator[tuple[Metric, list[str], list[bool], dict[str, Row]]]:
    """Of each contrasted metric that has a better end: variants, which are on the front, rows of TABLE."""
    for metric in contrasted(experiment):
        if metric.better == "nominal":
            continue
        of = {row["variant"]: row for row in scores if row["metric"] == metric.name}
        known = [v for v in found if v in of and not math.isnan(of[v]["mean"])]
        if known:
            costs = [found[variant]["training"]["value"] for variant in known]
            values = [of[variant]["mean"] for variant in known]
            yield metric, known, list(front(costs, values, better=metric.better)), of


def front_table(
    found: Found,
    metric: Metric,
    known: Sequence[str],
    best: Sequence[bool],
    of: Mapping[str, Row],
    *,
    caption: str,
) -> Table:
    """A line for each variant."""
    body = [
        (
            Entry(variant),
            Entry(_measured(found[variant]["training"])),
            Entry(wording.plus_minus(of[variant])),
            Entry("yes" if on else "no"),
        )
        for variant, on in zip(known, best, strict=True)
    ]
    headings = (
        Entry("variant"),
        Entry("training", "seconds"),
        Entry(metric.name, wording.direction(metric)),
        Entry("on the front"),
    )
    return Table(caption, headings, tuple(body))


def phase_table(found: Found, phases: list[str], *, caption: str) -> Table:
    """Variants by phases: seconds with half the interval, and the share of the step."""
    communicates = any("communication" in of for of in found.values())
    names = [*phases, *(["communication"] if communicates else [])]
    body = []
    for variant, of in found.items():
        whole = sum(of[phase]["value"] for phase in phases if phase in of)
        body.append(
            (
                Entry(variant),
                *(
                    Entry(_measured(of[name]), f"{of[name]['value'] / whole:.0%}" if whole else "")
                    if name in of
                    else Entry("—")
                    for name in names
                ),
                Entry(digits.significant(whole, digits=3)),
            )
        )
    headings = [
        Entry(name, "inside the others" if name == "communication" else "share of the step") for name in names
    ]
    return Table(caption, (Entry("variant"), *headings, Entry("all phases")), tuple(body))


def speed_table(found: Found, *, caption: str) -> Table:
    """Variants by seconds of a step, speed, memory and parameters."""
    measures = {
        "step": ("seconds a step", "median, not timed part by part", 1.0),
        "targets_per_second": ("targets a second", "tokens, rows", 1.0),
        "flops_per_second": ("GFLOP/s", "predicted operations", GIGA),
        "peak_bytes": ("peak memory", "MiB", MEBIBYTE),
    }
    body = [
        (
            Entry(variant),
            *(
                Entry(_measured(of[name], unit=unit) if name in of else "—")
                for name, (*_, unit) in measures.items()
            ),
            Entry(digits.grouped(round(of["parameters"]["value"])) if "parameters" in of else "—"),
        )
        for variant, of in found.items()
    ]
    headings = (Entry(title, note) for title, note, _ in measures.values())
    return Table(caption, (Entry("variant"), *headings, Entry("parameters")), tuple(body))


def layer_tables(found: Found, *, dataset: str) -> Iterator[Table]:
    """A table for each list of layers that some variants share."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for variant, of in found.items():
        layers = tuple(sorted((m for m in of if m.startswith("layer-")), key=_number))
        if layers:
            groups.setdefault(layers, []).append(variant)
    for layers, variants in groups.items():
        caption = f"Seconds of the forward calls of each layer on {dataset}"
        body = [
            tuple(map(Entry, (layer.removeprefix("layer-"), *(_measured(found[v][layer]) for v in variants))))
            for layer in layers
        ]
        yield Table(caption, tuple(map(Entry, ("layer", *variants))), tuple(body))


def _number(layer: str) -> int:
    return int(layer.split("-")[1])


def _measured(row: Row, *, unit: float = 1.0) -> str:
    return digits.plus_minus(row["value"] / unit, (row["high"] - row["value"]) / unit)
