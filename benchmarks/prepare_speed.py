"""Speed of `prepare` for texts against `datasets.map` with the same tokens, in megabytes per second of processor time.

Both read one text of words drawn by Zipf's law, learn the vocabulary from it and write ids as Parquet; `datasets` maps
batches of lines in one process, by a comprehension or by the library `tokenizers`. Beside that stands its `map` alone,
without vocabulary and Parquet, over the whole of `prepare`. Both take turns, and the quicker run of each counts; the
time of all threads of a process is its own. What a process spends once is left out: each prepares a small text first.
`datasets` is installed in an environment of its own, build/datasets, which is kept.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measured import Measured, arguments, present
from texts import write_words

DATASETS = "datasets==5.2.0"
BAR = 0.2
"""Speed of `datasets` over that of `prepare`: at most a fifth."""
KINDS = {
    "bytes": "{kind: bytes}",
    "characters": "{kind: characters}",
    "words": "{kind: words, line_ends: true}",
    "byte pairs": "{kind: byte_pairs}",
}
OURS = """
import sys, time
from pathlib import Path
from precisionflow.config import load
from precisionflow.data.prepare import prepare

def work(path, tokens, out):
    source = "task.source={kind: text_file, path: %s}" % path
    experiment = load("quickstart-language", [source, "task.tokens=" + tokens])
    start = time.process_time()
    prepare([experiment], out=Path(out))
    return time.process_time() - start

warm, path, tokens, out = sys.argv[1:]
work(warm, tokens, out + "/warm")
print(work(path, tokens, out))
"""
THEIRS = """
import json, sys, time
from collections import Counter
from datasets import disable_progress_bars, load_dataset
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

def encoder(lines, kind):
    batches = (batch["text"] for batch in lines.iter(1000))
    if kind == "characters":
        index = {c: i for i, c in enumerate(sorted({c for texts in batches for text in texts for c in text}))}
        return lambda batch: {"ids": [[index[c] for c in text] for text in batch["text"]]}
    if kind == "bytes":
        return lambda batch: {"ids": [list(text.encode()) for text in batch["text"]]}
    if kind == "words":
        counts = Counter()
        for texts in batches:
            for text in texts:
                counts.update([*text.split(), "<eos>"])
        kept = [word for word, count in counts.most_common() if count >= 2]
        index = {token: i for i, token in enumerate([*kept, "<unk>"])}
        unknown = index["<unk>"]
        read = lambda text: [index.get(word, unknown) for word in [*text.split(), "<eos>"]]
        return lambda batch: {"ids": [read(text) for text in batch["text"]]}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=4096, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(batches, trainer)
    return lambda batch: {"ids": [found.ids for found in tokenizer.encode_batch_fast(batch["text"])]}

def work(path, kind, out):
    lines = load_dataset("text", data_files=path, split="train", cache_dir=out + "/cache", keep_linebreaks=True)
    start = time.process_time()
    encode = encoder(lines, kind)
    learned = time.process_time()
    ids = lines.map(encode, batched=True, remove_columns=["text"])
    mapped = time.process_time()
    ids.to_parquet(out + "/ids.parquet")
    return {"all": time.process_time() - start, "map": mapped - learned}

disable_progress_bars()
warm, path, kind, out = sys.argv[1:]
work(warm, kind, out + "/warm")
print(json.dumps(work(path, kind, out)))
"""


def environment(folder: Path) -> Path:
    """The Python of an environment with `datasets`."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", DATASETS, "tokenizers==0.23.3"], check=True
        )
    return python


def seconds(python: Path | str, program: str, *words: str) -> str:
    """What a program prints last."""
    done = subprocess.run([python, "-c", program, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Every kind of token."""
    parser = arguments(__doc__)
    parser.add_argument("--megabytes", type=float, default=20.0, help="size of the text that is made up")
    parser.add_argument("--text", type=Path, help="a text to prepare instead")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side")
    parser.add_argument("--environment", type=Path, default=Path("build/datasets"))
    given = parser.parse_args()
    python, results = environment(given.environment.absolute()), []
    with tempfile.TemporaryDirectory() as folder:
        path = given.text.absolute() if given.text else Path(folder) / "text.txt"
        if not given.text:
            write_words(path, int(given.megabytes * 1e6))
        megabytes, warm = path.stat().st_size / 1e6, Path(folder) / "warm.txt"
        write_words(warm, 100_000)
        for kind, setting in KINDS.items():
            times: dict[str, list[float]] = {"own": [], "all": [], "map": []}
            for turn in range(given.repeats):
                out = str(Path(folder) / f"{kind.replace(' ', '-')}-{turn}")
                times["own"].append(float(seconds(sys.executable, OURS, str(warm), str(path), setting, out)))
                for part, taken in json.loads(
                    seconds(python, THEIRS, str(warm), str(path), kind, out)
                ).items():
                    times[part].append(taken)
            own, theirs, alone = (megabytes / min(taken) for taken in times.values())
            results += [
                Measured(f"{kind}: prepare", own, "MB/s"),
                Measured(f"{kind}: datasets, vocabulary, map and Parquet", theirs, "MB/s"),
                Measured(f"{kind}: datasets over prepare", theirs / own, "1", bar=BAR),
                Measured(f"{kind}: datasets.map alone over the whole of prepare", alone / own, "1"),
            ]
    present(results, given.json)


if __name__ == "__main__":
    main()
