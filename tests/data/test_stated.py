"""Files of predictions: rows are found by their numbers, whatever the order; what is wrong is one line with the row."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.data.stated import StatedFile

GOOD = "row,mean,std,note\n4,1.5,0.5,a\n0,-1,2,b\n2,0,1,c\n"


def written(folder: Path, text: str) -> str:
    file = folder / "theirs.csv"
    file.write_text(text)
    return str(file)


def test_rows_are_found_by_their_numbers(tmp_path: Path) -> None:
    file = StatedFile.read(written(tmp_path, GOOD), split=3)
    mean, std = file.of(np.array([2, 4, 0]))
    assert (mean.tolist(), std.tolist()) == ([0, 1.5, -1], [1, 0.5, 2])
    assert file.missing(np.array([1, 2, 7])).tolist() == [1, 7]


def test_a_column_split_says_which_split_a_row_is_of(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    pq.write_table(
        pa.table({"split": [0, 1, 1], "row": [0, 0, 1], "mean": [1.0, 2.0, 3.0], "std": [1, 1, 2]}), path
    )
    assert StatedFile.read(str(path), split=1).of(np.array([1, 0]))[0].tolist() == [3, 2]
    assert StatedFile.read(str(path), split=0).row.tolist() == [0]
    assert not len(StatedFile.read(str(path), split=2).row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,mean\n0,1\n", "column 'std' is missing (there are row, mean)"),
        ("row,mean,std\n0,1,1\n0,2,1\n", "row 0 is predicted twice; keep one of them"),
        ("split,row,mean,std\n3,5,1,1\n3,5,1,1\n", "row 5 of split 3 is predicted twice; keep one of them"),
        ("row,mean,std\n0,1,1\n1,2,0\n", "row 1 (counted from 0), column 'std': given 0; should be above 0"),
        ("row,mean,std\n0,nan,1\n", "row 0 (counted from 0), column 'mean': "),
        ("row,mean,std\n0,,1\n", "row 0 (counted from 0), column 'mean': is empty; give a number"),
        ("row,mean,std\n0,1,1\nhalf,1,1\n", "row 1 (counted from 0), column 'row': 'half' is no number; "),
        (
            "row,mean,std\n0.5,1,1\n",
            "row 0 (counted from 0), column 'row': given 0.5; should be a whole number",
        ),
        (
            "row,mean,std\n-1,1,1\n",
            "row 0 (counted from 0), column 'row': given -1; should be a whole number",
        ),
        (
            "split,row,mean,std\n0.5,1,1,1\n",
            "row 0 (counted from 0), column 'split': given 0.5; should be a whole",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_the_row(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: {message}")) as caught:
        StatedFile.read(path, split=3)
    assert "\n" not in str(caught.value)


def test_a_row_that_is_missing_is_named(tmp_path: Path) -> None:
    file = StatedFile.read(written(tmp_path, GOOD), split=3)
    with pytest.raises(
        ValueError, match=r"test row 1 of split 3 has no prediction \(2 of 3 have none\); predict"
    ):
        file.of(np.array([1, 2, 3]))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: does not exist; give a CSV"):
        StatedFile.read(str(tmp_path / "none.csv"), split=0)
