"""`precisionflow predict`: a trained cell and a table in, the table with predictions out; mistakes in one line."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import trained as tiny
from command_line import Line
from sklearn.datasets import load_diabetes

from precisionflow.results.layout import cell_folder


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


def test_columns_of_text_keep_their_zeros_in_parquet(line: Line, results, frame, tmp_path):
    kept = {"zip": [f"0{i}123" for i in range(7)], "note": ["NA", "null", "yes", "no", "true", "", "1"]}
    frame.assign(**kept, count=range(7)).to_csv(tmp_path / "in.csv", index=False)
    assert line(*words_of(results, tmp_path / "in.csv", "--out", "OUT.PARQUET")).code == 0
    found = pq.read_table(tmp_path / "OUT.PARQUET").to_pydict()
    assert {name: found[name] for name in kept} == kept
    assert found["count"] == list(range(7))


def test_without_a_file_the_table_is_printed(line: Line, results, frame, tmp_path):
    frame[frame.columns[::-1]].to_csv(tmp_path / "in.csv", index=False)
    done = line(*words_of(results, tmp_path / "in.csv"))
    lines = done.out.splitlines()
    assert lines[0].startswith("patient,s6,")
    assert lines[0].endswith("lower_95,upper_95")
    assert len(lines) == 8


def test_columns_between_tabs_come_and_go(line: Line, results, frame, tmp_path):
    noted = frame.assign(patient=['5" tall', *frame["patient"][1:]])
    noted.to_csv(tmp_path / "in.csv", index=False)
    cells = [map(str, row) for row in (noted.columns, *noted.itertuples(index=False))]
    (tmp_path / "in.tsv").write_text("".join("\t".join(row) + "\n" for row in cells))
    for name in ("csv", "tsv"):
        assert line(*words_of(results, tmp_path / f"in.{name}", "--out", f"out.{name}")).code == 0
    from_commas = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row.split("\t") for row in (tmp_path / "out.tsv").read_text().splitlines()] == from_commas
    frame.assign(patient="a\tb").to_csv(tmp_path / "in.csv", index=False)
    refusal = line.fails(*words_of(results, tmp_path / "in.csv", "--out", "no.tsv"))
    assert refusal == "--out no.tsv: a cell holds a tab or a line break; give a file .csv or .parquet"


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


OUTSIDE = {
    "too large for the network": (
        lambda f: spoiled(f, bmi=[1.0, 2.0, 1e300, 3.0, 4.0, 5.0, 6.0]),
        "row 2, column 'bmi'",
    ),
    "a text": (
        lambda f: spoiled(f, bmi="1,5"),
        "row 0 (counted from 0), column 'bmi': '1,5' is no number; replace",
    ),
    "another case": (lambda f: f.rename(columns={"bmi": "BMI"}), "column 'bmi' is missing"),
    "lists": (lambda f: spoiled(f, bmi=[[1.0, 2.0]] * 7), "column 'bmi' holds list<"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_parquet_table_is_refused_alike(line: Line, case, results, frame, tmp_path):
    spoil, named = OUTSIDE[case]
    spoil(frame).to_parquet(tmp_path / "in.parquet")
    assert named in line.fails(*words_of(results, tmp_path / "in.parquet", "--out", "out.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_a_table_that_is_not_there_and_an_output_that_is_a_folder(line: Line, results, frame, tmp_path):
    missing = line.fails(*words_of(results, tmp_path / "no.csv"))
    assert missing == f"{tmp_path / 'no.csv'}: does not exist; give a CSV, TSV, JSON lines or Parquet file"
    frame.to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "out.csv").mkdir()
    refusal = line.fails(*words_of(results, tmp_path / "in.csv", "--out", "out.csv"))
    assert refusal == "--out out.csv: is a folder; give a file in it"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"target_scale": 0.0}, "standardisation: target_scale: Input should be greater than 0"),
        ({"target_scale": -1.0}, "standardisation: target_scale: Input should be greater than 0"),
        ({"feature_scale": [0.0] * 10}, "standardisation: feature_scale: 0: Input should be greater than 0"),
        ({"feature_scale": [1.0]}, "10 numbers in feature_mean, 1 in feature_scale"),
    ],
)
def test_scales_that_are_none_are_refused_with_their_file(
    line: Line, changes, expected, results, frame, tmp_path
):
    finished, cell = results
    (card,) = finished.data.glob("*/split-0/dataset.json")
    content = json.loads(card.read_text())
    content["standardisation"] |= changes
    copy = tmp_path / "data" / card.relative_to(finished.data)
    copy.parent.mkdir(parents=True)
    copy.write_text(json.dumps(content))
    frame.to_csv(tmp_path / "in.csv", index=False)
    refusal = line.fails(
        "predict", cell, tmp_path / "in.csv", "--data", tmp_path / "data", "--out", "out.csv"
    )
    assert refusal.startswith(f"{copy}: ")
    assert expected in refusal
    assert not (tmp_path / "out.csv").exists()


def test_what_was_constant_in_training_does_not_move_a_prediction(frame, tmp_path):
    values = load_diabetes(scaled=False, as_frame=True).data.head(60).assign(bmi=20.0, y=range(60))
    values.to_csv(tmp_path / "constant.csv", index=False)
    source = {"kind": "table_file", "path": str(tmp_path / "constant.csv"), "target": "y"}
    finished = tiny.trained(
        tiny.TABLE | {"task": {"kind": "regression", "source": source}, "seeds": [0], "splits": [0]},
        tmp_path / "results",
        **{"training.steps": 2, "training.validate_every": 1},
    )
    predictor = finished.predictor()
    features = frame.drop(columns="patient").assign(bmi=20.0).to_numpy()
    moved = frame.drop(columns="patient").assign(bmi=1e6).to_numpy()
    expected, found = predictor.distribution(features), predictor.distribution(moved)
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.std, expected.std)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--out", "x.txt"), "x.txt"),
        (("--level", "1.5"), "1.5"),
        (("--level", "0.5", "--level", "0.5"), "0.5 twice"),
    ],
)
def test_options_that_mean_nothing_are_refused(line: Line, words, named, results, frame, tmp_path):
    frame.to_csv(tmp_path / "in.csv", index=False)
    before = sorted(tmp_path.iterdir())
    assert named in line.fails(*words_of(results, tmp_path / "in.csv", *words))
    assert sorted(tmp_path.iterdir()) == before


def test_remedies_are_options_of_the_command(line: Line, results, frame, tmp_path):
    """A user of predict has no experiment in which a column could be left out or a form stated."""
    rows = frame.assign(more=[[1, 2]] * 7)
    rows.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    refusal = line.fails(*words_of(results, tmp_path / "in.jsonl"))
    assert 'line 1, column \'more\': ["1", "2"] is no single value; write' in refusal
    assert "task.source" not in refusal
    frame.assign(bmi="N/A").to_csv(tmp_path / "in.csv", index=False)
    refusal = line.fails(*words_of(results, tmp_path / "in.csv"))
    assert "--form missing" in refusal
    assert "task.source" not in refusal
