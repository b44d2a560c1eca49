"""The stage `train`: every cell of a variant, in one process or on the ranks of one launch."""

import contextlib
import functools
import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from precisionflow.config import Experiment, digest
from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.external import External
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.results.cells import training_inputs
from precisionflow.results.code import Verb
from precisionflow.results.failures import write_failure
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import PreparedSplit, cell_folder, checkpoint_folder, data_folder
from precisionflow.results.lifetime import end_with_parent
from precisionflow.results.stage import finished, once
from precisionflow.training.checkpoint import Checkpoints
from precisionflow.training.device import pick_device
from precisionflow.training.divergence import DivergedError, seen_again
from precisionflow.training.external import write_external
from precisionflow.training.launch import join_mpi, launched
from precisionflow.training.loop import Measured, Report
from precisionflow.training.loop import train as train_networks
from precisionflow.training.outcome import Trained, pooled, write_cell
from precisionflow.training.population import CellOf, Population, groups, population
from precisionflow.training.ranks import Ranks
from precisionflow.training.standing import Standing

CellReport = Callable[[int, int, int, dict[str, float]], None]
"""(seed, split, step, measured values)."""
CellFailed = Callable[[int, int, str], None]
"""(seed, split, cause)."""
Resumed = Callable[[int], None]
"""The step of the checkpoint from which cells go on."""
VERB: Verb = "train"


def train(
    experiment: Experiment,
    *,
    data: Path,
    out: Path,
    report: CellReport = lambda *_: None,
    resumed: Resumed = lambda _: None,
    failed: CellFailed | None = None,
) -> None:
    """Train every (seed, split) of a resolved experiment; `out` gets one folder for each.

    A finished cell is not trained again, an unfinished one goes on from its last checkpoint. What a cell raises ends
    the stage; with `failed` it becomes the cell's result instead, and is told: any error but one of a file in a process
    alone, on several ranks only what all of them meet, a loss that is not finite or an energy that settling raised. Of
    cells that train at once those are found that fail by themselves. Under torchrun or mpirun every rank calls this;
    ValueError when their number is not the experiment's.
    """
    join_mpi()
    device = pick_device(experiment.engine)
    torch.set_flush_denormal(True)
    cells = [CellOf(seed, split) for split in experiment.splits for seed in experiment.seeds]
    inputs = {
        cell: training_inputs(experiment, data=data, seed=cell.seed, split=cell.split) for cell in cells
    }
    with _process_group(experiment, device) as ranks:
        missing = [
            cell
            for cell, of in inputs.items()
            if not ranks.all(not ranks.first or finished(cell_folder(out, *cell), verb=VERB, inputs=of))
        ]
        waiting = groups(experiment, data, missing)
        while waiting:
            group = waiting.pop(0)
            asked = {cell: inputs[cell] for cell in group}
            try:
                _train_group(experiment, asked, data, out, ranks, report, resumed)
            except Exception as error:
                if failed is None or not _of_a_cell(error, ranks):
                    raise
                half = len(group) // 2
                if half:
                    shutil.rmtree(_checkpoints_of(group, out), ignore_errors=True)
                    waiting[:0] = [group[:half], group[half:]]
                    continue
                (cell,) = group
                if ranks.first:
                    _write_failure(experiment, cell, inputs[cell], out, error)
                    failed(*cell, str(error))


def _of_a_cell(error: Exception, ranks: Ranks) -> bool:
    """Whether an error is a cell's own, and met by every rank."""
    return isinstance(error, (DivergedError, Unsettled)) or (
        ranks.count == 1 and not isinstance(error, OSError)
    )


def _write_failure(experiment: Experiment, cell: CellOf, inputs: Any, out: Path, error: Exception) -> None:
    """Make an error the result of a cell."""

    def work(folder: Path) -> None:
        write_failure(folder, experiment, seed=cell.seed, split=cell.split, stage="train", error=error)

    once(cell_folder(out, *cell), verb=VERB, inputs=inputs, work=work)


def _train_group(
    experiment: Experiment,
    inputs: Mapping[CellOf, Any],
    data: Path,
    out: Path,
    ranks: Ranks,
    report: CellReport,
    resumed: Resumed,
) -> None:
    """Train the cells of a group at once; each is written as a stage of its own."""
    if isinstance(experiment.model, External):
        _write_external(experiment, inputs, data, out, report)
        return
    keys = [stage_key(VERB, of) for of in inputs.values()]
    checkpoints = Checkpoints(_checkpoints_of([*inputs], out), key=digest(keys), ranks=ranks)

    @functools.cache
    def trained() -> dict[CellOf, Trained]:
        return _trained(
            population(experiment, data, list(inputs)), experiment, checkpoints, ranks, report, resumed
        )

    with checkpoints.held():
        for cell, of in inputs.items():
            prepared = PreparedSplit(data_folder(data, experiment, cell.split))

            def work(folder: Path, *, cell: CellOf = cell, prepared: PreparedSplit = prepared) -> None:
                write_cell(experiment, prepared, folder, trained()[cell])

            if ranks.first:
                once(cell_folder(out, *cell), verb=VERB, inputs=of, work=work)
            else:
                trained()
            if len(inputs) > 1:
                shutil.rmtree(_checkpoints_of([cell], out), ignore_errors=True)


def _checkpoints_of(group: Sequence[CellOf], out: Path) -> Path:
    """Folder of a group's checkpoints.

    A cell alone has one of its own, which stays where the cell fails and its cause names a checkpoint, whatever trains
    next; those of several cells of one program take turns in one, and what they leave is that of nobody's result.
    """
    return checkpoint_folder(cell_folder(out, *group[0]) if len(group) == 1 else out / "batched")


def _write_external(
    experiment: Experiment, inputs: Mapping[CellOf, Any], data: Path, out: Path, report: CellReport
) -> None:
    """The cells of a model from outside, each a stage of its own."""
    for cell, of in inputs.items():
        prepared = PreparedSplit(data_folder(data, experiment, cell.split))

        def work(folder: Path, *, cell: CellOf = cell, prepared: PreparedSplit = prepared) -> None:
            measured = write_external(experiment, prepared, folder, seed=cell.seed, split=cell.split)
            if measured.get("seconds_per_step"):
                report(*cell, 1, measured)

        once(cell_folder(out, *cell), verb=VERB, inputs=of, work=work)


def _trained(
    networks: Population,
    experiment: Experiment,
    checkpoints: Checkpoints,
    ranks: Ranks,
    report: CellReport,
    resumed: Resumed,
) -> dict[CellOf, Trained]:
    """Networks of every cell after training; complete on the first rank."""
    try:
        standing, weights, raw = _train_networks(networks, experiment, checkpoints, ranks, report, resumed)
    except DivergedError as error:
        raise seen_again(error, functools.partial(networks.open, ranks), checkpoints) from None
    places: dict[CellOf, list[int]] = defaultdict(list)
    for index, cell in enumerate(networks.cells):
        places[cell].append(index)
    return {
        cell: Trained(
            cell,
            networks.training,
            [standing.outcomes[i] for i in of],
            [networks.whole(cell, weights[i]) for i in of],
            [networks.validation_rows[i] for i in of],
            [raw[i] for i in of] if raw else [],
        )
        for cell, of in places.items()
    }


def _train_networks(
    networks: Population,
    experiment: Experiment,
    checkpoints: Checkpoints,
    ranks: Ranks,
    report: CellReport,
    resumed: Resumed,
) -> tuple[Standing, list[dict[str, Tensor]], list[Tensor]]:
    """Standing, kept weights and out-of-fold outputs of all networks at the end.

    The engine is closed where a cell fails too: another may open its own next.
    """
    resume = checkpoints.latest()
    with contextlib.closing(networks.open(ranks, resume and resume / "engine")) as engine:
        standing = (
            Standing.read(resume) if resume else Standing.start(engine.count, measures=len(engine.measures))
        )
        if resume and ranks.first:
            resumed(standing.step)
        train_networks(
            engine,
            standing,
            training=networks.training,
            ranks=ranks,
            checkpoints=checkpoints,
            report=_of_cells(networks.cells, report),
            names=[f"seed {cell.seed}, split {cell.split}" for cell in networks.cells],
            remedy=experiment.model.remedy or experiment.learning.remedy,
        )
        return standing, engine.weights(), engine.out_of_fold()


def _of_cells(cells: Sequence[CellOf], report: CellReport) -> Report:
    """A report of networks that reports their cells: means over the networks of each."""

    def tell(step: int, networks: Sequence[int], measured: Measured) -> None:
        places: dict[CellOf, list[int]] = defaultdict(list)
        for place, network in enumerate(networks):
            places[cells[network]].append(place)
        for cell, of in places.items():
            told = {name: pooled(name, values[of].tolist()) for name, values in measured.items()}
            report(cell.seed, cell.split, step, told)

    return tell


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
            end_with_parent()
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
        case one:
            if ranks.count != 1:
                raise ValueError(
                    f"engine.kind {one.kind} is one process, but {ranks.count} ranks were started; "
                    "use engine.kind deepspeed"
                )
            yield ranks


def _open_group(device: torch.device) -> None:
    from precisionflow.training.engines import zero

    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    else:
        torch.cuda.set_device(device)
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    zero.load()
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo" if device.type == "cpu" else "nccl", verbose=False)
