"""Memory of a rank under ZeRO stages 0 to 3 beside DeepSpeed's accounting, and the time of a step: real CPU ranks.

`largest` is the parameters of the largest layer, n the number of ranks. DeepSpeed's functions count bytes of 16-bit
weights (stage 2: 2 + 18 / n a parameter; stage 3: 18 / n, and 4 of the largest layer). The engine `deepspeed` keeps
weights, gradients, the optimiser's copy of the weights and both moments in float32, so the same terms are 4 bytes each:

    stage 0: weights, gradients, moments: 16            stage 1: weights, gradients, 12 / n
    stage 2: weights, (gradients and 12) / n            stage 3: (weights, gradients and 12) / n, 4 of the largest layer

Memory is what the process holds more than before the engine was opened, at the moment when the optimiser begins its
step: all that is counted is there then, and what is free has been given back. Within a step more is held, such as the
optimiser's intermediate results and buckets of gradients.
"""

import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from measured import Measured, arguments, present

WIDTH, LAYERS, STEPS = 2048, 6, 4
BAR = 0.10
"""How far the memory of a rank may be from the accounting, as a share of it."""
TREE = {
    "name": "memory",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp", "hidden": [WIDTH] * LAYERS},
    "objective": {"kind": "gaussian_nll"},
    "training": {"steps": 100, "batch_size": 8},
}


def accounted(stage: int, *, parameters: int, largest: int, ranks: int) -> float:
    """Bytes of weights, gradients and the optimiser's state in float32, as the module's docstring has them."""
    match stage:
        case 0:
            return 16.0 * parameters
        case 1:
            return parameters * (8 + 12 / ranks)
        case 2:
            return parameters * (4 + 16 / ranks)
        case _:
            return parameters * 20 / ranks + 4 * largest


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settled() -> int:
    """The same after what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident()


class Highest:
    """The most memory that this process holds while the block runs, looked at each millisecond."""

    def __enter__(self) -> "Highest":
        self.bytes, self._ended = resident(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._ended.wait(0.001):
            self.bytes = max(self.bytes, resident())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def on_a_rank(folder: Path) -> None:
    """Train under every stage; the first rank writes what it measured."""
    import torch
    from torch import distributed as dist

    from precisionflow.config import resolve
    from precisionflow.training.engines import zero
    from precisionflow.training.launch import leave
    from precisionflow.training.population import CellOf, Single
    from precisionflow.training.ranks import Ranks

    zero.quiet()
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    ranks, found = Ranks.of_process(torch.device("cpu")), []
    for stage in (0, *range(4)):  # the first stage twice: what is loaded once counts for none
        settings = {"kind": "deepspeed", "ranks": ranks.count, "zero_stage": stage, "device": "cpu"}
        before = settled()
        engine = Single(resolve(TREE | {"engine": settings}), folder / "data", CellOf(0, 0)).open(ranks, None)
        engine.step(engine.feed.batch(0), 0)
        seconds, held = [], list[int]()
        base = getattr(engine.engine.optimizer, "optimizer", engine.engine.optimizer)
        hook = base.register_step_pre_hook(lambda *_, held=held: held.append(settled()))
        engine.step(engine.feed.batch(STEPS), STEPS)
        hook.remove()
        settled()
        with Highest() as highest:
            for step in range(1, STEPS):
                start = time.perf_counter()
                engine.step(engine.feed.batch(step), step)
                seconds.append(time.perf_counter() - start)
        sizes = [getattr(p, "ds_numel", p.numel()) for p in engine.network.parameters()]
        memory = max(held) - before, highest.bytes - before
        found.append((stage, *memory, statistics.median(seconds), sum(sizes), max(sizes)))
        engine.close()
        del engine
    if ranks.first:
        (folder / "found.json").write_text(json.dumps(found[1:]))
    dist.destroy_process_group()
    leave()


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    given = parser.parse_args()
    from precisionflow.config import resolve
    from precisionflow.data.prepare import prepare

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare([resolve(TREE)], out=folder / "data")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        variables = os.environ | {"DS_ACCELERATOR": "cpu", "ZERO_MEMORY": name}
        subprocess.run([*command, str(given.ranks), __file__], check=True, env=variables)
        found = json.loads((folder / "found.json").read_text())
    present([row for one in found for row in rows(*one, ranks=given.ranks)], given.json)


def rows(
    stage: int,
    measured: int,
    highest: int,
    seconds: float,
    parameters: int,
    largest: int,
    *,
    ranks: int,
) -> list[Measured]:
    """The table of one stage."""
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    name = f"stage {stage}, {ranks} ranks"
    expected = accounted(stage, parameters=parameters, largest=largest, ranks=ranks)
    found = [
        Measured(f"{name}: memory of a rank when the optimiser begins", measured / 2**20, "MiB"),
        Measured(f"{name}: the same as accounted", expected / 2**20, "MiB"),
        Measured(f"{name}: away from it", abs(measured / expected - 1), "", BAR),
        Measured(f"{name}: the highest within a step", highest / 2**20, "MiB"),
    ]
    own = {"num_gpus_per_node": ranks, "num_nodes": 1, "cpu_offload": False}
    if stage == 2:
        _, said = estimate_zero2_model_states_mem_needs(parameters, **own)
        found.append(Measured(f"{name}: DeepSpeed's function, of 16-bit weights", said / 2**20, "MiB"))
    if stage == 3:
        _, said, _ = estimate_zero3_model_states_mem_needs(parameters, largest, **own)
        found.append(Measured(f"{name}: DeepSpeed's function, of 16-bit weights", said / 2**20, "MiB"))
    return [*found, Measured(f"{name}: a step", 1000 * seconds, "ms")]


if __name__ == "__main__":
    on_a_rank(Path(os.environ["ZERO_MEMORY"])) if "ZERO_MEMORY" in os.environ else main()
