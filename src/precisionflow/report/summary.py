"""Summary of an aggregate: by experiment and data set the contrasted metrics, the contrasts, the failed cells; then
contrasts over all data sets."""

from collections.abc import Iterator, Sequence

from precisionflow.ablation.aggregate import Aggregate, by_dataset, by_name
from precisionflow.ablation.analyses.layout import short_names
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import Variant, unit_of
from precisionflow.config import Experiment
from precisionflow.config.analyses import Scaling, Sensitivity
from precisionflow.config.base import nearest
from precisionflow.report import grouping, performance, scaling, sensitivity, tables, wording
from precisionflow.report.numbers import numbers
from precisionflow.report.tables import Table
from precisionflow.report.wording import Row


def summary(
    experiments: Sequence[Experiment], results: Aggregate, *, metrics: Sequence[str] = ()
) -> Iterator[Table]:
    """Tables of the experiments; the scores of `metrics`, or of those that are contrasted where none is named.

    ValueError for a metric that is not measured.
    """
    scores, contrasts = results.table.to_pylist(), results.contrasts.to_pylist()
    failures = results.failures.to_pylist()
    for experiment in by_name(experiments):
        groups = by_dataset(experiment)
        for dataset, variants in groups.items():
            rows = tables.select(scores, experiment, dataset)
            if isinstance(experiment.analysis, Sensitivity | Scaling) and not metrics:
                yield from _of_analysis(experiment, dataset, results)
            elif rows:
                yield from _of_performance(experiment, dataset, rows, results)
                compared = tables.select(contrasts, experiment, dataset)
                shown = _measured(metrics, rows, dataset) or [m.name for m in contrasted(experiment)]
                yield from _of_dataset(experiment, variants, shown, scores=rows, contrasts=compared)
            if failed := tables.select(failures, experiment, dataset):
                yield tables.failure_table(failed, experiment, dataset)
        across = [row for row in results.across.to_pylist() if row["experiment"] == experiment.name]
        if across:
            caption = f"{experiment.name} over {len(groups)} data sets: {wording.tally(across)}"
            levels = {variant.name: variant.levels for variant in next(iter(groups.values()))}
            yield tables.across_table(across, levels, caption=caption)


def _of_analysis(experiment: Experiment, dataset: str, results: Aggregate) -> Iterator[Table]:
    """What an analysis says, in place of the scores of every run."""
    where = f"{experiment.name} on {dataset}"
    moved, response, laws, sizes, budgets = (
        tables.select(table.to_pylist(), experiment, dataset)
        for table in (results.sensitivity, results.response, results.laws, results.sizes, results.isoflop)
    )
    names = short_names([row["parameter"] for row in moved] + [row["size"] for row in laws])
    levels = grouping.by(response, "metric")
    for metric, rows in grouping.by(moved, "metric").items():
        about = f"{where}: {sensitivity.quantity(metric)}"
        caption = f"{about}: {sensitivity.finding(rows, names=names)}"
        yield sensitivity.index_table(rows, names=names, caption=caption)
        yield sensitivity.recommendation_table(levels[metric], experiment, caption=about)
    if laws:
        yield scaling.law_table(laws, names=names, caption=f"{where}: laws of one size")
        yield scaling.point_table(sizes, names=names, caption=f"{where}: sizes")
    for metric, rows in grouping.by(budgets, "metric").items():
        shown = scaling.quantity(metric)
        yield scaling.isoflop_table(rows, metric=shown, caption=f"{where}: best use of a budget, by {shown}")


def _of_performance(
    experiment: Experiment, dataset: str, scores: Sequence[Row], results: Aggregate
) -> Iterator[Table]:
    """What steps took, before the scores; nothing of another experiment."""
    found = performance.found_in(tables.select(results.performance.to_pylist(), experiment, dataset))
    if found:
        caption = f"{experiment.name} on {dataset}: {performance.finding(found, experiment, scores)}"
        yield performance.speed_table(found, caption=caption)


def numbers_of(
    experiments: Sequence[Experiment], results: Aggregate, *, metrics: Sequence[str] = ()
) -> Table:
    """The numbers of the same scores and contrasts in one table."""
    scores = results.table.to_pylist()
    wanted = {whole.name: set(metrics) or {m.name for m in contrasted(whole)} for whole in experiments}
    shown = [row for row in scores if row["metric"] in wanted.get(row["experiment"], ())]
    return numbers(shown, results.contrasts.to_pylist())


def _measured(metrics: Sequence[str], rows: Sequence[Row], dataset: str) -> list[str]:
    there = list(dict.fromkeys(row["metric"] for row in rows))
    for name in metrics:
        if name not in there:
            raise ValueError(
                f"unknown metric {name!r} on {dataset}; allowed: {', '.join(there)}{nearest(name, there)}"
            )
    return list(metrics)


def _of_dataset(
    experiment: Experiment,
    variants: Sequence[Variant],
    metrics: Sequence[str],
    *,
    scores: Sequence[Row],
    contrasts: Sequence[Row],
) -> Iterator[Table]:
    where = f"{experiment.name} on {variants[0].dataset}"
    interval = wording.interval_name(experiment.ablation.confidence)
    caption = f"{where}: mean ± half of the {interval}, n {unit_of(experiment)}s"
    best = tables.proven_bests(contrasts, [v.name for v in variants], metrics)
    yield tables.score_table(scores, metrics, caption=caption, best=best)
    if contrasts:
        caption = f"{where}: {wording.outcome(contrasts, experiment.ablation.margins)}"
        levels = {variant.name: variant.levels for variant in variants}
        yield tables.contrast_table(contrasts, levels, caption=caption)
