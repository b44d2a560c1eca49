"""The first line: names of the columns, or a row of a file that has none."""

from pathlib import Path

import numpy as np
import pytest

from precisionflow.config.tables import FileForm
from precisionflow.data.description.file import describe_file
from precisionflow.data.readers.table_file import TableInFile

NUMBERS = np.random.default_rng(0).normal(50, 20, (40, 2)).round(2)
KINDS = "abc"


def rows(line: str, count: int = 40) -> str:
    """Lines whose {i}, {x}, {y} and {kind} are those of each row."""
    return "".join(
        line.format(i=i, x=NUMBERS[i, 0], y=NUMBERS[i, 1], kind=KINDS[i % 3], year=2001 + i % 20) + "\n"
        for i in range(count)
    )


ROWS_ALONE = {
    "numbers": rows("{x},{y}"),
    "numbers and words": rows("{x},sort {kind},{y}"),
    "missing values": rows("{x},{y}").replace(str(NUMBERS[7, 0]), "?"),
    "an empty cell in the first row": f"{NUMBERS[0, 0]},,3\n" + rows("{x},{y},{i}"),
    "a missing value in the first row": f"{NUMBERS[0, 0]},NA,{KINDS[0]}\n" + rows("{x},{y},{kind}"),
    "blanks": rows("{x}, {kind}, {y}"),
    "semicolons": rows("{x};{y}"),
    "years as years": rows("city {i},{year}"),
    "classes of texts": rows("{kind}\tthe text with the number {i}"),
    "numbers of texts": rows("the text with the number {i}\t{kind}").replace("\ta", "\t0").replace("\tb", "\t1")
    .replace("\tc", "\t1"),
}  # fmt: skip
NAMED = {
    "words": "x,y\n" + rows("{x},{y}"),
    "years": "country,2000,2005,2010\n" + rows("{kind},{x},{y},{i}"),
    "one year": "country,2000\n" + rows("{kind},{x}"),
    "places": "0,1\n" + rows("{x},{y}"),
    "an index without a name": ",0,1\n" + rows("{i},{x},{y}"),
    "pixels": "label,0,1,2\n" + rows("{i},{x},{y},0"),
    "one of two is a number": "x,7\n" + rows("{x},{y}"),
    "texts": "text,class\n" + rows("the text with the number {i},{kind}"),
    "texts alone": "one,other\n" + rows("the text with the number {i},also {i}"),
    "names again": "kind,text\n" + rows("{kind},a text {i}") + "kind,text\n" * 3,
    "a level as a name": "id,a\n" + rows("{x},{kind}"),
    "one row": "1,2\n3,4\n",
}


def written(folder: Path, text: str) -> Path:
    path = folder / ("t.tsv" if "\t" in text else "t.csv")
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", ROWS_ALONE)
def test_a_row_is_not_taken_for_names(tmp_path, case) -> None:
    path = written(tmp_path, ROWS_ALONE[case])
    with pytest.raises(ValueError, match=rf"^{path}: line 1 \(.*\) seems to be a row, as it has ") as caught:
        TableInFile.open(path)
    said = str(caught.value)
    names = tuple(f"c{i}" for i in range(1, 1 + said.count('"c')))
    file = TableInFile.open(path, FileForm(names=names))
    assert file.names == names == file.form.names
    cells = [line.split(file.form.delimiter) for line in ROWS_ALONE[case].splitlines()]
    assert [[*row.values()] for row in file.whole().to_pylist()] == cells


@pytest.mark.parametrize("case", NAMED)
def test_names_are_not_taken_for_a_row(tmp_path, case) -> None:
    file = TableInFile.open(written(tmp_path, NAMED[case]))
    assert file.names == tuple(NAMED[case].splitlines()[0].split(","))


def test_stated_names_stand_for_a_line_that_is_skipped(tmp_path) -> None:
    path = written(tmp_path, "7,8\n" + rows("{x},{y}"))
    file = TableInFile.open(path, FileForm(names=("a", "b"), skip_lines=1))
    assert [*map(float, file.whole()["a"].to_pylist())] == NUMBERS[:, 0].tolist()


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
def test_files_that_name_their_columns_take_no_names(tmp_path, name) -> None:
    (tmp_path / name).write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match=r"names its columns itself; leave out task\.source\.form\.names"):
        TableInFile.open(tmp_path / name, FileForm(names=("a",)))


def test_names_are_as_many_as_cells(tmp_path) -> None:
    path = written(tmp_path, rows("{x},{y}"))
    with pytest.raises(ValueError, match=r"its rows have 2 cells, and task\.source\.form\.names has 3 names"):
        TableInFile.open(path, FileForm(names=("a", "b", "c")))
    path.write_text(rows("{x},{y}") + "1,2,3\n")
    with pytest.raises(ValueError, match="line 41 has 3 cells, the header 2"):
        TableInFile.open(path, FileForm(names=("a", "b"))).whole()


def test_describe_asks_for_the_names_and_takes_them(tmp_path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(ROWS_ALONE["classes of texts"])
    with pytest.raises(ValueError, match="seems to be a row"):
        describe_file(path)
    found = describe_file(path, target="kind", form=FileForm(names=("kind", "text")))
    assert found.task is not None
    assert found.task["source"]["form"] == {"names": ["kind", "text"]}
    assert found.summary == "delimited text, 40 rows, 2 columns"
