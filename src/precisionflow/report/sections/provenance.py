"""Provenance: configuration, hashes and code behind an experiment's numbers."""

import shlex
from collections.abc import Sequence

from precisionflow.config import to_yaml
from precisionflow.config.words import words_of
from precisionflow.records.cards import ModelCard
from precisionflow.report import cells
from precisionflow.report.cells import Mark
from precisionflow.report.digits import grouped
from precisionflow.report.material import Material
from precisionflow.report.section import Section


def _marks(material: Material) -> list[Mark]:
    """What the markers of the experiment's trained and evaluated cells say."""
    (group, *_), name = material.groups, material.experiment.name
    of_all = [*group.trained.marks.items(), *group.evaluated.marks.items()]
    return [mark for cell, mark in of_all if cell.experiment == name]


def _data(cards: Sequence[ModelCard]) -> dict[str, list[str]]:
    """Data set -> the beginnings of the sha256 of its source, more than one where splits have sources of their own."""
    found: dict[str, set[str]] = {}
    for card in cards:
        found.setdefault(card.experiment.dataset, set()).add(card.source_sha256[:12])
    return {dataset: sorted(of) for dataset, of in found.items()}


def section(material: Material) -> Section:
    """The resolved experiment, the hashes of it, its variants and data, and what trained them: code, machine, time."""
    cards = [card for group in material.groups for of in group.cards.values() for card in of]
    variants = {(c.experiment.dataset, c.experiment.variant): c.experiment_hash for c in cards}
    experiment, marks = material.experiment, _marks(material)
    words = words_of(experiment)
    named = words or (f"{experiment.name}.yaml",)
    context = {
        "command": shlex.join(["precisionflow", "run", *named, "--out", f"runs/{experiment.name}"]),
        "file": None if words else f"{experiment.name}.yaml",
        "seeds": ", ".join(map(str, experiment.seeds)),
        "splits": ", ".join(map(str, experiment.splits)),
        "commit": cells.commits(marks),
        "data": [f"{dataset} {', '.join(of)}" for dataset, of in _data(cards).items()],
        "machines": cells.machines(marks),
        "versions": cells.versions(marks),
        "seconds": ", ".join(
            f"{verb} {grouped(round(took))} s" for verb, took in cells.seconds(marks).items()
        ),
        "hash": experiment.hash,
        "yaml": to_yaml(experiment),
        "code": ", ".join(sorted({card.code_version for card in cards})),
        "runs": len(cards),
        "kept": cells.kept(marks),
        "variants": [(dataset, variant, value) for (dataset, variant), value in variants.items()],
    }
    return Section("Provenance", "sections/provenance.html.jinja", context)
