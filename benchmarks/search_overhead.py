"""What the local search costs beyond its trials, and how busy its parallel trials keep two cores.

Trials count in a loop for a fixed number of rounds. Overhead of a trial: the time of a search that runs one at a time,
from its first line of progress to that of the last trial, less that of the same commands called bare, over the trials.
What is done once, imports before and page and MLflow afterwards, is shown apart.
"""

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import Measured, arguments, present

from precisionflow.search.runner.run import run_study
from precisionflow.search.study import Study, parse_study

COUNT = "import sys\nfor _ in range(int(sys.argv[1])): pass\nprint('loss=' + sys.argv[2])"
PARALLEL, CORES = 4, 2


def study(rounds: int, *, trials: int, parallel: int) -> Study:
    """A Katib Experiment whose trials do nothing but count."""
    words = [sys.executable, "-I", "-S", "-c", COUNT, str(rounds), "${trialParameters.x}"]
    template = {
        "primaryContainerName": "trial",
        "trialParameters": [{"name": "x", "reference": "x"}],
        "trialSpec": {"spec": {"template": {"spec": {"containers": [{"name": "trial", "command": words}]}}}},
    }
    content = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": "counting"},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "multivariate-tpe"},
            "parameters": [
                {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}
            ],
            "maxTrialCount": trials,
            "parallelTrialCount": parallel,
            "trialTemplate": template,
        },
    }
    return parse_study(content)


class Screen(io.StringIO):
    """Remembers when it was first and last written to."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def write(self, text: str) -> int:
        self.times.append(time.perf_counter())
        return super().write(text)


def searched(given: Study, out: Path) -> tuple[float, float]:
    """Seconds of the trials, and of what is done once."""
    screen, start = Screen(), time.perf_counter()
    run_study(given, out=out, screen=screen)
    whole, trials = time.perf_counter() - start, screen.times[-1] - screen.times[0]
    return trials, whole - trials


def bare(rounds: int, trials: int) -> float:
    """Wall seconds of the commands, one after the other."""
    start = time.perf_counter()
    for _ in range(trials):
        command = [sys.executable, "-I", "-S", "-c", COUNT, str(rounds), "0.5"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def overhead(folder: Path, *, rounds: int, trials: int) -> list[Measured]:
    """Of a search that runs one trial at a time."""
    spent, once = searched(study(rounds, trials=trials, parallel=1), folder)
    alone = bare(rounds, trials)
    return [
        Measured("a trial, called bare", alone / trials, "s"),
        Measured("overhead a trial", (spent - alone) / trials, "s", 0.5),
        Measured("imports, page and MLflow, once a search", once, "s"),
    ]


def idle(folder: Path, *, rounds: int, trials: int) -> Measured:
    """Share of two cores that is idle from the first trial's start to the last one's end."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:CORES])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent, _ = searched(study(rounds, trials=trials, parallel=PARALLEL), folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.sched_setaffinity(0, allowed)
    cores = min(CORES, len(allowed))
    busy = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / (cores * spent)
    return Measured(f"idle share of {cores} cores, {PARALLEL} trials at once", 1 - busy, "1", 0.1)


def main() -> None:
    """Measure both and compare."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=60_000_000, help="how long a trial counts")
    parser.add_argument("--trials", type=int, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = overhead(Path(folder, "one"), rounds=given.rounds, trials=given.trials)
        results.append(idle(Path(folder, "many"), rounds=given.rounds, trials=given.trials))
    present(results, given.json)


if __name__ == "__main__":
    main()
