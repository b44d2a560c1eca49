"""No test target reaches training: other targets in the test rows, the same weights, bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from precisionflow.config import overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.results.layout import cell_folder
from precisionflow.training.train import train

ROWS, FEATURES = 60, 3
TREE: dict[str, Any] = {
    "name": "leak",
    "task": {"kind": "regression", "source": {"kind": "uci_folder", "path": "honest"}},
    "model": {
        "kind": "mlp",
        "hidden": [8],
        "inputs": "normal_scores",
        "posterior": {"kind": "ensemble", "members": 4, "folds": 2, "spread": "fitted"},
    },
    "objective": {"kind": "student_t", "beta": 0.5, "mean_warmup": 0.2},
    "training": {
        "steps": 20,
        "batch_size": 16,
        "learning_rate": 0.01,
        "schedule": "one_cycle",
        "average": 0.9,
        "validate_every": 5,
        "patience": 4,
    },
    "engine": {"kind": "batched", "device": "cpu"},
}


def write_folder(folder: Path) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(ROWS, FEATURES))
    target = features.sum(axis=1) + generator.normal(size=ROWS)
    folder.mkdir()
    np.savetxt(folder / "data.txt", np.column_stack([features, target]))
    np.savetxt(folder / "index_features.txt", np.arange(FEATURES), fmt="%d")
    np.savetxt(folder / "index_target.txt", [FEATURES], fmt="%d")
    order = generator.permutation(ROWS)
    np.savetxt(folder / "index_train_0.txt", order[6:], fmt="%d")
    np.savetxt(folder / "index_test_0.txt", order[:6], fmt="%d")


def trained(root: Path, name: str, engine: str) -> tuple[bytes, bytes]:
    changes = {"task.source.path": str(root / name)}
    if engine == "torch":
        changes |= {"engine.kind": "torch", "model.posterior": {"kind": "point"}, "training.average": None}
    experiment = resolve(overlay(TREE, changes))
    out = root / f"{name}-{engine}"
    prepare([experiment], out=out / "data")
    train(experiment, data=out / "data", out=out / "model")
    cell = cell_folder(out / "model", 0, 0)
    return tuple((cell / file).read_bytes() for file in ("model.safetensors", "history.parquet"))


@pytest.mark.parametrize("engine", ["batched", "torch"])
def test_training_does_not_change_with_the_test_targets(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)
    write_folder(tmp_path / "honest")
    shutil.copytree(tmp_path / "honest", tmp_path / "shuffled")
    shutil.copytree(tmp_path / "honest", tmp_path / "other")
    for name, index in (("shuffled", "index_test_0.txt"), ("other", "index_train_0.txt")):
        cells = np.loadtxt(tmp_path / name / "data.txt")
        rows = np.loadtxt(tmp_path / name / index).astype(int)
        cells[rows, FEATURES] = np.random.default_rng(1).permutation(cells[rows, FEATURES])
        assert not np.array_equal(cells, np.loadtxt(tmp_path / "honest" / "data.txt"))
        np.savetxt(tmp_path / name / "data.txt", cells)
    honest = trained(tmp_path, "honest", engine)
    assert trained(tmp_path, "shuffled", engine) == honest
    assert trained(tmp_path, "other", engine) != honest
