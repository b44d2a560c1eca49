"""The `train` stage: every cell of a variant, in one process or on the ranks of one launch."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch import distributed as dist

from precisionflow import __version__
from precisionflow.config import Experiment
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine
from precisionflow.data.batches import Rows
from precisionflow.models.networks.build import build
from precisionflow.models.networks.inputs import NormalScores
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.cells import training_inputs
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import (
    PreparedSplit,
    TrainedCell,
    cell_folder,
    checkpoint_folder,
    data_folder,
)
from precisionflow.results.stage import finished_key, once
from precisionflow.training.batches import part_batches, training_batches
from precisionflow.training.checkpoint import (
    Checkpoints,
    Progress,
    history_table,
    read_progress,
    save_weights,
)
from precisionflow.training.engine import open_engine, pick_device
from precisionflow.training.launch import end_with_launcher, join_mpi, launched
from precisionflow.training.learner import learner
from precisionflow.training.loop import Fitted, Report, fit
from precisionflow.training.ranks import Ranks
from precisionflow.training.variant import CellReport, fitted_posterior, train_variant

VERB = "train"


def train(experiment: Experiment, *, data: Path, out: Path, report: CellReport = lambda *_: None) -> None:
    """Train every (seed, split) of a resolved experiment; `out` gets one folder for each.

    A finished cell is not trained again, an unfinished one goes on from its last checkpoint. Under torchrun or
    mpirun every rank calls this; ValueError when their number is not the experiment's.
    """
    join_mpi()
    device = pick_device(experiment.engine)
    torch.set_flush_denormal(True)
    if isinstance(experiment.engine, BatchedEngine):
        train_variant(experiment, data=data, out=out, report=report)
        return
    with _process_group(experiment, device) as ranks:
        for split in experiment.splits:
            for seed in experiment.seeds:
                target = cell_folder(out, seed, split)
                _train_cell(experiment, data, target, seed=seed, split=split, ranks=ranks, report=report)


def _train_cell(
    experiment: Experiment, data: Path, out: Path, *, seed: int, split: int, ranks: Ranks, report: CellReport
) -> None:
    inputs = training_inputs(experiment, data=data, seed=seed, split=split)
    if ranks.all(not ranks.first or finished_key(out) == stage_key(VERB, inputs)):
        return
    checkpoints = Checkpoints(checkpoint_folder(out), key=stage_key(VERB, inputs), ranks=ranks)

    def work(folder: Path | None) -> None:
        fitted, parameters = _fit(
            experiment,
            data_folder(data, experiment, split),
            seed=seed,
            ranks=ranks,
            checkpoints=checkpoints,
            report=lambda *m: report(seed, split, *m),
        )
        if folder:
            posterior = fitted_posterior(
                experiment, data_folder(data, experiment, split), weights=fitted.weights
            )
            _write(
                fitted,
                experiment,
                folder,
                posterior=posterior,
                seed=seed,
                split=split,
                parameters=parameters,
            )

    with checkpoints.held():
        if ranks.first:
            once(out, verb=VERB, inputs=inputs, work=work)
        else:
            work(None)


def _fit(
    experiment: Experiment, data: Path, *, seed: int, ranks: Ranks, checkpoints: Checkpoints, report: Report
) -> tuple[Fitted, int]:
    torch.manual_seed(seed)
    model = build(experiment, read_card(PreparedSplit(data).card, DatasetCard))
    if isinstance(model.inputs, NormalScores):
        model.inputs.fit(Rows.read(PreparedSplit(data).part("train")).features)
    parameters = sum(p.numel() for p in model.parameters())
    taught = learner(
        model,
        experiment.objective,
        experiment.learning,
        dtype=experiment.engine.dtype,
        total=ranks.sum,
    )
    resume = checkpoints.latest()
    engine = open_engine(
        taught, experiment.engine, experiment.training, ranks, resume=resume and resume / "engine"
    )
    fitted = fit(
        engine,
        training=experiment.training,
        batch=training_batches(experiment, data, seed=seed, ranks=ranks),
        valid=part_batches(experiment, PreparedSplit(data).part("valid")),
        ranks=ranks,
        checkpoints=checkpoints,
        progress=read_progress(resume) if resume else Progress(),
        report=report,
    )
    engine.close()
    return fitted, parameters


def _write(
    fitted: Fitted,
    experiment: Experiment,
    folder: Path,
    *,
    posterior: dict[str, Tensor],
    seed: int,
    split: int,
    parameters: int,
) -> None:
    save_weights(fitted.weights | posterior, TrainedCell(folder).weights)
    write_parquet(history_table(fitted.progress.history), TrainedCell(folder).history, HISTORY)
    validation = [value for _, name, value in fitted.progress.history if name == "validation_loss"]
    card = ModelCard(
        experiment=experiment,
        experiment_hash=experiment.hash,
        code_version=__version__,
        seed=seed,
        split=split,
        parameters=parameters,
        steps=fitted.progress.step,
        validation_loss=validation[-1] if experiment.training.patience is None else fitted.progress.best_loss,
        seconds_per_step=fitted.seconds_per_step,
    )
    write_card(card, TrainedCell(folder).card)


@contextlib.contextmanager
def _process_group(experiment: Experiment, device: torch.device) -> Iterator[Ranks]:
    """torch.distributed for the DeepSpeed engine, nothing for plain torch; closed at the end, whatever happens."""
    ranks = Ranks.of_process(device)
    match experiment.engine:
        case DeepSpeedEngine(ranks=wanted):
            if ranks.count != wanted:
                raise ValueError(
                    f"engine.ranks is {wanted}, but {ranks.count} ranks were started; make them equal"
                )
            if not launched():
                raise ValueError(
                    "engine.kind deepspeed needs torchrun around this process; say `precisionflow train`"
                )
            end_with_launcher()
            _open_group(device)
            try:
                yield ranks
            except RuntimeError as error:
                if not ranks.lost(error):
                    raise
                reason = " ".join(str(error).split())[:200]
                raise SystemExit(f"rank {ranks.index}: lost another rank ({reason})") from None
            finally:
                dist.destroy_process_group()
        case _:
            if ranks.count != 1:
                raise ValueError(
                    f"engine.kind torch is one process, but {ranks.count} ranks were started; use engine.kind deepspeed"
                )
            yield ranks


def _open_group(device: torch.device) -> None:
    from precisionflow.training.engines import zero

    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    else:
        torch.cuda.set_device(device)
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    zero.quiet()
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo" if device.type == "cpu" else "nccl", verbose=False)
