"""Files that gzip compressed, cut short or damaged anywhere: one line that names the file, from every reader."""

import gzip
import zlib
from collections import Counter

import numpy as np
import pytest

from precisionflow.config.sources import ConlluFile, TableFile, TextFile
from precisionflow.config.tables import FileForm
from precisionflow.data.readers.compressed import readable
from precisionflow.data.readers.conllu import read_sentences
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources import text_file

NUMBERS = np.random.default_rng(0).integers(0, 10**9, (40_000, 2)).tolist()
CONTENT = {
    "a.csv": "a,b\n" + "".join(f"{a},{b}\n" for a, b in NUMBERS),
    "a.jsonl": "".join(f'{{"a": {a}, "b": {b}}}\n' for a, b in NUMBERS),
    "a.conllu": "".join(f"1\t{a}\t_\tX\t_\t_\t0\t_\t_\t{b}\n\n" for a, b in NUMBERS),
    "a.txt": "".join(f"{a} {b}\n" for a, b in NUMBERS),
}


def read(path):
    if path.name.startswith("a.txt"):
        return text_file.text_of(path).count()
    if path.name.startswith("a.conllu"):
        return len(list(read_sentences(path, ["upos"], Counter())))
    return TableInFile.open(path, FileForm()).whole().num_rows


def spoilt(data, how, share):
    place = int(share * len(data))
    match how:
        case "cut":
            return data[:place]
        case "damaged":
            return data[:place] + bytes(200) + data[place + 200 :]
        case _:
            return data[:-8] + bytes(4) + data[-4:]


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize(
    ("how", "share"), [("cut", 0.001), ("cut", 0.9), ("damaged", 0.001), ("damaged", 0.5), ("checksum", 1.0)]
)
def test_what_cannot_be_decompressed_is_one_line(tmp_path, name, how, share):
    path, data = tmp_path / f"{name}.gz", gzip.compress(CONTENT[name].encode(), mtime=0)
    path.write_bytes(data)
    read(path)
    path.write_bytes(spoilt(data, how, share))
    with pytest.raises(ValueError, match=f"^{path}: [^\n]*$") as fault:
        read(path)
    assert how == "damaged" or "cannot be read " in str(fault.value)


@pytest.mark.parametrize(("how", "share"), [("cut", 0.4), ("damaged", 0.3)])
def test_a_text_that_is_spoilt_after_it_was_counted_is_one_line(tmp_path, monkeypatch, how, share):
    """A later reading seeks first."""
    monkeypatch.setattr(text_file, "CHUNK", 1 << 12)
    path, data = tmp_path / "a.txt.gz", gzip.compress(CONTENT["a.txt"].encode(), mtime=0)
    path.write_bytes(data)
    text = text_file.text_of(path)
    count = text.count()
    path.write_bytes(spoilt(data, how, share))
    with pytest.raises(ValueError, match=f"^{path}: cannot be read .*; fetch"):
        list(text.between(count - 10, count))


@pytest.mark.parametrize("error", [EOFError("a"), OSError("a"), zlib.error("a"), gzip.BadGzipFile("a")])
def test_what_a_reading_raises_names_the_file(tmp_path, error):
    with (
        pytest.raises(ValueError, match=f"^{tmp_path}: cannot be read \\(a\\); fetch or write it again$"),
        readable(tmp_path),
    ):
        raise error


def test_a_data_set_is_called_without_the_suffix_of_gzip():
    for source in (
        TableFile(path="/b.csv.gz", target="y"),
        ConlluFile(path="/b.conllu.gz"),
        TextFile(path="/b.txt.gz"),
    ):
        assert source.dataset == "b"
