"""Check that a split has the rows that its folds and recalibrations need, made before hours of training."""

from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.config.evaluation import Recalibration
from precisionflow.config.networks import ensemble_of
from precisionflow.evaluation.recalibration import conformal, quantile_map
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, data_folder


def check_rows(variant: Experiment, *, data: Path) -> None:
    """ValueError where a split has fewer validation rows than a recalibration needs or fewer rows than folds."""
    highest = max(variant.evaluation.levels)
    for split in variant.splits:
        card = read_card(PreparedSplit(data_folder(data, variant, split)).card, DatasetCard)
        for method in variant.evaluation.recalibration:
            if card.rows["valid"] < (needed := fewest_rows(method, highest)):
                raise ValueError(
                    f"evaluation.recalibration {method}: {variant.dataset} split {split} has {card.rows['valid']} "
                    f"validation rows, level {highest:g} needs {needed}; lower evaluation.levels or raise "
                    "task.validation_fraction"
                )
        _check_folds(variant, card)


def fewest_rows(method: Recalibration, level: float) -> int:
    """Calibration rows that a method needs for the central interval of a level."""
    match method:
        case "quantile_map":
            return quantile_map.fewest_rows(level)
        case "conformal_split" | "conformal_normalised" | "conformal_quantile" | "aps" | "raps":
            return conformal.fewest_rows(level)
        case "variance_scaling" | "temperature":
            return 1


def _check_folds(variant: Experiment, card: DatasetCard) -> None:
    ensemble = ensemble_of(variant.model)
    rows = card.rows["train"] + (0 if variant.holds_out_validation else card.rows["valid"])
    if ensemble and ensemble.folds and rows < ensemble.folds:
        raise ValueError(
            f"model.posterior.folds {ensemble.folds} needs as many rows; split {card.split} has {rows}; "
            "give more rows or fewer folds"
        )
