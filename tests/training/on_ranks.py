"""A program for torchrun: trains a tiny transformer in every way and writes the losses.

on_ranks.py FOLDER: reads FOLDER/data (prepared), keeps checkpoints in FOLDER/checkpoints, writes FOLDER/<ranks>.json.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from precisionflow.config import Experiment, resolve
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import data_folder
from precisionflow.training.batches import part_batches, training_batches
from precisionflow.training.engine import Engine, open_engine
from precisionflow.training.engines import zero
from precisionflow.training.learner import learner
from precisionflow.training.loop import learning_rate, validation_loss
from precisionflow.training.ranks import Ranks

STEPS = 6
BROKEN = (
    ("stage 0", "mp_rank_00_model_states.pt", Path.unlink),
    ("stage 1", "zero_pp_rank_1_*_optim_states.pt", lambda path: os.truncate(path, path.stat().st_size // 2)),
)
"""Checkpoint, file, what happens to it."""


def engine_of(experiment: Experiment, data: Path, ranks: Ranks, resume: Path | None = None) -> Engine:
    torch.manual_seed(0)
    model = build(experiment, read_card(data / "dataset.json", DatasetCard))
    taught = learner(
        model,
        experiment.objective,
        experiment.learning,
        dtype=experiment.engine.dtype,
        total=ranks.sum,
    )
    return open_engine(taught, experiment.engine, experiment.training, ranks, resume=resume)


def curve(engine: Engine, experiment: Experiment, data: Path, ranks: Ranks, steps: range) -> list[float]:
    batch = training_batches(experiment, data, seed=0, ranks=ranks)
    means = []
    for step in steps:
        taught = engine.step(batch(step), learning_rate(step, experiment.training))
        means.append(float(ranks.sum(taught.loss.detach().double().clone()) / ranks.count))
    means.append(
        validation_loss(engine, part_batches(experiment, data / "valid.parquet", batch_size=7), ranks=ranks)
    )
    return means


def refusal(checkpoint: Path, file: str, damage: Callable[[Path], None], *start: Any) -> str:
    """The error of an engine that resumes from a checkpoint whose `file` is damaged."""
    (path,) = checkpoint.glob(f"state/{file}")
    damage(path)
    try:
        engine_of(*start, resume=checkpoint)
    except ValueError as error:
        return str(error)
    return "no refusal"


def main(folder: Path) -> None:
    ranks = Ranks.of_process(torch.device("cpu"))
    zero.quiet()
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    tree = json.loads((folder / "experiment.json").read_text())
    cases = json.loads((folder / "cases.json").read_text())
    results: dict[str, Any] = {}
    for name, changes in cases.items():
        experiment = resolve(tree | changes)
        data = data_folder(folder / "data", experiment, 0)
        checkpoint = folder / "checkpoints" / name
        if ranks.count == 2:
            engine = engine_of(experiment, data, ranks)
            results[name] = curve(engine, experiment, data, ranks, range(STEPS // 2))[:-1]
            if ranks.first:
                checkpoint.mkdir(parents=True)
            ranks.barrier()
            engine.save(checkpoint)
            results[name] += curve(engine, experiment, data, ranks, range(STEPS // 2, STEPS))
            weights = engine.weights()
            results[f"{name} weight"] = [float(sum(w.double().abs().sum() for w in weights.values()))]
            engine.close()
        engine = engine_of(experiment, data, ranks, resume=checkpoint)
        results[f"{name} resumed"] = curve(engine, experiment, data, ranks, range(STEPS // 2, STEPS))
        engine.close()
    if ranks.count == 1:
        data = data_folder(folder / "data", resolve(tree), 0)
        results["refused"] = [
            refusal(folder / "checkpoints" / name, file, damage, resolve(tree | cases[name]), data, ranks)
            for name, file, damage in BROKEN
        ]
    if ranks.first:
        (folder / f"{ranks.count}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ["DS_ACCELERATOR"] = "cpu"
    main(Path(sys.argv[1]))
