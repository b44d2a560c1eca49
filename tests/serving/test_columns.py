"""A model of typed columns: the command, a frame and the MLflow model read new rows as the training rows were read."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import trained as tiny
from command_line import Line

from precisionflow.config import overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import PREDICTIONS
from precisionflow.results.layout import Results, cell_folder
from precisionflow.serving import load_predictor, predict_with_uncertainty
from precisionflow.serving.connection import quiet
from precisionflow.serving.endpoints.assembled import endpoints_of
from precisionflow.tracking.content import finished_cells
from precisionflow.tracking.model import save_model
from precisionflow.training.train import train

RANDOM = np.random.default_rng(5)
ROWS = 80
FRAME = pd.DataFrame(
    {
        "width": RANDOM.normal(2, 1, ROWS).round(3),
        "wood": RANDOM.choice(["oak", "ash", "elm"], ROWS),
        "grade": RANDOM.choice(["low", "high"], ROWS),
        "dry": RANDOM.choice([True, False], ROWS),
        "cut": pd.date_range("2026-01-01", periods=ROWS).strftime("%Y-%m-%d"),
        "y": RANDOM.normal(0, 1, ROWS).round(3),
    }
)
FRAME.loc[::9, "width"] = np.nan
COLUMNS = {
    "width": {"kind": "number", "missing": "median"},
    "wood": {"kind": "category"},
    "grade": {"kind": "category", "encoding": "ordinal", "order": ["low", "high"]},
    "dry": {"kind": "boolean"},
    "cut": {"kind": "date"},
}


class Run(NamedTuple):
    """A results folder with one cell, its test rows as they are written, and their predicted means."""

    results: Results
    model: Path
    rows: pd.DataFrame
    mean: np.ndarray


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("columns")
    FRAME.to_csv(folder / "beams.csv", index=False, na_rep="oak")
    source = {"kind": "table_file", "path": str(folder / "beams.csv"), "target": "y", "columns": COLUMNS}
    source |= {"form": {"missing": ["NA"], "missing_in": {"width": ["oak"]}}}
    changes = {"seeds": [0], "splits": [0], "task": {"kind": "regression", "source": source}}
    experiment = resolve(overlay(tiny.TABLE, changes))
    results = Results(folder / "results")
    prepare([experiment], out=results.data)
    models, evaluations = results.model(experiment), results.evaluation(experiment)
    train(experiment, data=results.data, out=models)
    evaluate(experiment, data=results.data, model=models, out=evaluations)
    scored = read_parquet(cell_folder(evaluations, 0, 0) / "predictions.parquet", PREDICTIONS)
    rows = FRAME.iloc[scored["row"].to_pylist()].reset_index(drop=True)
    return Run(results, cell_folder(models, 0, 0), rows.drop(columns="y"), scored["mean"].to_numpy())


def test_every_form_of_a_file_gives_the_predictions_that_were_judged(
    run: Run, line: Line, tmp_path: Path
) -> None:
    run.rows.to_csv(tmp_path / "a.csv", index=False)
    run.rows.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",", na_rep="NA", encoding="utf-16")
    run.rows.to_csv(tmp_path / "c.tsv", index=False, sep="\t", quoting=1, na_rep="oak")
    run.rows.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    run.rows.assign(cut=pd.to_datetime(run.rows["cut"])).to_parquet(tmp_path / "e.parquet")
    told = {
        "b.csv": "read with semicolons between columns, a comma before decimals, UTF-16",
        "c.tsv": "quotation marks",
    }
    for name in ("a.csv", "b.csv", "c.tsv", "d.jsonl", "e.parquet"):
        done = line("predict", run.model, tmp_path / name, "--out", "out.parquet")
        assert done.code == 0
        assert told.get(name, "") in done.err
        assert bool(done.err) == (name in told)
        found = pq.read_table(tmp_path / "out.parquet")
        np.testing.assert_allclose(found["mean"].to_numpy(), run.mean, rtol=1e-5)
        assert found.column_names[:5] == list(run.rows.columns)


def test_a_frame_of_any_types_gives_them_too(run: Run) -> None:
    model = load_predictor(run.model)
    typed = run.rows.assign(
        wood=run.rows["wood"].astype("category"),
        dry=run.rows["dry"].map({True: "yes", False: "No"}),
        cut=pd.to_datetime(run.rows["cut"]),
        width=[None if np.isnan(cell) else f"{cell}" for cell in run.rows["width"]],
        other=[object()] * len(run.rows),
    )
    for rows in (run.rows, typed, run.rows.astype(object)):
        np.testing.assert_allclose(predict_with_uncertainty(model, rows)["mean"], run.mean, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_the_mlflow_model_gives_them_too(run: Run, tmp_path: Path) -> None:
    from mlflow import pyfunc

    card = load_predictor(run.model).predictor.experiment_card
    (cell,) = finished_cells(
        card.experiment,
        data=run.results.data,
        model=run.model.parent,
        evaluation=run.results.evaluation(card.experiment),
        on_cluster=False,
    )
    with quiet():
        save_model(cell, tmp_path / "model", run_id="0" * 32, model_id="m-0")
    model = pyfunc.load_model(str(tmp_path / "model"))
    assert [column.name for column in model.metadata.get_input_schema()] == list(run.rows.columns)
    np.testing.assert_allclose(model.predict(run.rows)["mean"], run.mean, rtol=1e-5)
    rows = run.rows.to_dict("records")
    np.testing.assert_allclose(model.predict(pd.DataFrame(rows))["mean"], run.mean, rtol=1e-5)


BAD = {
    "wood": (None, "row 2 (counted from 0), column 'wood': an empty cell; the model knows no value for it"),
    "grade": ("mid", "row 2 (counted from 0), column 'grade': 'mid' is no level in its order (low, high)"),
    "dry": ("perhaps", "row 2 (counted from 0), column 'dry': 'perhaps' is no truth value"),
    "cut": ("soon", "row 2 (counted from 0), column 'cut': 'soon' is no date"),
    "width": ("wide", "row 2 (counted from 0), column 'width': 'wide' is no number"),
}


@pytest.mark.parametrize("name", BAD)
def test_new_rows_that_are_nothing_of_their_kind_are_told(
    run: Run, line: Line, tmp_path: Path, name: str
) -> None:
    cell, problem = BAD[name]
    rows = run.rows.astype(object)
    rows.loc[2, name] = cell
    with pytest.raises(ValueError, match=r"^the rows: ") as caught:
        predict_with_uncertainty(load_predictor(run.model), rows)
    assert problem in str(caught.value)
    rows.to_csv(tmp_path / "in.csv", index=False)
    assert problem in line.fails("predict", run.model, tmp_path / "in.csv")


def test_a_level_that_training_lacked_is_told_and_an_unclear_form_can_be_said(
    run: Run, line: Line, tmp_path: Path
) -> None:
    rows = run.rows.copy()
    rows.loc[2, "wood"] = "élm"
    rows.to_csv(tmp_path / "in.csv", index=False, encoding="latin-1")
    assert "has the byte 0xe9, which is not UTF-8" in line.fails("predict", run.model, tmp_path / "in.csv")
    done = line("predict", run.model, tmp_path / "in.csv", "--form", "encoding=latin-1", "--out", "out.csv")
    assert done.code == 0
    assert "column 'wood': 1 rows have a level that no training row has ('élm')" in done.err
    assert "--form encoding: given 'x'; should be" in line.fails(
        "predict", run.model, tmp_path / "in.csv", "--form", "encoding=x"
    )
    assert "--form colour: unknown key" in line.fails(
        "predict", run.model, tmp_path / "in.csv", "--form", "colour=x"
    )


HOSTILE = (
    float("nan"),
    float("inf"),
    float("-inf"),
    -1e308,
    10**400,
    True,
    "",
    "x" * 100_000,
    "\x00",
    "2026-13-45",
    "1.5",
    "\u0663",
    0.5,
    None,
)


@pytest.mark.parametrize("cell", HOSTILE, ids=lambda cell: repr(cell)[:20])
@pytest.mark.parametrize("name", COLUMNS)
def test_any_cell_of_a_request_is_answered_or_told_in_a_short_line(run: Run, name: str, cell: object) -> None:
    endpoint = endpoints_of(load_predictor(run.model))["predict"]
    columns = {"width": [1.5], "wood": ["oak"], "grade": ["low"], "dry": [True], "cut": ["2026-01-01"]}
    assert len(endpoint.answer([endpoint.read(columns).value], {}).columns) == 1
    told = ""
    try:
        said = endpoint.answer([endpoint.read(columns | {name: [cell]}).value], {}).columns
    except ValueError as mistake:
        told = str(mistake)
    if told:
        assert name in told
        assert len(told) < 400
        assert "\n" not in told
    else:
        assert np.isfinite(said["mean"]).all()
