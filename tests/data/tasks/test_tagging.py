"""Tagged sentences: parts from one file or three, a vocabulary of training words, tags of all files, what is told."""

import tracemalloc
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from precisionflow.config import Experiment, resolve
from precisionflow.config.tasks import Tagging
from precisionflow.data.batches import Sequences
from precisionflow.data.prepare import prepare
from precisionflow.data.tasks import tagging
from precisionflow.data.tasks.tagging import SEPARATOR, write_tagged
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.schemas import NOT_COUNTED
from precisionflow.results.layout import data_folder

Words = list[tuple[str, str]]


def write(path: Path, sentences: list[Words]) -> Path:
    lines = []
    for sentence in sentences:
        for number, (word, tag) in enumerate(sentence, start=1):
            lines.append("\t".join([str(number), word, "_", tag, tag.lower(), "_", "0", "_", "_", "_"]))
        lines.append("")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def sentences(count: int, first: int = 0) -> list[Words]:
    return [
        [("the", "DET"), (f"dog{i}", "NOUN"), ("runs", "VERB"), ("fast", "_")][: 2 + i % 3]
        for i in range(first, first + count)
    ]


def experiment(
    path: Path, *, valid: Path | None = None, test: Path | None = None, **task: object
) -> Experiment:
    source = {"kind": "conllu", "path": str(path), "valid": valid and str(valid), "test": test and str(test)}
    return resolve(
        {
            "name": "tags",
            "task": {"kind": "tagging", "source": source} | task,
            "model": {"kind": "transformer", "attention": {"prior": {"kind": "full"}}},
            "objective": {"kind": "cross_entropy"},
        }
    )


def prepared(given: Experiment, out: Path) -> tuple[DatasetCard, dict[str, Sequences], list[str]]:
    told: list[str] = []
    prepare([given], out=out, report=told.append)
    folder = data_folder(out, given, 0)
    card = read_card(folder / "dataset.json", DatasetCard)
    parts = {part: Sequences.read(folder / f"{part}.parquet", tagged=True) for part in card.rows}
    return card, parts, told


@pytest.mark.parametrize("column", ["upos", "xpos"])
def test_one_file_is_cut_by_sentences_and_read_back(tmp_path, column):
    given = experiment(write(tmp_path / "a.conllu", sentences(40)), column=column)
    card, parts, _ = prepared(given, tmp_path / "out")
    assert card.rows == {"train": 32, "valid": 4, "test": 4}
    names = ("DET", "NOUN", "VERB")
    assert card.class_names == (names if column == "upos" else tuple(map(str.lower, names)))
    assert card.target == column
    assert parts["test"].rows.tolist() == sorted(np.random.default_rng(0).permutation(40)[:4])
    assert sorted(row for part in parts.values() for row in part.rows) == list(range(40))
    for part in parts.values():
        for row, tags in zip(part.rows, part.tags(), strict=True):
            length = 2 + row % 3
            assert tags[:length].tolist() == [0, 1, 2, NOT_COUNTED][:length]
            assert (tags[length:] == NOT_COUNTED).all()


def test_files_of_their_own_are_the_parts(tmp_path):
    paths = [write(tmp_path / f"{i}.conllu", sentences(n, 100 * i)) for i, n in enumerate((20, 3, 5))]
    card, parts, _ = prepared(experiment(paths[0], valid=paths[1], test=paths[2]), tmp_path / "out")
    assert card.rows == {"train": 20, "valid": 3, "test": 5}
    assert {part: of.rows.tolist() for part, of in parts.items()} == {
        "train": list(range(20)),
        "valid": [20, 21, 22],
        "test": list(range(23, 28)),
    }
    cut, parts, _ = prepared(experiment(paths[0], test=paths[2]), tmp_path / "cut")
    assert cut.rows == {"train": 18, "valid": 2, "test": 5}
    assert parts["test"].rows.tolist() == list(range(20, 25))


def test_chunks_of_sentences_are_the_parts_without_a_chunk_more(tmp_path, monkeypatch):
    """Whatever is written at once, of one file or of two, the same rows, ids and tags are written."""
    paths = [write(tmp_path / f"{i}.conllu", sentences(n, 100 * i)) for i, n in enumerate((40, 6))]
    given = experiment(paths[0], test=paths[1])
    prepare([given], out=tmp_path / "whole")
    monkeypatch.setattr(tagging, "CHUNK", 3)
    prepare([given], out=tmp_path / "chunks")
    whole, chunks = (data_folder(tmp_path / name, given, 0) for name in ("whole", "chunks"))
    for part, groups in {"train": 12, "valid": 2, "test": 2}.items():
        file = pq.ParquetFile(chunks / f"{part}.parquet")
        assert file.num_row_groups == groups
        assert file.read().equals(pq.read_table(whole / f"{part}.parquet"))


def test_sentences_are_read_and_not_held(tmp_path, monkeypatch):
    """What more sentences of the same words take is a number or two of each, not its words."""
    monkeypatch.setattr(tagging, "CHUNK", 32)

    def peak(count: int) -> int:
        again = [sentence for _ in range(count) for sentence in sentences(10)]
        path = write(tmp_path / f"{count}.conllu", again)
        (tmp_path / str(count)).mkdir()
        task = experiment(path).task
        assert isinstance(task, Tagging)
        tracemalloc.start()
        try:
            write_tagged({"train": path}, tmp_path / str(count), task=task, split=0)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(200) - peak(50) < 250 * (2000 - 500)


def test_whole_documents_validate(tmp_path):
    """Six documents of ten sentences each: a fifth of them validates, and no document is in two parts."""
    path, given = tmp_path / "a.conllu", sentences(60)
    blocks = write(path, given).read_text(encoding="utf-8").split("\n\n")
    path.write_text(
        "\n\n".join(f"# newdoc\n{b}" if i % 10 == 0 else b for i, b in enumerate(blocks[:60])) + "\n\n"
    )
    test = write(tmp_path / "test.conllu", sentences(4, 100))
    task = {"test": test, "validation": "documents", "validation_fraction": 0.3}
    _, parts, _ = prepared(experiment(path, **task), tmp_path / "out")
    documents = {part: set(of.rows // 10) for part, of in parts.items()}
    assert len(documents["valid"]) == 2
    assert not documents["valid"] & documents["train"]
    assert sorted(row for part in parts.values() for row in part.rows) == list(range(64))
    assert parts["test"].rows.tolist() == [60, 61, 62, 63]


def test_sentences_of_one_document_are_read_together(tmp_path):
    """As many as fit, in order, a separator without a tag before each but the first; never of two documents."""
    path, given = tmp_path / "a.conllu", sentences(30)
    blocks = write(path, given).read_text(encoding="utf-8").split("\n\n")
    path.write_text(
        "\n\n".join(f"# newdoc\n{b}" if i % 10 == 0 else b for i, b in enumerate(blocks[:30])) + "\n\n"
    )
    card, parts, _ = prepared(experiment(path, sequences="documents", context=12), tmp_path / "out")
    assert card.tokens[-1] == SEPARATOR
    separator = len(card.tokens) - 1
    every = sorted((row, part.tokens[i]) for part in parts.values() for i, row in enumerate(part.rows))
    read = [[bag == [separator] for bag in bags] for _, bags in every]
    lengths = [[len(list(run)) for apart, run in groupby(of) if not apart] for of in read]
    assert [length for of in lengths for length in of] == [2 + i % 3 for i in range(30)]
    assert [len(of) for of in lengths] == 3 * [3, 3, 3, 1]
    assert max(map(len, read)) <= 12
    for part in parts.values():
        places = [[bag == [separator] for bag in part.tokens[i]] for i in range(len(part))]
        for apart, tags in zip(places, part.tags(), strict=True):
            assert (tags[: len(apart)][apart] == NOT_COUNTED).all()
    alone, _, _ = prepared(experiment(path, context=12), tmp_path / "alone")
    assert SEPARATOR not in alone.tokens


def test_documents_that_cannot_validate_are_refused(tmp_path):
    path = write(tmp_path / "a.conllu", sentences(9))
    with pytest.raises(ValueError, match=r"a\.conllu: its sentences are of one document; .* `# newdoc`"):
        prepared(experiment(path, validation="documents"), tmp_path / "out")
    with pytest.raises(ValueError, match=r"task\.validation: documents, but task\.source\.valid"):
        experiment(path, valid=path, validation="documents")


def test_words_of_validation_and_test_sentences_alone_are_no_tokens(tmp_path):
    paths = [write(tmp_path / f"{i}.conllu", 2 * sentences(n, 100 * i)) for i, n in enumerate((4, 3, 5))]
    card, _, _ = prepared(experiment(paths[0], valid=paths[1], test=paths[2]), tmp_path / "out")
    assert card.tokens == (" padding", "dog0", "dog1", "dog2", "dog3", "fast", "runs", "the")
    listed, _, _ = prepared(
        experiment(paths[0], valid=paths[1], test=paths[2], tokens={"kind": "words"}), tmp_path / "listed"
    )
    assert listed.tokens[2:] == card.tokens[1:]


def test_long_sentences_are_cut_into_pieces_or_refused_and_told(tmp_path):
    path = write(tmp_path / "a.conllu", sentences(40))
    card, parts, told = prepared(experiment(path, context=3), tmp_path / "out")
    long = sum(i % 3 == 2 for i in range(40))
    assert f"{path}: {long} sentences are longer than task.context 3 and were cut into pieces" in told
    assert sum(card.rows.values()) == 40 + long
    assert sum(int(part.lengths.sum()) for part in parts.values()) == sum(map(len, sentences(40)))
    with pytest.raises(
        ValueError,
        match=rf"^{path}: line 8: a sentence of 4 words is longer than task\.context 3; raise it, or say task\.too",
    ):
        prepared(experiment(path, context=3, too_long="refuse"), tmp_path / "refused")


def test_tags_that_training_lacks_or_has_once_are_told(tmp_path):
    train = write(tmp_path / "train.conllu", [*sentences(20), [("oh", "INTJ")]])
    test = write(tmp_path / "test.conllu", [[("a", "SYM")], *sentences(2)])
    valid = write(tmp_path / "valid.conllu", sentences(2))
    card, parts, told = prepared(experiment(train, valid=valid, test=test), tmp_path / "out")
    assert card.class_names == ("DET", "INTJ", "NOUN", "SYM", "VERB")
    assert parts["test"].tags()[0, 0] == 3
    assert f"{train}: column 'upos': no training row has 'SYM'; rows with it cannot be predicted" in told
    assert f"{train}: column 'upos': one row has 'INTJ'; one row is too few to learn from" in told


def test_columns_that_are_learned_beside_stand_beside_each_word(tmp_path):
    """Classes are those of training words; what only test words have teaches nothing, and is no fault."""
    train, valid = (write(tmp_path / f"{i}.conllu", sentences(n)) for i, n in enumerate((20, 2)))
    test = write(tmp_path / "test.conllu", [[("a", "DET"), ("b", "SYM")]])
    given = experiment(train, valid=valid, test=test, auxiliary={"xpos": 0.5, "feats": 1})
    card, parts, _ = prepared(given, tmp_path / "out")
    assert card.auxiliary == {"xpos": ("det", "noun", "verb"), "feats": ("_",)}
    taught = parts["train"].among(np.array([2, 0])).taught()
    assert taught.shape == (2, 4, 3)
    assert taught[0].tolist() == [[0, 0, 0], [1, 1, 0], [3, 2, 0], [NOT_COUNTED, NOT_COUNTED, 0]]
    assert (taught[1, 2:] == NOT_COUNTED).all()
    assert parts["test"].taught()[0].tolist() == [[0, 0, 0], [2, NOT_COUNTED, 0]]
    plain, parts, _ = prepared(experiment(train, valid=valid, test=test), tmp_path / "plain")
    assert plain.auxiliary == {}
    assert parts["train"].taught().shape == (20, 4)


def test_the_tags_themselves_are_not_learned_beside(tmp_path):
    with pytest.raises(ValueError, match=r"task\.auxiliary: xpos is task\.column already; leave it out"):
        experiment(tmp_path / "a.conllu", column="xpos", auxiliary={"xpos": 0.5})


def test_ranges_and_empty_nodes_are_told(tmp_path):
    path = write(tmp_path / "a.conllu", sentences(40))
    text = path.read_text().replace("1\tthe", "1-2\tthedog\t_\t_\t_\t_\t_\t_\t_\t_\n1\tthe", 2)
    path.write_text(text.replace("\n\n", "\n4.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n", 1))
    *_, told = prepared(experiment(path), tmp_path / "out")
    assert told[0] == f"{path}: 2 ranges and 1 empty nodes are no words and were skipped"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], r": is empty; fetch or write it again$"),
        ([[("a", "X")]], r": has 1 sentences; 3 are the fewest, one for each part$"),
        (
            5 * [[("a", "X"), ("b", "X")]],
            r": column 'upos' is 'X' in every training row; there is nothing to",
        ),
        (
            5 * [[("a", "_")]],
            r": column 'upos' says nothing in any training row; choose another target column$",
        ),
        (
            [[(f"a{i}", "X"), (f"b{i}", "Y")] for i in range(5)],
            r": none of the words stands 2 times in the training texts; lower task\.tokens\.least_count$",
        ),
    ],
)
def test_bad_input_is_named(tmp_path, given, expected):
    path = write(tmp_path / "a.conllu", given)
    path.write_text(path.read_text().lstrip("\n"))
    with pytest.raises(ValueError, match=f"^{path}{expected}"):
        prepared(experiment(path), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))
