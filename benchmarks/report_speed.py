"""The report of 10,000 cells, and the weight of the page of 7 variants on 5 data sets with 3 splits: invented cells."""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import Measured, arguments, present

ROOT = Path(__file__).parents[1]
SECONDS, MEBIBYTES = 20.0, 3.0
PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from precisionflow.ablation.aggregate import aggregate
from precisionflow.report.page import report
from tests.synthetic import evaluations, models, plausible, regression

folder, variants, sets, splits, seeds, rows = Path(sys.argv[2]), *map(int, sys.argv[3:8])
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
judged, trained = evaluations(whole, folder, plausible, rows=rows), models(whole, folder)
start = time.perf_counter()
aggregate([whole], evaluations=judged, out=folder / "aggregate")
middle = time.perf_counter()
report([whole], models=trained, evaluations=judged, aggregate=folder / "aggregate", out=folder / "report")
print(middle - start, time.perf_counter() - middle)
"""


def shown(*, variants: int, sets: int, splits: int, seeds: int, rows: int) -> tuple[float, float, float]:
    """Seconds of aggregate and of report, and MiB of the page, in a process of its own."""
    folder = Path(tempfile.mkdtemp())
    try:
        numbers = map(str, (variants, sets, splits, seeds, rows))
        words = [sys.executable, "-c", PROGRAM, str(ROOT), str(folder), *numbers]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        return float(said[0]), float(said[1]), (folder / "report" / "report.html").stat().st_size / 2**20
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="of 10 variants on 10 splits")
    given = parser.parse_args()
    *_, weight = shown(variants=7, sets=5, splits=3, seeds=1, rows=80)
    cells = 100 * given.seeds
    start = time.perf_counter()
    joined, written, _ = shown(variants=10, sets=1, splits=10, seeds=given.seeds, rows=40)
    print(f"{cells} cells invented and shown in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    results = [
        Measured("page of 7 variants on 5 sets with 3 splits", weight, "MiB", MEBIBYTES),
        Measured(f"report of {cells:,} cells", written, "s", SECONDS),
        Measured(f"aggregate of {cells:,} cells", joined, "s"),
        Measured("memory of both", memory, "MiB"),
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
