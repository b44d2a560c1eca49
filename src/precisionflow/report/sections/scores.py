"""Scores: the mean of every metric by variant, with its interval."""

from precisionflow.ablation.contrasts import contrasted
from precisionflow.report import tables, wording
from precisionflow.report.material import Group, Material
from precisionflow.report.section import Section
from precisionflow.report.tables import Table


def section(material: Material) -> Section:
    """One table for each data set, without the metrics that have a table of their own under Calibration."""
    context = {
        "interval": wording.interval_name(material.experiment.ablation.confidence),
        "confidence": material.experiment.ablation.confidence,
        "tables": [_table(group) for group in material.groups],
    }
    return Section("Scores", "sections/scores.html.jinja", context)


def _table(group: Group) -> Table:
    wanted = [metric.name for metric in contrasted(group.experiment)]
    names = tables.metric_names(group.scores)
    elsewhere = {name for of in group.task_report.finer(names, dataset=group.dataset) for name in of.metrics}
    return tables.score_table(
        group.scores,
        [name for name in names if name in wanted or name not in elsewhere],
        caption=f"Scores on {group.dataset}",
        best=tables.proven_bests(group.contrasts, list(group.levels), names),
    )
