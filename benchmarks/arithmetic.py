"""Cheaper arithmetic on a CPU: seconds of networks in bfloat16 and int8 over float32, torch's and ONNX Runtime's.

Networks of 13 numbers with hidden layers of 64 and of 512 units, on one thread, the least of some calls. The float32
of ONNX Runtime is compared with torch's too. `--peer PYTHON` is one that has ONNX Runtime:

    python3 -m venv onnx && onnx/bin/pip install onnx==1.23.2 onnxruntime==1.31.1
    python benchmarks/arithmetic.py --peer onnx/bin/python
"""

import copy
import itertools
import json
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from measured import Measured, arguments, present
from torch import Tensor, nn

FEATURES, OUTPUTS = 13, 2
NETWORKS = {"two layers of 64": (64, 64), "three layers of 512": (512, 512, 512)}
ROWS, CALLS, LONGEST = (1, 100, 1000, 10_000), 50, 2.0
"""Rows of a batch; calls of which the fastest counts, fewer where they take so many seconds."""
PEER = Path(__file__).parent / "peers" / "onnx_networks.py"


def network(hidden: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    torch.manual_seed(0)
    widths = (FEATURES, *hidden, OUTPUTS)
    layers = [each for pair in itertools.pairwise(widths) for each in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


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


def by_torch(model: nn.Sequential, batch: Tensor) -> dict[str, float]:
    """Seconds of every arithmetic."""
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eight = quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)

    def half() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(batch)  # type: ignore[no-any-return]

    with torch.no_grad():
        return in_turn({"float32": lambda: model(batch), "bfloat16": half, "int8": lambda: eight(batch)})


def main() -> None:
    """Print the ratios."""
    parser = arguments(__doc__)
    parser.add_argument("--peer", type=Path, metavar="PYTHON", help="of an environment that has ONNX Runtime")
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: network(hidden) for name, hidden in NETWORKS.items()}
    theirs: dict[str, dict[str, dict[str, float]]] = {}
    if given.peer:
        weights = {
            name: [
                [layer.weight.tolist(), layer.bias.tolist()]
                for layer in model
                if isinstance(layer, nn.Linear)
            ]
            for name, model in models.items()
        }
        asked = json.dumps({"networks": weights, "rows": ROWS, "calls": CALLS, "longest": LONGEST})
        done = subprocess.run([given.peer, PEER], input=asked, stdout=subprocess.PIPE, text=True, check=True)
        theirs = json.loads(done.stdout.splitlines()[-1])
    results = []
    for name, model in models.items():
        for rows in ROWS:
            torch.manual_seed(1)
            ours = by_torch(model, torch.randn(rows, FEATURES))
            where = f"{name}, {rows:,} rows: "
            results.append(Measured(f"{where}float32", 1e3 * ours["float32"], "ms"))
            for of in ("bfloat16", "int8"):
                results.append(Measured(f"{where}{of} over float32", ours[of] / ours["float32"], "1"))
            if theirs:
                peer = theirs[name][str(rows)]
                for of in ("float32", "int8"):
                    measure = f"{where}ONNX Runtime's {of} over torch's float32"
                    results.append(Measured(measure, peer[of] / ours["float32"], "1"))
                results.append(
                    Measured(
                        f"{where}ONNX Runtime's int8 over its float32", peer["int8"] / peer["float32"], "1"
                    )
                )
    present(results, given.json)


if __name__ == "__main__":
    main()
