"""Tables with a class: which rows go where, what a target stands for, rows of unknown classes, refusals."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_iris

from precisionflow.config import resolve
from precisionflow.data.batches import Rows
from precisionflow.data.prepare import prepare
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PARTS, PreparedSplit, data_folder

COLOURS = ["red", "green", "blue"]


def experiment(source: object, *, splits: tuple[int, ...] = (0,), **task: object):
    return resolve(
        {
            "name": "classes",
            "task": {"kind": "classification", "source": source} | task,
            "model": {"kind": "mlp"},
            "objective": {"kind": "cross_entropy"},
            "splits": list(splits),
        }
    )


def prepared(given, out: Path, split: int = 0) -> tuple[DatasetCard, PreparedSplit]:
    prepare([given], out=out)
    folder = PreparedSplit(data_folder(out, given, split))
    return read_card(folder.card, DatasetCard), folder


def table(path: Path, labels: list[str]) -> dict[str, object]:
    lines = [f"{i},{i % 5},{label}" for i, label in enumerate(labels)]
    path.write_text("\n".join(["a,b,colour", *lines]) + "\n")
    return {"kind": "table_file", "path": str(path), "target": "colour"}


def test_every_row_keeps_its_class_in_every_split(tmp_path):
    labels = [COLOURS[i % 3] for i in range(60)]
    given = experiment(table(tmp_path / "t.csv", labels), splits=(0, 1))
    for split in (0, 1):
        card, folder = prepared(given, tmp_path / "out", split)
        assert card.class_names == ("blue", "green", "red")
        rows = []
        for part in PARTS:
            found = Rows.read(folder.part(part))
            rows += found.rows.tolist()
            assert [card.class_names[int(i)] for i in found.target] == [labels[row] for row in found.rows]
            features = card.table.restore_features(found.features)
            np.testing.assert_allclose(features[:, 0], found.rows, atol=1e-4)
        assert sorted(rows) == list(range(60))
        assert not folder.unknown.exists()


def test_rows_of_unknown_classes_lie_apart_and_teach_nothing(tmp_path):
    labels = [COLOURS[i % 3] for i in range(60)]
    source = table(tmp_path / "t.csv", labels)
    card, folder = prepared(experiment(source, unknown=["green"]), tmp_path / "out")
    assert card.class_names == ("blue", "red")
    strange = Rows.read(folder.unknown).rows
    assert strange.tolist() == [row for row in range(60) if labels[row] == "green"]
    known = np.concatenate([Rows.read(folder.part(part)).rows for part in PARTS])
    assert sorted(known) == [row for row in range(60) if labels[row] != "green"]
    train = Rows.read(folder.part("train")).features
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    for part in PARTS:
        found = Rows.read(folder.part(part))
        assert [card.class_names[int(i)] for i in found.target] == [labels[row] for row in found.rows]


def test_a_set_of_scikit_learn(tmp_path):
    loaded = load_iris()
    card, folder = prepared(experiment({"kind": "scikit_learn_classes", "name": "iris"}), tmp_path)
    assert card.class_names == tuple(map(str, loaded.target_names))
    assert card.feature_names == tuple(loaded.feature_names)
    found = Rows.read(folder.part("test"))
    np.testing.assert_array_equal(found.target, loaded.target[found.rows])


@pytest.mark.parametrize(
    ("labels", "task", "expected"),
    [
        (["red"] * 40, {}, "column 'colour' is 'red' in every training row"),
        (["red", "blue"] * 20 + ["odd"], {}, "'odd' is a class of one row"),
        (["red", "blue"] * 20, {"unknown": ["grey"]}, "task.unknown names 'grey', which is no class"),
        (["red", "blue"] * 20 + [""], {}, "column 'colour': an empty cell"),
    ],
)
def test_bad_classes_are_named(tmp_path, labels, task, expected):
    source = table(tmp_path / "t.csv", labels)
    with pytest.raises(ValueError, match=r".") as caught:
        prepare([experiment(source, **task)], out=tmp_path / "out")
    assert str(caught.value).startswith(str(tmp_path / "t.csv"))
    assert expected in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (
            np.where(np.arange(40) == 5, np.nan, np.arange(40) % 2),
            "row 5 .* column 'colour': nan is no class",
        ),
        (
            [[1.0, 0.0], [0.0, 1.0]] * 20,
            "column 'colour' holds list.*; should hold a word or a number in each",
        ),
    ],
)
def test_what_is_no_class_in_a_typed_column_is_refused_in_one_line(labels, problem, tmp_path):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.arange(40) % 7, "colour": labels}), file)
    given = experiment({"kind": "table_file", "path": str(file), "target": "colour"})
    with pytest.raises(ValueError, match=problem) as told:
        prepare([given], out=tmp_path / "out")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("row", range(0, 40, 3))
def test_a_cell_beyond_all_range_is_refused_in_whichever_part_it_lies(row, tmp_path):
    numbers = np.random.default_rng(0).normal(size=40)
    numbers[row] = 1.7e308
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": numbers, "colour": COLOURS[:2] * 20}), file)
    given = experiment({"kind": "table_file", "path": str(file), "target": "colour"})
    with pytest.raises(
        ValueError, match=r"(spread beyond the range of float64|too far from the training rows)"
    ):
        prepare([given], out=tmp_path / "out")
