"""Starting the ranks of a training run on this machine with torchrun."""

import os
import sys
import tempfile
from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.config.engine import DeepSpeedEngine, TorchEngine


def launched() -> bool:
    """Whether this process is already a rank that torchrun or a TrainJob started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank_count(experiment: Experiment) -> int | None:
    """Ranks to start; none where the engine is one plain process."""
    match experiment.engine:
        case DeepSpeedEngine(ranks=ranks):
            return ranks
        case TorchEngine():
            return None


def launch(experiment: Experiment, *, data: Path, out: Path) -> None:
    """Run `precisionflow train` on the experiment's ranks; ValueError when one of them fails."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    count = rank_count(experiment)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // (count or 1))))
    with tempfile.TemporaryDirectory(prefix="precisionflow-") as folder:
        file = Path(folder) / "experiment.json"
        file.write_text(experiment.model_dump_json(), encoding="utf-8")
        verb = ["train", str(file), "--data", str(data), "--out", str(out)]
        torchrun = ["--standalone", "--nproc-per-node", str(count), "-m", "precisionflow"]
        try:
            run(get_args_parser().parse_args([*torchrun, *verb]))
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            sys.stderr.flush()
            raise ValueError(
                f"training stopped: rank {rank} ended with exit code {failure.exitcode}; its message is above; "
                "run again to go on from the last checkpoint"
            ) from None
