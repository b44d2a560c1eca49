"""Small sources in the forms that `prepare` reads."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from precisionflow.config import Experiment, resolve

WriteFolder = Callable[..., Path]


@pytest.fixture
def regression() -> Callable[..., Experiment]:
    """An experiment on a table; by default on the folder that is given."""

    def build(source: Path | dict[str, object], *, splits: Sequence[int] = (0,), fraction=0.1) -> Experiment:
        named = {"kind": "uci_folder", "path": str(source)} if isinstance(source, Path) else source
        return resolve(
            {
                "name": "table",
                "task": {"kind": "regression", "source": named, "validation_fraction": fraction},
                "model": {"kind": "mlp"},
                "objective": {"kind": "gaussian_nll"},
                "splits": list(splits),
            }
        )

    return build


@pytest.fixture
def characters() -> Callable[..., Experiment]:
    """An experiment on a text; by default on the file that is given."""

    def build(source: Path | dict[str, object], **task: object) -> Experiment:
        named = {"kind": "text_file", "path": str(source)} if isinstance(source, Path) else source
        return resolve(
            {
                "name": "text",
                "task": {"kind": "next_token", "source": named} | task,
                "model": {"kind": "transformer"},
                "objective": {"kind": "cross_entropy"},
            }
        )

    return build


@pytest.fixture
def folder(tmp_path: Path) -> WriteFolder:
    """Writes a folder of the UCI form, 40 rows, target last, 2 splits; the lines in `write` replace files."""

    def build(name: str = "toy", *, values: np.ndarray | None = None, **write: Iterable[str]) -> Path:
        path = tmp_path / "raw" / name
        path.mkdir(parents=True)
        if values is None:
            values = np.random.default_rng(5).normal(3.0, [1.0, 10.0, 0.1, 4.0], size=(40, 4))
        tests = np.arange(0, len(values), 10)
        files = {
            "data": [" ".join(f"{cell:.17e}" for cell in row) for row in values],
            "index_features": [f"{column:.1e}" for column in range(values.shape[1] - 1)],
            "index_target": [f"{values.shape[1] - 1:.1e}"],
        }
        for split in (0, 1):
            held = tests + split
            files[f"index_test_{split}"] = [f"{row}" for row in held]
            others = np.setdiff1d(np.arange(len(values)), held)
            files[f"index_train_{split}"] = [f"{row:.18e}" for row in others[::-1]]
        for stem, lines in (files | write).items():
            (path / f"{stem}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return build
