"""Peak memory of `prepare` on files far larger than it may hold: a text of each kind of token, a table in the UCI form.

The extra memory is the peak resident size of a process that prepares the file, less that of one that prepares
a file of a few kilobytes. Only a table's row indices grow with the file, a few tens of bytes a row, and the counts of
distinct words, as a language has more of them in a longer text.
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import Measured, arguments, present
from texts import write_words

BAR = 300.0
"""Megabytes (10^6 bytes) beyond the baseline."""

TABLE = ("quickstart-regression", "task.source={{kind: uci_folder, path: {}}}", "splits=[0]")
TEXT = ("quickstart-language", "task.source={{kind: text_file, path: {}}}")
TASKS = {"table": TABLE} | {
    f"text of {kind.replace('_', ' ')}": (*TEXT, f"task.tokens={{kind: {kind}}}")
    for kind in ("characters", "bytes", "words", "byte_pairs")
}
CHILD = """
import resource, sys
from pathlib import Path
from precisionflow.config import load
from precisionflow.data.prepare import prepare
experiment = load(sys.argv[1], sys.argv[2:4])
prepare([experiment], out=Path(sys.argv[4]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024))
"""


def write_table(folder: Path, size: int, columns: int = 9) -> None:
    """A folder of the UCI form with about `size` bytes of rows; every tenth row is a test row."""
    random.seed(0)
    folder.mkdir()
    rows = max(size // (columns * 10), 100)
    with (folder / "data.txt").open("w") as data:
        for _ in range(rows):
            data.write(" ".join(f"{random.gauss(0, 1):9.6f}" for _ in range(columns)) + "\n")
    with (folder / "index_train_0.txt").open("w") as train, (folder / "index_test_0.txt").open("w") as test:
        for row in range(rows):
            (train if row % 10 else test).write(f"{row}\n")
    (folder / "index_features.txt").write_text("".join(f"{column}\n" for column in range(columns - 1)))
    (folder / "index_target.txt").write_text(f"{columns - 1}\n")


def peak(kind: str, path: Path, out: Path) -> float:
    """Peak resident megabytes of a process that prepares `path`."""
    name, source, setting = TASKS[kind]
    command = [sys.executable, "-c", CHILD, name, source.format(path), setting, str(out)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(finished.stdout) / 1e6


def measure(megabytes: float, folder: Path) -> list[Measured]:
    """One entry for each kind of file."""
    results = []
    for kind in TASKS:
        peaks = {}
        write = write_table if kind == "table" else write_words
        for label, size in (("small", 10_000), ("large", int(megabytes * 1e6))):
            path = folder / f"{label}-{write.__name__}"
            if not path.exists():
                write(path, size)
            peaks[label] = peak(kind, path, folder / f"out-{label}-{kind.replace(' ', '-')}")
        extra = round(peaks["large"] - peaks["small"], 1)
        results.append(Measured(f"prepare: extra peak memory, {kind} of {megabytes:g} MB", extra, "MB", BAR))
    return results


def main() -> None:
    """Measure both kinds of file."""
    parser = arguments(__doc__)
    parser.add_argument("--megabytes", type=float, default=200.0, help="size of each file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        present(measure(given.megabytes, Path(folder)), given.json)


if __name__ == "__main__":
    main()
