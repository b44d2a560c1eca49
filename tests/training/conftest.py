"""Prepared data and one launch for each rank count, shared by all tests of training."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from digits import DIGITS, IMAGES
from on_ranks import (
    AMORTISED,
    AVERAGED,
    BOTTOM_UP,
    BY_HEAD,
    BY_LAYER,
    EARLY,
    INCREMENTAL,
    LEARNED_LAW,
    MUON,
    NODES,
    PREDICTIVE_CODING,
    SECANT,
    TOP_DOWN,
    TRAINING,
)
from scenes import SCENES

from precisionflow.config import Experiment, resolve
from precisionflow.data.prepare import prepare

PROGRAM = Path(__file__).with_name("on_ranks.py")

TABLE: dict[str, Any] = {
    "task": {
        "kind": "regression",
        "source": {"kind": "scikit_learn", "name": "linnerud"},
        "validation_fraction": 0.15,
    },
    "model": {"kind": "mlp", "hidden": [8]},
    "objective": {"kind": "gaussian_nll"},
    "training": {"steps": 12, "batch_size": 64, "learning_rate": 0.01, "gradient_clip": 0.5},
}
"""15 training rows, all of them in every batch: two ranks have 7 and 8. The gradient is longer than the clip."""
ZERO_3: dict[str, Any] = {"kind": "deepspeed", "ranks": 2, "zero_stage": 3}
PIPELINE: dict[str, Any] = {"kind": "deepspeed", "ranks": 2, "zero_stage": 0, "pipeline_stages": 2}
CASES: dict[str, dict[str, Any]] = {
    **{
        f"stage {stage}": {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": stage}}
        for stage in range(4)
    },
    "stage 1 bfloat16": {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 1, "dtype": "bfloat16"}},
    "stage 1 predictive coding": {
        "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 1},
        "learning": PREDICTIVE_CODING,
    },
    "stage 3 predictive coding": {
        "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 3},
        "learning": PREDICTIVE_CODING,
    },
    "stage 1 several steps": {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 1}},
    "stage 3 learned law": {
        "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 3},
        "learning": LEARNED_LAW,
    },
    "stage 2 incremental": {
        "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 2},
        "learning": INCREMENTAL,
    },
    **{
        f"stage {stage} {name}": {
            "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": stage},
            "learning": learning,
        }
        for stage, name, learning in (
            (0, "top down", TOP_DOWN),
            (2, "bottom up", BOTTOM_UP),
            (0, "amortised", AMORTISED),
            (1, "by head", BY_HEAD),
            (2, "by head", BY_HEAD),
            (3, "by head", BY_HEAD),
            (3, "amortised", AMORTISED),
            (1, "stopping early", EARLY),
            (3, "stopping early", EARLY),
            (1, "secant", SECANT),
            (2, "by layer", BY_LAYER),
        )
    },
    "stage 0 muon in parts": {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 0}, "training": MUON},
    **{
        f"stage {stage} averaged in parts": {
            "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": stage},
            "training": AVERAGED,
        }
        for stage in (2, 3)
    },
    "stage 0 pipeline averaged in parts": {"engine": PIPELINE, "training": AVERAGED},
    "stage 0 pipeline bfloat16": {"engine": PIPELINE | {"dtype": "bfloat16"}},
    "stage 0 pipeline odd rows": TABLE | {"engine": PIPELINE},
    "stage 3 nodes by head": NODES | {"engine": ZERO_3},
    "stage 3 scorers": SCENES | {"engine": ZERO_3},
    "stage 3 scorers of sequences": SCENES
    | {"engine": ZERO_3, "model": SCENES["model"] | {"encoder": {"kind": "tokens", "lengths": 4}}},
    "stage 3 scorers refining": SCENES
    | {"engine": ZERO_3, "model": SCENES["model"] | {"allocation": {"kind": "refine"}}},
    "stage 2 odd rows": TABLE | {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 2}},
    **{
        case: images | {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": int(case.split()[1])}}
        for case, images in IMAGES.items()
    },
}

PIPELINES: dict[str, dict[str, Any]] = {
    "averaged in parts": {"engine": PIPELINE | {"ranks": 4}, "training": AVERAGED}
}
"""Of four ranks: two pipelines of two stages."""


def tiny_text(folder: Path) -> dict[str, Any]:
    """A character experiment on a small text, as a tree."""
    text = folder / "text.txt"
    text.write_text("".join(f"{n} and {n * n}; " for n in range(400)), encoding="utf-8")
    return {
        "name": "tiny",
        "task": {"kind": "next_token", "source": {"kind": "text_file", "path": str(text)}, "context": 16},
        "model": {
            "kind": "transformer",
            "blocks": 1,
            "heads": 2,
            "width": 16,
            "attention": {"potential": {"kind": "gaussian_per_key"}},
        },
        "objective": {"kind": "cross_entropy"},
        "training": TRAINING,
        "engine": {"kind": "torch", "device": "cpu"},
    }


@pytest.fixture(scope="session")
def text_tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tiny_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def text_experiment(text_tree: dict[str, Any]) -> Experiment:
    return resolve(text_tree)


@pytest.fixture(scope="session")
def text_data(text_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    prepare([text_experiment], out=folder)
    return folder


@pytest.fixture(scope="session")
def table_experiment() -> Experiment:
    return resolve({"name": "tiny", "engine": {"kind": "torch", "device": "cpu"}} | TABLE)


@pytest.fixture(scope="session")
def table_data(table_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    prepare([table_experiment], out=folder)
    return folder


@pytest.fixture(scope="session")
def nodes_data(text_tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nodes")
    prepare([resolve(text_tree | NODES)], out=folder)
    return folder


@pytest.fixture(scope="session")
def scenes_data(text_tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    prepare([resolve(text_tree | SCENES)], out=folder)
    return folder


@pytest.fixture(scope="session")
def digits_data(text_tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    prepare([resolve(text_tree | DIGITS)], out=folder)
    return folder


def torchrun(ranks: int, *program: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(ranks),
        *program,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)


@pytest.fixture(scope="session")
def rank_losses(
    text_tree: dict[str, Any],
    text_data: Path,
    table_data: Path,
    nodes_data: Path,
    scenes_data: Path,
    digits_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[int, dict[str, Any]]:
    """ranks -> case -> losses of the steps and the validation loss; one rank only resumes what two ranks saved."""
    every = (text_data, table_data, nodes_data, scenes_data, digits_data)
    prepared = [folder for data in every for folder in data.iterdir()]
    folder = of_ranks(tmp_path_factory.mktemp("ranks"), text_tree, CASES, prepared)
    return {ranks: losses_of(folder, ranks) for ranks in (2, 1)}


@pytest.fixture(scope="session")
def pipelines_losses(
    text_tree: dict[str, Any], text_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Case -> losses of four ranks."""
    folder = of_ranks(tmp_path_factory.mktemp("pipelines"), text_tree, PIPELINES, text_data.iterdir())
    return losses_of(folder, 4)


def of_ranks(
    folder: Path, tree: dict[str, Any], cases: dict[str, dict[str, Any]], prepared: Iterable[Path]
) -> Path:
    """The folder, with what the program reads."""
    (folder / "data").mkdir()
    for data in prepared:
        (folder / "data" / data.name).symlink_to(data)
    (folder / "experiment.json").write_text(json.dumps(tree))
    (folder / "cases.json").write_text(json.dumps(cases))
    return folder


def losses_of(folder: Path, ranks: int) -> dict[str, Any]:
    """What so many ranks write."""
    done = torchrun(ranks, str(PROGRAM), str(folder))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return json.loads((folder / f"{ranks}.json").read_text())  # type: ignore[no-any-return]
