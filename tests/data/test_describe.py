"""What `describe` says of a file, and that the block it prints is one that prepare takes."""

import gzip
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import Line

from precisionflow.config import resolve
from precisionflow.config.load import as_options, form_of
from precisionflow.config.tables import FileForm
from precisionflow.data import text
from precisionflow.data.description import file as described_file
from precisionflow.data.description import sentences as described_sentences
from precisionflow.data.description import table as described_table
from precisionflow.data.description import text as described_text
from precisionflow.data.description.file import describe_file
from precisionflow.data.prepare import prepare
from precisionflow.data.sources import text_file

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
        "id": "column 'id' is left out: it numbers the rows, which would tell the model their order",
        "zip": f"column 'zip' holds {min(z for z in FRAME['zip'] if z[0] == '0')!r}, whose zeros a number loses; say "
        "{kind: category} where it is a code",
        "load": "column 'load' holds 'k.A.', which may say that a value is missing (form.missing)",
        "cut": "column 'cut' holds times in the order of the rows, each once; state task.source.split: {kind: "
        "time_ordered, column: cut}, where later rows are to be predicted",
        "same": "column 'same' is left out: it is constant",
        "y in grams": "column 'y in grams' is left out: it is the target 'y', or that in another unit",
        "width again": "column 'width again' is left out: it is a copy of column 'width'",
        "mixed": f"column 'mixed' is left out: it is mixed: row {ROWS - 1} (counted from 0), column 'mixed': '12 kg' "
        "is no number; replace it by the number without its unit, in all rows the same one",
        "note": f"column 'note' is left out: it holds {ROWS} texts, such as {FRAME['note'].min()[:40]!r}, and tables "
        "are read as numbers, truth values, dates and levels; say {kind: category} of it in task.source.columns, and "
        "name it in features, where these are levels",
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
    said = "it holds lists or objects (line 52, column 'later': [\"1\"] is no single value); write their values in"
    assert f"column 'later' is left out: {said}" in found.problems[1]
    assert found.task is not None
    prepare([resolved(found.task)], out=tmp_path / "out")


def cycled(*cells: str) -> list[str]:
    return [cells[row % len(cells)] for row in range(ROWS)]


ODD = {
    "percent": ([f"{n % 17},5 %" for n in range(ROWS)], "without its sign"),
    "few percent": (cycled("5%", "10%", "20%"), "without its sign"),
    "price": ([f"${n}.50" for n in range(ROWS)], "without its unit"),
    "euro": ([f"{n}.50 €" for n in range(ROWS)], "without its unit"),
    "mass": ([f"{n}.5 kg" for n in range(ROWS)], "without its unit"),
    "balance": ([f"({n % 40}.5)" if n % 3 else f"{n}.5" for n in range(ROWS)], "replace its brackets by a minus"),
    "split": (cycled("train", "train", "test", "valid"), "task.source.split: {kind: given, column: split}"),
    "part": (cycled("train", "test"), "task.source.split: {kind: given, column: part}"),
    "fold": (cycled(*"01234"), "task.source.split, such as {kind: grouped, column: fold}"),
    "user_id": (cycled(*map(str, range(40))), "{kind: grouped, column: user_id}, where some rows belong together"),
    "PassengerId": ([str((n * 7) % 1009) for n in range(ROWS)], "is called an identifier"),
    "uuid": ([f"{n * 977:08x}-{n * 31:04x}" for n in range(ROWS)], "is called an identifier"),
    "index": ([str(n * 3) for n in range(ROWS)], "numbers the rows"),
    "sample": ([str(ROWS - n) for n in range(ROWS)], "numbers the rows"),
    "tree": ([str(1000 + n) for n in np.random.default_rng(1).permutation(ROWS)], "number of 1000 to 1119 once, as"),
    "sample_weight": ([str(n % 5 + 0.5) for n in range(ROWS)], "state task.source.weights"),
}  # fmt: skip
"""Column -> (cells, why it is left out)."""


@pytest.mark.parametrize("name", ODD)
def test_a_column_that_is_left_out_is_told_with_what_to_state(tmp_path, name) -> None:
    cells, reason = ODD[name]
    FRAME[["width", "y"]].assign(**{name: cells}).to_csv(tmp_path / "t.csv", index=False, sep="|")
    found = describe_file(tmp_path / "t.csv")
    (told,) = [
        problem for problem in found.problems if problem.startswith(f"column {name!r} is left out: it ")
    ]
    assert reason in told
    assert found.task is not None
    assert (found.task["source"]["target"], found.task["source"]["features"]) == ("y", ["width"])


@pytest.mark.parametrize(
    ("cells", "said", "told"),
    [
        (cycled("True", "0"), {"kind": "boolean"}, ""),
        (cycled("2WD", "4WD"), {"kind": "category"}, ""),
        ([f"{n % 24}:{n % 60:02d}" for n in range(ROWS)], {"kind": "date", "format": "%H:%M"}, "a time of the day"),
        (
            [f"{n % 28 + 1:02d}.{n % 12 + 1:02d}.{n % 100:02d}" for n in range(ROWS)],
            {"kind": "date", "format": "%d.%m.%y"},
            "has years of two digits, of which 69 to 99 are read as 1969 to 1999",
        ),
    ],
)  # fmt: skip
def test_a_column_of_a_known_kind_is_a_feature(tmp_path, cells, said, told) -> None:
    FRAME[["width", "y"]].assign(odd=cells)[["width", "odd", "y"]].to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["columns"] == {"odd": said}
    assert ("missing" in found.task["source"]) is False
    assert [told in problem for problem in found.problems] == [True] * bool(told)


@pytest.mark.parametrize("step", [1, -1, 7])
@pytest.mark.parametrize("name", ["year", "rank", "t"])
def test_consecutive_numbers_that_are_called_a_quantity_are_a_feature_and_told(tmp_path, name, step) -> None:
    numbers = [1900 + n * step % ROWS for n in range(ROWS)] if step > 0 else [*range(2019, 1899, -1)]
    FRAME[["y"]].assign(**{name: numbers})[[name, "y"]].to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["target"] == "y"
    assert "features" not in found.task["source"]
    assert found.problems == (
        f"column {name!r} holds each whole number of 1900 to 2019 once, as numbers of rows do; leave it out of "
        "task.source.features where it is one",
    )


def odd_table(seed: int) -> pd.DataFrame:
    """A table of some columns that people have, with gaps, in any order."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(3, 60))
    words = [f"the remark {n} of {m}" for n, m in random.integers(0, 30, (rows, 2))]
    columns = {
        "number": random.normal(0, 1, rows).round(3).astype(str),
        "count": random.integers(0, 9, rows).astype(str),
        "level": random.choice(["a", "b", "c", "NA"], rows),
        "rare": np.where(np.arange(rows) == 1, "once", random.choice(["x", "y"], rows)),
        "flag": random.choice(["True", "0"], rows),
        "none": random.choice(["none", "some", "?"], rows),
        "time": [f"{n % 24}:{n % 60:02d}" for n in range(rows)],
        "remark": words,
        "reply": words[::-1],
        "on: [yes]": random.choice(["1", "2", "zero", "zero"], rows),
        "percent": [f"{n}%" for n in range(rows)],
        "fold": random.integers(0, 3, rows).astype(str),
        "2001": random.integers(0, 99999, rows).astype(str),
    }
    names = random.permutation(list(columns))[: random.integers(2, 7)]
    table = pd.DataFrame({name: columns[name] for name in names}).astype(object)
    return table.mask(random.random(table.shape) < random.choice([0, 0.1, 0.3]))


def test_a_block_is_one_that_prepare_takes_whatever_the_table(line: Line, tmp_path) -> None:
    kinds = Counter[str]()
    for seed in range(40):
        path = tmp_path / f"{seed}.csv"
        odd_table(seed).to_csv(path, index=False, sep=";")
        done = line("describe", path)
        if "\ntask:" in done.out:
            task = block(done.out)
            prepare([resolved(task)], out=tmp_path / "out")
            kinds[task["kind"]] += 1
        else:
            kinds[done.out.strip().splitlines()[-1].partition(": ")[0]] += 1
    assert min(kinds[kind] for kind in ("regression", "classification", "sequence_classification")) > 0, kinds
    assert kinds["No task"] < 15, kinds


TARGETS = {
    "classes last": (["width", "y", "wood"], "classification", "wood"),
    "numbers last": (["wood", "y"], "regression", "y"),
    "two numbers": (["width", "two"], "classification", "two"),
    "few numbers": (["width", "few"], "regression", "few"),
    "a text beside a date": (["note", "wood", "cut"], "sequence_classification", "wood"),
    "a text beside an identifier and a date": (
        ["id", "cut", "note", "two"],
        "sequence_classification",
        "two",
    ),
}
"""Case -> (columns, kind of the task, its target)."""


@pytest.mark.parametrize("case", TARGETS)
def test_the_target_is_the_last_column_that_may_be_one(tmp_path, case) -> None:
    names, kind, target = TARGETS[case]
    table = FRAME.assign(two=cycled("0", "1", "1"), few=cycled("0", "1", "2"))[names]
    table.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert (found.task["kind"], found.task["source"]["target"]) == (kind, target)
    assert ("its two numbers are read as classes" in found.said) is (case == "two numbers")
    assert ("its 3 numbers are classes, state task.kind: classification" in found.said) is (
        case == "few numbers"
    )
    prepare([resolved(found.task)], out=tmp_path / "out")


@pytest.mark.parametrize("kind", ["regression", "classification", "sequence_classification"])
def test_test_rows_that_stand_in_the_training_part_are_counted_and_told(tmp_path, kind) -> None:
    names = {"regression": ["wood", "width", "y"], "classification": ["width", "wood"]}.get(
        kind, ["note", "wood"]
    )
    plain = FRAME[names]
    plain.to_csv(tmp_path / "t.csv", index=False)
    assert "training part too" not in "".join(describe_file(tmp_path / "t.csv").problems)
    pd.concat([plain.head(20)] * 8).to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.problems[-1].startswith(
        f"{tmp_path / 't.csv'}: 16 of 16 test rows stand in the training part too; remove rows that stand there twice"
    )
    assert found.task is not None
    assert found.task["kind"] == kind
    prepare([resolved(found.task)], out=tmp_path / "out")
    (card,) = (tmp_path / "out").rglob("dataset.json")
    assert found.problems[-1] in json.loads(card.read_text())["notes"]
    halves = pd.concat(
        [plain.head(60), plain.head(60).assign(**{names[-1]: plain[names[-1]].to_numpy()[:60][::-1]})]
    )
    halves.to_csv(tmp_path / "t.csv", index=False)
    told = "training part too" in "".join(describe_file(tmp_path / "t.csv").problems)
    assert told is (kind != "regression")


def test_a_class_of_one_row_is_told_and_another_target_taken(tmp_path) -> None:
    table = FRAME[["dry", "wood"]].assign(last=["once", *["often", "seldom"] * 60][:ROWS])
    table.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["target"] == "wood"
    found = describe_file(tmp_path / "t.csv", target="last")
    assert found.task is None
    assert found.said.startswith(
        "column 'last' has the class 'once' in one row; give more rows of it, join it"
    )


def test_a_word_for_a_missing_value_empties_no_level_of_another_column_unsaid(tmp_path) -> None:
    numbers = cycled("1.5", "2", "3.25", "low", "7", "2.5", "1")
    table = pd.DataFrame({"A": numbers, "level": cycled("low", "mid", "high"), "y": FRAME["y"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["form"] == {"missing_in": {"A": ["low"]}}
    assert "features" not in found.task["source"]
    told = "column 'A' holds 'low', which may say that a value is missing (form.missing_in)"
    assert found.problems == (told,)
    assert {column.name: (column.levels, column.missing) for column in found.columns} == {
        "A": (6, 17), "level": (3, 0), "y": (table["y"].nunique(), 0),
    }  # fmt: skip
    prepare([resolved(found.task)], out=tmp_path / "out")
    (card,) = (tmp_path / "out").rglob("dataset.json")
    assert {"level=low", "A is missing"} <= set(json.loads(card.read_text())["features"])
    stated = describe_file(tmp_path / "t.csv", form=FileForm(missing=("low",)))
    assert stated.task is not None
    assert stated.task["source"]["form"] == {"missing": ["low"]}
    once = table.assign(
        A=[cell.replace("low", "k.A.") for cell in numbers], B=["k.A.", *numbers[:2] * 60][:ROWS]
    )
    once.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv", target="y")
    assert found.task is not None
    assert found.task["source"]["form"] == {"missing": ["k.A."]}
    assert [column.missing for column in found.columns] == [17, 0, 0, 1]


@pytest.mark.parametrize(
    ("levels", "number", "told"),
    [
        (("none", "attached"), "2", "has the level 'none' in 60 rows; name it in form.missing where it says that"),
        (("NA", "DE", "FR"), "2", "has the level 'NA' in 40 rows; name it in form.missing where it says that a value"),
        (("NA", "DE", "FR"), "NA", "loses 'NA' in 40 rows: form.missing names it, as it says in column 'n' that a val"),
        (("none", "attached"), "none", "has the level 'none' in 60 rows; name it in form.missing where it says that"),
        (("NA", "DE"), "NA", "has the level 'NA' in 60 rows; name it in form.missing where it says that a value"),
        (("#N/A", "DE", "FR"), "2", "holds '#N/A', which may say that a value is missing (form.missing)"),
    ],
)  # fmt: skip
def test_a_level_that_may_say_that_a_value_is_missing_is_told(tmp_path, levels, number, told) -> None:
    table = pd.DataFrame({"level": cycled(*levels), "n": cycled("1", "4", "9", number), "y": FRAME["y"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert any(problem.startswith(f"column 'level' {told}") for problem in found.problems), found.problems
    words = [word for word in {number, *levels} if word in ("#N/A", number) and word != "2"]
    form = {} if not words else {"missing": words} if len(levels) > 2 else {"missing_in": {"n": words}}
    assert found.task["source"].get("form", {}) == form
    predicted = describe_file(tmp_path / "t.csv", target="level").task
    assert ("drop" in str(predicted)) is ("missing" in form)


@pytest.mark.parametrize("texts", [True, False])
def test_rows_without_a_class_are_dropped(tmp_path, texts) -> None:
    table = FRAME[["note", "wood"] if texts else ["dry", "wood"]]
    table = table.assign(wood=table["wood"].where(table.index % 7 > 0))
    table.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["columns"]["wood"] == {"kind": "category", "missing": "drop"}
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
    monkeypatch.setattr(described_table, "MOST_ROWS", 50)
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    assert describe_file(tmp_path / "t.csv").summary == "delimited text, the first 50 rows, 14 columns"
    monkeypatch.setattr(described_text, "MOST_CHARACTERS", 10)
    (tmp_path / "t.md").write_text("ab " * 100)
    assert (
        describe_file(tmp_path / "t.md").summary == "text, of the first 300 characters: 3 symbols, 100 words"
    )


@pytest.mark.parametrize("name", ["t.csv", "t.md", "t.conllu"])
def test_the_block_of_a_large_file_is_tried_on_all_of_it_or_said_not_to_be(
    tmp_path, monkeypatch, name
) -> None:
    """What stands behind the beginning, and is wrong there."""
    path = tmp_path / name
    content, reason = {
        "t.csv": (
            "a,y\n" + "1.5,2.5\n3.5,4.5\n" * 40 + "1.5,oak\n",
            "row 80 (counted from 0), column 'y': 'oak'",
        ),
        "t.md": ("some words\n" * 2000 + "\udcff", "line 2001, byte 22000 (0xff) is not UTF-8"),
        "t.conllu": ("1\tx\t_\tN\t_\t_\t_\t_\t_\t_\n\n" * 80 + "1\tx\n\n", "line 161: 2 fields"),
    }[name]
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    monkeypatch.setattr(described_table, "MOST_ROWS", 50)
    monkeypatch.setattr(described_sentences, "MOST_SENTENCES", 50)
    monkeypatch.setattr(described_text, "MOST_CHARACTERS", 10)
    monkeypatch.setattr(text, "CHUNK", 1 << 10)
    monkeypatch.setattr(text_file, "CHUNK", 1 << 10)
    found = describe_file(path)
    assert found.task is None
    assert reason in found.said
    monkeypatch.setattr(described_file, "MOST_BYTES", 100)
    found = describe_file(path)
    assert found.task is not None
    assert f"the block is not tried, as {path} is larger than" in found.problems[-1]


def test_a_remedy_is_an_option_of_the_command(line: Line, tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;y\n1.500;1\n2.250;2\n12;3\n")
    said = line.fails("describe", path)
    assert said.endswith(
        "state --form 'decimal=.' where the point stands before decimals, --form 'thousands=.' where it stands between "
        "thousands"
    )
    assert line("describe", path, "--form", "decimal=.").code == 0
    path.write_text("a\tb,c\ty,z\n1\t2,3\t4,5\n1\t2,4\t3,5\n")
    found = FileForm(delimiter="\t")
    assert form_of([r"delimiter=\t"]) == found
    path.write_text("by me\n\na,b,y\n" + "1,2,3\n" * 9)
    assert "state what stands above the names, --form 'skip_lines=2', or" in line.fails("describe", path)
    (tmp_path / "t.md").write_bytes("Größe\n".encode("latin-1") * 9)
    assert "state its encoding, such as --form 'encoding=cp1252', or" in line.fails(
        "describe", tmp_path / "t.md"
    )
    assert as_options("name it in task.source.form.missing") == "name it in --form missing"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            "a;b;y;;",
            "columns 4 and 5 have no name; give every column its own name, or state them, --form 'skip_lines=2' "
            """--form 'names=["a", "b", "y", "column 4", "column 5"]'""",
        ),
        (
            "a;b;b;y;b",
            "column 'b' stands there twice; give every column its own name, or state them, --form 'skip_lines=2' "
            """--form 'names=["a", "b", "b 3", "y", "b 5"]'""",
        ),
        (
            "My report;;;;",
            "columns 2, 3, 4 and 5 have no name; give every column its own name, or state --form 'skip_lines=2' where",
        ),
    ],
)
def test_names_that_a_spreadsheet_lacks_are_proposed(line: Line, tmp_path, names, said) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n" + names + "\n" + "1,5;2;3;4;\n2,5;3;4;1;\n" * 9)
    assert line.fails("describe", path).startswith(f"{path}: {said}")


def test_a_line_break_in_a_cell_between_tabs_is_told_with_the_quotes_to_state(line: Line, tmp_path) -> None:
    path = tmp_path / "t.tsv"
    for rows in ('1\t"two\nlines"\t4\n', '1\t4\t"two\nlines"\n'):
        path.write_text("a\tb\tc\n" + "1\t2\t3\n2\t3\t1\n" * 9 + rows)
        said = line.fails("describe", path)
        assert "line 20 has 2 cells" in said or "line 21 has 1 cell" in said
        assert (
            "state --form 'quotes=double' where cells stand in quotation marks, or give every row as many"
            in said
        )
        assert line("describe", path, "--form", "quotes=double").code == 0


ERRORS = [
    "#NV",
    "#DIV/0!",
    "#WERT!",
    "#VALUE!",
    "#ZAHL!",
    "#NUM!",
    "#BEZUG!",
    "#REF!",
    "#NAME?",
    "#NULL!",
    "#N/A",
]


def test_errors_of_a_spreadsheet_are_missing_values(tmp_path) -> None:
    table = FRAME[["width", "y"]].astype(str)
    table.loc[range(len(ERRORS)), "width"] = ERRORS
    table.to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["form"] == {"missing": sorted(ERRORS)}
    assert [column.missing for column in found.columns] == [len(ERRORS), 0]


def test_what_is_printed_of_columns_stands_in_one_line_each(line: Line, tmp_path) -> None:
    table = FRAME[["y"]].assign(**{"two\nlines": cycled("a\nb", "c"), "at": cycled("9:58", "10:05", "23:00")})
    table.to_csv(tmp_path / "t.csv", index=False)
    out = line("describe", tmp_path / "t.csv").out
    assert [row.split("  ")[1] for row in out.splitlines()[3:6]] == ["y", r"'two\nlines'", "at"]
    assert r"2 levels: 'a\nb' (60), c (60)" in out
    assert "9:58 to 23:00" in out
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    assert ", 1 row, 2 columns" in line("describe", tmp_path / "t.csv").out
    (tmp_path / "t.csv").write_text("a,y\n" + '"1,14,690",2\n2,3\n' * 9)
    assert "replace it by one without marks between thousands" in line("describe", tmp_path / "t.csv").out


def test_a_number_that_may_stand_for_a_missing_value_is_told(tmp_path) -> None:
    rows = [f"{i},{-999 if i % 4 == 0 else i / 2},{-99 if i % 4 else -5}" for i in range(1, 41)]
    (tmp_path / "t.csv").write_text("\n".join(["a,y,z", *rows]))
    problems = describe_file(tmp_path / "t.csv").problems
    assert [problem for problem in problems if "others are 0 and above" in problem] == [
        "column 'y' holds -999 in 10 rows, where others are 0 and above; name it in form.missing where it says that a "
        "value is missing"
    ]


def test_what_no_task_predicts_is_told(line: Line, tmp_path) -> None:
    FRAME[["width", "wood", "cut"]].to_csv(tmp_path / "t.csv", index=False)
    out = line("describe", tmp_path / "t.csv", "--target", "cut").out
    assert "No task: column 'cut' holds date values: tasks predict numbers and classes" in out
    FRAME[["y", "same"]].to_csv(tmp_path / "t.csv", index=False)
    assert "No task: no column is left to predict 'y' from." in line("describe", tmp_path / "t.csv").out
    FRAME[["note", "y"]].to_csv(tmp_path / "t.csv", index=False)
    assert "column 'note' is left out: it holds" in line("describe", tmp_path / "t.csv").out
    FRAME[["y", "wood"]].head(4).to_csv(tmp_path / "t.csv", index=False)
    out = line("describe", tmp_path / "t.csv").out
    assert "No task: " in out
    assert "training rows are left of" in out
    FRAME[["cut", "same"]].to_csv(tmp_path / "t.csv", index=False)
    assert "No task: no column may be a target" in line("describe", tmp_path / "t.csv").out


def test_files_that_cannot_be_read_are_told_in_one_line(line: Line, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("by me\na,b\n" + "".join(f"{i % 5},{i * i}\n" for i in range(20)))
    assert "--form 'skip_lines=1'" in line.fails("describe", tmp_path / "t.csv")
    assert "\ntask:" in line("describe", tmp_path / "t.csv", "--form", "skip_lines=1").out
    assert "is no file; give a table or a text" in line.fails("describe", tmp_path / "no.csv")
    assert "column 'z' is missing (there are a, b)" in line.fails(
        "describe", tmp_path / "t.csv", "--form", "skip_lines=1", "--target", "z"
    )


_ROWS = "".join(f"{i % 7}.5;{i};oak\n" for i in range(60))
FAULTY = {
    "a line with more cells": ("t.txt", f"a;b;wood\n{_ROWS}1;2;oak;5\n", "has 4 cells, the header 3"),
    "a name twice": ("t.txt", f"a;a;wood\n{_ROWS}", "column 'a' stands there twice"),
    "a byte of another encoding": ("t.txt", f"a;b;wood\n{_ROWS}1.5;2;\udce4\n", "line 62 has the byte 0xe4"),
    "blanks between cells": (
        "t.txt",
        "a b\n1 2.5\n3 4\n5 6\n7 8\n",
        "separate columns by commas, not by blanks",
    ),
    "another name": ("t.dat", f"a;b;wood\n{_ROWS}", "seems to be a table; let its name end in .csv"),
    "another name, blanks": (
        "t.data",
        "1 2.5\n3 4\n5 6\n7 8\n",
        "seems to be a table; let its name end in .csv",
    ),
    "an array of objects": (
        "t.json",
        '[\n {"a": 1, "y": 2},\n {"a": 2, "y": 3}\n]\n',
        "is JSON; write one object a",
    ),
    "an array in .txt": (
        "t.txt",
        '[{"a": 1, "y": 2}, {"a": 2, "y": 3}]\n',
        "is JSON; write one object a line",
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_table_with_a_fault_is_not_described_as_a_text(line: Line, tmp_path, name) -> None:
    called, content, reason = FAULTY[name]
    (tmp_path / called).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert reason in line.fails("describe", tmp_path / called)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (["it was {n} good\tyes", "it was not {n}\tno"], "sequence_classification"),
        (["oak\tlong", "elm\tshort", "oak\tshort"], "classification"),
        (["oak|long", "elm|short", "oak|short"], "classification"),
        (
            ["{n} said so, and more of it", "{n} did not, as the {n} of all the {n} that were there say"],
            "next_token",
        ),
    ],
)
def test_a_txt_of_words_is_a_table_where_its_columns_are_no_prose(tmp_path, rows, kind) -> None:
    lines = [row.format(n=f"w{n}") for n in range(40) for row in rows]
    header = (
        rows[0].replace("{n}", "w").replace("oak", "tree").replace("long", "size").replace("yes", "label")
    )
    (tmp_path / "t.txt").write_text("\n".join([header, *lines]))
    found = describe_file(tmp_path / "t.txt")
    assert found.task is not None
    assert found.task["kind"] == kind


@pytest.mark.parametrize("name", ["t.txt", "t.md", "t.log"])
def test_texts_with_commas_and_numbers_are_texts(tmp_path, name) -> None:
    lines = [
        "In 1921, on a day in May, it rained",
        "\u201cYes,\u201d she said, \u201cin 1921, 1922 and 1923.\u201d",
        "",
        "1, 2, 3: go!",
    ]
    (tmp_path / name).write_text("\n".join([*lines, "and so it was, all in all"] * 40))
    found = describe_file(tmp_path / name)
    assert found.task is not None
    assert found.task["kind"] == "next_token"


ODD_CELLS = {
    "one label written in several ways": (
        cycled("Yes", "yes", " YES ", "no"),
        "has levels that differ in case or blanks alone ('YES', 'Yes', 'yes'); write them alike where they are one: as "
        "a target each is a class",
    ),
    "levels written in several ways": (
        cycled("New York", "new  york", "Rome"),
        "has levels that differ in case or blanks alone ('New York', 'new  york'); write them alike where they are one",
    ),
    "dates of several forms": (
        cycled("2020-01-02", "03.04.2021", "5/6/2022"),
        "is left out: it holds dates in several forms, such as '2020-01-02' and '03.04.2021'; write them in one",
    ),
    "a sum below the dates": (
        [*(f"{n % 28 + 1}-Jan-2{n % 5}" for n in range(ROWS - 1)), "Total"],
        "is left out: it holds dates, such as '1-Jan-20', and 'Total' in 1 of the rows; replace it, remove these, or "
        "name it in form.missing where it says that a value is missing",
    ),
    "numbers behind blanks": (
        [f' "{n % 50}.5"' for n in range(ROWS)],
        "is left out: it holds numbers in quotation marks that are part of the cell; take the blanks before them away",
    ),
    "texts behind blanks": (
        [f' "{note}"' for note in FRAME["note"]],
        f'holds "{FRAME["note"][0][:39]}...: take blanks before quotation marks away, or state form.quotes: double',
    ),
}  # fmt: skip
"""Case -> (cells, what is told of them)."""


@pytest.mark.parametrize("case", ODD_CELLS)
def test_cells_that_are_read_as_they_are_not_meant_are_told(tmp_path, case) -> None:
    cells, told = ODD_CELLS[case]
    rows = "".join(f"{cell};{n * n % 97}.5\n" for n, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text(f"odd;y\n{rows}")
    assert f"column 'odd' {told}" in describe_file(tmp_path / "t.csv").problems


def test_classes_that_differ_in_case_alone_are_told_by_prepare(tmp_path) -> None:
    for texts in (True, False):
        table = FRAME[["note" if texts else "width"]].assign(label=cycled("Yes", "yes", "no"))
        table.to_csv(tmp_path / "t.csv", index=False)
        found = describe_file(tmp_path / "t.csv")
        assert found.task is not None
        lines: list[str] = []
        prepare([resolved(found.task)], out=tmp_path / "out", report=lines.append)
        assert lines[0].startswith(
            f"{tmp_path / 't.csv'}: column 'label' has levels that differ in case or blanks alone"
        )


@pytest.mark.parametrize(
    ("cells", "format"), [("{}-Jan-2020", "%d-%b-%Y"), ("2020-{}", "%Y-%m"), ("2020.12.{}", "%Y.%m.%d")]
)
def test_dates_as_spreadsheets_write_them_are_dates(tmp_path, cells, format) -> None:
    FRAME[["y"]].assign(t=[cells.format(f"{n % 12 + 1:02d}") for n in range(ROWS)])[["t", "y"]].to_csv(
        tmp_path / "t.csv", index=False
    )
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["columns"] == {"t": {"kind": "date", "format": format}}
    assert "2020-" in found.columns[0].holds


def test_a_column_without_a_name_is_no_feature(tmp_path) -> None:
    FRAME[["width", "y"]].sample(frac=0.5, random_state=0).to_csv(tmp_path / "t.csv")
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["features"] == ["width"]
    assert found.problems[0].startswith(
        "column '' is left out: it has no name, as the index of a pandas frame; give it"
    )


def test_numbers_of_customers_are_no_feature(tmp_path) -> None:
    FRAME[["width", "y"]].assign(**{"Kunden-Nr.": range(1000, 1000 + 7 * ROWS, 7)})[
        ["Kunden-Nr.", "width", "y"]
    ].to_csv(tmp_path / "t.csv", index=False)
    found = describe_file(tmp_path / "t.csv")
    assert found.task is not None
    assert found.task["source"]["features"] == ["width"]
    assert "is called an identifier" in found.problems[0]


def test_a_row_of_units_below_the_names_is_told(line: Line, tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("time;speed;load\ns;km/h;\n" + "".join(f"{n / 10};{n}.5;{n % 7}\n" for n in range(ROWS)))
    remedy = """remove it, or state what follows it, --form 'skip_lines=2' --form 'names=["time", "speed", "load"]'"""
    said = line.fails("describe", path)
    told = f"{path}: line 2 ('s,km/h,') seems to hold units, as lower lines have numbers there; "
    assert said == told + remedy
    path.write_text("a;a;b\nmean;std;mean\n" + "1;2;3\n4;5;6\n" * 9)
    assert """--form 'names=["a mean", "a std", "b mean"]'""" in line.fails("describe", path)
    path.write_text("time;speed;load\n1;;\n" + "".join(f"{n / 10};{n}.5;{n % 7}\n" for n in range(ROWS)))
    assert line("describe", path).code == 0


def test_a_txt_of_quoted_cells_between_tabs_is_no_text(line: Line, tmp_path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(
        "name\tremark\tmark\n" + "".join(f'P{n}\t"two\nlines"\t{n % 4}\n' for n in range(ROWS)),
        encoding="utf-16",
    )
    assert "state --form 'quotes=double' where cells stand in quotation marks" in line.fails("describe", path)


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
    (tmp_path / "x.conllu").write_text(sentences(*[[("a", "_", "X"), ("b", "_", "Y")]] * 30))
    assert block(line("describe", tmp_path / "x.conllu").out)["column"] == "xpos"
    out = line("describe", tmp_path / "x.conllu").out
    assert "the longest sentence has 2 words" in out
    assert (
        "x.conllu: 3 of 3 test sentences stand in the training part too; remove those that are copies" in out
    )
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


def test_a_dialogue_that_seems_a_table_without_names_may_be_read_as_a_text(tmp_path):
    said = "".join(
        f"{name}\tWords of line {i}.\n" for i in range(20) for name in ("ROMEO", "NURSE", "JULIET")
    )
    path = tmp_path / "play.txt"
    path.write_text(said)
    with pytest.raises(
        ValueError, match=r"line 1 .*'ROMEO', which other rows have too; .* read it as a text_file$"
    ):
        describe_file(path)
