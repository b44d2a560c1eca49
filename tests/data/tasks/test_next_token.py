"""Texts through `prepare`: vocabulary, cut by position, decoding in chunks."""

import gzip
from contextlib import nullcontext as does_not_raise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.config.tables import FileForm
from precisionflow.data.prepare import prepare
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources import text_file
from precisionflow.data.tasks import next_token
from precisionflow.data.tokens.running import restored_running
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import TOKENS
from precisionflow.results.layout import data_folder

PARTS = ("train", "valid", "test")
MIXED = "σ² = 1/π\r\n誤差 🎯 é\tprecision\n" * 40


def read_text(folder, card):
    """Every part's characters."""
    tables = {part: read_parquet(folder / f"{part}.parquet", TOKENS) for part in PARTS}
    ids = {part: table["token"].to_pylist() for part, table in tables.items()}
    return {part: "".join(card.tokens[i] for i in tokens) for part, tokens in ids.items()}


def prepared(experiment, out):
    prepare([experiment], out=out)
    folder = data_folder(out, experiment, 0)
    card = read_card(folder / "dataset.json", DatasetCard)
    return folder, card


def test_parts_are_the_text_cut_by_position(characters, tmp_path):
    path = tmp_path / "mixed.txt"
    path.write_bytes(MIXED.encode())
    experiment = characters(path, context=8, validation_fraction=0.1, test_fraction=0.2)
    folder, card = prepared(experiment, tmp_path / "out")
    parts = read_text(folder, card)
    count = len(MIXED)
    assert "".join(parts[part] for part in PARTS) == MIXED
    assert [len(parts[part]) for part in PARTS] == [
        count - count // 10 - count // 5,
        count // 10,
        count // 5,
    ]
    assert card.rows == {part: len(content) for part, content in parts.items()}
    assert list(card.tokens) == sorted(set(MIXED))
    assert card.standardisation is None


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_characters_across_chunk_borders(characters, tmp_path, monkeypatch, chunk):
    paths = [tmp_path / "whole.txt", tmp_path / "chunked.txt"]
    for path in paths:
        path.write_bytes(MIXED.encode())
    whole, card = prepared(characters(paths[0], context=8), tmp_path / "out")
    monkeypatch.setattr(text_file, "CHUNK", chunk)
    chunked, chunked_card = prepared(characters(paths[1], context=8), tmp_path / "out")
    assert card.tokens == chunked_card.tokens
    assert read_text(whole, card) == read_text(chunked, chunked_card)


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("group", [1, 5, len(MIXED) - 2 * (len(MIXED) // 10), 1 << 20])
def test_row_groups_hold_all_tokens_in_order(characters, tmp_path, monkeypatch, chunk, group):
    """Pieces of any size over groups of any size, one of them just as long as the training part."""
    monkeypatch.setattr(text_file, "CHUNK", chunk)
    monkeypatch.setattr(next_token, "ROW_GROUP", group)
    (tmp_path / "mixed.txt").write_bytes(MIXED.encode())
    experiment = characters(tmp_path / "mixed.txt", context=8, validation_fraction=0.1, test_fraction=0.1)
    folder, card = prepared(experiment, tmp_path / "out")
    parts = read_text(folder, card)
    assert "".join(parts[part] for part in PARTS) == MIXED
    for part in PARTS:
        file = pq.ParquetFile(folder / f"{part}.parquet").metadata
        sizes = [file.row_group(place).num_rows for place in range(file.num_row_groups)]
        assert sizes[:-1] == [group] * (len(sizes) - 1)
        assert 0 < sizes[-1] <= group


@pytest.mark.parametrize(
    ("text", "ends"),
    [(MIXED, does_not_raise()), ("short", pytest.raises(ValueError, match="needs task"))],
)
def test_arrow_has_its_allocator_again(characters, tmp_path, monkeypatch, text, ends):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    before, while_written = pa.default_memory_pool().backend_name, list[str]()
    append = next_token.part_files

    def watched(*given):
        while_written.append(pa.default_memory_pool().backend_name)
        return append(*given)

    monkeypatch.setattr(next_token, "part_files", watched)
    with ends:
        prepared(characters(tmp_path / "text.txt", context=8), tmp_path / "out")
    assert while_written == ["system"]
    assert pa.default_memory_pool().backend_name == before


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 1 << 20])
def test_the_mark_of_the_order_of_bytes_is_no_character(characters, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(text_file, "CHUNK", chunk)
    (tmp_path / "marked.txt").write_bytes(f"\ufeff{MIXED[:200]}\ufeff.{MIXED[:200]}".encode())
    folder, card = prepared(characters(tmp_path / "marked.txt", context=4), tmp_path / "out")
    parts = read_text(folder, card)
    assert "".join(parts[part] for part in PARTS) == f"{MIXED[:200]}\ufeff.{MIXED[:200]}"


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("compressed", [False, True])
def test_forms_of_a_text_file(characters, tmp_path, monkeypatch, chunk, encoding, compressed):
    monkeypatch.setattr(text_file, "CHUNK", chunk)
    data = MIXED[:400].encode(encoding)
    path = tmp_path / ("mixed.txt.gz" if compressed else "mixed.txt")
    path.write_bytes(gzip.compress(data) if compressed else data)
    experiment = characters(path, context=4)
    assert experiment.dataset == "mixed"
    folder, card = prepared(experiment, tmp_path / "out")
    parts = read_text(folder, card)
    assert "".join(parts[part] for part in PARTS) == MIXED[:400]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("stated", [False, True])
def test_the_encoding_of_text_and_table_is_known_by_its_mark_or_its_zeros(
    tmp_path, mark, order, encoding, stated
):
    """Stated or not, marked or not: no mark and no zero byte is a character."""
    encoding += f"-{order}" * (encoding != "utf-8")
    text = "a\ty\n" + "1\té\n" * 3
    for name in ("t.txt", "t.tsv"):
        (tmp_path / name).write_bytes(f"{mark}{text}".encode(encoding))
    said = encoding if stated else None
    assert b"".join(text_file.text_of(tmp_path / "t.txt", stated=said).chunks()).decode() == text
    table = TableInFile.open(tmp_path / "t.tsv", FileForm(encoding=said)).whole()
    assert table.to_pydict() == {"a": ["1"] * 3, "y": ["é"] * 3}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_a_text_is_read_from_any_place(tmp_path, monkeypatch, chunk, compressed, encoding):
    monkeypatch.setattr(text_file, "CHUNK", chunk)
    whole = "誤差 a\r\n" * 20 if encoding == "cp932" else MIXED[:150]
    data, path = whole.encode(encoding), tmp_path / "text"
    path.write_bytes(gzip.compress(data) if compressed else data)
    text = text_file.text_of(path, stated=encoding)
    assert text.count() == len(whole)
    drawn = np.random.default_rng(0).integers(0, len(whole) + 1, (40, 2))
    for start, end in np.sort(drawn, axis=1).tolist():
        assert b"".join(text.between(start, end)).decode() == whole[start:end]


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_chunks_before_a_place_are_not_read_again(tmp_path, monkeypatch, encoding):
    """They hold another text by then."""
    monkeypatch.setattr(text_file, "CHUNK", 64)
    whole, path = "誤差 a\r\n" * 40, tmp_path / "text"
    path.write_bytes(whole.encode(encoding))
    text = text_file.text_of(path, stated=encoding)
    count = text.count()
    with path.open("r+b") as file:
        file.write(b"x" * 40)
    assert b"".join(text.between(count - 20, count)).decode() == whole[-20:]
    assert b"".join(text.between(0, count)).decode() != whole


def words(path, **source):
    return {"kind": "text_file", "path": str(path)} | {key: str(value) for key, value in source.items()}


def test_parts_from_files_of_their_own(characters, tmp_path):
    texts = {"train": "a b c d " * 20, "valid": "d e " * 10, "test": "b c é " * 10}
    paths = {part: tmp_path / f"{part}.txt" for part in texts}
    for part, path in paths.items():
        path.write_text(texts[part], encoding="utf-8")
    lines = []
    source = words(paths["train"], valid=paths["valid"], test=paths["test"], name="three")
    experiment = characters(source, context=4, tokens={"kind": "words", "least_count": 1})
    prepare([experiment], out=tmp_path / "out", report=lines.append)
    card = read_card(data_folder(tmp_path / "out", experiment, 0) / "dataset.json", DatasetCard)
    assert card.rows == {"train": 80, "valid": 20, "test": 30}
    assert card.tokens == ("a", "b", "c", "d", "<unk>")
    assert {part: size.unknown for part, size in card.text.items()} == {"train": 0, "valid": 10, "test": 10}
    assert card.text["test"].characters == len(texts["test"]) - 1
    assert card.text["test"].bytes == len(texts["test"].encode()) - 1
    note = f"{paths['train']}: words that the vocabulary does not hold: 10 of 20 in valid, 10 of 30 in test"
    assert card.notes == (note,)
    assert lines == [note, "three split 0: prepared"]
    lines.clear()
    prepare([experiment], out=tmp_path / "out", report=lines.append)
    assert lines == [note, "three split 0: unchanged"]
    assert experiment.task.source.files == tuple(map(str, paths.values()))

    source = words(paths["train"], test=paths["test"])
    part = characters(source, context=4, validation_fraction=0.25, tokens={"kind": "words"})
    _, card = prepared(part, tmp_path / "out")
    assert (part.dataset, card.rows) == ("train", {"train": 61, "valid": 19, "test": 30})
    paths["test"].write_text("b c " * 10)
    assert prepared(part, tmp_path / "out")[1].source_sha256 != card.source_sha256


@pytest.mark.parametrize("kind", ["words", "byte_pairs", "bytes", "characters"])
def test_a_cut_leaves_words_whole(characters, tmp_path, kind):
    text = "one three " * 60
    (tmp_path / "words.txt").write_text(text)
    experiment = characters(tmp_path / "words.txt", context=4, tokens={"kind": kind})
    folder, card = prepared(experiment, tmp_path / "out")
    tokeniser = restored_running(experiment.task.tokens, card.known)
    ids = [read_parquet(folder / f"{part}.parquet", TOKENS)["token"].to_pylist() for part in PARTS]
    train, valid, test = (tokeniser.text(part) for part in ids)
    if kind == "words":
        assert f"{train} {valid} {test}" == text.strip()
        assert card.tokens == ("one", "three")
        return
    assert train + valid + test == text
    if kind == "byte_pairs":
        assert (valid[0], test[0]) == (" ", " ")
    else:
        assert (len(valid), len(test)) == (30, 30)


def test_the_published_counts_of_wikitext_2(raw_data: Path, characters, tmp_path):
    files = raw_data / "wikitext2"
    source = words(files / "train.articles_permuted.txt", test=files / "valid.txt", valid=files / "valid.txt")
    experiment = characters(source, tokens={"kind": "words", "line_ends": True})
    _, card = prepared(experiment, tmp_path)
    assert card.rows == {"train": 2_088_628, "valid": 217_646, "test": 217_646}
    assert len(card.tokens) == 33_278
    assert {size.unknown for size in card.text.values()} == {0}


def test_tiny_shakespeare(raw_data: Path, characters, tmp_path, monkeypatch):
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(raw_data))
    folder, card = prepared(characters({"kind": "tiny_shakespeare"}), tmp_path)
    assert sum(card.rows.values()) == 1_115_394
    assert len(card.tokens) == 65
    assert card.rows["valid"] == card.rows["test"] == 55_769
    tokens = read_parquet(folder / "train.parquet", TOKENS)["token"].to_numpy()
    assert "".join(np.array(card.tokens)[tokens[:13]]) == "First Citizen"


def test_another_file_is_not_tiny_shakespeare(characters, tmp_path, monkeypatch):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare/input.txt").write_text("Second Citizen" * 1000)
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"is not the published tiny Shakespeare .* fetch it again"):
        prepared(characters({"kind": "tiny_shakespeare"}), tmp_path / "out")
