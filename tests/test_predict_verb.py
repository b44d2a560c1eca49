"""`precisionflow predict`: a trained cell and a table in, the table with predictions out; mistakes in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import trained as tiny
from command_line import Line
from sklearn.datasets import load_diabetes

from precisionflow.stage import cell_folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[tiny.Trained, Path]:
    folder = tmp_path_factory.mktemp("predict")
    finished = tiny.trained(tiny.TABLE, folder, seeds=[0], splits=[0])
    return finished, cell_folder(finished.model, 0, 0)


@pytest.fixture
def frame() -> pd.DataFrame:
    table = load_diabetes(scaled=False, as_frame=True).data.head(7)
    return table.assign(patient=[f"p{i}" for i in range(7)])


def words_of(results, table: Path, *words: str | Path) -> tuple[str | Path, ...]:
    finished, cell = results
    return ("predict", cell, table, "--data", finished.data, *words)


def test_every_row_keeps_its_columns_and_gets_its_prediction(line: Line, results, frame, tmp_path):
    finished, _ = results
    frame.to_csv(tmp_path / "in.csv", index=False)
    levels = ("--level", "0.5", "--level", "0.9")
    done = line(*words_of(results, tmp_path / "in.csv", *levels, "--out", "out.parquet"))
    assert (done.code, done.err) == (0, "")
    found = pq.read_table(tmp_path / "out.parquet").to_pandas()
    added = ["mean", "std", "aleatoric", "epistemic", "lower_50", "upper_50", "lower_90", "upper_90"]
    assert list(found.columns) == [*frame.columns, *added]
    expected = finished.predictor().distribution(frame.drop(columns="patient").to_numpy())
    np.testing.assert_allclose(found["mean"], expected.mean)
    np.testing.assert_allclose(found["upper_90"], expected.quantile(0.95))
    np.testing.assert_allclose(found["std"] ** 2, found["aleatoric"] ** 2 + found["epistemic"] ** 2)


def test_without_a_file_the_table_is_printed(line: Line, results, frame, tmp_path):
    frame[frame.columns[::-1]].to_csv(tmp_path / "in.csv", index=False)
    done = line(*words_of(results, tmp_path / "in.csv"))
    lines = done.out.splitlines()
    assert lines[0].startswith("patient,s6,")
    assert lines[0].endswith("lower_95,upper_95")
    assert len(lines) == 8


def spoiled(frame: pd.DataFrame, **cells) -> pd.DataFrame:
    return frame.assign(**cells)


BAD = {
    "a column is missing": (lambda f: f.drop(columns="bmi"), "'bmi'"),
    "a cell is no number": (lambda f: spoiled(f, bmi=[1.0, 2.0, "x", 3.0, 4.0, 5.0, 6.0]), "bmi"),
    "a cell is infinite": (lambda f: spoiled(f, bmi=[1.0, 2.0, np.inf, 3.0, 4.0, 5.0, 6.0]), "row 2"),
    "no rows": (lambda f: f.head(0), "has no rows"),
    "a name is taken": (lambda f: spoiled(f, mean=1.0), "'mean'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(line: Line, case, results, frame, tmp_path):
    spoil, named = BAD[case]
    spoil(frame).to_csv(tmp_path / "in.csv", index=False)
    assert named in line.fails(*words_of(results, tmp_path / "in.csv", "--out", "out.csv"))
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "words", [("--out", "x.txt"), ("--level", "1.5"), ("--level", "0.5", "--level", "0.5")]
)
def test_options_that_mean_nothing_are_refused(line: Line, words, results, frame, tmp_path):
    frame.to_csv(tmp_path / "in.csv", index=False)
    line.fails(*words_of(results, tmp_path / "in.csv", *words))
