"""Classified texts: the vocabulary of the training texts alone, sorted classes, the cut of a table, refusals."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.config import ConfigError, resolve
from precisionflow.data import overlap
from precisionflow.data.batches import Sequences
from precisionflow.data.prepare import prepare
from precisionflow.data.tasks import sequence_classification
from precisionflow.data.tasks.sequence_classification import SECOND, SEPARATOR
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


@pytest.mark.parametrize("chunk", [1, 3, 36])
def test_texts_are_written_piece_by_piece_as_they_are_at_once(tmp_path, monkeypatch, chunk):
    given = experiment(write(tmp_path / "films.tsv"), tokens=RARE)
    card, whole = prepared(given, tmp_path / "whole")
    monkeypatch.setattr(sequence_classification, "CHUNK", chunk)
    pieces_card, pieces = prepared(given, tmp_path / "pieces")
    assert pieces_card == card
    for part, of in whole.items():
        assert pieces[part].rows.tolist() == of.rows.tolist()
        assert pieces[part].target.tolist() == of.target.tolist()
        assert [list(tokens) for tokens in pieces[part].tokens] == [list(tokens) for tokens in of.tokens]
        file = pq.ParquetFile(data_folder(tmp_path / "pieces", given, 0) / f"{part}.parquet")
        assert file.num_row_groups >= len(of.rows) // chunk


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


def rows_of(path: Path, texts: list[str], first: int = 0) -> Path:
    return write(path, texts, ["positive" if (first + i) % 2 else "negative" for i in range(len(texts))])


def source(path: Path, **more: object) -> dict[str, object]:
    return {"kind": "table_file", "path": str(path), "features": ["sentence"], "target": "label"} | more


def test_files_of_their_own_are_the_parts(tmp_path):
    paths = [rows_of(tmp_path / f"{i}.tsv", TEXTS[: 8 * (i + 1)]) for i in range(3)]
    given = source(paths[2], valid=str(paths[0]), test=str(paths[1]))
    card, parts = prepared(experiment(paths[2], source=given), tmp_path / "out")
    assert card.rows == {"train": 24, "valid": 8, "test": 16}
    assert {part: of.rows.tolist() for part, of in parts.items()} == {
        "train": list(range(24)),
        "valid": list(range(24, 32)),
        "test": list(range(32, 48)),
    }
    card, parts = prepared(
        experiment(paths[2], source=source(paths[2], test=str(paths[1]))), tmp_path / "cut"
    )
    assert card.rows == {"train": 22, "valid": 2, "test": 16}
    faulty = write(tmp_path / "bad.tsv", TEXTS[:4], ["positive", "negative", "other", "other"])
    with pytest.raises(
        ValueError, match=rf"^{faulty}: row 2 \(counted from 0\), column 'label': 'other' is a cl"
    ):
        prepared(experiment(paths[2], source=source(paths[2], test=str(faulty))), tmp_path / "bad")


def test_a_test_file_and_a_split_are_one_too_many():
    both = source(Path("a.tsv"), test="b.tsv", split={"kind": "k_fold", "k": 5})
    with pytest.raises(
        ConfigError,
        match=r"task.source.split cuts the rows of path, but task.source.test is a file of its own; leave one",
    ):
        experiment(Path("a.tsv"), source=both)
    with pytest.raises(ConfigError, match=r"test 'b\.xlsx' should end in .*; save the table as CSV, UTF-8"):
        experiment(Path("a.tsv"), source=source(Path("a.tsv"), test="b.xlsx"))


def test_whole_texts_validate_and_what_stands_inside_them_is_in_no_part(tmp_path):
    """Sentences of four words and all their phrases, as SST-2 has them."""
    sentences = [[f"a{i}", f"b{i}", f"c{i % 3}", f"d{i}"] for i in range(20)]
    texts = [
        " ".join(words[start:end]) for words in sentences for start in range(4) for end in range(start + 1, 5)
    ]
    path = rows_of(tmp_path / "train.tsv", texts)
    test = rows_of(tmp_path / "test.tsv", ["a b c", "d e f"])
    task = {"validation": "whole_texts", "tokens": RARE, "source": source(path, test=str(test))}
    told: list[str] = []
    given = experiment(path, **task)
    prepare([given], out=tmp_path / "out", report=told.append)
    folder = data_folder(tmp_path / "out", given, 0)
    parts = {part: Sequences.read(folder / f"{part}.parquet") for part in ("train", "valid", "test")}
    drawn = [texts[row] for row in parts["valid"].rows]
    assert len(drawn) == 2
    assert all(len(text.split()) == 4 for text in drawn)
    others = [" ".join(words) for words in sentences if " ".join(words) not in drawn]
    held = [any(f" {text} " in f" {other} " for other in others) for text in texts]
    assert parts["train"].rows.tolist() == np.flatnonzero(held).tolist()
    shared = [
        text for text, kept in zip(texts, held, strict=True) if kept and text in " ".join(drawn).split()
    ]
    assert {text[0] for text in shared} == {"c"}
    assert (
        f"{path}: {held.count(False) - 2} texts that stand inside validation texts alone are in no part"
        in told
    )
    with pytest.raises(
        ConfigError, match=r"task\.validation: whole_texts, but task\.source\.valid is the valid"
    ):
        experiment(path, validation="whole_texts", source=source(path, valid="b.tsv"))


@pytest.mark.parametrize("chunk", [7, 60, 100])
def test_whole_texts_are_those_of_a_naive_search(monkeypatch, chunk):
    random = np.random.default_rng(0)
    texts = [tuple(random.choice(list("abc"), random.integers(1, 6))) for _ in range(60)]

    def holds(text: tuple[str, ...], other: tuple[str, ...]) -> bool:
        return any(text[i : i + len(other)] == other for i in range(len(text)))

    expected = [not any(holds(other, text) for other in texts if other != text) for text in texts]
    monkeypatch.setattr(overlap, "CHUNK", chunk)
    found = overlap.Overlap.of(lambda: iter(texts))
    assert found.whole().tolist() == expected
    chosen = np.arange(len(texts)) < 3
    assert found.held_by(chosen).tolist() == [any(holds(c, text) for c in texts[:3]) for text in texts]
    assert overlap.Overlap.of(lambda: iter([(), ("a",), ()])).whole().tolist() == [True] * 3


@pytest.mark.parametrize("kind", ["words", "hashed_words", "characters"])
def test_pairs_have_a_separator_and_the_second_text_a_mark(tmp_path, kind):
    lines = [f"{'yes' if i % 2 else 'no'}\tdo you like it {i}\tindeed i {i}" for i in range(30)]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(["answer\tquestion\treply", *lines]) + "\n")
    pair = {"kind": "table_file", "path": str(path), "features": ["question", "reply"], "target": "answer"}
    given = experiment(path, source=pair, tokens={"kind": kind}, context=64)
    card, parts = prepared(given, tmp_path / "out")
    assert card.tokens[-2:] == (SEPARATOR, SECOND)
    assert card.features == ("question", "reply")
    separator, second = (card.tokens.index(name) for name in (SEPARATOR, SECOND))
    for row, bags in zip(parts["train"].rows, parts["train"].tokens, strict=True):
        texts = lines[row].split("\t")[1:]
        lengths = [len(text if kind == "characters" else text.split()) for text in texts]
        place = bags.index([separator])
        assert [place, len(bags) - place - 1] == lengths
        assert not [bag for bag in bags[:place] if second in bag]
        assert all(bag[-1] == second for bag in bags[place + 1 :])
    cut, parts = prepared(
        experiment(path, source=pair, tokens={"kind": "words"}, context=6), tmp_path / "cut"
    )
    assert {len(bags) for bags in parts["train"].tokens} == {6}
    separator = cut.tokens.index(SEPARATOR)
    assert {bags.index([separator]) for bags in parts["train"].tokens} == {2}


def test_long_texts_are_told_or_refused(tmp_path):
    path, told = write(tmp_path / "films.tsv"), list[str]()
    prepare([experiment(path, context=3)], out=tmp_path / "out", report=told.append)
    assert f"{path}: 40 texts are longer than task.context 3 and were cut" in told
    with pytest.raises(
        ValueError,
        match=rf"^{path}: row 0 \(counted from 0\): column 'sentence': 4 tokens are more than task\.context 3; raise",
    ):
        prepare([experiment(path, context=3, too_long="refuse")], out=tmp_path / "no")
