"""CSV, TSV and Parquet sources: the numbers of the file, and what is refused in one line with nothing left behind."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.config import resolve
from precisionflow.data.prepare import prepare
from precisionflow.data.readers import table_file
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import data_folder

VALUES = np.random.default_rng(3).normal(2.0, [1.0, 30.0, 0.5], size=(40, 3))
NAMES = ["width", "depth", "strength"]


def source(path, /, **changes):
    return {"kind": "table_file", "path": str(path), "target": "strength"} | changes


def write_csv(path, lines=None, header=NAMES):
    rows = lines or [",".join(map(repr, row)) for row in VALUES.tolist()]
    path.write_text("\n".join([",".join(header), *rows]) + "\n", encoding="utf-8")
    return path


def prepared(experiment, out, split=0):
    """The card and the rows of all parts by their index, in their own units."""
    prepare([experiment], out=out)
    folder = data_folder(out, experiment, split)
    card = read_card(folder / "dataset.json", DatasetCard)
    scales, rows = card.standardisation, {}
    for part in card.rows:
        for row in read_parquet(folder / f"{part}.parquet", REGRESSION_ROWS).to_pylist():
            features = np.array(row["features"]) * scales.feature_scale + scales.feature_mean
            rows[row["row"]] = [*features, row["target"] * scales.target_scale + scales.target_mean]
    return card, np.array([rows[index] for index in range(len(rows))])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_rows_are_those_of_the_file(regression, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(table_file, "BATCH_ROWS", 7)
    path = tmp_path / f"beams.{suffix}"
    if suffix == "csv":
        write_csv(path)
    else:
        pq.write_table(pa.table(dict(zip(NAMES, VALUES.T, strict=True))), path)
    card, rows = prepared(regression(source(path)), tmp_path / "out")
    assert (card.dataset, card.features, card.target) == ("beams", ("width", "depth"), "strength")
    np.testing.assert_allclose(rows, VALUES, rtol=1e-12)
    assert card.rows == {"train": 32, "valid": 4, "test": 4}


def test_the_split_is_the_documented_draw(regression, tmp_path):
    experiment = regression(source(write_csv(tmp_path / "beams.csv")), splits=(3,))
    prepare([experiment], out=tmp_path / "out")
    test = read_parquet(data_folder(tmp_path / "out", experiment, 3) / "test.parquet", REGRESSION_ROWS)[
        "row"
    ].to_pylist()
    assert test == sorted(np.random.default_rng(3).permutation(40)[:4])


def test_named_features_in_their_order_and_other_columns_may_hold_text(regression, tmp_path):
    lines = [f"beam {i},{a!r},{b!r},{c!r}" for i, (a, b, c) in enumerate(VALUES.tolist())]
    path = write_csv(tmp_path / "beams.csv", lines, ["name", *NAMES])
    card, rows = prepared(regression(source(path, features=["depth", "width"])), tmp_path / "out")
    assert card.features == ("depth", "width")
    np.testing.assert_allclose(rows, VALUES[:, [1, 0, 2]], rtol=1e-12)


def test_a_constant_feature_is_allowed(regression, tmp_path):
    path = write_csv(tmp_path / "beams.csv", [f"7,{b!r},{c!r}" for _, b, c in VALUES.tolist()])
    card, rows = prepared(regression(source(path)), tmp_path / "out")
    assert card.standardisation.feature_mean[0] == 7.0
    assert set(rows[:, 0]) == {7.0}


def test_scikit_learn_names_its_columns(regression, tmp_path):
    card, _ = prepared(regression({"kind": "scikit_learn", "name": "linnerud"}), tmp_path / "out")
    assert (card.features, card.target) == (("Chins", "Situps", "Jumps"), "Weight")
    assert card.feature_names == card.features


def test_a_folder_without_names_calls_its_features_by_number(regression, folder, tmp_path):
    card, _ = prepared(regression(folder()), tmp_path / "out")
    assert (card.features, card.target) == (None, None)
    assert card.feature_names == ("x0", "x1", "x2")


def changed(row, text):
    lines = [",".join(map(repr, cells)) for cells in VALUES.tolist()]
    lines[row] = text
    return lines


# name: (lines, header, what the message says)
BAD = {
    "nan target": (changed(5, "1,2,nan"), NAMES, "row 5 (counted from 0), column 'strength': nan is no finite"),
    "infinite feature": (changed(9, "1,-inf,3"), NAMES, "row 9 (counted from 0), column 'depth': -inf is no"),
    "empty cell": (changed(0, "1,,3"), NAMES, "row 0 (counted from 0), column 'depth': an empty cell; replace it"),
    "word": (changed(39, "1,2,x"), NAMES, "row 39 (counted from 0), column 'strength': 'x' is no number; replace"),
    "short row": (changed(7, "1,2"), NAMES, "line 9 has 2 cells, the header 3: '1,2'; give every row as many"),
    "one row": (["1,2,3"], NAMES, "0 training rows are left of 0; 3 are the fewest"),
    "no row": ([""], NAMES, "has no rows; give at least one"),
    "constant target": (["1,2,3", "2,3,3"] * 20, NAMES, "the target 'strength' is 3 in every training row"),
    "huge": (changed(5, "1e300,1,1"), NAMES, "feature 'width' has a spread beyond the range of float64"),
    "far": (changed(4, "1,1e300,1"), NAMES, "row 4 (counted from 0): feature 'depth' is 1e+300, too far from"),
    "blanks": (["1 2 3"], ["width depth strength"], "its header 'width depth strength' is one column; separate"),
    "no name": (None, ["width", "", "strength"], "column 2 has no name; give it one, or name the others in task."),
    "other case": (None, ["width", "depth", "STRENGTH"], "did you mean 'STRENGTH'?"),
    "column twice": (None, ["depth", "depth", "strength"], "column 'depth' stands there twice"),
    "no target": (
        None, ["width", "depth", "strenght"],
        "column 'strength' is missing (there are width, depth, strenght); did you mean 'strenght'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_csv(regression, tmp_path, case):
    lines, header, expected = BAD[case]
    path = write_csv(tmp_path / "beams.csv", lines, header)
    message = refused(regression(source(path)), tmp_path)
    assert expected in message
    assert message.startswith(str(path))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (VALUES[:, :2].tolist(), "column 'strength' holds list<element: double>; should hold one number in each row"),
        ([True] * 40, "column 'strength' holds bool; should hold one number in each row"),
        ([None] * 40, "row 0 (counted from 0), column 'strength': an empty cell; replace it or"),
        ([None, *VALUES[1:, 2].tolist()], "row 0 (counted from 0), column 'strength': an empty cell; replace it or"),
    ],
)  # fmt: skip
def test_bad_parquet(regression, tmp_path, column, expected):
    path = tmp_path / "beams.parquet"
    pq.write_table(pa.table({"width": VALUES[:, 0], "strength": column}), path)
    assert expected in refused(regression(source(path)), tmp_path)


def test_columns_of_either_kind_of_text_may_hold_numbers(regression, tmp_path):
    path = tmp_path / "beams.parquet"
    texts = [pa.array(list(map(repr, column)), kind) for column, kind in zip(
        VALUES.T.tolist(), (pa.string(), pa.large_string(), pa.large_string()), strict=True
    )]  # fmt: skip
    pq.write_table(pa.table(texts, NAMES), path)
    np.testing.assert_allclose(prepared(regression(source(path)), tmp_path / "out")[1], VALUES, rtol=1e-12)


def test_names_that_are_not_utf8(regression, tmp_path):
    path = tmp_path / "beams.csv"
    path.write_bytes("größe,strength\n1,2\n".encode("latin-1"))
    assert refused(regression(source(path)), tmp_path) == (
        f"{path}: line 1 has the byte 0xf6, which is not UTF-8; save it as UTF-8, or state its encoding, such as "
        "task.source.form: {encoding: cp1252}"
    )


def test_a_file_that_is_no_parquet(regression, tmp_path):
    path = tmp_path / "beams.parquet"
    path.write_text("width,strength\n")
    assert "cannot be read as a table" in refused(regression(source(path)), tmp_path)


def test_a_target_without_features(regression, tmp_path):
    path = write_csv(tmp_path / "beams.csv", ["1", "2"], ["strength"])
    assert "has no column but the target 'strength'" in refused(regression(source(path)), tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"path": "beams.doc"}, "should end in .csv, .tsv, .txt, .jsonl, .ndjson, .parquet$"),
        ({"path": "beams.csv.xz"}, ".parquet; decompress it and give the file that was in it"),
        ({"path": "beams.parquet.gz"}, "should end in .csv"),
        ({"path": "beams.XLSX"}, "should end in .csv, .*; save the table as CSV, UTF-8"),
        ({"features": []}, "features names no column"),
        ({"features": ["width", "strength"]}, "features names the target 'strength'"),
        ({"features": ["width", "width"]}, "features names 'width' twice"),
    ],
)
def test_bad_experiment(changes, expected):
    tree = {"task": {"kind": "regression", "source": source("beams.csv", **changes)}}
    rest = {"name": "t", "model": {"kind": "mlp"}, "objective": {"kind": "gaussian_nll"}}
    with pytest.raises(ValueError, match=expected):
        resolve(tree | rest)


def refused(experiment, folder):
    with pytest.raises(ValueError, match=r".") as caught:
        prepare([experiment], out=folder / "out")
    assert "\n" not in str(caught.value)
    assert not (folder / "out").exists()
    return str(caught.value)


def test_columns_between_tabs_hold_the_same_numbers(regression, tmp_path):
    text = write_csv(tmp_path / "beams.csv").read_text()
    (tmp_path / "beams.tsv").write_text(text.replace(",", "\t"))
    _, expected = prepared(regression(source(tmp_path / "beams.csv")), tmp_path / "csv")
    card, rows = prepared(regression(source(tmp_path / "beams.tsv")), tmp_path / "tsv")
    assert (card.dataset, card.features, card.target) == ("beams", ("width", "depth"), "strength")
    assert np.array_equal(rows, expected)


def test_a_quotation_mark_between_tabs_is_a_character(tmp_path):
    path = tmp_path / "said.tsv"
    path.write_text('text\tlabel\n"so, she said\t1\nan "end"\t0\n', encoding="utf-8")
    file = TableInFile.open(path)
    assert file.names == ("text", "label")
    texts = pa.Table.from_batches(file.batches(["text"]))["text"].to_pylist()
    assert texts == ['"so, she said', 'an "end"']
    assert file.whole()["text"].to_pylist() == texts


FRAME = pd.DataFrame(VALUES, columns=NAMES)


def told(experiment, folder):
    """What prepare reports."""
    lines = []
    prepare([experiment], out=folder / "out", report=lines.append)
    return lines


@pytest.mark.parametrize(
    ("frame", "left_out"),
    [
        (FRAME.sample(frac=1, random_state=1), ["__index_level_0__"]),
        (FRAME.iloc[::-1], ["__index_level_0__"]),
        (FRAME.assign(beam=np.arange(40) ** 2).set_index("beam"), ["beam"]),
        (
            FRAME.set_index([np.arange(40) % 3, np.arange(40)]),
            ["__index_level_0__", "__index_level_1__"],
        ),
        (FRAME, []),
    ],
)
def test_the_index_of_a_frame_is_no_feature(regression, tmp_path, frame, left_out):
    path = tmp_path / "beams.parquet"
    frame.to_parquet(path, index=None if left_out == [] else True)
    assert list(TableInFile.open(path).index_columns) == left_out
    experiment = regression(source(path), splits=(0, 1))
    lines = told(experiment, tmp_path)
    assert lines[: len(left_out)] == [
        f"{path}: column {name!r} is the index of a pandas frame and left out; name it in task.source.features if it "
        "says something"
        for name in left_out
    ]
    assert lines[len(left_out) :] == ["beams split 0: prepared", "beams split 1: prepared"]
    card, rows = prepared(experiment, tmp_path / "out")
    assert card.features == ("width", "depth")
    np.testing.assert_allclose(rows, frame[NAMES].to_numpy(), rtol=1e-12)


def test_an_index_that_is_named_is_a_feature(regression, tmp_path):
    path = tmp_path / "beams.parquet"
    FRAME.assign(year=np.arange(40) ** 2).set_index("year").to_parquet(path)
    named = regression(source(path, features=["year", "width"]))
    assert told(named, tmp_path) == ["beams split 0: prepared"]
    assert prepared(named, tmp_path / "out")[0].features == ("year", "width")
    FRAME.set_index(["width", "depth"]).to_parquet(path)
    assert refused(regression(source(path)), tmp_path / "no").endswith(
        "has no column but the target 'strength' and the index of a pandas frame (width, depth); give it features"
    )


@pytest.mark.parametrize(
    "metadata", [b"{}", b"[1]", b"no JSON", b'{"index_columns": [{"kind": "range"}, "gone", 3]}']
)
def test_metadata_of_others_name_no_index(tmp_path, metadata):
    path = tmp_path / "beams.parquet"
    pq.write_table(pa.Table.from_pandas(FRAME).replace_schema_metadata({b"pandas": metadata}), path)
    assert TableInFile.open(path).index_columns == ()


NUMBERINGS = [
    ("Unnamed: 0", range(40), "is what pandas calls an index without a name"),
    ("Unnamed: 0", VALUES[:, 0], "is what pandas calls an index without a name"),
    ("level_0", range(40), "is what pandas calls an index without a name"),
    ("index", range(40), "numbers the rows"),
    ("ID", range(1, 41), "numbers the rows"),
    ("row_id", np.random.default_rng(0).permutation(40), "numbers the rows"),
    ("Sample No.", range(0, 400, 10), "numbers the rows"),
    ("index", VALUES[:, 0], None),
    ("id", [1, 2] * 20, None),
    ("time", range(40), None),
    ("x1", range(40), None),
    ("width of row", range(40), None),
]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(("name", "values", "asked"), NUMBERINGS)
def test_a_column_that_numbers_the_rows_is_asked_about(regression, tmp_path, suffix, name, values, asked):
    path = tmp_path / f"beams.{suffix}"
    frame = FRAME.assign(**{name: list(values)})
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    if asked is None:
        assert prepared(regression(source(path)), tmp_path / "out")[0].features == ("width", "depth", name)
        return
    assert refused(regression(source(path)), tmp_path) == (
        f"{path}: column {name!r} {asked}, which would tell the model their order; name the columns to predict from in "
        f"task.source.features, {name!r} among them if it says something"
    )
    named = regression(source(path, features=["width", name]))
    assert prepared(named, tmp_path / "out")[0].features == ("width", name)


def test_a_column_of_words_has_the_features_as_remedy(regression, tmp_path):
    path = tmp_path / "beams.csv"
    FRAME.assign(wood=["oak", "ash"] * 20).to_csv(path, index=False)
    assert refused(regression(source(path)), tmp_path) == (
        f"{path}: column 'wood' holds words, such as 'oak'; say in task.source.columns what it is, {{wood: {{kind: "
        "category}}, or name the columns of numbers to predict from in task.source.features"
    )
    assert prepared(regression(source(path, features=["width"])), tmp_path / "out")[0].features == ("width",)
    assert refused(regression(source(path, target="wood", features=["width"])), tmp_path / "no") == (
        f"{path}: column 'wood' holds words, such as 'oak'; choose another target column"
    )


def test_a_file_without_names(regression, tmp_path):
    path = tmp_path / "beams.csv"
    FRAME.to_csv(path, index=False, header=False)
    assert refused(regression(source(path)), tmp_path).endswith(
        "where it holds the names, state them with skip_lines: 1"
    )


def test_suffixes_in_capitals(regression, tmp_path):
    FRAME.to_csv(tmp_path / "BEAMS.CSV", index=False)
    FRAME.to_parquet(tmp_path / "beams.Parquet")
    for name in ("BEAMS.CSV", "beams.Parquet"):
        card, rows = prepared(regression(source(tmp_path / name)), tmp_path / name.lower())
        assert card.dataset == name.split(".")[0]
        np.testing.assert_allclose(rows, VALUES, rtol=1e-12)
