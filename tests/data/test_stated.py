"""Files of predictions: rows are found by their numbers, whatever the order; what is wrong is one line with the row."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.data.stated import FEWEST, StatedFile

GOOD = "row,mean,std,note\n4,1.5,0.5,a\n0,-1,2,b\n2,0,1,c\n"


def written(folder: Path, text: str) -> str:
    file = folder / "theirs.csv"
    file.write_text(text)
    return str(file)


def test_rows_are_found_by_their_numbers(tmp_path: Path) -> None:
    file = StatedFile.numbers(written(tmp_path, GOOD), split=3)
    assert file.of(np.array([2, 4, 0])).tolist() == [[0, 1], [1.5, 0.5], [-1, 2]]
    assert file.missing(np.array([1, 2, 7])).tolist() == [1, 7]


def test_numbers_are_written_as_the_whole_file_is(tmp_path: Path) -> None:
    file = StatedFile.numbers(written(tmp_path, "row;mean;std\n0;1.234,5;0,5\n1;2.500;1,25\n"), split=0)
    assert file.of(np.array([0, 1])).tolist() == [[1234.5, 0.5], [2500, 1.25]]


def test_a_column_split_says_which_split_a_row_is_of(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    pq.write_table(
        pa.table({"split": [0, 1, 1], "row": [0, 0, 1], "mean": [1.0, 2.0, 3.0], "std": [1, 1, 2]}), path
    )
    assert StatedFile.numbers(str(path), split=1).of(np.array([1, 0]))[:, 0].tolist() == [3, 2]
    assert StatedFile.numbers(str(path), split=0).row.tolist() == [0]
    assert not len(StatedFile.numbers(str(path), split=2).row)


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
        StatedFile.numbers(path, split=3)
    assert "\n" not in str(caught.value)


def test_a_row_that_is_missing_is_named(tmp_path: Path) -> None:
    file = StatedFile.numbers(written(tmp_path, GOOD), split=3)
    with pytest.raises(
        ValueError, match=r"test row 1 of split 3 has no prediction \(2 of 3 have none\); predict"
    ):
        file.of(np.array([1, 2, 3]))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: does not exist; give a CSV"):
        StatedFile.numbers(str(tmp_path / "none.csv"), split=0)


def test_probabilities_are_read_in_the_order_of_the_classes(tmp_path: Path) -> None:
    path = written(tmp_path, "p_b,row,p_a\n0.25,1,0.75\n1,0,0\n0.5004,2,0.5\n")
    found = np.exp(StatedFile.classes(path, ["a", "b"], split=0).of(np.array([0, 1, 2])))
    np.testing.assert_allclose(found[1], [0.75, 0.25])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[0, 0] == pytest.approx(FEWEST)
    assert found[2, 1] == pytest.approx(0.5004 / 1.0004)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,p_a\n0,1\n", "column 'p_b' is missing (there are row, p_a)"),
        (
            "row,p_a,p_b\n0,1.5,-0.5\n",
            "row 0 (counted from 0), column 'p_a': given 1.5; should be between 0 and 1",
        ),
        (
            "row,p_a,p_b\n0,1,0\n1,0.5,0.4\n",
            "row 1 (counted from 0): its probabilities sum to 0.9; make it 1",
        ),
    ],
)
def test_what_are_no_probabilities_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: {message}")):
        StatedFile.classes(path, ["a", "b"], split=0)
