"""Columns as features: fitted on training rows alone, the same for new rows in any type, refused with row and value."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from precisionflow.config import ConfigError
from precisionflow.data.encoding import Encoder
from precisionflow.data.prepare import prepare
from precisionflow.data.readers.cells import Place
from precisionflow.records.cards import DatasetCard
from precisionflow.records.columns import BooleanInput, DateInput, NumberInput, OneHotInput, OrdinalInput
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import data_folder

RANDOM = np.random.default_rng(3)
ROWS = 50
FRAME = pd.DataFrame(
    {
        "width": RANDOM.normal(2, 1, ROWS).round(3),
        "wood": RANDOM.choice(["oak", "ash", "elm"], ROWS),
        "grade": RANDOM.choice(["low", "mid", "high"], ROWS),
        "dry": RANDOM.choice(["yes", "no"], ROWS),
        "cut": pd.date_range("2020-02-27", periods=ROWS).strftime("%d.%m.%Y"),
        "y": RANDOM.normal(0, 1, ROWS).round(3),
    }
)
COLUMNS = {
    "wood": {"kind": "category"},
    "grade": {"kind": "category", "encoding": "ordinal", "order": ["low", "mid", "high"]},
    "dry": {"kind": "boolean"},
    "cut": {"kind": "date", "format": "%d.%m.%Y"},
}
TESTED = sorted(np.random.default_rng(0).permutation(ROWS)[:5])
ENCODER = Encoder(
    (
        NumberInput(name="width", fill=2.0, indicator=True),
        OneHotInput(name="wood", levels=("ash", "oak"), fill=0, indicator=True),
        OrdinalInput(name="grade", levels=("low", "high")),
        BooleanInput(name="dry", fill=1.0),
        DateInput(name="cut"),
    )
)


def prepared(regression, folder, frame=FRAME, **source):
    """(rows of all parts in their own units by index, card, lines told)."""
    path = folder / "t.csv"
    frame.to_csv(path, index=False)
    given = {"kind": "table_file", "path": str(path), "target": "y", "columns": COLUMNS} | source
    experiment, lines = regression(given), []
    prepare([experiment], out=folder / "out", report=lines.append)
    out = data_folder(folder / "out", experiment, 0)
    card = read_card(out / "dataset.json", DatasetCard)
    rows = {}
    for part in card.rows:
        for row in read_parquet(out / f"{part}.parquet", REGRESSION_ROWS).to_pylist():
            rows[row["row"]] = card.table.restore_features(np.array(row["features"]))
    return rows, card, [line.removeprefix(f"{path}: ") for line in lines]


def test_each_kind_becomes_what_is_documented(regression, tmp_path) -> None:
    rows, card, lines = prepared(regression, tmp_path)
    assert lines == ["t split 0: prepared"]
    assert card.features == ("width", "wood=ash", "wood=elm", "wood=oak", "grade", "dry", "cut")
    first = datetime.date(2020, 2, 27)
    for index, row in rows.items():
        cells = FRAME.iloc[index]
        expected = [
            cells["width"],
            *(float(cells["wood"] == level) for level in ("ash", "elm", "oak")),
            ["low", "mid", "high"].index(cells["grade"]),
            float(cells["dry"] == "yes"),
            (first - datetime.date(1970, 1, 1)).days + index,
        ]
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-9)


def test_levels_and_medians_are_those_of_the_training_rows(regression, tmp_path) -> None:
    frame = FRAME.copy()
    frame.loc[TESTED[0], "wood"] = "yew"
    frame.loc[TESTED, "width"] = 1e6
    frame.loc[[7, TESTED[2]], ["width", "wood", "grade", "dry", "cut"]] = np.nan
    rows, card, lines = prepared(regression, tmp_path, frame, missing="median")
    assert "wood=yew" not in card.features
    assert not rows[TESTED[0]][[card.features.index(f"wood={w}") for w in ("ash", "elm", "oak")]].any()
    assert (
        "column 'wood': 1 rows of validation and test have a level that no training row has ('yew'); they are "
        "0 in all of "
        "its features"
    ) in lines
    training = read_parquet(data_folder_of(tmp_path), REGRESSION_ROWS)["row"].to_pylist()
    assert 7 in training
    known = frame.loc[training].dropna()
    median = known["width"].median()
    assert card.columns[0] == NumberInput(name="width", fill=median, indicator=True)
    assert (
        f"column 'width': 2 missing values become the median {median:g}, beside them the feature 'width is missing'"
        in lines
    )
    places = {name: place for place, name in enumerate(card.features)}
    for row in (7, TESTED[2]):
        assert rows[row][places["width"]] == pytest.approx(median)
        assert [
            rows[row][places[f"{name} is missing"]] for name in ("width", "wood", "grade", "dry", "cut")
        ] == (pytest.approx([1] * 5))
    assert rows[TESTED[1]][places["width is missing"]] == pytest.approx(0)


def data_folder_of(folder):
    (found,) = folder.glob("out/*/split-0/train.parquet")
    return found


def test_rows_with_empty_cells_may_be_left_out_before_the_cut(regression, tmp_path) -> None:
    frame = FRAME.copy()
    frame.loc[[3, 20], "wood"] = np.nan
    frame.loc[[20, 31], "y"] = np.nan
    rows, card, lines = prepared(regression, tmp_path, frame, missing="drop")
    assert sorted(rows) == [i for i in range(ROWS) if i not in (3, 20, 31)]
    assert sum(card.rows.values()) == 47
    assert (
        lines[0]
        == "3 of 50 rows are left out for a missing value, row 3 (counted from 0, column 'wood') first"
    )


def test_rules_may_differ_from_column_to_column(regression, tmp_path) -> None:
    frame = FRAME.copy()
    frame.loc[3, "width"], frame.loc[4, "dry"], frame.loc[5, "y"] = np.nan, np.nan, np.nan
    columns = COLUMNS | {
        "width": {"kind": "number", "missing": "median"},
        "dry": {"kind": "boolean", "missing": "drop"},
        "y": {"kind": "number", "missing": "drop"},
    }
    rows, card, _ = prepared(regression, tmp_path, frame, columns=columns)
    assert sorted(set(range(ROWS)) - set(rows)) == [4, 5]
    assert "width is missing" in card.features
    assert "dry is missing" not in card.features


REFUSED = [
    ({"width": {3: np.nan}}, {}, "row 3 (counted from 0), column 'width': an empty cell; replace it or remove its row, "
     "or state task.source.missing: drop or median"),
    ({"y": {3: np.nan}}, {"missing": "median"}, "column 'y': an empty cell; replace it or remove its row, or state "
     "task.source.missing: drop"),
    ({"grade": {9: "top"}}, {}, "row 9 (counted from 0), column 'grade': 'top' is no level in its order (low, m"),
    ({"dry": {9: "perhaps"}}, {}, "row 9 (counted from 0), column 'dry': 'perhaps' is no truth value; write true"),
    ({"cut": {9: "31.02.2026"}}, {}, "row 9 (counted from 0), column 'cut': '31.02.2026' is no date of the form %d"),
    ({}, {"columns": COLUMNS | {"cut": {"kind": "date"}}}, "row 0 (counted from 0), column 'cut': '27.02.2020' is no "
     "date with the year first; state the format of the column, such as %d.%m.%Y"),
    ({}, {"columns": {**COLUMNS, "y": {"kind": "boolean"}}}, "says that the target 'y' is no number"),
    ({}, {"columns": {**COLUMNS, "moisture": {"kind": "boolean"}}}, "column 'moisture' is missing (there are width,"),
    ({"width": dict.fromkeys(range(ROWS))}, {"missing": "median"}, "column 'width' has no value in any training row"),
    ({"width": dict.fromkeys(range(ROWS))}, {"missing": "drop"}, "every row has an empty cell; state task.source.miss"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "source", "problem"), REFUSED)
def test_what_is_nothing_of_its_kind_is_told(regression, tmp_path, cells, source, problem) -> None:
    frame = FRAME.astype(object)
    for name, values in cells.items():
        for row, value in values.items():
            frame.loc[row, name] = value
    with pytest.raises(ValueError, match=r".") as caught:
        prepared(regression, tmp_path, frame, **source)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["dry", "cut", "wood"])
def test_a_column_of_words_is_told_with_what_to_paste(regression, tmp_path, name) -> None:
    columns = {other: said for other, said in COLUMNS.items() if other != name}
    said = {
        "dry": "{kind: boolean}",
        "cut": '{kind: date, format: "%d.%m.%Y"}',
        "wood": "{kind: category}",
    }[name]
    with pytest.raises(ValueError, match=r".") as caught:
        prepared(regression, tmp_path, columns=columns)
    assert f"column {name!r} holds words, such as " in str(caught.value)
    assert f"say in task.source.columns what it is, {{{name}: {said}}}, or name" in str(caught.value)


def test_a_level_that_may_be_a_missing_value_is_told(regression, tmp_path) -> None:
    frame = FRAME.copy()
    frame.loc[:9, "wood"] = "n/a"
    _, card, lines = prepared(regression, tmp_path, frame)
    assert "wood=n/a" in card.features
    assert lines[0].startswith("column 'wood': 'n/a' is read as a level; name it in task.source.form.missing")
    _, card, _ = prepared(regression, tmp_path, frame, form={"missing": ["n/a"]}, missing="median")
    assert "wood=n/a" not in card.features


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ({"kind": "category", "order": ["a", "b"]}, "order is of encoding ordinal"),
        (
            {"kind": "category", "encoding": "ordinal"},
            "encoding ordinal needs order, all levels from the lowest",
        ),
        ({"kind": "category", "encoding": "ordinal", "order": ["a", "b", "a"]}, "order names 'a' twice"),
        ({"kind": "boolean", "encoding": "one_hot"}, "task.source.columns.wood.encoding: unknown key"),
        ({"kind": "words"}, "unknown value 'words'; allowed: number, category, boolean, date"),
    ],
)
def test_what_cannot_be_said_of_a_column(regression, column, problem) -> None:
    with pytest.raises(ConfigError, match=r"columns\.wood") as caught:
        regression({"kind": "table_file", "path": "t.csv", "target": "y", "columns": {"wood": column}})
    assert problem in str(caught.value)


ROWS_OF = {
    "texts": {
        "width": ["1.5", "", "2"], "wood": ["oak", "yew", ""], "grade": ["low", "high", "low"],
        "dry": ["Y", "", "FALSE"], "cut": ["1970-01-02", "1970-01-01T12:00", "1970/01/03"],
    },
    "types": {
        "width": pa.array([1.5, None, 2], pa.float32()), "wood": pa.array(["oak", "yew", None]).dictionary_encode(),
        "grade": ["low", "high", "low"], "dry": [True, None, False],
        "cut": pa.array([86400, 43200, 2 * 86400], pa.timestamp("s")),
    },
}  # fmt: skip


@pytest.mark.parametrize("form", ROWS_OF)
def test_new_rows_are_encoded_alike_in_every_type(form) -> None:
    found = ENCODER.encode(pa.table(ROWS_OF[form]), Place("rows"))
    assert ENCODER.features == (
        "width", "width is missing", "wood=ash", "wood=oak", "wood is missing", "grade", "dry", "cut",
    )  # fmt: skip
    np.testing.assert_array_equal(
        found, [[1.5, 0, 0, 1, 0, 0, 1, 1], [2, 1, 0, 0, 0, 1, 1, 0.5], [2, 0, 0, 0, 1, 0, 0, 2]]
    )
    (line,) = ENCODER.unknown(pa.table(ROWS_OF[form]), Place("rows"))
    assert line.startswith("rows: column 'wood': 1 rows have a level that no training row has ('yew')")


def dates(cells, written=None):
    return Encoder((DateInput(name="t", format=written),)).encode(pa.table({"t": cells}), Place("t"))[:, 0]


@pytest.mark.parametrize(
    ("cell", "days"),
    [
        ("1970-01-01", 0.0), ("1969-12-31", -1.0), ("0001-01-01", -719162.0), ("9999-12-31", 2932896.0),
        ("1970-01-01T06:00", 0.25), ("1970-01-01 06:00:00", 0.25), ("1970-01-01T00:00:00.5", 0.5 / 86400),
        ("1970-01-01T06:00Z", 0.25), ("1970-01-01T06:00+06:00", 0.0), ("1970-01-01T20:00:00-04:00", 1.0),
    ],
)  # fmt: skip
def test_dates_are_days_since_1970(cell, days) -> None:
    assert dates([cell, ""])[0] == days
    assert np.isnan(dates([cell, ""])[1])


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["1970-01-01T06:00Z", "1970-01-01"], "holds times with a zone ('1970-01-01T06:00Z') and without ('1970-01"),
        (["1970-01-01", "1970-13-01"], "row 1 (counted from 0), column 't': '1970-13-01' is no date; write it as"),
        (["12/31/1999"], "state the format of the column, such as %d/%m/%Y or %m/%d/%Y"),
        (["19991231"], "state the format of the column, such as %Y%m%d"),
        (["soon"], "'soon' is no date; write it as 2026-01-31"),
    ],
)  # fmt: skip
def test_what_is_no_date_is_told(cells, problem) -> None:
    with pytest.raises(ValueError, match=r"^t: ") as caught:
        dates(cells)
    assert problem in str(caught.value)


def test_formats_may_have_zones() -> None:
    assert dates(["01.01.1970 06:00 +0300"], "%d.%m.%Y %H:%M %z").tolist() == [0.125]


def test_levels_are_texts_whatever_their_type() -> None:
    encoder = Encoder((OneHotInput(name="zip", levels=("1", "22")),))
    for cells in (["1", " 22 "], [1, 22], [1.0, 22.0], pa.array(["1", "22"]).dictionary_encode()):
        np.testing.assert_array_equal(encoder.encode(pa.table({"zip": cells}), Place("t")), np.eye(2))
    assert ENCODER.features[0] == "width"
