"""Texts through `prepare`: vocabulary, cut by position, decoding in chunks."""

from pathlib import Path

import numpy as np
import pytest

from precisionflow.data.prepare import prepare
from precisionflow.data.sources import text_file
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


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 1 << 20])
def test_the_mark_of_the_order_of_bytes_is_no_character(characters, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(text_file, "CHUNK", chunk)
    (tmp_path / "marked.txt").write_bytes(("\ufeff" + MIXED[:400] + "\ufeff.").encode())
    folder, card = prepared(characters(tmp_path / "marked.txt", context=4), tmp_path / "out")
    parts = read_text(folder, card)
    assert "".join(parts[part] for part in PARTS) == MIXED[:400] + "\ufeff."


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
