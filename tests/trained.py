"""Tiny experiments, trained for tests that need a finished model."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.predictor import Predictor, load_predictor
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.marker import MARKER
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.training.train import train

TABLE: dict[str, Any] = {
    "name": "table",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp", "hidden": [12]},
    "objective": {"kind": "gaussian_nll"},
    "training": {"steps": 60, "learning_rate": 0.02, "validate_every": 20},
    "engine": {"kind": "torch", "device": "cpu"},
    "seeds": [0, 1],
    "splits": [0, 1],
}
TEXT: dict[str, Any] = {
    "name": "text",
    "model": {"kind": "transformer", "blocks": 1, "heads": 2, "width": 16},
    "objective": {"kind": "cross_entropy"},
    "training": {"steps": 40, "batch_size": 8, "learning_rate": 0.02, "validate_every": 20},
    "engine": {"kind": "torch", "device": "cpu"},
}
CONTEXT = 16


class Trained(NamedTuple):
    """An experiment and where its data and models are."""

    experiment: Experiment
    data: Path
    model: Path

    def data_of(self, split: int = 0) -> Path:
        return data_folder(self.data, self.experiment, split)

    def predictor(self, seed: int = 0, split: int = 0) -> Predictor:
        card = read_card(self.data_of(split) / "dataset.json", DatasetCard)
        return load_predictor(cell_folder(self.model, seed, split), card)


def copy_without_marker(cell: Path, copy: Path) -> Path:
    """The files of a trained cell where no digest says what they should hold."""
    shutil.copytree(cell, copy, ignore=shutil.ignore_patterns(MARKER))
    return copy


def trained(tree: dict[str, Any], folder: Path, **changes: Any) -> Trained:
    experiment = resolve(overlay(tree, changes))
    prepare([experiment], out=folder / "data")
    train(experiment, data=folder / "data", out=folder / "model")
    return Trained(experiment, folder / "data", folder / "model")


def language_model(folder: Path, **changes: Any) -> tuple[Path, str, Path]:
    """A trained model of lines of numbers, as a command line names it: its cell, and --data with its folder."""
    source = folder / "text.txt"
    source.write_text("".join(f"{n} and {n * n}\n" for n in range(300)), encoding="utf-8")
    task = {"kind": "next_token", "source": {"kind": "text_file", "path": str(source)}, "context": CONTEXT}
    finished = trained(TEXT | {"task": task}, folder, **changes)
    return cell_folder(finished.model, 0, 0), "--data", finished.data
