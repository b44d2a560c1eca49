"""Seconds until the command line answers, and until the light parts are imported: the best of five new processes."""

import subprocess
import sys
import time

from measured import Measured, arguments, present

PROCESSES = 5
MEASURES = {
    "precisionflow --help": (["-m", "precisionflow", "--help"], 0.5),
    "precisionflow list": (["-m", "precisionflow", "list"], 0.5),
    "precisionflow show quickstart-language": (["-m", "precisionflow", "show", "quickstart-language"], 0.5),
    "import precisionflow": (["-c", "import precisionflow"], 0.3),
    "import precisionflow.config": (["-c", "import precisionflow.config"], 0.3),
    "Python alone": (["-c", "pass"], None),
}
"""measure -> arguments of Python, bar in seconds."""


def best_seconds(words: list[str]) -> float:
    """Wall time of the fastest of some processes: the others waited for something else."""
    seconds = []
    for _ in range(PROCESSES):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Print a table of seconds."""
    file = arguments(__doc__).parse_args().json
    present([Measured(name, best_seconds(words), "s", bar) for name, (words, bar) in MEASURES.items()], file)


if __name__ == "__main__":
    main()
