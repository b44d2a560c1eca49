"""ZeRO stages 0 to 3 on two gloo ranks: bytes of model states of a rank beside DeepSpeed's estimate, and the time of
a step over torch's DistributedDataParallel.

Model states are weights, gradients and the optimiser's copies and moments: storages of the tensors that DeepSpeed
holds, each once, looked at after every operation of a step; the largest sum of the ranks counts.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from attention_page import filled, table_of
from measured import Measured, arguments, present
from torch import Tensor, nn
from torch import distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from precisionflow.config import Experiment, load
from precisionflow.data.prepare import prepare
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks

RANKS = 2
PLAIN = "plain data parallel"
CASES = (PLAIN, "0", "1", "2", "3")
"""torch's DistributedDataParallel, and ZeRO's stages."""
BAR = 0.1
WARM_UP, STEPS, LOOKED_AT, ROUNDS = 3, 20, 2, 2
"""Steps of each process without a clock, with one, and with every operation looked at; processes of each case."""
BEGIN, END = "<!-- table made by benchmarks/zero_memory.py -->", "<!-- end of the table -->"


def experiment_of(case: str) -> Experiment:
    """A transformer of 9.9 million weights on one stage's engine; plain data parallel wraps plain torch's learner."""
    stage = f"{{kind: deepspeed, device: cpu, ranks: {RANKS}, zero_stage: {case}}}"
    engine = "{kind: torch, device: cpu}" if case == PLAIN else stage
    sizes = ["model.blocks=8", "model.width=320", "task.context=32", "training.batch_size=4"]
    return load("quickstart-language", ["ablation.axes={}", f"engine={engine}", *sizes])


def estimates(network: nn.Module) -> dict[str, float]:
    """Bytes of model states of a rank, by stage, of P weights, L of them in the largest layer, over N ranks.

    DeepSpeed's functions, of weights and gradients of 2 bytes beside an AdamW of 4: for stage 2
    2 P + (2 + 4 + 4 + 8) P / N (weights; gradients, their copies of 4 bytes, copies of weights, moments), for stage 3
    (2 + 4 + 4 + 8) P / N + (2 + 2) L (weights; gradients, copies of weights, moments; a layer whole). The engine's
    weights and gradients have 4 bytes: each 2 is a 4, and a gradient is its own copy, as in the function of stage 3.
    That gives 4 P + (4 + 4 + 8) P / N and (4 + 4 + 4 + 8) P / N + (4 + 4) L. DeepSpeed has no function for stages 0
    and 1: theirs are the same terms, 4 P + 4 P + 8 P without a copy of weights, and 4 P + 4 P + (4 + 8) P / N and the
    gradients of a rank's own part, 4 P / N, gradients being whole besides.
    """
    from deepspeed.runtime.zero import stage3, stage_1_and_2

    weights, largest = stage3.model_to_params(network)
    _, second = stage_1_and_2.estimate_zero2_model_states_mem_needs(weights, RANKS, cpu_offload=False)
    _, third, _ = stage3.estimate_zero3_model_states_mem_needs(
        weights, largest, RANKS, cpu_offload=False, cpu_offload_params=False
    )
    return {
        "0": 16 * weights,
        "1": 8 * weights + 16 * weights / RANKS,
        "2": second + 2 * weights - 2 * weights / RANKS,
        "3": third + 2 * weights / RANKS + 4 * largest,
    }


class Looking(TorchDispatchMode):
    """Bytes of each kind of model state of a DeepSpeed engine, where their sum was largest after an operation."""

    def __init__(self, engine: Any) -> None:
        super().__init__()
        self.weights = list(engine.module.parameters())
        self.zero = engine.optimizer
        self.optimiser = getattr(engine.optimizer, "optimizer", engine.optimizer)
        self.largest = dict[str, int]()

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        found = self.found()
        if sum(found.values()) > sum(self.largest.values()):
            self.largest = found
        return result

    def found(self) -> dict[str, int]:
        copies = [group["params"] for group in self.optimiser.param_groups]
        copies.append(getattr(self.zero, "fp32_partitioned_groups_flat", None))
        held = ("averaged_gradients", "all_grad_tensors", "grads_in_partition", "grad_partitions_flat_buffer")
        gradients = [of.grad for of in (*self.weights, *tensors_of(copies))]
        kinds = {
            "weights": [self.weights, [getattr(of, "ds_tensor", None) for of in self.weights]],
            "gradients": [gradients, [getattr(self.zero, name, None) for name in held]],
            "optimiser": [copies, list(self.optimiser.state.values())],
        }
        seen, found = set[int](), dict[str, int]()
        for kind, of in kinds.items():
            storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors_of(of))}
            found[kind] = sum(size for place, size in storages.items() if place not in seen)
            seen |= storages.keys()
        return found


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Tensors in nested containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_of(list(value.values()))
    elif isinstance(value, list | tuple):
        for of in value:
            yield from tensors_of(of)


def of_rank(case: str, folder: Path) -> None:
    """Learn as one of the ranks; the first one writes what all of them measured."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    from precisionflow.training.engines import zero

    zero.load()
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    ranks, before = Ranks.of_process(torch.device("cpu")), _resident()
    engine: Any = Single(experiment_of(case), folder / "data", CellOf(0, 0)).open(ranks, None)
    if case == PLAIN:
        engine.learner = nn.parallel.DistributedDataParallel(engine.learner)
    seconds = []
    for step in range(WARM_UP + STEPS):
        start = time.perf_counter()
        engine.step(engine.feed.batch(step), step)
        seconds.append(time.perf_counter() - start)
    found = {"seconds": statistics.median(seconds[WARM_UP:]), "resident": _resident() - before}
    if case != PLAIN:
        with Looking(engine.engine) as looking:
            for step in range(WARM_UP + STEPS, WARM_UP + STEPS + LOOKED_AT):
                engine.step(engine.feed.batch(step), step)
        found |= looking.largest
    if case == "0":
        found |= {f"estimate {stage}": of for stage, of in estimates(engine.engine.module).items()}
    everywhere: list[Any] = [None] * ranks.count
    dist.all_gather_object(everywhere, found)
    if ranks.first:
        (folder / "found.json").write_text(json.dumps(everywhere))
    dist.barrier()
    os._exit(0)


def _resident() -> float:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measured_by(case: str, folder: Path) -> list[dict[str, float]]:
    """What each rank of a case measured, in processes of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    subprocess.run([*launcher, __file__, "--case", case, "--folder", str(folder)], check=True)
    found: list[dict[str, float]] = json.loads((folder / "found.json").read_text())
    return found


def rows_of(folder: Path) -> list[list[Measured]]:
    """The measures of each stage."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // RANKS)))
    rounds = [{case: measured_by(case, folder) for case in CASES} for _ in range(ROUNDS)]
    first = rounds[0]
    seconds = {case: min(rank["seconds"] for found in rounds for rank in found[case]) for case in CASES}
    rows = []
    for stage in CASES[1:]:
        kinds = ("weights", "gradients", "optimiser")
        most = max(first[stage], key=lambda rank: sum(rank[kind] for kind in kinds))
        states, estimate = sum(most[kind] for kind in kinds), first["0"][0][f"estimate {stage}"]
        resident = max(rank["resident"] for rank in first[stage])
        rows.append(
            [
                *(Measured(f"stage {stage}, {kind}", most[kind] / 1e6, "MB") for kind in kinds),
                Measured(f"stage {stage}, model states", states / 1e6, "MB"),
                Measured(f"stage {stage}, estimate", estimate / 1e6, "MB"),
                Measured(f"stage {stage}, off the estimate by", abs(states / estimate - 1), "1", BAR),
                Measured(f"stage {stage}, resident memory beyond imports", resident / 1e6, "MB"),
                Measured(f"stage {stage}, step over {PLAIN}", seconds[stage] / seconds[PLAIN], "1"),
            ]
        )
    return rows


def main() -> None:
    """Measure all cases, each in processes of its own."""
    parser = arguments(__doc__)
    parser.add_argument("--page", type=Path, help="page whose table is replaced")
    parser.add_argument("--case", choices=CASES, help="be a rank of this case")
    parser.add_argument("--folder", type=Path, help="folder of a rank")
    given = parser.parse_args()
    if given.case:
        of_rank(given.case, given.folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare([experiment_of(PLAIN)], out=folder / "data")
        rows = rows_of(folder)
    present([of for row in rows for of in row], given.json)
    if given.page:
        head = [
            "",
            *(of.measure.partition(", ")[2] + ("" if of.unit == "1" else f", {of.unit}") for of in rows[0]),
        ]
        body = [[row[0].measure.partition(",")[0], *(f"{of.value:.3g}" for of in row)] for row in rows]
        page = filled(given.page.read_text(encoding="utf-8"), table_of(head, body), begin=BEGIN, end=END)
        given.page.write_text(page, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
