"""Failures: the cells that failed, and why."""

from precisionflow.report import tables
from precisionflow.report.material import Material
from precisionflow.report.section import Section


def section(material: Material) -> Section | None:
    """One table for each data set with a failed cell; none where none failed."""
    found = [
        tables.failure_table(group.failures, material.experiment, group.dataset)
        for group in material.groups
        if group.failures
    ]
    return Section("Failures", "sections/failures.html.jinja", {"tables": found}) if found else None
