"""Provenance: configuration, hashes and code behind an experiment's numbers."""

import shlex

from precisionflow.config import to_yaml
from precisionflow.config.words import words_of
from precisionflow.report import cells
from precisionflow.report.cells import Mark
from precisionflow.report.material import Material
from precisionflow.report.section import Section


def _marks(material: Material) -> list[Mark]:
    """What the markers of the experiment's trained and evaluated cells say."""
    (group, *_), name = material.groups, material.experiment.name
    of_all = [*group.trained.marks.items(), *group.evaluated.marks.items()]
    return [mark for cell, mark in of_all if cell.experiment == name]


def section(material: Material) -> Section:
    """The resolved experiment, its hash and those of its variants, and the code that trained them."""
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
        "hash": experiment.hash,
        "yaml": to_yaml(experiment),
        "code": ", ".join(sorted({card.code_version for card in cards})),
        "runs": len(cards),
        "kept": cells.kept(marks),
        "variants": [(dataset, variant, value) for (dataset, variant), value in variants.items()],
    }
    return Section("Provenance", "sections/provenance.html.jinja", context)
