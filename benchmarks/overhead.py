"""What a pipeline costs beside its work: a toy study of 40 cells, and the quickstart with its peak memory.

The toy study is the experiment `toy` with a fourth objective, 8 variants with 5 seeds each, on one split: wall time of
`precisionflow run` over the seconds inside its stages, divided by the tasks that run at once. All of it is of one run.
It is measured with each cell trained by itself, as every other experiment trains, and with the five seeds of a variant
as one program, which leaves so little work that the fixed cost of a run shows.
The quickstart is compared with its stages called bare, one after the other: the stage functions in one process
(training starts its ranks as always), without KFP and MLflow.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from measured import Measured, arguments, present
from precisionflow.pipelines.at_once import tasks_at_once

from precisionflow import stages
from precisionflow.app.run import finished_stages
from precisionflow.config import load
from precisionflow.results.layout import Results

QUICKSTART = ("quickstart-language", "quickstart-regression")
TOY = (
    "ablation.axes.objective.beta_nll_1={objective.kind: gaussian_nll, objective.beta: 1.0}",
    "ablation.axes.posterior.ensemble={model.posterior: {kind: ensemble, members: 5, folds: null}}",
    "seeds=[0, 1, 2, 3, 4]",
    "splits=[0]",
)
"""Settings of `toy`: 4 objectives, each with one network and with an ensemble, make 8 variants."""
CELLS = 40
ENGINES = {"each cell by itself": "torch", "five seeds as one program": "batched"}


def bare(settings: list[str], folder: Path) -> dict[str, float]:
    """Seconds of each verb, all variants together."""
    experiments = [load(name, settings) for name in QUICKSTART]
    variants, results = stages.expand(experiments), Results(folder)
    models = [results.model(variant) for variant in variants]
    evaluations = [results.evaluation(variant) for variant in variants]

    def train() -> None:
        for variant, model in zip(variants, models, strict=True):
            stages.train(variant, data=results.data, out=model)

    def evaluate() -> None:
        for variant, model, out in zip(variants, models, evaluations, strict=True):
            stages.evaluate(variant, data=results.data, model=model, out=out)

    def aggregate() -> None:
        stages.aggregate(experiments, evaluations=evaluations, out=results.aggregate)

    def report() -> None:
        stages.report(
            experiments,
            models=models,
            evaluations=evaluations,
            aggregate=results.aggregate,
            out=results.report,
        )

    return {
        "prepare": seconds(lambda: stages.prepare(variants, out=results.data)),
        "train": seconds(train),
        "evaluate": seconds(evaluate),
        "aggregate": seconds(aggregate),
        "report": seconds(report),
    }


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def study(how: str, settings: list[str], folder: Path) -> list[Measured]:
    """The toy study: wall time, seconds inside the stages of each verb, and the one over the other."""
    wall, _ = piped(["toy"], [*TOY, f"engine.kind={ENGINES[how]}", *settings], folder / ENGINES[how])
    spent: dict[str, float] = {}
    finished = finished_stages(folder / ENGINES[how]).values()
    for marker in finished:
        spent[marker.verb] = spent.get(marker.verb, 0.0) + marker.seconds
    cells = sum(marker.verb == "evaluate" for marker in finished)
    assert cells == CELLS, cells
    bare, of = sum(spent.values()) / tasks_at_once(), f"toy study, {how}"
    return [
        *(Measured(f"{of}, inside {verb}", seconds, "s") for verb, seconds in spent.items()),
        Measured(f"{of}, inside the stages over tasks at once", bare, "s"),
        Measured(f"{of}, wall", wall, "s"),
        Measured(f"{of}, wall over its work", wall / bare, "1", 1.25),
    ]


def piped(names: Sequence[str], settings: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall seconds of `precisionflow run` and its peak memory (resident, process tree, shared pages once) in GiB."""
    overrides = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "precisionflow", "run", *names, "--out", str(folder), *overrides]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    if process.wait():
        sys.exit(f"benchmark: the run ended with exit code {process.returncode}")
    return time.perf_counter() - start, peak[0]


def _watch(pid: int, peak: list[float]) -> None:
    while True:
        try:
            root = psutil.Process(pid)
            total = sum(_proportional(process) for process in [root, *root.children(recursive=True)])
        except psutil.NoSuchProcess:
            return
        peak[0] = max(peak[0], total / 2**30)
        time.sleep(0.5)


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def main() -> None:
    """Measure in one go and compare."""
    parser = arguments(__doc__)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--toy", action="store_true", help="the toy study alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of_toy = given.settings if given.toy else []
        results = [measured for how in ENGINES for measured in study(how, of_toy, Path(folder))]
        if given.toy:
            present(results, given.json)
            return
        wall, memory = piped(QUICKSTART, given.settings, Path(folder) / "piped")
        stages = bare(given.settings, Path(folder) / "bare")
    total = sum(stages.values())
    results += [Measured(f"{verb}, bare", spent, "s") for verb, spent in stages.items()]
    results += [
        Measured("all stages, bare", total, "s"),
        Measured("pipeline, wall", wall, "s", 360.0),
        Measured("pipeline over bare stages", wall / total, "1", 1.25),
        Measured("pipeline, peak memory of all processes", memory, "GiB", 3.0),
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
