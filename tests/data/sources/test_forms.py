"""One table in the forms that people have: the same prepared parts, byte for byte, and what was read off is told."""

import gzip
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.data.prepare import prepare
from precisionflow.data.readers import json_lines, table_file
from precisionflow.data.readers.table_form import LOOKED_AT
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PARTS, data_folder

RANDOM = np.random.default_rng(7)
ROWS = 60
FRAME = pd.DataFrame(
    {
        "größe": RANDOM.normal(2, 1, ROWS).round(4),
        "count": RANDOM.integers(1, 5000, ROWS),
        "wood": RANDOM.choice(["oak", "ash", "élm"], ROWS),
        "dry": RANDOM.choice([True, False], ROWS),
        "cut": pd.Series(pd.date_range("2026-01-01", periods=ROWS)).dt.date,
        "y": RANDOM.normal(0, 3, ROWS).round(5),
    }
)
COLUMNS = {"wood": {"kind": "category"}, "dry": {"kind": "boolean"}, "cut": {"kind": "date"}}
TEXT = FRAME.to_csv(index=False)


def written(delimiter=",", decimal=".", **more) -> str:
    return FRAME.to_csv(index=False, sep=delimiter, decimal=decimal, **more)


GERMAN = written(";", ",")
FORMS: dict[str, tuple[str, bytes, dict, str]] = {
    "semicolons": ("t.csv", written(";").encode(), {}, "semicolons between columns"),
    "tabs": ("t.tsv", written("\t").encode(), {}, ""),
    "tabs in .csv": ("t.csv", written("\t").encode(), {}, "tabs between columns"),
    "bars": ("t.txt", written("|").encode(), {}, "vertical bars between columns"),
    "commas in .txt": ("t.txt", TEXT.encode(), {}, "commas between columns"),
    "decimal commas": ("t.csv", GERMAN.encode(), {}, "semicolons between columns, a comma before decimals"),
    "decimal commas in quotation marks": (
        "t.csv",
        written(",", ",", quoting=1).encode(),
        {},
        "a comma before decimals",
    ),
    "stated": (
        "t.csv",
        ("my table\n\n" + GERMAN).encode("cp1252"),
        {"delimiter": ";", "decimal": ",", "encoding": "cp1252", "skip_lines": 2, "quotes": "double"},
        "",
    ),
    "Excel's mark": (
        "t.csv",
        ("sep=;\r\n" + GERMAN.replace("\n", "\r\n")).encode(),
        {},
        "semicolons between columns, a comma before decimals, the first line skipped",
    ),
    "UTF-8 with a mark": ("t.csv", TEXT.encode("utf-8-sig"), {}, ""),
    "UTF-16": ("t.csv", TEXT.encode("utf-16"), {}, "UTF-16"),
    "UTF-16 without a mark": ("t.csv", TEXT.encode("utf-16-le"), {}, "UTF-16-LE"),
    "Latin-1": ("t.csv", TEXT.encode("latin-1"), {"encoding": "latin-1"}, ""),
    "gzip": ("t.csv.gz", gzip.compress(TEXT.encode()), {}, "gzip"),
    "gzip without saying so": ("t.csv", gzip.compress(GERMAN.encode("utf-16")), {}, "UTF-16, gzip"),
    "quotation marks": ("t.csv", written(quoting=1).encode(), {}, ""),
    "tabs and quotation marks": ("t.tsv", written("\t", quoting=1).encode(), {}, "cells in quotation marks"),
    "tabs and few quotation marks": (
        "t.tsv",
        written("\t").replace("oak", '"oak"').encode(),
        {"quotes": "double"},
        "",
    ),
    "CRLF": ("t.csv", written(lineterminator="\r\n").encode(), {}, ""),
    "CR": ("t.csv", written(lineterminator="\r").encode(), {}, ""),
    "empty lines": ("t.csv", (TEXT.replace("\n", "\n\n") + "\n\n").encode(), {}, ""),
    "no last line break": ("t.csv", TEXT.strip().encode(), {}, ""),
    "blanks around cells": ("t.csv", TEXT.replace(",oak,", ", oak ,").encode(), {}, ""),
    "other truth values": (
        "t.csv",
        TEXT.replace("True", "YES").replace("False", "n").encode(),
        {},
        "",
    ),
    "dates with slashes": ("t.csv", re.sub("(2026)-(..)-", r"\1/\2/", TEXT).encode(), {}, ""),
    "JSON lines": ("t.jsonl", b"", {}, ""),
    "JSON lines with gzip": ("t.ndjson.gz", b"", {}, "gzip"),
    "Parquet": ("t.parquet", b"", {}, ""),
    "Parquet of categories": ("t.parquet", b"", {}, ""),
}


def content(form: str, content: bytes) -> bytes:
    """The bytes of a file of this form."""
    if "JSON" in form:
        rows = [row | {"cut": str(row["cut"])} for row in FRAME.to_dict("records")]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        return gzip.compress(text) if "gzip" in form else text
    if "Parquet" in form:
        table = pa.Table.from_pandas(FRAME, preserve_index=False)
        if "categories" in form:
            table = table.set_column(2, "wood", table["wood"].dictionary_encode())
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        return sink.getvalue().to_pybytes()
    return content


def prepared(regression, folder, name, data, **source):
    """(bytes of the three parts, the card, lines that were told)."""
    folder.mkdir()
    (folder / name).write_bytes(data)
    given = {"kind": "table_file", "path": str(folder / name), "target": "y", "columns": COLUMNS} | source
    experiment, lines = regression(given), []
    prepare([experiment], out=folder / "out", report=lines.append)
    out = data_folder(folder / "out", experiment, 0)
    card = read_card(out / "dataset.json", DatasetCard)
    return [(out / f"{part}.parquet").read_bytes() for part in PARTS], card, lines


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_parts(regression, tmp_path, form) -> None:
    name, data, stated, told = FORMS[form]
    expected, plain, lines = prepared(regression, tmp_path / "plain", "t.csv", TEXT.encode())
    assert lines == ["t split 0: prepared"]
    data = content(form, data)
    found, card, lines = prepared(regression, tmp_path / "form", name, data, form=stated)
    assert found == expected
    assert card.dataset == "t"
    assert card.columns == plain.columns
    assert (card.features, card.standardisation) == (plain.features, plain.standardisation)
    wanted = f"read with {told}" if told and "gzip without" not in form else told
    assert wanted in lines[0]
    assert len(lines) == 1 + bool(told)
    assert list(card.notes) == lines[:-1]
    assert card.form.kind == (
        "parquet" if "Parquet" in form else "json_lines" if "JSON" in form else "delimited"
    )


@pytest.mark.parametrize("form", ["UTF-16", "decimal commas", "JSON lines", "gzip", "Parquet"])
def test_blocks_make_no_difference(regression, tmp_path, form, monkeypatch) -> None:
    monkeypatch.setattr(table_file, "BLOCK", 400)
    monkeypatch.setattr(table_file, "BATCH_ROWS", 7)
    expected, _, _ = prepared(regression, tmp_path / "plain", "t.csv", TEXT.encode())
    monkeypatch.setattr(json_lines, "BATCH_LINES", 9)
    name, data, stated, _ = FORMS[form]
    found, _, _ = prepared(regression, tmp_path / "form", name, content(form, data), form=stated)
    assert found == expected


def refused(regression, folder, name, data, **source) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        prepared(regression, folder, name, data, **source)
    line = str(caught.value)
    assert "\n" not in line
    assert not (folder / "out").exists()
    return line.removeprefix(f"{folder / name}: ")


NUMBERS = "a,b,y\n" + "".join(f"{i}.5,{i * i},{i % 7}\n" for i in range(40))
AMBIGUOUS = {
    "thousands or decimals": (
        "a;y\n" + "".join(f"{i},500;{i}\n" for i in range(1, 40)),
        "'1,500' may be 1.500 or 1500; state task.source.form: {decimal: \",\"} where the comma stands before "
        'decimals, {thousands: ","} where it stands between thousands',
    ),
    "two delimiters": (
        "a;b,y\n" + "".join(f"{i};1,{i}\n" for i in range(40)),
        "its columns may stand between commas or semicolons; state which, such as task.source.form: {delimiter: \",\"}",
    ),
    "a later comma": (
        "a;y\n" + "1;2\n" * LOOKED_AT + "1,5;2\n",
        f"row {LOOKED_AT} (counted from 0), column 'a': '1,5' is no number; replace its comma by a point",
    ),
    "thousands or decimals, by a point": (
        "a;y\n" + "".join(f"{i}.500;{i}\n" for i in range(1, 40)),
        "'1.500' may be 1.500 or 1500; state task.source.form: {decimal: \".\"} where the point stands before "
        'decimals, {thousands: "."} where it stands between thousands',
    ),
    "points among commas": (
        "a;y\n" + "1,25;2\n" * 20 + "1.25;2\n",
        "row 20 (counted from 0), column 'a': '1.25' is no number; replace its point by a comma",
    ),
    "a later point between thousands": (
        "a;y\n" + "1,25;2\n" * LOOKED_AT + "1.250;2\n",
        f"row {LOOKED_AT} (counted from 0), column 'a': '1.250' is no number; state task.source.form: "
        '{thousands: "."} where its point stands between thousands',
    ),
    "a later comma between thousands": (
        'a,y\n' + "1.25,2\n" * LOOKED_AT + '"1,250",2\n',
        f"row {LOOKED_AT} (counted from 0), column 'a': '1,250' is no number; state task.source.form: "
        '{thousands: ","} where its comma stands between thousands',
    ),
    "a later byte": (
        (NUMBERS * (LOOKED_AT // len(NUMBERS) + 1)).replace("a,b,y\n", "").encode() + b"\xe9,1,2\n",
        "has the byte 0xe9, which is not UTF-8; save it as UTF-8, or state its encoding",
    ),
    "a NUL": (NUMBERS + "1,\0,2\n", f"byte {len(NUMBERS) + 2} is NUL, which no text holds"),
    "a late title": ("by me\n" + NUMBERS, "state what stands above the names, task.source.form: {skip_lines: 1}"),
    "ragged": (NUMBERS + "\n1,2,3,4\n", "line 43 has 4 cells, the header 3: '1,2,3,4'; give every row as many cells"),
    "ragged below a cell of two lines": (
        NUMBERS.replace("0.5,0,", '0.5,"0\n",') + "1,2\n",
        "line 43 has 2 cells, the header 3: '1,2'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_could_be_two_things_is_asked_for(regression, tmp_path, case) -> None:
    data, expected = AMBIGUOUS[case]
    data = data.encode() if isinstance(data, str) else data
    name = "t.csv"
    if case == "a later byte":
        data = b"a,b,y\n" + data
    assert expected in refused(regression, tmp_path / "x", name, data, columns={})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["[1, 2]"], "line 2 is no object: '[1, 2]'; write one object a line"),
        (['{"a": 1, "y": }'], "line 2 is no JSON (Expecting value at character 15)"),
        (['{"a": [1], "y": 2}'], "line 2, column 'a': [\"1\"] is no single value"),
        (['{"a": ' + "[" * 100_000], "line 2 is nested too deeply: "),
        (['{"a": "\\ud83d", "y": 2}'], "line 2, column 'a': \\ud83d is half a character; write both halves"),
        (['{"a": "\\ud83d\\ude00", "y": 2}'], "row 1 (counted from 0), column 'a': '😀' is no number"),
        (['{"a": 1, "y": 2, "\\udc00": 2}'], "line 2, key '\\udc00': \\udc00 is half a character"),
        (['{"a": 1, "y": 2, "a": 3}'], "line 2 has the key 'a' twice"),
        (['{"a": 1}'], "row 1 (counted from 0), column 'y': an empty cell"),
        (['{"a": "x", "y": 1}'], "row 1 (counted from 0), column 'a': 'x' is no number"),
        (['{"a": NaN, "y": 1}'], "row 1 (counted from 0), column 'a': NaN is no finite number"),
        (['{"a": 1, "y": 2}'] * 1000 + ['{"a": 1, "z": 2}'], "line 1002 has the key 'z', which none of the first"),
        (['{"a": 9007199254740993, "y": 1}'], "column 'a': 9007199254740993 is a whole number beyond 2^53"),
    ],
)  # fmt: skip
def test_bad_json_lines_are_told_with_their_line(regression, tmp_path, lines, expected) -> None:
    data = "\n".join(['{"a": 1, "y": 2}', *lines, *['{"a": 5, "y": 2}'] * 9, ""]).encode()
    assert expected in refused(regression, tmp_path / "x", "t.jsonl", data, columns={})


def test_lists_and_objects_in_columns_that_are_not_read(regression, tmp_path) -> None:
    rows = [{"a": i % 7, "y": i, "deep": [{"b": i}] if i else 1, "half": "\ud800"} for i in range(20)]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "table_file", "path": str(path), "target": "y"}
    prepare([regression(source | {"features": ["a"]})], out=tmp_path / "out")
    with pytest.raises(
        ValueError, match=r"line 2, column 'deep': .* name the columns to predict from in task\.source"
    ):
        prepare([regression(source)], out=tmp_path / "out")


def test_objects_without_keys_are_no_table(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text("{}\n{}\n")
    with pytest.raises(ValueError, match="has no column; give it one, with a name"):
        table_file.TableInFile.open(tmp_path / "t.jsonl")


def test_a_large_file_is_read_in_blocks_whatever_its_form(tmp_path) -> None:
    rows = 3 * LOOKED_AT
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a;y\n" + b"1,25;2\n" * rows))
    file = table_file.TableInFile.open(tmp_path / "t.csv.gz")
    assert (file.form.decimal, file.form.delimiter, file.form.compressed) == (",", ";", True)
    assert sum(batch.num_rows for batch in file.batches(["y"])) == rows
