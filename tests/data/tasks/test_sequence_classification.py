"""Classified texts: the vocabulary of the training texts alone, sorted classes, the cut of a table, refusals."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.config import ConfigError, resolve
from precisionflow.data.batches import Sequences
from precisionflow.data.prepare import prepare
from precisionflow.data.tokens.listed import PADDING, UNKNOWN
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import data_folder

RARE = {"kind": "words", "least_count": 1}
TEXTS = [f"{'good' if i % 2 else 'bad'} film number {i}" for i in range(40)]


def write(path: Path, texts=TEXTS, labels=None) -> Path:
    labels = labels or ["positive" if i % 2 else "negative" for i in range(len(texts))]
    lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in zip(texts, labels, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def experiment(path: Path, **task: object):
    source = {"kind": "table_file", "path": str(path), "features": ["sentence"], "target": "label"}
    return resolve(
        {
            "name": "films",
            "task": {"kind": "sequence_classification", "source": source} | task,
            "model": {"kind": "transformer"},
            "objective": {"kind": "cross_entropy"},
        }
    )


def prepared(given, out: Path) -> tuple[DatasetCard, dict[str, Sequences]]:
    prepare([given], out=out)
    folder = data_folder(out, given, 0)
    card = read_card(folder / "dataset.json", DatasetCard)
    return card, {part: Sequences.read(folder / f"{part}.parquet") for part in card.rows}


def test_rows_are_cut_as_those_of_a_table_and_read_back(tmp_path):
    card, parts = prepared(experiment(write(tmp_path / "films.tsv"), tokens=RARE), tmp_path / "out")
    assert card.rows == {"train": 32, "valid": 4, "test": 4}
    assert card.class_names == ("negative", "positive")
    assert card.tokens[:2] == (PADDING, UNKNOWN)
    assert list(card.tokens[2:]) == sorted(card.tokens[2:])
    assert parts["test"].rows.tolist() == sorted(np.random.default_rng(0).permutation(40)[:4])
    for part in parts.values():
        for row, tokens, target in zip(part.rows, part.tokens, part.target, strict=True):
            words = TEXTS[row].split()
            read = [card.tokens[i] for (i,) in tokens]
            assert [a for a, b in zip(read, words, strict=True) if a not in (b, UNKNOWN)] == []
            assert card.class_names[target] == ("positive" if row % 2 else "negative")
    for tokens in parts["train"].tokens:
        assert [1] not in tokens


def test_the_vocabulary_knows_no_word_of_validation_and_test_texts_alone(tmp_path):
    card, parts = prepared(experiment(write(tmp_path / "films.tsv"), tokens=RARE), tmp_path / "out")
    apart = [*parts["valid"].rows, *parts["test"].rows]
    assert not {str(row) for row in apart} & set(card.tokens)
    assert all(tokens[-1] == [1] for part in ("valid", "test") for tokens in parts[part].tokens)
    rare, _ = prepared(experiment(tmp_path / "films.tsv"), tmp_path / "out")
    assert rare.tokens == (PADDING, UNKNOWN, "bad", "film", "good", "number")


def test_long_texts_are_cut_and_characters_are_tokens(tmp_path):
    path = write(tmp_path / "films.tsv")
    card, parts = prepared(experiment(path, context=3, tokens={"kind": "characters"}), tmp_path / "out")
    assert {len(tokens) for part in parts.values() for tokens in part.tokens} == {3}
    assert {card.tokens[i] for (i,) in parts["train"].tokens[0]} <= set("good") | set("bad")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"texts": [*TEXTS[:5], " ", *TEXTS[6:]]},
            "row 5 (counted from 0), column 'sentence': an empty cell",
        ),
        ({"labels": ["x"] * 40}, "column 'label' is 'x' in every training row"),
        ({"texts": TEXTS[:2]}, "has 2 rows; 3 are the fewest"),
    ],
)
def test_bad_files(tmp_path, changes, expected):
    path = write(tmp_path / "films.tsv", **changes)
    with pytest.raises(ValueError, match=r".") as caught:
        prepare([experiment(path)], out=tmp_path / "out")
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_without_a_word_is_refused(tmp_path):
    path = write(tmp_path / "films.tsv")
    with pytest.raises(
        ValueError,
        match=r": none of the words stands 99 times in the training texts; lower task\.tokens\.least_count$",
    ):
        prepare([experiment(path, tokens={"kind": "words", "least_count": 99})], out=tmp_path / "out")


PARQUET_LABELS = [i % 2 for i in range(40)]


def parquet(path: Path, text: pa.Array, label: pa.Array) -> Path:
    pq.write_table(pa.table({"sentence": text, "label": label}), path)
    return path


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        (pa.array(PARQUET_LABELS), ("0", "1")),
        (pa.array([bool(i) for i in PARQUET_LABELS]), ("false", "true")),
        (pa.array(["ab"[i] for i in PARQUET_LABELS]).dictionary_encode(), ("a", "b")),
    ],
)
def test_classes_of_a_parquet_file_are_texts_or_whole_numbers(tmp_path, label, classes):
    path = parquet(tmp_path / "films.parquet", pa.array(TEXTS), label)
    card, _ = prepared(experiment(path), tmp_path / "out")
    assert card.class_names == classes


@pytest.mark.parametrize(
    ("text", "label", "named"),
    [
        (pa.array([[1, 2]] * 40), pa.array(PARQUET_LABELS), "'sentence' holds list<"),
        (pa.array([b"\xff"] * 40), pa.array(PARQUET_LABELS), "'sentence' holds binary;"),
        (pa.array(TEXTS), pa.array([0.0, float("nan")] * 20), "'label' holds double;"),
    ],
)
def test_a_column_of_another_kind_is_named(tmp_path, text, label, named):
    path = parquet(tmp_path / "films.parquet", text, label)
    with pytest.raises(ValueError, match=r"should hold a text or a whole number in each row$") as caught:
        prepare([experiment(path)], out=tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: column {named}")


def test_a_lone_quotation_mark_between_tabs_is_a_character_and_commas_may_be_quoted(tmp_path):
    texts = ['"good film', *TEXTS[1:]]
    tabs, _ = prepared(experiment(write(tmp_path / "films.tsv", texts), tokens=RARE), tmp_path / "tabs")
    assert '"good' in tabs.tokens
    rows = [f'"{text}, they said ""so""",{i % 2}' for i, text in enumerate(TEXTS)]
    (tmp_path / "films.csv").write_text("\n".join(["sentence,label", *rows]) + "\n")
    commas, _ = prepared(experiment(tmp_path / "films.csv"), tmp_path / "commas")
    assert '"so"' in commas.tokens


def test_a_class_that_cannot_be_learned_is_told_with_its_row(tmp_path):
    test_rows = np.random.default_rng(0).permutation(40)[:4]
    labels = ["positive" if i % 2 else "negative" for i in range(40)]
    alone = list(labels)
    alone[7] = "neither"
    for row in test_rows[:2]:
        labels[row] = "neither"
    first = min(test_rows[:2])
    for given, row, problem in (
        (labels, first, "that no training row of this split has; give more rows"),
        (alone, 7, "of one row, which cannot be learned and tested; give more rows"),
    ):
        path = write(tmp_path / "films.tsv", labels=given)
        with pytest.raises(ValueError, match=r".") as caught:
            prepare([experiment(path)], out=tmp_path / "out")
        begun = f"{path}: row {row} (counted from 0), column 'label': 'neither' is a class {problem}"
        assert str(caught.value).startswith(begun)


def test_one_column_has_to_be_the_text():
    source = {"kind": "table_file", "path": "films.tsv", "target": "label"}
    with pytest.raises(
        ConfigError, match=r"^task\.source\.features: given none; name the one column with the text"
    ):
        experiment(Path("films.tsv"), source=source)
