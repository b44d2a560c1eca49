"""Calibration: whether the stated uncertainty is true, in the task's own figures and finer tables."""

from dataclasses import dataclass

from precisionflow.report import tables
from precisionflow.report.material import Group, Material
from precisionflow.report.section import Section
from precisionflow.report.tables import Table
from precisionflow.report.tasks.base import Calibration


@dataclass(frozen=True)
class Calibrated:
    """Figures and tables on one data set."""

    dataset: str
    figures: Calibration
    finer: tuple[Table, ...]
    recalibrated: Table | None
    """Scores before and after recalibration, where there is any."""


def section(material: Material) -> Section:
    """Figures, the metrics that have tables of their own, and what recalibration changed."""
    context = {
        "confidence": material.experiment.ablation.confidence,
        "of_all_splits": material.experiment.evaluation.held_out == "all_splits",
        "groups": [_group(group) for group in material.groups],
        "several": material.several,
    }
    return Section("Calibration", "sections/calibration.html.jinja", context)


def _group(group: Group) -> Calibrated:
    finer = tuple(
        tables.score_table(group.scores, of.metrics, caption=of.title, best={})
        for of in group.task_report.finer(tables.metric_names(group.scores), dataset=group.dataset)
    )
    recalibrated = tables.recalibration_table(group.scores, caption=f"Before and after on {group.dataset}")
    return Calibrated(group.dataset, group.task_report.calibration(name=group.anchor), finer, recalibrated)
