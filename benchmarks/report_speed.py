"""The report of 10,000 cells, and the weight of pages of several variants on several data sets: invented cells.

Each stage has a process of its own, whose seconds, seconds of the processor and memory are told.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from measured import Measured, arguments, present

ROOT = Path(__file__).parents[1]
SECONDS, MEGABYTES = 20.0, 3.0
PROGRAM = """
import json, resource, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from precisionflow.ablation.aggregate import aggregate
from precisionflow.report.page import report
from tests.synthetic import evaluations, models, plausible, regression

folder, stage, (variants, sets, splits, seeds, rows) = Path(sys.argv[2]), sys.argv[3], map(int, sys.argv[4:9])
level = "      beta{0}: {{objective.kind: gaussian_nll, objective.beta: 0.00{0}}}\\n"
levels = "".join(level.format(k) for k in range(variants - 2))
named = "".join(f"    set{k}: {{task.source.path: set{k}}}\\n" for k in range(sets))
last = "      heteroscedastic: {objective.kind: gaussian_nll, objective.beta: 0.999}\\n"
whole = regression(
    ("seeds: [0, 1]", f"seeds: {list(range(seeds))}"),
    ("[0, 1, 2, 3, 4, 5, 6]", f"{list(range(splits))}"),
    ("      heteroscedastic: {objective.kind: gaussian_nll}\\n", last + levels),
    ("ablation:\\n", f"ablation:\\n  datasets:\\n{named}"),
    ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: uci_folder, path: set0}"),
)
trained, judged = (sorted((folder / verb).glob("*/*/*")) for verb in ("train", "evaluate"))
joined = folder / "aggregate"
start, work = time.perf_counter(), time.process_time()
match stage:
    case "invent":
        evaluations(whole, folder, plausible, rows=rows)
        models(whole, folder)
    case "aggregate":
        aggregate([whole], evaluations=judged, out=joined)
    case "report":
        report([whole], models=trained, evaluations=judged, aggregate=joined, out=folder / "report")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
print(json.dumps([time.perf_counter() - start, time.process_time() - work, memory]))
"""


class Cost(NamedTuple):
    """What a stage took."""

    seconds: float
    processor: float
    """Seconds of it."""
    memory: float
    """MiB at most, that of the libraries too."""


def staged(size: Sequence[int]) -> tuple[Cost, Cost, float]:
    """Aggregate, report, and MB of the page; `size` is of variants, sets, splits, seeds and test rows."""
    folder = Path(tempfile.mkdtemp())
    try:
        words = [sys.executable, "-c", PROGRAM, str(ROOT), str(folder)]
        costs = []
        for stage in ("invent", "aggregate", "report"):
            of = [*words, stage, *map(str, size)]
            said = subprocess.run(of, check=True, capture_output=True, text=True).stdout
            costs.append(Cost(*json.loads(said)))
        return costs[1], costs[2], (folder / "report" / "report.html").stat().st_size / 1e6
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="of 10 variants on 10 splits")
    given = parser.parse_args()
    results = []
    for variants, sets in ((7, 5), (5, 7)):
        *_, weight = staged((variants, sets, 3, 1, 80))
        title = f"page of {variants} variants on {sets} sets with 3 splits"
        results.append(Measured(title, weight, "MB", MEGABYTES))
    joined, written, weight = staged((10, 1, 10, given.seeds, 40))
    cells = 100 * given.seeds
    results += [
        Measured(f"report of {cells:,} cells", written.seconds, "s", SECONDS),
        Measured("its seconds of the processor", written.processor, "s"),
        Measured("its memory", written.memory, "MiB"),
        Measured("weight of its page", weight, "MB", MEGABYTES),
        Measured(f"aggregate of {cells:,} cells", joined.seconds, "s"),
        Measured("its seconds of the processor", joined.processor, "s"),
        Measured("its memory", joined.memory, "MiB"),
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
