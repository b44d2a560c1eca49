"""The article about one experiment: its facts, and its sections in the order of the page."""

from collections.abc import Callable
from dataclasses import dataclass

from precisionflow.ablation.design import unit_of
from precisionflow.config import Experiment
from precisionflow.config.analyses import Scaling, Sensitivity
from precisionflow.report import wording
from precisionflow.report.material import Material
from precisionflow.report.section import Section
from precisionflow.report.sections import (
    across,
    answer,
    attention,
    calibration,
    contrasts,
    efficiency,
    failures,
    fit,
    gate,
    images,
    learning_curves,
    performance,
    provenance,
    scaling,
    scores,
    sensitivity,
    settling,
    training_cost,
    tuning,
    where,
)

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    answer.section,
    sensitivity.section,
    scaling.section,
    performance.section,
    scores.section,
    failures.section,
    gate.section,
    contrasts.section,
    across.section,
    fit.section,
    images.section,
    calibration.section,
    where.section,
    tuning.section,
    learning_curves.section,
    settling.section,
    training_cost.section,
    efficiency.section,
    attention.section,
    provenance.section,
)
"""Each builds one section, or none where it has nothing to show."""

OF_ANALYSES = (
    sensitivity.section,
    scaling.section,
    scores.section,
    failures.section,
    training_cost.section,
    provenance.section,
)
"""Those of an analysis that lays out its runs, at places in ranges or sizes, which are told together."""


@dataclass(frozen=True)
class Article:
    """One experiment on the page."""

    anchor: str
    """Id of its element."""
    experiment: Experiment
    facts: tuple[str, ...]
    sections: tuple[Section | None, ...]
    """One for each of SECTIONS."""
    unfinished: str = ""
    """How far a study is that is not finished."""


def article(material: Material, *, unfinished: str = "") -> Article:
    """Put the material into words, tables and figures."""
    analysed = isinstance(material.experiment.analysis, Sensitivity | Scaling)
    sections = tuple(None if analysed and build not in OF_ANALYSES else build(material) for build in SECTIONS)
    return Article(material.anchor, material.experiment, _facts(material), sections, unfinished)


def _facts(material: Material) -> tuple[str, ...]:
    experiment, groups = material.experiment, material.groups
    unit = unit_of(experiment)
    n = len(experiment.splits if unit == "split" else experiment.seeds)
    return (
        ("datasets " if material.several else "dataset ") + ", ".join(group.dataset for group in groups),
        wording.count(len(groups[0].variants), "variant"),
        f"{wording.count(len(experiment.seeds), 'seed')} × {wording.count(len(experiment.splits), 'split')}",
        f"n = {wording.count(n, unit)}",
        f"{wording.interval_name(experiment.ablation.confidence)}s",
    )
