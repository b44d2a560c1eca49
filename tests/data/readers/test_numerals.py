"""Marks in numbers: of all that may be meant, those by which every number is one; what may be two is refused."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.config.load import form_of
from precisionflow.config.tables import FileForm
from precisionflow.data.readers.cells import numbers_of
from precisionflow.data.readers.numerals import DECIMALS, THOUSANDS, Marks, readings
from precisionflow.data.readers.table_file import TableInFile, typed
from precisionflow.data.sources.table_rows import blocks_of, place_of

NUMBERS = np.round(np.random.default_rng(4).normal(0, 1, 200) * 10 ** np.arange(200) ** 0.4, 2)
EVERY = [Marks(d, t) for d in DECIMALS for t in THOUSANDS if d != t]


def written(number: float, marks: Marks, digits: int = 2) -> str:
    """As Python groups digits, with other marks."""
    text = f"{number:,.{digits}f}"
    return text.translate({ord(","): marks.thousands or "", ord("."): marks.decimal})


@pytest.mark.parametrize("marks", EVERY)
def test_numbers_with_any_marks_are_known_by_themselves_and_read_to_their_values(tmp_path, marks) -> None:
    cells = [written(number, marks) for number in NUMBERS]
    assert [found for found, _ in readings(cells, decimal=None, thousands=None)] == [marks]
    quoted = "".join(f'"{cell}";{i}\n' for i, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text(f"a;i\n{quoted}")
    file = TableInFile.open(tmp_path / "t.csv")
    assert (file.form.decimal, file.form.thousands) == marks
    (batch,) = file.batches(["a"])
    np.testing.assert_array_equal(numbers_of(batch["a"], "a", place_of(file)), NUMBERS)
    told = {"points": ".", "commas": ",", "blanks": " ", "apostrophes": "'"}
    for name, mark in told.items():
        assert (f"{name} between thousands" in file.notes[0]) == (marks.thousands == mark)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "20", "1500", "word", "2026-01-01", ""], [(".", None)]),
        (["1.500", "2.750", "12"], [(".", None), (",", ".")]),
        (["1,500", "2,750", "12"], [(",", None), (".", ",")]),
        (["1.500", "0.750"], [(".", None)]),
        (["1.500", "2.5"], [(".", None)]),
        (["1.500", "2,5"], [(",", ".")]),
        (["1.500.000"], [(".", None), (",", ".")][1:]),
        (["1.500", "2,500"], [(".", ","), (",", ".")]),
        (["1.5", "2,5"], []),
        (["12.345.67", "1..5", "1.", "-", "."], [(".", None)]),
        (["1 500", "2,5"], [(",", " ")]),
        (["+1.5e-3", "-2"], [(".", None)]),
    ],
)  # fmt: skip
def test_readings_that_differ_are_all_there(cells, expected) -> None:
    found = readings(cells, decimal=None, thousands=None)
    assert [marks for marks, _ in found] == expected
    for marks, cell in found[1:]:
        assert cell is not None
        assert marks.value(cell) != found[0][0].value(cell)


def test_what_is_stated_is_not_asked_for(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;y\n1.500;1\n2.250;2\n12;3\n")
    for form, expected in (
        ({"decimal": "."}, [1.5, 2.25, 12]),
        ({"thousands": "."}, [1500, 2250, 12]),
        ({"decimal": ","}, [1500, 2250, 12]),
        ({"decimal": ",", "thousands": "."}, [1500, 2250, 12]),
    ):
        file = TableInFile.open(path, FileForm.model_validate(form))
        (batch,) = file.batches(["a"])
        assert numbers_of(batch["a"], "a", place_of(file)).tolist() == expected
    with pytest.raises(ValueError, match=r"form\.decimal and form\.thousands are both '\.'"):
        FileForm(decimal=".", thousands=".")
    assert form_of(["thousands=."]).thousands == "."


def test_numbers_of_both_ways_are_read_in_that_of_most_and_told(tmp_path) -> None:
    path = tmp_path / "t.csv"
    for cells, mark, other in (("1,5 2,25 3.5", ",", "3.5"), ("1.5 2.25 3,5", ".", "3,5")):
        path.write_text("a;y\n" + "".join(f"{cell};{i}\n" for i, cell in enumerate(cells.split())))
        file = TableInFile.open(path)
        assert (file.form.decimal, file.form.thousands) == (mark, None)
        assert "stand before decimals in other ways; read with the" in file.notes[-1]
        (batch,) = file.batches(["a"])
        with pytest.raises(
            ValueError, match=rf"row 2 \(counted from 0\), column 'a': '{other}' is no number; replace its"
        ):
            numbers_of(batch["a"], "a", place_of(file))


def test_a_point_between_other_columns_than_semicolons_is_of_decimals_and_told(tmp_path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\ty\n1.500\t1\n2.250\t2\n")
    file = TableInFile.open(path)
    assert (file.form.decimal, file.form.thousands) == (".", None)
    assert file.notes == (
        f"{path}: '1.500' is read as 1.500; state task.source.form: {{decimal: \".\"}} where the point stands before "
        'decimals, {thousands: "."} where it stands between thousands',
    )
    path.write_text("a\ty\n1.500\t1\n2.25\t2\n")
    assert TableInFile.open(path).notes == ()


@pytest.mark.parametrize("cell", ["1.50", "1.5000", "0.500", "1500.500", "12.34.567", ".500", "1.500.5"])
def test_a_mark_that_stands_between_other_digits_than_thousands_is_refused(cell) -> None:
    with pytest.raises(pa.ArrowInvalid):
        Marks(",", ".").unmarked(pa.array(["1.500", cell])).cast(pa.float64())


WHOLE = "".join(f"{i % 90};{i % 7}\n" for i in range(20_000))
"""More than the beginning that is looked at."""


@pytest.mark.parametrize("delimiter", [";", ",", "|"])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1.234", "2.5"], [1.234, 2.5]),
        (["1.234", "0.125"], [1.234, 0.125]),
        (
            ["1.234", "12"],
            "'1.234' may be 1.234 or 1234; state task.source.form: {decimal: \".\"} where the point",
        ),
        (["-1.234e3", "12"], "'-1.234e3' may be -1234.000 or -1234000; state"),
        (
            ['"1,234"', "12"],
            "'1,234' may be 1.234 or 1234; state task.source.form: {decimal: \",\"} where the comma",
        ),
        (
            ['"12,5"', "12"],
            "'12,5' is no number; replace its comma by a point, or state task.source.form: {decimal",
        ),
        (["1 234", "12"], "'1 234' is no number; state task.source.form: {thousands: \" \"}"),
    ],
)
def test_marks_that_come_behind_the_beginning(tmp_path, delimiter, cells, values) -> None:
    """Where no number of the beginning tells, a cell that may be two numbers is refused with its row and column."""
    path = tmp_path / "t.csv"
    end = "".join(f"{cell};1\n" for cell in cells)
    path.write_text(f"a;y\n{WHOLE}{end}".replace(";", delimiter))
    file = TableInFile.open(path)
    assert file.form.decimal is None
    if isinstance(values, str):
        with pytest.raises(ValueError, match=r"row 20000 \(counted from 0\), column 'a': ") as caught:
            read(file)
        assert values in str(caught.value)
    else:
        assert read(file)[-2:].tolist() == values
    stated = TableInFile.open(path, FileForm(decimal="."))
    if cells[0] == "1.234":
        assert read(stated)[-2] == 1.234


def read(file: TableInFile) -> np.ndarray:
    (batch,) = file.batches(["a"])
    return numbers_of(batch["a"], "a", place_of(file))


def test_marks_in_texts_of_a_parquet_file_are_known_by_the_column_or_refused(tmp_path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["1.234", "2.5"]}), path)
    assert read(TableInFile.open(path)).tolist() == [1.234, 2.5]
    pq.write_table(pa.table({"a": ["1.234", "2"]}), path)
    with pytest.raises(ValueError, match=r"'1\.234' may be 1\.234 or 1234; state"):
        read(TableInFile.open(path))
    assert read(TableInFile.open(path, FileForm(thousands="."))).tolist() == [1234, 2]


def test_numbers_of_another_form_are_not_typed() -> None:
    table = pa.table({"a": ["1.234", "2.500"], "b": ["1", "2"]})
    assert typed(table, Marks(",", ".")).to_pydict() == {"a": ["1.234", "2.500"], "b": [1, 2]}
    assert typed(table).to_pydict() == {"a": [1.234, 2.5], "b": [1, 2]}


def lines_of(cells: list[object]) -> str:
    return "".join(json.dumps({"a": cell, "y": i % 7}) + "\n" for i, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("cells", "values", "told"),
    [
        (["1.234", "2.5", 1.5], [1.234, 2.5, 1.5], ""),
        (["1,5", "2.500", 3.25, 1.125, 7], [1.5, 2500, 3.25, 1.125, 7], "a comma before decimals, points between"),
        (["1.500.000", 1.125], [1_500_000, 1.125], "points between thousands"),
        ([1.234, 2.567], [1.234, 2.567], ""),
        ([1.234, "7"], [1.234, 7], ""),
    ],
)  # fmt: skip
def test_marks_of_json_lines_are_those_of_texts_and_numbers_have_a_point(
    tmp_path, cells, values, told
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines_of(cells))
    file = TableInFile.open(path)
    assert read(file).tolist() == values
    assert (told in " ".join(file.notes)) if told else not file.notes


def test_a_numeral_in_quotation_marks_that_may_be_two_numbers_is_asked_for(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines_of(["1.234", "12", 1500.25]))
    with pytest.raises(
        ValueError, match=r"t\.jsonl: '1\.234' may be 1\.234 or 1234; state task\.source\.form"
    ):
        TableInFile.open(path)
    assert read(TableInFile.open(path, FileForm(decimal="."))).tolist() == [1.234, 12, 1500.25]


def test_a_stated_mark_between_thousands_is_not_looked_for_in_numbers_of_json(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines_of([1.234, "1.234", "1,5"]))
    assert read(TableInFile.open(path, FileForm(thousands="."))).tolist() == [1.234, 1234, 1.5]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1.234", "950"], "line 20001, column 'a': '1.234' may be 1.234 or 1234; state"),
        (["-", "1.234", "950"], "line 20002, column 'a': '1.234' may be 1.234 or 1234; state"),
        (["1.234", "2.5"], [1.234, 2.5]),
        (["2.5", "1.234"], [2.5, 1.234]),
        ([1.234, "950"], [1.234, 950]),
    ],
)
def test_marks_in_texts_of_json_that_come_behind_the_beginning(tmp_path, cells, values) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines_of([*(str(i % 90) for i in range(20_000)), *cells]))
    file = TableInFile.open(path, FileForm(missing=("-",)))
    if isinstance(values, str):
        with pytest.raises(ValueError, match=re.escape(values)):
            list(file.batches(["a"]))
    else:
        *_, last = file.batches(["a"])
        assert numbers_of(last["a"], "a", place_of(file))[-2:].tolist() == values


def test_a_text_that_looks_like_a_number_among_texts_of_json_is_a_text(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines_of([*(f"text {i}" for i in range(20_000)), "1.234"]))
    *_, last = TableInFile.open(path).batches(["a"])
    assert last["a"][-1].as_py() == "1.234"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_point_before_decimals_tells_of_the_later_rows_of_its_column(tmp_path, suffix) -> None:
    """Whatever the rows of a batch: 2.5 stands in an earlier one than 1.234; of another column it tells nothing."""
    rows = [{"a": "7", "b": "1"}] * 20_000 + [{"a": "2.5", "b": "1"}] + [{"a": "7", "b": "1"}] * 40_000
    path = tmp_path / f"t.{suffix}"

    def numbers(last: dict[str, str], column: str) -> float:
        lines = [",".join(row.values()) for row in [*rows, last]]
        text = "a,b\n" + "\n".join(lines)
        if suffix == "jsonl":
            text = "\n".join(map(json.dumps, [*rows, last]))
        path.write_text(text)
        *_, block = (
            numbers_of(batch[column], column, place)
            for _, place, batch in blocks_of(TableInFile.open(path), [column])
        )
        return block[-1]

    assert numbers({"a": "1.234", "b": "1"}, "a") == 1.234
    with pytest.raises(ValueError, match=r"column 'b': '1\.234' may be 1\.234 or 1234"):
        numbers({"a": "1", "b": "1.234"}, "b")
