"""`precisionflow predict` of a tagger: a CoNLL-U file comes back with the tags that the evaluation scored."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import trained as tiny
from command_line import Line

from precisionflow.data.readers.conllu import FIELDS
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS
from precisionflow.results.layout import cell_folder

UPOS, MISC = FIELDS.index("UPOS"), FIELDS.index("MISC")


def sentence(random: np.random.Generator, length: int) -> str:
    """Words whose end tells their tag, some told wrongly, one of them a range and one an empty node."""
    lines = [f"# text = {length}"]
    for place in range(1, length + 1):
        tag = random.integers(3)
        told = ("VERB", "ADJ", "ADV")[(tag + (random.random() < 0.2)) % 3]
        if place == 2:
            lines.append("\t".join(["2-3", "both", *"_" * 8]))
        word = f"w{random.integers(9)}{('ing', 'ed', 'ly')[tag]}"
        lines.append(
            "\t".join(
                [str(place), word, "_", told, "_", "_", "0", "_", "_", ("_", "SpaceAfter=No")[place % 2]]
            )
        )
        if place == 3:
            lines.append("\t".join(["3.1", "gap", *"_" * 8]))
    return "\n".join(lines) + "\n\n"


@pytest.fixture(scope="module", params=["sentences", "documents"])
def tagger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tiny.Trained, Path]:
    """A trained tagger, and its test file: of several documents, with sentences longer than the context."""
    folder, random = tmp_path_factory.mktemp("tagger"), np.random.default_rng(0)
    for name in ("train", "test"):
        text = "".join(
            "# newdoc\n" * (i % 7 == 0) + sentence(random, 3 + i % 5 + 9 * (i == 4)) for i in range(70)
        )
        (folder / f"{name}.conllu").write_text(text, encoding="utf-8")
    task = {
        "kind": "tagging",
        "source": {
            "kind": "conllu",
            "path": str(folder / "train.conllu"),
            "test": str(folder / "test.conllu"),
        },
        "tokens": {"kind": "hashed_words", "buckets": 200},
        "sequences": request.param,
        "context": 12,
    }
    changes = {"model.attention.prior.kind": "full", "evaluation.recalibration": ["temperature"]}
    finished = tiny.trained(tiny.TEXT | {"task": task}, folder, **changes)
    evaluate(finished.experiment, data=finished.data, model=finished.model, out=folder / "evaluation")
    return finished, folder


def words_of(tagger: tuple[tiny.Trained, Path], table: Path, *more: str | Path) -> tuple[str | Path, ...]:
    finished, folder = tagger
    evaluated = cell_folder(folder / "evaluation", 0, 0)
    cell = cell_folder(finished.model, 0, 0)
    return ("predict", cell, table, "--data", finished.data, "--evaluation", evaluated, *more)


def rows_of(text: str) -> list[list[str]]:
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [row for row in rows if row[0].isdigit()]


@pytest.mark.parametrize("recalibrated", [(), ("--recalibrated", "temperature")], ids=["plain", "tempered"])
def test_a_file_comes_back_with_the_tags_that_were_evaluated(line: Line, tagger, tmp_path, recalibrated):
    given = tagger[1] / "test.conllu"
    done = line(*words_of(tagger, given, "--out", tmp_path / "out.conllu", *recalibrated))
    assert done.code == 0
    assert "ranges and 70 empty nodes are no words and were skipped" in done.err
    before, after = given.read_text(), (tmp_path / "out.conllu").read_text()
    gold, found = rows_of(before), rows_of(after)
    evaluated = read_parquet(
        cell_folder(tagger[1] / "evaluation", 0, 0) / "predictions.parquet", CLASS_PREDICTIONS
    )
    right = [a[UPOS] == b[UPOS] for a, b in zip(gold, found, strict=True)]
    assert right == evaluated["correct"].to_pylist()
    assert 0.5 < np.mean(right) < 1
    stated = [dict(said.split("=") for said in row[MISC].split("|")[-3:]) for row in found]
    if not recalibrated:
        for name, column in (("Confidence", "confidence"), ("Entropy", "entropy")):
            said = [float(of[name]) for of in stated]
            np.testing.assert_allclose(said, evaluated[column].to_numpy(), atol=1e-4)
    assert {of["Epistemic"] for of in stated} == {"0.0000"}
    untagged = [
        [field for place, field in enumerate(line.split("\t")) if place not in (UPOS, MISC)]
        for line in (before, after)
        for line in line.splitlines()
    ]
    half = len(untagged) // 2
    assert untagged[:half] == untagged[half:]
    assert [row[MISC].partition("Confidence=")[0].rstrip("|") or "_" for row in found] == [
        row[MISC] for row in gold
    ]
    (tmp_path / "again.conllu.gz").write_bytes(gzip.compress(after.encode()))
    again = line(*words_of(tagger, tmp_path / "again.conllu.gz", *recalibrated))
    assert again.out == after


def test_rows_of_a_table_are_documents_of_sentences(line: Line, tagger, tmp_path):
    texts = ["w1ing w2ed\nw3ly", "w4ing"]
    table = tmp_path / "in.jsonl"
    table.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts)))
    done = line(*words_of(tagger, table, "--out", tmp_path / "out.parquet"))
    assert (done.code, done.err) == (0, "")
    from pyarrow.parquet import read_table

    found = read_table(tmp_path / "out.parquet").to_pydict()
    assert list(found) == ["id", "text", "tags", "confidences", "entropies", "epistemics"]
    assert found["text"] == texts
    assert [[len(said.split()) for said in tags.split("\n")] for tags in found["tags"]] == [[2, 1], [1]]


def test_mistakes_are_told_in_one_line(line: Line, tagger, tmp_path):
    given = tagger[1] / "test.conllu"
    (tmp_path / "t.csv").write_text("sentence\na\n")
    assert line.fails(*words_of(tagger, tmp_path / "t.csv")).endswith(
        "t.csv: column 'text' is missing (there are sentence)"
    )
    assert line.fails(*words_of(tagger, given, "--out", "x.csv")) == (
        f"--out x.csv: should end in .conllu, as {given} does"
    )
    assert line.fails(*words_of(tagger, tmp_path / "no.conllu")).endswith(
        "no.conllu: does not exist; give a CoNLL-U file"
    )
    (tmp_path / "empty.conllu").write_text("\n")
    assert line.fails(*words_of(tagger, tmp_path / "empty.conllu")).endswith("holds no sentence; write one")
    (tmp_path / "bad.conllu").write_text("1\ta\n\n")
    assert line.fails(*words_of(tagger, given, "--level", "0.9")) == (
        "level 0.9: the model predicts tags of words, and a level is that of an interval of a number or of a set of "
        "classes; leave it out"
    )
    assert "line 1: 2 fields" in line.fails(*words_of(tagger, tmp_path / "bad.conllu"))
