"""What `describe` says of a file, and that the block it prints is one that prepare takes."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import Line

from precisionflow.config import resolve
from precisionflow.data import describe
from precisionflow.data.describe import describe_file
from precisionflow.data.prepare import prepare

RANDOM = np.random.default_rng(2)
ROWS = 120
FRAME = pd.DataFrame(
    {
        "id": range(1, ROWS + 1),
        "width": RANDOM.normal(2, 1, ROWS).round(3),
        "zip": [f"{n:05d}" for n in RANDOM.integers(1, 99999, ROWS)],
        "wood": RANDOM.choice(["oak", "ash", "elm"], ROWS),
        "dry": RANDOM.choice(["Yes", "no"], ROWS),
        "cut": pd.date_range("2026-01-01", periods=ROWS).strftime("%d.%m.%Y"),
        "load": RANDOM.choice([*map(str, range(50)), "k.A.", "k.A."], ROWS),
        "same": "x",
        "note": [f"a remark of some length, number {n}, which no other row has" for n in range(ROWS)],
        "y": RANDOM.normal(0, 1, ROWS).round(3),
    }
)
FRAME["y in grams"] = (FRAME["y"] * 1000 + 3).round(6)
FRAME["width again"] = FRAME["width"]
FRAME["mixed"] = [*map(str, range(3, ROWS + 2)), "12 kg"]
FRAME["gap"] = FRAME["width"].where(FRAME.index % 10 > 0).abs()
PAIRS = pd.DataFrame(
    {
        "index": range(ROWS),
        "question": [f"what is said of the remark with the number {n}?" for n in range(ROWS)],
        "sentence": FRAME["note"],
        "label": RANDOM.choice(["entailment", "not_entailment"], ROWS),
    }
)
"""As GLUE has them."""


def test_kinds_and_faults_of_columns(tmp_path) -> None:
    path = tmp_path / "t.csv"
    FRAME.to_csv(path, index=False)
    found = describe_file(path, target="y")
    kinds = {column.name: column.kind for column in found.columns}
    assert kinds == {
        "id": "number", "width": "number", "zip": "number", "wood": "category", "dry": "boolean", "cut": "date",
        "load": "number", "same": "category", "note": "text", "y": "number", "y in grams": "number",
        "width again": "number", "mixed": "text", "gap": "number",
    }  # fmt: skip
    missing = {column.name: column.missing for column in found.columns if column.missing}
    assert missing == {"load": (FRAME["load"] == "k.A.").sum(), "gap": 12}
    assert {problem.split("'")[1]: problem for problem in found.problems} == {
        "id": "column 'id' numbers the rows, which would tell the model their order",
        "zip": f"column 'zip' holds {min(z for z in FRAME['zip'] if z[0] == '0')!r}, whose zeros a number loses; say "
        "{kind: category} where it is a code",
        "load": "column 'load' holds 'k.A.', which may say that a value is missing (form.missing)",
        "same": "column 'same' is constant",
        "y in grams": "column 'y in grams' is the target 'y', or that in another unit",
        "width again": "column 'width again' is a copy of column 'width'",
        "mixed": f"column 'mixed' is mixed: row {ROWS - 1} (counted from 0), column 'mixed': '12 kg' is no number; "
        "replace it by the number without its unit, in all rows the same one",
    }
    assert found.task == {
        "kind": "regression",
        "source": {
            "kind": "table_file", "path": str(path), "target": "y",
            "features": ["width", "zip", "wood", "dry", "cut", "load", "gap"],
            "form": {"missing": ["k.A."]}, "missing": "median",
            "columns": {
                "wood": {"kind": "category"}, "dry": {"kind": "boolean"}, "cut": {"kind": "date", "format": "%d.%m.%Y"},
            },
        },
    }  # fmt: skip


def block(text: str) -> dict:
    return yaml.safe_load(text[text.index("\ntask:") :])["task"]


def resolved(task):
    model = "mlp" if task["kind"] in ("regression", "classification") else "transformer"
    objective = "gaussian_nll" if task["kind"] == "regression" else "cross_entropy"
    return resolve({"name": "t", "task": task, "model": {"kind": model}, "objective": {"kind": objective}})


GERMAN = {"sep": ";", "decimal": ","}
FORMS = {
    "as it is": ("t.csv", lambda path: FRAME.to_csv(path, index=False)),
    "German": ("t.csv", lambda path: FRAME.to_csv(path, index=False, encoding="utf-16", **GERMAN)),
    "JSON lines": ("t.jsonl", lambda path: FRAME.to_json(path, orient="records", lines=True)),
    "gzip": ("t.tsv.gz", lambda path: path.write_bytes(gzip.compress(FRAME.to_csv(sep="\t").encode()))),
    "Parquet": ("t.parquet", lambda path: FRAME.astype({"wood": "category"}).to_parquet(path)),
    "texts": ("t.tsv", lambda path: FRAME[["note", "wood"]].to_csv(path, sep="\t", index=False)),
    "pairs of texts": ("t.tsv", lambda path: PAIRS.to_csv(path, sep="\t", index=False)),
    "numbers in .txt": ("t.txt", lambda path: FRAME[["width", "y"]].to_csv(path, sep="|", index=False)),
    "a text": ("t.txt", lambda path: path.write_text("It was, all in all, a dark night.\n" * 300)),
    "a text of another name": ("t.md", lambda path: path.write_bytes(("# Größe\n" * 300).encode("utf-16"))),
    "classes": ("t.csv", lambda path: FRAME[["dry", "cut", "wood"]].to_csv(path, index=False)),
    "a gap in the target": ("t.csv", lambda path: FRAME[["width", "gap"]].to_csv(path, index=False)),
}

KINDS = {
    "classes": "classification",
    "texts": "sequence_classification",
    "pairs of texts": "sequence_classification",
    "a text": "next_token",
    "a text of another name": "next_token",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_block_is_one_that_prepare_takes(line: Line, tmp_path, form) -> None:
    name, write = FORMS[form]
    write(tmp_path / name)
    done = line("describe", tmp_path / name)
    assert done.code == 0
    task = block(done.out)
    assert task["kind"] == KINDS.get(form, "regression")
    prepare([resolved(task)], out=tmp_path / "out")


def test_columns_of_lists_and_objects_are_left_out_and_told(tmp_path) -> None:
    rows = FRAME[["width", "y"]].to_dict("records")
    lines = [
        json.dumps(row | {"deep": {"a": 1}, "later": [1] if i > 50 else 1}) for i, row in enumerate(rows)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    found = describe_file(tmp_path / "t.jsonl")
    assert [(c.name, c.kind) for c in found.columns if not c.usable] == [
        ("deep", "other"),
        ("later", "other"),
    ]
    assert (
        "column 'later' is left out: line 52, column 'later': [\"1\"] is no single value" in found.problems[1]
    )
    assert found.task is not None
    prepare([resolved(found.task)], out=tmp_path / "out")


def test_two_columns_of_texts_beside_classes_are_pairs(tmp_path) -> None:
    PAIRS.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    found = describe_file(tmp_path / "t.tsv")
    assert found.said.startswith("predicts the class 'label' of pairs of texts")
    assert found.task is not None
    assert found.task["source"] == {
        "kind": "table_file",
        "path": str(tmp_path / "t.tsv"),
        "target": "label",
        "features": ["question", "sentence"],
    }
    PAIRS.assign(third=PAIRS["question"] + " indeed").to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    assert describe_file(tmp_path / "t.tsv").task is None


def test_of_a_large_file_the_beginning_is_looked_at(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(describe, "MOST_ROWS", 50)
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    assert describe_file(tmp_path / "t.csv").summary == "delimited text, the first 50 rows, 14 columns"
    monkeypatch.setattr(describe, "MOST_CHARACTERS", 10)
    (tmp_path / "t.md").write_text("ab " * 100)
    assert (
        describe_file(tmp_path / "t.md").summary == "text, of the first 300 characters: 3 symbols, 100 words"
    )


def test_what_no_task_predicts_is_told(line: Line, tmp_path) -> None:
    FRAME[["width", "wood", "cut"]].to_csv(tmp_path / "t.csv", index=False)
    out = line("describe", tmp_path / "t.csv", "--target", "cut").out
    assert "No task: column 'cut' holds date values: tasks predict numbers and classes" in out
    FRAME[["y", "same"]].to_csv(tmp_path / "t.csv", index=False)
    assert "No task: no column is left to predict 'y' from." in line("describe", tmp_path / "t.csv").out
    FRAME[["cut", "same"]].to_csv(tmp_path / "t.csv", index=False)
    assert "No task: no column may be a target" in line("describe", tmp_path / "t.csv").out


def test_files_that_cannot_be_read_are_told_in_one_line(line: Line, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("by me\na,b\n1,2\n3,4\n")
    assert "task.source.form: {skip_lines: 1}" in line.fails("describe", tmp_path / "t.csv")
    assert "\ntask:" in line("describe", tmp_path / "t.csv", "--form", "skip_lines=1").out
    assert "is no file; give a table or a text" in line.fails("describe", tmp_path / "no.csv")
    assert "column 'z' is missing (there are a, b)" in line.fails(
        "describe", tmp_path / "t.csv", "--form", "skip_lines=1", "--target", "z"
    )


def sentences(*given: list[tuple[str, str, str]]) -> str:
    lines = ["# newdoc"]
    for words in given:
        for number, (word, upos, xpos) in enumerate(words, start=1):
            lines.append("\t".join([str(number), word, "_", upos, xpos, "_", "0", "_", "_", "_"]))
        lines.append("")
    return "\n".join([*lines, ""])


def test_tagged_sentences_are_described_with_the_block_that_prepare_takes(line: Line, tmp_path) -> None:
    text = sentences(
        *[[(f"w{i % 3}", "AB"[j % 2], "_" if j else "x") for j in range(1 + i)] for i in range(8)]
    )
    (tmp_path / "a.conllu").write_text(text + sentences([("end", "_", "y")] * 130))
    (tmp_path / "a.conllu.gz").write_bytes(gzip.compress((tmp_path / "a.conllu").read_bytes()))
    for name in ("a.conllu", "a.conllu.gz"):
        done = line("describe", tmp_path / name)
        assert f"{name}: CoNLL-U, 9 sentences of 2 documents: 166 words, 2 tags in upos\n" in done.out
        assert "130 words have no tag in upos and are read, not predicted" in done.out
        task = block(done.out)
        assert (task["column"], task["context"]) == ("upos", 130)
    model = {"kind": "transformer", "attention": {"prior": {"kind": "full"}}}
    whole = {"name": "t", "task": task, "model": model, "objective": {"kind": "cross_entropy"}}
    prepare([resolve(whole)], out=tmp_path / "out")
    xpos = line("describe", tmp_path / "a.conllu", "--target", "xpos").out
    assert "166 words, 2 tags in xpos" in xpos
    (tmp_path / "x.conllu").write_text(sentences([("a", "_", "X"), ("b", "_", "Y")]))
    assert block(line("describe", tmp_path / "x.conllu").out)["column"] == "xpos"
    assert "the longest sentence has 2 words" in line("describe", tmp_path / "x.conllu").out
    assert line.fails("describe", tmp_path / "x.conllu", "--target", "upos").endswith(
        "x.conllu: no word has a tag in upos; write one, a `_` says nothing"
    )
    assert line.fails("describe", tmp_path / "x.conllu", "--target", "feats").endswith(
        "x.conllu: --target feats; CoNLL-U has tags in upos and xpos"
    )
    (tmp_path / "bad.conllu").write_text("1\ta\tX\n\n")
    assert "bad.conllu: line 1: 3 fields in '1\\ta\\tX'; write the 10" in line.fails(
        "describe", tmp_path / "bad.conllu"
    )
