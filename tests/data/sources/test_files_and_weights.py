"""Rows of several files, and rows that weigh more or less than others."""

import numpy as np
import pandas as pd
import pytest

from precisionflow.config import ConfigError, resolve
from precisionflow.data.batches import Rows, Sequences
from precisionflow.data.prepare import prepare
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import PARTS, data_folder

RANDOM = np.random.default_rng(9)
FRAME = pd.DataFrame({"a": RANDOM.normal(size=60), "y": RANDOM.normal(size=60)}).round(4)
FILES = {"train": FRAME[:40], "valid": FRAME[40:47], "test": FRAME[47:]}


@pytest.fixture
def paths(tmp_path):
    """The three parts, each in a form of its own."""
    FILES["train"].to_csv(tmp_path / "train.csv", index=False)
    FILES["valid"].to_csv(tmp_path / "valid.tsv", index=False, sep="\t", encoding="utf-16")
    FILES["test"].to_json(tmp_path / "test.jsonl", orient="records", lines=True)
    return {"path": str(tmp_path / "train.csv"), "valid": str(tmp_path / "valid.tsv"),
            "test": str(tmp_path / "test.jsonl")}  # fmt: skip


def prepared(experiment, out, split=0):
    lines = []
    prepare([experiment], out=out, report=lines.append)
    folder = data_folder(out, experiment, split)
    card = read_card(folder / "dataset.json", DatasetCard)
    return {part: read_parquet(folder / f"{part}.parquet", REGRESSION_ROWS) for part in PARTS}, card, lines


def table(regression, splits=(0,), **source):
    return regression({"kind": "table_file", "target": "y"} | source, splits=splits)


def test_files_are_the_parts_and_rows_are_counted_on(regression, paths, tmp_path) -> None:
    parts, card, lines = prepared(table(regression, **paths), tmp_path / "out")
    assert {part: rows["row"].to_pylist() for part, rows in parts.items()} == {
        "train": [*range(40)], "valid": [*range(40, 47)], "test": [*range(47, 60)],
    }  # fmt: skip
    for part, rows in parts.items():
        found = card.table.restore_target(rows["target"].to_numpy())
        np.testing.assert_allclose(found, FILES[part]["y"], rtol=1e-12)
    assert card.table.feature_mean[0] == pytest.approx(FILES["train"]["a"].mean())
    assert [line.split(": ", 1)[1] for line in lines[:-1]] == [
        "read with UTF-16; state task.source.form where that is wrong"
    ]


def test_a_part_without_a_file_is_cut_from_the_first(regression, paths, tmp_path) -> None:
    only = {"path": paths["path"], "test": paths["test"]}
    parts, _, _ = prepared(table(regression, **only), tmp_path / "a")
    assert [len(rows) for rows in parts.values()] == [36, 4, 13]
    assert set(parts["test"]["row"].to_pylist()) == set(range(40, 53))
    only = {"path": paths["path"], "valid": paths["valid"]}
    parts, _, _ = prepared(table(regression, splits=(3,), **only), tmp_path / "b", split=3)
    assert [len(rows) for rows in parts.values()] == [36, 7, 4]
    assert parts["test"]["row"].to_pylist() == sorted(np.random.default_rng(3).permutation(40)[:4])


@pytest.mark.parametrize(
    ("name", "row", "change", "problem"),
    [
        ("test.jsonl", 2, {"a": "x"}, "row 2 (counted from 0), column 'a': 'x' is no number"),
        ("test.jsonl", 2, {"a": 1e300}, "row 2 (counted from 0): feature 'a' is 1e+300, too far from the training"),
        ("test.jsonl", 0, {"y": None}, "row 0 (counted from 0), column 'y': an empty cell"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_own_file_and_row(
    regression, paths, tmp_path, name, row, change, problem
) -> None:
    rows = FILES["test"].astype(object).reset_index(drop=True)
    for column, value in change.items():
        rows.loc[row, column] = value
    rows.to_json(tmp_path / name, orient="records", lines=True)
    with pytest.raises(ValueError, match=r".") as caught:
        prepared(table(regression, **paths), tmp_path / "out")
    assert str(caught.value).startswith(f"{tmp_path / name}: {problem}")


def test_further_splits_draw_what_no_file_says(regression, paths, tmp_path) -> None:
    only, drawn = {"path": paths["path"], "test": paths["test"]}, set()
    for split in range(3):
        parts, card, _ = prepared(
            table(regression, splits=(split,), **only), tmp_path / f"{split}", split=split
        )
        rows = {part: of["row"].to_pylist() for part, of in parts.items()}
        assert rows["test"] == [*range(40, 53)]
        assert sorted(rows["train"] + rows["valid"]) == [*range(40)]
        assert card.table.feature_mean[0] == pytest.approx(FILES["train"]["a"].iloc[rows["train"]].mean())
        drawn.add(tuple(rows["valid"]))
    assert len(drawn) == 3


def test_what_files_of_parts_rule_out(regression, paths, tmp_path) -> None:
    with pytest.raises(
        ConfigError, match=r"given \[0, 1\]; task.source.valid and task.source.test are files"
    ):
        table(regression, splits=(0, 1), **paths)
    with pytest.raises(ConfigError, match=r"but task.source.test is a file of its own; leave one"):
        table(regression, **paths, split={"kind": "k_fold"})
    FRAME[["a"]].to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(ValueError, match="column 'y' is missing"):
        prepared(table(regression, **paths), tmp_path / "out")


def test_classified_texts_come_from_several_files_too(tmp_path) -> None:
    texts = [f"{'good' if i % 2 else 'bad'} film {i}" for i in range(30)]
    frame = pd.DataFrame({"text": texts, "label": ["yes" if i % 2 else "no" for i in range(30)]})
    frame[:20].to_csv(tmp_path / "train.tsv", sep="\t", index=False)
    frame[20:].to_csv(tmp_path / "dev.tsv", sep="\t", index=False)
    source = {"kind": "table_file", "path": str(tmp_path / "train.tsv"), "test": str(tmp_path / "dev.tsv")}
    experiment = resolve(
        {
            "name": "films",
            "task": {
                "kind": "sequence_classification",
                "source": source | {"features": ["text"], "target": "label"},
            },
            "model": {"kind": "transformer"},
            "objective": {"kind": "cross_entropy"},
        }
    )
    prepare([experiment], out=tmp_path / "out")
    folder = data_folder(tmp_path / "out", experiment, 0)
    found = {part: Sequences.read(folder / f"{part}.parquet") for part in PARTS}
    assert found["test"].rows.tolist() == [*range(20, 30)]
    assert found["test"].target.tolist() == [i % 2 for i in range(10)]
    assert len(found["train"]) + len(found["valid"]) == 20


WEIGHTED = FRAME.assign(w=np.arange(60) % 4 / 2)


def test_weights_are_kept_beside_their_rows(regression, tmp_path) -> None:
    frame = WEIGHTED.copy()
    frame.loc[[3, 50], "a"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = {"path": str(tmp_path / "t.csv"), "weights": "w", "missing": "drop"}
    parts, card, lines = prepared(table(regression, **given), tmp_path / "out")
    assert card.features == ("a",)
    assert sum(map(len, parts.values())) == 58
    for rows in parts.values():
        assert rows["weight"].to_pylist() == WEIGHTED["w"][rows["row"].to_pylist()].tolist()
    assert lines[0].endswith(
        "column 'w' holds the weights of training and validation losses; metrics of test rows and recalibrations "
        "count every row alike"
    )
    folder = data_folder(tmp_path / "out", table(regression, **given), 0)
    assert len(Rows.read(folder / "train.parquet")) == len(parts["train"])


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        (-1.0, "row 5 (counted from 0), column 'w': -1 is no weight; write 0 or a positive number"),
        (np.inf, "row 5 (counted from 0), column 'w': inf is no finite number"),
        (np.nan, "row 5 (counted from 0), column 'w': an empty cell; replace it or remove its row"),
        ("much", "row 5 (counted from 0), column 'w': 'much' is no number"),
    ],
)
def test_what_is_no_weight_is_told(regression, tmp_path, weight, problem) -> None:
    frame = WEIGHTED.astype(object)
    frame.loc[5, "w"] = weight
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=r".") as caught:
        prepared(
            table(regression, path=str(tmp_path / "t.csv"), weights="w", missing="drop"), tmp_path / "out"
        )
    assert problem in str(caught.value)
    frame.assign(w=0).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="column 'w' is 0 in every row; weights say what counts"):
        prepared(table(regression, path=str(tmp_path / "t.csv"), weights="w"), tmp_path / "out")
    for more in ({"weights": "y"}, {"weights": "a", "features": ["a"]}):
        with pytest.raises(ConfigError, match="which is the target or a feature; name another column"):
            table(regression, path="t.csv", **more)
