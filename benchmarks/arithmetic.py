"""Cheaper arithmetic on a CPU: seconds of networks in bfloat16 and in int8 over float32, beside torch's own int8.

Networks of 13 numbers with hidden layers of 64 and of 512 units, on one thread, the least of some calls. int8 has
to take less than float32 everywhere.
"""

import copy
import itertools
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from measured import Measured, arguments, present
from torch import Tensor, nn

from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors.point import Point
from precisionflow.serving.arithmetic.int8 import in_int8

sys.path.append(str(Path(__file__).parents[1]))
from tests.raw_likelihood import Raw

FEATURES, OUTPUTS = 13, 2
NETWORKS = {"two layers of 64": (64, 64), "three layers of 512": (512, 512, 512)}
ROWS, CALLS, LONGEST = (1, 100, 1000, 10_000), 50, 2.0
"""Rows of a batch; calls of which the fastest counts, fewer where they take so many seconds."""


def network(hidden: tuple[int, ...]) -> Point:
    """Linear layers with ReLU between them."""
    torch.manual_seed(0)
    widths = (FEATURES, *hidden)
    layers = [nn.Sequential(nn.Linear(*pair), nn.ReLU()) for pair in itertools.pairwise(widths)]
    model = Layered(layers, nn.Linear(widths[-1], OUTPUTS), states=[(width,) for width in hidden])
    return Point(model.eval(), Raw())


def in_turn(work: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Least seconds of each, called one after the other in every turn."""
    found = dict.fromkeys(work, float("inf"))
    begun, turns = time.perf_counter(), 0
    while turns < 3 or (turns < CALLS and time.perf_counter() - begun < LONGEST * len(work)):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            found[name] = min(found[name], time.perf_counter() - start)
        turns += 1
    return found


def seconds(posterior: Point, batch: Tensor) -> dict[str, float]:
    """Seconds of every arithmetic."""
    from torch.ao.quantization import quantize_dynamic

    model = posterior.model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchs = quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    eight = in_int8(posterior, features=FEATURES, largest=float(batch.abs().max()))
    assert eight

    def half() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(batch)  # type: ignore[no-any-return]

    with torch.no_grad():
        return in_turn(
            {
                "float32": lambda: model(batch),
                "bfloat16": half,
                "int8": lambda: eight.predict(batch),
                "torch's int8": lambda: torchs(batch),
            }
        )


def main() -> None:
    """Print the ratios."""
    parser = arguments(__doc__)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for name, hidden in NETWORKS.items():
        model = network(hidden)
        for rows in ROWS:
            torch.manual_seed(1)
            found = seconds(model, torch.randn(rows, FEATURES))
            where = f"{name}, {rows:,} rows: "
            results.append(Measured(f"{where}float32", 1e3 * found["float32"], "ms"))
            for of in ("bfloat16", "int8", "torch's int8"):
                bar = 1.0 if of == "int8" else None
                results.append(Measured(f"{where}{of} over float32", found[of] / found["float32"], "1", bar))
    present(results, given.json)


if __name__ == "__main__":
    main()
