"""Files that people have: read to the right numbers, or refused in the one line that says what to do."""

import gzip
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.data.encoding import Encoder
from precisionflow.data.readers import table_file
from precisionflow.data.readers.table_file import TableInFile, typed
from precisionflow.data.sources.table_rows import place_of
from precisionflow.records.columns import NumberInput

VALUES = np.round(np.random.default_rng(1).normal(2.0, [1.0, 30.0, 0.5], size=(30, 3)), 4)
PLAIN = "a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in VALUES.tolist())
GERMAN = PLAIN.replace(",", ";").replace(".", ",")


def read(path) -> np.ndarray:
    """All columns of a file as numbers."""
    file = TableInFile.open(path)
    encoder = Encoder(tuple(NumberInput(name=name) for name in file.names))
    blocks, first = [], 0
    for batch in file.batches(file.names):
        place = replace(place_of(file), first=first)
        encoder.refuse_missing(batch, place)
        blocks.append(encoder.encode(batch, place))
        first += batch.num_rows
    return np.concatenate(blocks)


def refused(path) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", PLAIN.encode()),
        ("UPPER.CSV", PLAIN.encode()),
        ("tabs.TSV", PLAIN.replace(",", "\t").encode()),
        ("mark.csv", PLAIN.encode("utf-8-sig")),
        ("windows.csv", PLAIN.replace("\n", "\r\n").encode()),
        ("mac.csv", PLAIN.replace("\n", "\r").encode()),
        ("quoted.csv", PLAIN.replace(",", '","').replace("\n", '"\n"').join('""')[:-2].encode()),
        ("blanks.csv", PLAIN.replace("\n", " \n").replace("y \n", "y\n", 1).encode()),
        ("semicolons.csv", PLAIN.replace(",", ";").encode()),
        ("decimal commas.csv", GERMAN.encode()),
        ("sep.csv", b"sep=;\r\n" + GERMAN.encode()),
        ("sep of tabs.csv", b"sep=\t\r\n" + PLAIN.replace(",", "\t").encode()),
        ("bars.csv", PLAIN.replace(",", "|").encode()),
        ("tabs.csv", PLAIN.replace(",", "\t").encode()),
        ("commas.tsv", PLAIN.encode()),
        ("commas.txt", PLAIN.encode()),
        ("utf-16.csv", PLAIN.encode("utf-16")),
        ("utf-16-be.csv", PLAIN.encode("utf-16-be")),
        ("utf-32.csv", PLAIN.encode("utf-32")),
        ("gzip.csv", gzip.compress(PLAIN.encode())),
        ("two members.csv.gz", gzip.compress(PLAIN[:100].encode()) + gzip.compress(PLAIN[100:].encode())),
        ("german.tsv.gz", gzip.compress(GERMAN.replace(";", "\t").encode("utf-16"))),
    ],
)
def test_the_same_numbers(tmp_path, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / name), VALUES)


FILES = {
    "blanks": (PLAIN.replace(",", " "), "its header 'a b y' is one column; separate columns by commas, not by blanks"),
    "title": (
        "My export\n\n" + PLAIN,
        "line 1 ('My export') has 1 cell, line 3 has 3; the first line should name every column, so state what "
        "stands above the names, task.source.form: {skip_lines: 2}, or add the names that are missing, {skip_lines: 1, "
        "names: [...]}",
    ),
    "comment": ("# by me, today\n" + PLAIN, "line 1 ('# by me') has 2 cells, line 2 has 3; the first line should"),
    "names of rows": (
        "a,b\n" + PLAIN.partition("\n")[2],
        "line 1 ('a') has 2 cells, line 2 has 3; the first line should name every column, so state what stands above "
        "the names, task.source.form: {skip_lines: 1}, or add the names that are missing, {skip_lines: 1, names: "
        '["name", "a", "b"]}',
    ),
    "commas at the ends of rows": (
        PLAIN.replace("\n", ",\n").replace("y,", "y", 1),
        "line 1 ('a') has 3 cells, line 2 has 4; each row ends with one of the commas: let the first line end so too",
    ),
    "blanks before quotation marks": (
        "a,b,y\n" + '1, "2, 3",4\n' * 9,
        "line 1 ('a') has 3 cells, line 2 has 4; take the blanks before quotation marks away",
    ),
    "JSON": ('[{"a": 1},\n{"a": 2}]', "is JSON; write one object a line and let its name end in .jsonl"),
    "JSON lines": ('{"a": 1}\n{"a": 2}\n', "is JSON; write one object a line and let its name end in .jsonl"),
    "numbers alone": (
        "1,1,2\n3,4,5\n6,7,8\n",
        "line 1 ('1,1,2') seems to be a row, as it has a number in each column of numbers; write a line of names above "
        'it, or state them, task.source.form: {names: ["c1", "c2", "c3"]}; where it holds the names, state them with '
        "skip_lines: 1",
    ),
    "half a gzip": (gzip.compress(PLAIN.encode())[:-20], "cannot be read (Compressed file ended"),
    "zip": (b"PK\x03\x04" + bytes(30), "is a ZIP archive or a spreadsheet; save the table in it as CSV, UTF-8"),
    "Parquet": (b"PAR1" + bytes(30), "is a Parquet file; let its name end in .parquet"),
    "NUL": (PLAIN + "1,2,\0\n", f"byte {len(PLAIN) + 4} is NUL, which no text holds; write the file again"),
    "empty": ("", "is empty; fetch or write it again"),
    "empty lines": ("\n \n\n", "is empty; fetch or write it again"),
    "names alone": ("a,b,y", "has no rows; give at least one"),
    "names and a break": ("a,b,y\n", "has no rows; give at least one"),
    "latin names": ("größe,y\n".encode("latin-1"), "line 1 has the byte 0xf6, which is not UTF-8; save it "
    "as UTF-8"),
    "latin cell": (PLAIN.encode() + b"\xf6,1,2\n", "line 32 has the byte 0xf6, which is not UTF-8; save it as UTF-8"),
    "name twice": (PLAIN.replace("a,b", "b,b", 1), "column 'b' stands there twice"),
    "open quotation": (
        PLAIN + '"1,2,3\n4,5,6\n',
        "line 32 has 1 cell, the header 3: '1,2,3\\n4,5,6\\n'; close "
    "its quotation mark, or give",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_another_form_is_told(tmp_path, case) -> None:
    content, expected = FILES[case]
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert expected in refused(path)


CELLS = {
    '"1.234,5"': "'1.234,5' is no number; replace it by one without marks between thousands",
    '"0,5"': "'0,5' is no number; replace its comma by a point, or state task.source.form: {decimal:",
    '"0,512.5"': "'0,512.5' is no number; replace it by one without marks between thousands",
    '"1,23,456"': "'1,23,456' is no number; replace it by one without marks between thousands",
    "5%": "'5%' is no number; replace it by the number without its sign, in all rows in the same unit",
    "−5": "'−5' is no number; replace its minus sign by a hyphen",
    "NA": "'NA' is no number; replace the missing value or remove its row, or name it in task.source.form.missing",
    "?": "'?' is no number; replace the missing value or remove its row, or name it in task.source.form.missing",
    "nan": "nan is no finite number; replace it or remove its row",
    "-Infinity": "-Infinity is no finite number; replace it or remove its row",
    "1e400": "1e400 is no finite number; replace it or remove its row",
    "": "an empty cell; the model knows no value for it, so replace it or remove its row",
    "1_000": "'1_000' is no number; replace it by one without marks between thousands",
    "5 kg": "'5 kg' is no number; replace it by the number without its unit, in all rows the same one",
    "$5": "'$5' is no number; replace it by the number without its unit, in all rows the same one",
    ' "5"': "'\"5\"' is no number; take blanks away before its quotation mark, or state task.source.form",
    "9" * 60: f"{'9' * 40}... is a whole number beyond 2^53, which float64 rounds to ",
    "5 apples": "'5 apples' is no number; replace it by the number without its unit, in all rows the same one",
    "0x10": "'0x10' is no number; replace it or remove its row",
    "9007199254740993": "9007199254740993 is a whole number beyond 2^53, which float64 rounds to 9007199254740992",
    "-123456789012345678901": "-123456789012345678901 is a whole number beyond 2^53, which float64 rounds to -12345678",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_that_is_no_number_is_told_with_its_remedy(tmp_path, cell) -> None:
    (tmp_path / "t.csv").write_text(f"{PLAIN}1,{cell},2\n", encoding="utf-8")
    assert refused(tmp_path / "t.csv").startswith(f"row 30 (counted from 0), column 'b': {CELLS[cell]}")


@pytest.mark.parametrize(
    ("cell", "value"),
    [("+5", 5.0), (".5", 0.5), ("5.", 5.0), ("1E+2", 100.0), ("007", 7.0), ("9007199254740992", 2.0**53),
     ("9007199254740994", 2.0**53 + 2), ("-1180591620717411303424", -(2.0**70)),
     ("0.123456789012345678", 0.12345678901234568),
     ('"1,234.5"', 1234.5), ('"-1,234,567"', -1234567.0), ("1'234", 1234.0), ("1’234’567.5", 1234567.5),
     ("1 234", 1234.0), ("12\u00a0345\u202f678.25", 12345678.25)],
)  # fmt: skip
def test_a_cell_that_is_a_number(tmp_path, cell, value) -> None:
    (tmp_path / "t.csv").write_text(f"{PLAIN}1,{cell},2\n")
    assert read(tmp_path / "t.csv")[-1, 1] == value


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(20, 0), pa.string()])
def test_whole_numbers_of_a_parquet_file_beyond_float64(tmp_path, kind) -> None:
    path = tmp_path / "t.parquet"
    for exact, given in ((True, 2**53 + 2), (False, 2**53 + 1), (False, 2**60 + 1)):
        pq.write_table(pa.table({"a": pa.array([1, given]).cast(kind)}), path)
        if exact:
            assert read(path)[1, 0] == given
        else:
            assert refused(path).startswith(
                f"row 1 (counted from 0), column 'a': {given} is a whole number beyond 2^53"
            )


def test_a_column_of_words_is_told_as_one(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i},sort {i}\n" for i in range(9)))
    assert (
        refused(tmp_path / "t.csv")
        == "column 'b' holds words, such as 'sort 0'; the model takes a number there"
    )


def test_quoted_line_breaks_beyond_a_block(tmp_path, monkeypatch) -> None:
    texts = [f"line {i}\n" * 2000 + ',"' for i in range(30)]
    table = pd.DataFrame(VALUES, columns=list("aby")).assign(text=texts)
    table.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr(table_file, "BLOCK", 1 << 16)
    monkeypatch.setattr(table_file, "BATCH_ROWS", 4)
    batches = list(TableInFile.open(tmp_path / "t.csv").batches(["text", "y"]))
    assert [batch.num_rows for batch in batches] == [4] * 7 + [2]
    assert [text for batch in batches for text in batch["text"].to_pylist()] == texts
    assert [float(y) for batch in batches for y in batch["y"].to_pylist()] == VALUES[:, 2].tolist()
    monkeypatch.setattr(table_file, "BLOCK", 1 << 10)
    with pytest.raises(ValueError, match="a row is longer than 0 MiB, or a quotation mark is never closed"):
        list(TableInFile.open(tmp_path / "t.csv").batches(["y"]))


def test_what_arrow_does_not_know_is_one_line(tmp_path, monkeypatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.0]}), path)

    def broken(_path):
        raise pa.ArrowNotImplementedError("unknown encoding\nsecond line")

    monkeypatch.setattr(pq, "read_schema", broken)
    assert refused(path) == "cannot be read as a table (unknown encoding); mend the file"


def test_cells_become_numbers_where_nothing_is_lost(tmp_path) -> None:
    columns = {
        "zip": ["01234", "00501", "10115"],
        "count": ["1", "-20", ""],
        "size": ["0.5", "1e3", "12"],
        "phone": ["+49", "+1", "+33"],
        "flag": ["yes", "no", "true"],
        "note": ["NA", "null", ""],
        "big": ["9007199254740993", "1", "2"],
        "huge": ["12345678901234567890", "1", "2"],
        "date": ["2026-01-01", "2026-01-02", "2026-01-03"],
        "nothing": ["", "", ""],
    }
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    found = typed(TableInFile.open(tmp_path / "t.csv").whole()).to_pydict()
    assert found == columns | {
        "count": [1, -20, None],
        "size": [0.5, 1000.0, 12.0],
        "big": [9007199254740993, 1, 2],
    }
    assert [type(value) for value in found["big"]] == [int] * 3
    assert TableInFile.open(tmp_path / "t.csv").whole().to_pydict() == columns
