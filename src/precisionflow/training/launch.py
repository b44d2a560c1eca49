"""Starting the ranks of a training run on this machine with torchrun, and how they end."""

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.config import Experiment
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.records.failure import STOPPED, killed_by
from precisionflow.results.code import code_is_trusted
from precisionflow.results.machine import core_count
from precisionflow.training.ranks import VARIABLES, is_rank

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

_OPEN_MPI = {
    "RANK": "OMPI_COMM_WORLD_RANK",
    "LOCAL_RANK": "OMPI_COMM_WORLD_LOCAL_RANK",
    "WORLD_SIZE": "OMPI_COMM_WORLD_SIZE",
}
"""torchrun's rank variables, and those of Open MPI that say the same."""


def launched() -> bool:
    """Whether this process is already a rank that torchrun or mpirun started."""
    return is_rank() or _OPEN_MPI["RANK"] in os.environ


def join_mpi() -> None:
    """Give a rank that mpirun started the variables that torch reads.

    ValueError where mpirun was not told MASTER_ADDR and MASTER_PORT. Ranks that torchrun starts inside keep theirs.
    """
    if is_rank() or _OPEN_MPI["RANK"] not in os.environ:
        return
    os.environ.update({name: os.environ[same] for name, same in _OPEN_MPI.items() if same in os.environ})
    if missing := [name for name in VARIABLES if name not in os.environ]:
        raise ValueError(
            f"mpirun gave this rank no {', '.join(missing)}; start it with -x MASTER_ADDR=HOST -x MASTER_PORT=PORT"
        )


def rank_count(experiment: Experiment) -> int | None:
    """Number of ranks to start; none where the engine is one plain process."""
    match experiment.engine:
        case DeepSpeedEngine(ranks=ranks):
            return ranks
        case TorchEngine() | BatchedEngine():
            return None


def launch(
    experiment: Experiment, *, data: Path, out: Path, metrics: bool = False, keep_failures: bool = False
) -> None:
    """Run `precisionflow train` on the experiment's ranks; ValueError when one of them fails.

    In a pod of a TrainJob only this node's share starts here: the Trainer's PET_* variables are torchrun's options.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    count = rank_count(experiment)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, core_count() // (count or 1))))
    with tempfile.TemporaryDirectory(prefix="precisionflow-") as folder:
        file = Path(folder) / "experiment.json"
        file.write_text(experiment.model_dump_json(), encoding="utf-8")
        verb = [
            "train",
            str(file),
            "--data",
            str(data),
            "--out",
            str(out),
            *(["--metrics"] if metrics else []),
            *(["--keep-failures"] if keep_failures else []),
            *(["--trust-code"] if code_is_trusted() else []),
        ]
        deaf = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        kept = ["--signals-to-handle", _WITHOUT_HANGUP] if deaf else []
        alone = [] if "PET_NNODES" in os.environ else ["--standalone", "--nproc-per-node", str(count)]
        try:
            run(get_args_parser().parse_args([*alone, *kept, "--no-python", *_RANK, *verb]))
        except ChildFailedError as error:
            raise _stopped(error) from None
        except SignalException as error:
            raise ValueError(f"{STOPPED} by {error.sigval.name}; {_CONTINUE}") from None


_RANK = (sys.executable, "-P", "-u", "-m", "precisionflow")
"""Command of a rank: this Python, without the modules of the current folder, its output unbuffered."""
_WITHOUT_HANGUP = "SIGTERM,SIGINT,SIGQUIT"
"""Signals that torchrun acts upon in a process that a closed terminal does not end."""
_CONTINUE = "run again to go on from the last checkpoint"


class LostRankError(ValueError):
    """A rank was killed."""

    def __init__(self, rank: int, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"{STOPPED}: rank {rank} was killed by {name}; {_CONTINUE}")
        self.cause = f"rank {rank} was {killed_by(number)}"


def _stopped(error: "ChildFailedError") -> ValueError:
    """Rank that ended first, and how; a killed rank takes the others with it, so it is named before them."""
    rank, failure = error.get_first_failure()
    for other, one in error.failures.items():
        if one.exitcode == -signal.SIGKILL:
            rank, failure = other, one
    if failure.exitcode < 0:
        return LostRankError(rank, -failure.exitcode)
    cause = f"rank {rank} ended with exit code {failure.exitcode}, its message is above"
    return ValueError(f"{STOPPED}: {cause}; {_CONTINUE}")
