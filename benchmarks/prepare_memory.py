"""Peak memory of `prepare` on files far larger than it may hold: texts by token, sentences, a table, images.

The extra memory is the peak resident size of a process that prepares the file, less that of one that prepares
a file of a few kilobytes; of texts it stands beside the peak for 1 MB too. What grows with the file are a table's row
indices, a few tens of bytes a row, and a vocabulary of all words that a text holds twice.
"""

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measured import Measured, arguments, present
from texts import write_words

BAR = 300.0
"""Megabytes (10^6 bytes) beyond the baseline."""
FLAT = 1.5
"""Peak memory of a process, of a text of any size over one of 1 MB."""

TABLE = ("quickstart-regression", "task.source={{kind: uci_folder, path: {}}}", "splits=[0]")
TEXT = ("quickstart-language", "task.source={{kind: text_file, path: {}}}")
TASKS: dict[str, tuple[str, ...]] = {"table": TABLE}
for _tokens in ("characters", "bytes", "words", "byte_pairs"):
    TASKS[f"text of {_tokens.replace('_', ' ')}"] = (*TEXT, f"task.tokens={{kind: {_tokens}}}")
FEW_WORDS = "text of words, the 30,000 most common"
TASKS[FEW_WORDS] = (*TEXT, "task.tokens={kind: words, most: 30000}")
TASKS["classified sentences"] = (
    "sst2",
    "task.source={{kind: table_file, path: {}, test: null}}",
    "task.tokens={kind: words}",
    "splits=[0]",
    "evaluation.held_out=split",
    "task.validation=rows",
)
TASKS["classified sentences, whole texts validate"] = (
    *TASKS["classified sentences"][:-1],
    "task.validation=whole_texts",
)
TASKS["tagged words"] = ("ewt", "task.source={{kind: conllu, path: {}, test: null}}", "task.auxiliary={}")
IMAGES = (
    "pc-digits",
    "task.source={{kind: image_file, path: {}}}",
    "task.unknown=['2']",
    "splits=[0]",
)
TASKS |= {"images by NumPy": IMAGES, "images in Parquet": IMAGES}
EDGE = 28
"""Pixels of an image's side."""
CHILD = """
import resource, sys
from pathlib import Path
from precisionflow.config import load
from precisionflow.data.prepare import prepare
*settings, out = sys.argv[2:]
prepare([load(sys.argv[1], settings)], out=Path(out))
status = Path("/proc/self/status")
if status.exists():  # of this program alone: the other number is at least the peak of the process that began it
    peak = int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak)
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


def write_tagged(path: Path, size: int) -> None:
    """About `size` bytes of CoNLL-U: documents of ten sentences of twelve words by Zipf's law, each with its tag."""
    texts = path.with_suffix(".words")
    write_words(texts, size // 4)
    with texts.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as file:
        for row, line in enumerate(lines):
            file.write("# newdoc\n" if row % 10 == 0 else "")
            for place, word in enumerate(line.split(), start=1):
                file.write(f"{place}\t{word}\t_\tT{len(word)}\t_\t_\t0\t_\t_\t_\n")
            file.write("\n" if line.split() else "")


def write_classified(path: Path, size: int) -> None:
    """About `size` bytes of sentences of twelve words by Zipf's law, each with one of two classes."""
    texts = path.with_suffix(".words")
    write_words(texts, size)
    with texts.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as file:
        file.write("sentence\tlabel\n")
        file.writelines(f"{line.strip()}\t{row % 2}\n" for row, line in enumerate(lines) if line.strip())


def write_npz(path: Path, size: int) -> None:
    """About `size` bytes of images by NumPy, of three classes."""
    count = max(size // EDGE**2, 100)
    images = np.random.default_rng(0).integers(0, 256, (count, EDGE, EDGE), dtype=np.uint8)
    np.savez(path, image=images, label=np.arange(count) % 3)


def write_images(path: Path, size: int) -> None:
    """About `size` bytes of images in Parquet, of three classes, a million rows in a group."""
    count = max(size // EDGE**2, 100)
    pixels = np.random.default_rng(0).integers(0, 256, count * EDGE**2, dtype=np.uint8)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(pixels), EDGE**2)
    pq.write_table(pa.table({"image": rows, "label": pa.array(np.arange(count) % 3)}), path)


WRITERS: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "table": (write_table, ""),
    "classified sentences": (write_classified, ".tsv"),
    "classified sentences, whole texts validate": (write_classified, ".tsv"),
    "tagged words": (write_tagged, ".conllu"),
    "images by NumPy": (write_npz, ".npz"),
    "images in Parquet": (write_images, ".parquet"),
}
"""Kind -> (what writes its file, end of its name); text of words for others."""


def peak(kind: str, path: Path, out: Path) -> float:
    """Peak resident megabytes of a process that prepares `path`."""
    name, source, *settings = TASKS[kind]
    command = [sys.executable, "-c", CHILD, name, source.format(path), *settings, str(out)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(finished.stdout) / 1e6


def measure(megabytes: float, folder: Path, kinds: Sequence[str]) -> list[Measured]:
    """Two entries for each kind of file."""
    results = []
    for kind in kinds:
        peaks = {}
        write, suffix = WRITERS.get(kind, (write_words, ""))
        for label, size in (("small", 10_000), ("one", 1_000_000), ("large", int(megabytes * 1e6))):
            path = folder / f"{label}-{write.__name__}{suffix}"
            if not path.exists():
                write(path, size)
            peaks[label] = peak(kind, path, folder / f"out-{label}-{kind.replace(' ', '-')}")
        of = f"{kind} of {megabytes:g} MB"
        extra = round(peaks["large"] - peaks["small"], 1)
        results.append(Measured(f"prepare: extra peak memory, {of}", extra, "MB", BAR))
        times = round(peaks["large"] / peaks["one"], 3)
        bar = FLAT if kind.startswith("text of") else None
        results.append(Measured(f"prepare: peak memory over that of 1 MB, {of}", times, "1", bar))
    return results


def main() -> None:
    """Measure every kind of file."""
    parser = arguments(__doc__)
    parser.add_argument("--megabytes", type=float, default=200.0, help="size of each file")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), help="kinds of file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        present(measure(given.megabytes, Path(folder), given.only), given.json)


if __name__ == "__main__":
    main()
