"""Fit: one run of each variant along the only feature of a table."""

from collections.abc import Iterator
from dataclasses import dataclass

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import FIT
from precisionflow.report.figures.fit import fit_along_feature
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import MOST_FIGURES, Picture
from precisionflow.report.section import Section
from precisionflow.results.layout import EvaluatedCell


@dataclass(frozen=True)
class Fits:
    """The fits on one data set."""

    dataset: str
    pictures: tuple[Picture, ...]


def section(material: Material) -> Section | None:
    """The fits on every data set; none where all have several features or none."""
    groups = [Fits(group.dataset, tuple(fits(group))) for group in material.groups]
    if not any(group.pictures for group in groups):
        return None
    return Section("Fit", "sections/fit.html.jinja", {"groups": groups, "several": material.several})


def fits(group: Group) -> Iterator[Picture]:
    """The first cell of each variant along its feature; nothing where evaluation left no curve."""
    for index, variant in enumerate(group.variants[:MOST_FIGURES]):
        file = EvaluatedCell(group.evaluations[variant.name][0]).fit
        if not file.exists():
            return
        truth = group.task_report.truths.get(variant.name)
        curve = read_parquet(file, FIT)
        drawn = fit_along_feature(variant.name, curve, index, truth=truth, name=f"{group.anchor}-fit-{index}")
        known = "; dashed: the true mean and 95 % interval" if truth else ""
        seed, split = variant.experiment.seeds[0], variant.experiment.splits[0]
        yield Picture(drawn, f"{variant.name}, seed {seed}, split {split}{known}.")
