"""`precisionflow plan` of 10,000 cells, all open and all done: seconds that a fresh process keeps a core busy."""

import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import Measured, arguments, present

from precisionflow.ablation.design import expand
from precisionflow.config import load
from precisionflow.results.cells import evaluation_inputs, preparation_inputs, training_inputs
from precisionflow.results.layout import Results, cell_folder, data_folder
from precisionflow.results.stage import once

BAR = 2.0
AXES = {
    "steps": ("training.steps", range(100, 105)),
    "patience": ("training.patience", range(1, 6)),
    "batch": ("training.batch_size", (8, 16, 32, 64)),
}
"""100 variants, of which 10 splits and 10 seeds make 10,000 cells."""


def settings() -> list[str]:
    """Settings of the shipped experiment `toy` that give it 10,000 cells."""
    axes = {
        axis: {f"{axis}_{value}": {key: value} for value in values} for axis, (key, values) in AXES.items()
    }
    return [f"ablation.axes={axes}", f"seeds={list(range(10))}"]


def finish(folder: Path) -> int:
    """Mark every cell as finished, without a file in it; their number."""
    variants, results, count = expand(load("toy", settings())), Results(folder), 0
    for variant in (variant.experiment for variant in variants):
        models, evaluations = results.model(variant), results.evaluation(variant)
        for split in variant.splits:
            inputs = preparation_inputs(variant, source_sha256="0", split=split)
            once(data_folder(results.data, variant, split), verb="prepare", inputs=inputs, work=_nothing)
            for seed in variant.seeds:
                asked = training_inputs(variant, data=results.data, seed=seed, split=split)
                once(cell_folder(models, seed, split), verb="train", inputs=asked, work=_nothing)
                judged = evaluation_inputs(variant, data=results.data, model=models, seed=seed, split=split)
                once(cell_folder(evaluations, seed, split), verb="evaluate", inputs=judged, work=_nothing)
                count += 1
    return count


def _nothing(_folder: Path) -> None:
    """No file."""


def seconds(folder: Path) -> float:
    """Time of a core, of the faster of two processes."""
    chosen = [word for setting in settings() for word in ("--set", setting)]
    command = [sys.executable, "-m", "precisionflow", "plan", "toy", "--out", str(folder), *chosen]
    found = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> None:
    """Print a table of seconds."""
    file, folder = arguments(__doc__).parse_args().json, Path(tempfile.mkdtemp())
    try:
        begun = seconds(folder)
        assert finish(folder) == 10_000
        done = seconds(folder)
    finally:
        shutil.rmtree(folder)
    cells = "precisionflow plan, 10,000 cells"
    present([Measured(f"{cells} open", begun, "s", BAR), Measured(f"{cells} done", done, "s", BAR)], file)


if __name__ == "__main__":
    main()
