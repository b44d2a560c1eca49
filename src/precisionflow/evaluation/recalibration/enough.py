"""Check that a split has enough rows for its recalibration, made before hours of training."""

from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.config.networks import ensemble_of
from precisionflow.evaluation.recalibration.conformal import fewest_rows
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, data_folder


def check_calibration_rows(variant: Experiment, *, data: Path) -> None:
    """ValueError where a split's calibration rows are too few for a conformal interval that the variant asks for."""
    methods = [m for m in variant.evaluation.recalibration if m.startswith("conformal_")]
    highest = max(variant.evaluation.levels)
    for split in variant.splits if methods else ():
        folder = data_folder(data, variant, split)
        rows = calibration_rows(variant, read_card(PreparedSplit(folder).card, DatasetCard))
        if rows < fewest_rows(highest):
            raise ValueError(
                f"evaluation.recalibration {methods[0]}: {variant.dataset} split {split} has {rows} held-out rows, "
                f"level {highest:g} needs {fewest_rows(highest)}; lower evaluation.levels or raise "
                "task.validation_fraction"
            )


def calibration_rows(experiment: Experiment, card: DatasetCard) -> int:
    """The validation rows; of an ensemble with folds the training rows too, as each is out of some member's fold."""
    ensemble = ensemble_of(experiment.model)
    pooled = ensemble is not None and ensemble.folds is not None
    return card.rows["valid"] + (card.rows["train"] if pooled else 0)
