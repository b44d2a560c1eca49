"""Comparison of results folders: variants of one name, paired over their units by the statistics of an ablation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from precisionflow.ablation.aggregate import score_rows
from precisionflow.ablation.contrasts import contrasted, contrasts_of
from precisionflow.ablation.design import Variant
from precisionflow.ablation.measured import Measured
from precisionflow.config import Experiment
from precisionflow.config.ablation import Overlay
from precisionflow.config.designs import Product
from precisionflow.results.cells import Cell

FOLDER, VARIANT = "folder", "variant"
"""Axes of a comparison: its contrasts are those of the first alone, at every level of the second."""
_NO_VARIANT = ""
"""First level of the second axis: no variant has it, so that none is a baseline of the others."""


@dataclass(frozen=True)
class Side:
    """What a results folder brings to the comparison on one data set."""

    label: str
    """What the folder is called."""
    whole: Mapping[str, Experiment]
    """Key of a variant -> the experiment that it is of."""
    variants: Mapping[str, Variant]
    """Key -> variant; what has one key is compared."""
    measured: Measured


@dataclass(frozen=True)
class Compared:
    """Folders beside each other on one data set."""

    experiment: Experiment
    """The first folder's, with the axes of the comparison."""
    dataset: str
    variants: tuple[Variant, ...]
    scores: tuple[dict[str, Any], ...]
    """Rows of records.schemas.TABLE."""
    contrasts: tuple[dict[str, Any], ...]
    """Rows of records.schemas.CONTRASTS."""


def compare(sides: Sequence[Side], *, metrics: Sequence[str] = ()) -> Compared:
    """Every folder against the first one, variant by variant; Holm's family is all contrasts of one metric.

    Margins, confidence, `ablation.missing` and, where no `metrics` are named, these are those of the first folder's
    experiment. ValueError where two folders have other seeds or splits of a variant, and for a metric that one of them
    did not measure.
    """
    first = sides[0]
    keys = [key for key in first.variants if any(key in side.variants for side in sides[1:])]
    for side in sides[1:]:
        for key in keys:
            if key in side.variants:
                _check_units(first, side, key)
    whole = first.whole[keys[0]]
    axes: dict[str, dict[str, Overlay]] = {
        FOLDER: {side.label: {} for side in sides},
        VARIANT: {level: {} for level in (_NO_VARIANT, *keys)},
    }
    changed = {"axes": axes, "contrasted": (), "design": Product(), "datasets": {}, "looks": ()}
    ablation = whole.ablation.model_copy(update=changed | ({"metrics": tuple(metrics)} if metrics else {}))
    experiment = whole.model_copy(update={"ablation": ablation})
    variants, measured = [], Measured()
    for side in sides:
        for key in keys:
            if key in side.variants:
                variant, own = _renamed(side, key, experiment)
                variants.append(variant)
                measured |= own
    names = [metric.name for metric in contrasted(experiment)]
    _check_metrics(names, measured)
    return Compared(
        experiment,
        variants[0].dataset,
        tuple(variants),
        tuple(score_rows(experiment, variants, names, measured)),
        tuple(contrasts_of(experiment, variants, measured)),
    )


def _renamed(side: Side, key: str, experiment: Experiment) -> tuple[Variant, Measured]:
    """A variant as a level of the comparison's axes, and its cells under that name."""
    variant = side.variants[key]
    named = {"name": experiment.name, "variant": f"{side.label}: {key}"}
    other = Variant({FOLDER: side.label, VARIANT: key}, variant.experiment.model_copy(update=named))
    cells = {
        cell._replace(experiment=experiment.name, variant=other.name): scores
        for cell, scores in side.measured.items()
        if _is_of(cell, variant)
    }
    return other, cells


def _is_of(cell: Cell, variant: Variant) -> bool:
    return (cell.experiment, cell.dataset, cell.variant) == (
        variant.experiment.name,
        variant.dataset,
        variant.name,
    )


def _check_units(one: Side, other: Side, key: str) -> None:
    ours, theirs = one.variants[key].experiment, other.variants[key].experiment
    for unit in ("seeds", "splits"):
        mine, yours = getattr(ours, unit), getattr(theirs, unit)
        if set(mine) != set(yours):
            raise ValueError(
                f"{unit} differ of {key}: {one.label} has {_listed(mine)}, {other.label} has {_listed(yours)}; "
                "compare runs with the same ones"
            )


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return shown + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")


def _check_metrics(names: Sequence[str], measured: Measured) -> None:
    for cell, scores in measured.items():
        for name in names:
            if name not in scores.values:
                there = ", ".join(sorted(scores.values))
                raise ValueError(
                    f"{cell.variant} has no metric {name!r} (there are {there}); choose with --metric"
                )
