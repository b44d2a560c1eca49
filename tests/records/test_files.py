"""Files between stages: what may stand in them, that they are whole or absent, and that bytes repeat."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from precisionflow.config import load
from precisionflow.config.base import members_of
from precisionflow.config.tasks import Task
from precisionflow.records.cards import DatasetCard, ModelCard, Standardisation
from precisionflow.records.files import (
    checked,
    read_card,
    read_constants,
    read_parquet,
    read_together,
    replacing,
    write_card,
    write_parquet,
    write_text,
)
from precisionflow.records.metrics import metric_named
from precisionflow.records.schemas import HISTORY, METRICS, PREDICTIONS, REGRESSION_ROWS, TABLE, only

FEATURES = REGRESSION_ROWS.field("features").type


def history(**columns: Any) -> pa.Table:
    return pa.table({"step": [1, 2], "metric": ["train_loss"] * 2, "value": [0.5, 0.25]} | columns)


def rows(**columns: Any) -> pa.Table:
    features = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], FEATURES)
    return pa.table({"row": [0, 1, 2], "features": features, "target": [0.1, 0.2, 0.3]} | columns)


def test_a_column_that_may_be_missing_is_kept_where_it_is(tmp_path):
    for name, columns in {"without": {}, "with": {"weight": [0.0, 1.0, 2.0]}}.items():
        write_parquet(rows(**columns), tmp_path / name, REGRESSION_ROWS)
        assert read_parquet(tmp_path / name, REGRESSION_ROWS).to_pydict() == rows(**columns).to_pydict()
    with pytest.raises(ValueError, match="column 'weight', row 1: nan; every cell needs a finite number"):
        write_parquet(rows(weight=[0.0, NAN, 2.0]), tmp_path / "bad", REGRESSION_ROWS)


def refused(table: pa.Table, schema: pa.Schema, path: Path) -> str:
    """The one line of writing the table; what it says about reading the same is the same."""
    with pytest.raises(ValueError, match=r".") as writing:
        write_parquet(table, path, schema)
    assert not list(path.parent.iterdir())
    pq.write_table(table, path)
    with pytest.raises(ValueError, match=r".") as reading:
        read_parquet(path, schema)
    assert str(writing.value) == str(reading.value)
    assert "\n" not in str(writing.value)
    return str(writing.value)


NAN, INF = float("nan"), float("inf")
BAD_TABLES = {
    "missing column": (
        history().drop_columns(["metric"]),
        HISTORY,
        "column 'metric' is missing (there are step, value); run the stage that writes it again",
    ),
    "text for a number": (
        history(value=["a", "b"]),
        HISTORY,
        "column 'value' is string, should be double; run the stage that writes it again",
    ),
    "real for whole": (
        history(step=[1.0, 2.0]),
        HISTORY,
        "column 'step' is double, should be int64; run the stage that writes it again",
    ),
    "narrow number": (
        history(step=pa.array([1, 2], pa.int32())),
        HISTORY,
        "column 'step' is int32, should be int64; run the stage that writes it again",
    ),
    "truth value": (
        history(value=[True, False]),
        HISTORY,
        "column 'value' is bool, should be double; run the stage that writes it again",
    ),
    "empty cell": (
        history(metric=["a", None]),
        HISTORY,
        "column 'metric' has 1 empty cells; every cell needs a value",
    ),
    "NaN": (
        history(value=[0.1, NAN]),
        HISTORY,
        "column 'value', row 1: nan; every cell needs a finite number",
    ),
    "infinite": (
        history(value=[-INF, 0.1]),
        HISTORY,
        "column 'value', row 0: -inf; every cell needs a finite number",
    ),
    "NaN in a list": (
        rows(features=pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, NAN]], FEATURES)),
        REGRESSION_ROWS,
        "column 'features', row 2: nan; every cell needs a finite number",
    ),
    "no list": (
        rows(features=pa.array([[1.0, 2.0], [3.0, 4.0], None], FEATURES)),
        REGRESSION_ROWS,
        "column 'features' has 1 empty cells; every cell needs a value",
    ),
    "list of texts": (
        rows(features=pa.array([["a"], ["b"], ["c"]], pa.list_(pa.field("element", pa.string())))),
        REGRESSION_ROWS,
        "column 'features' is list<element: string>, should be list<element: double not null>; run",
    ),
    "NaN in a target": (
        pa.table(
            {"row": [0], "target": [NAN], "family": ["gaussian"]}
            | {name: [[1.0]] for name in PREDICTIONS.names[3:-2]}
            | {"mean": [1.0], "std": [1.0]},
            schema=PREDICTIONS,
        ),
        PREDICTIONS,
        "column 'target', row 0: nan; every cell needs a finite number",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_table(case: str, tmp_path: Path) -> None:
    table, schema, wanted = BAD_TABLES[case]
    path = tmp_path / "file.parquet"
    assert refused(table, schema, path).startswith(f"{path}: {wanted}")


def test_a_column_twice() -> None:
    table = pa.Table.from_arrays([[1], [2], ["a"], [0.5]], names=["step", "step", "metric", "value"])
    with pytest.raises(ValueError, match=r"^x: column 'step' stands there 2 times"):
        checked(table, HISTORY, "x")


def aggregated(**columns: Any) -> pa.Table:
    texts = {name: ["a"] for name in ("experiment", "dataset", "variant", "metric")}
    return pa.table(
        texts
        | {
            "mean": [0.5],
            "low": [NAN],
            "high": [NAN],
            "std": [NAN],
            "n": [1],
            "failed": [0],
            "overlap": [0.0],
        }
        | {"chance_low": [NAN], "chance_high": [NAN]}
        | columns
    )


def test_an_interval_of_one_seed_may_be_nan_but_not_infinite(tmp_path: Path) -> None:
    write_parquet(aggregated(), tmp_path / "table.parquet", TABLE)
    assert math.isnan(read_parquet(tmp_path / "table.parquet", TABLE)["low"][0].as_py())
    with pytest.raises(ValueError, match=r"'high', row 0: inf; every cell needs a finite number"):
        checked(aggregated(high=[INF]), TABLE, "x")
    with pytest.raises(ValueError, match=r"'overlap', row 0: nan"):
        checked(aggregated(overlap=[NAN]), TABLE, "x")
    nowhere = checked(aggregated(mean=[NAN], n=[0], failed=[3]), TABLE, "x")
    assert math.isnan(nowhere["mean"][0].as_py())


def test_whole_numbers_stand_for_real_ones(tmp_path: Path) -> None:
    table = checked(history(value=pa.array([1, 2], pa.int32())), HISTORY, "x")
    assert table["value"].to_pylist() == [1.0, 2.0]
    assert table.schema == HISTORY
    assert checked(history(value=[2**60 + 1, 1]), HISTORY, "x")["value"][0].as_py() == 2.0**60
    write_parquet(history(value=[1, 2]), tmp_path / "whole.parquet", HISTORY)
    write_parquet(history(value=[1.0, 2.0]), tmp_path / "real.parquet", HISTORY)
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "real.parquet").read_bytes()


def test_columns_are_put_in_order_and_others_left_out() -> None:
    table = history(extra=[1, 2]).select(["extra", "value", "metric", "step"])
    assert checked(table, HISTORY, "x").schema == HISTORY


def test_what_is_written_is_read(tmp_path: Path) -> None:
    weighted = rows(weight=[0.0, 1.0, 2.0])
    for table, schema in (
        (weighted, REGRESSION_ROWS),
        (history(), HISTORY),
        (METRICS.empty_table(), METRICS),
    ):
        path = tmp_path / "a" / "b" / "file.parquet"
        write_parquet(table, path, schema)
        assert read_parquet(path, schema).equals(table.cast(schema))


def test_files_that_are_read_together_are_read_as_each_alone(tmp_path: Path) -> None:
    tables = [history(), history(step=[3, 4], value=[1, 0]), history(step=[5, 6])]
    paths = [tmp_path / f"{place}.parquet" for place in range(3)]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path)
    together, rows = read_together(paths, HISTORY)
    assert rows == [2, 2, 2]
    assert together.to_pylist() == [row for path in paths for row in read_parquet(path, HISTORY).to_pylist()]
    assert together.schema.types == HISTORY.types


@pytest.mark.parametrize("bad", [{"value": [0.5, NAN]}, {"value": ["a", "b"]}, {"metric": [None, "nll"]}])
def test_of_files_that_are_read_together_the_bad_one_is_named(bad: dict[str, Any], tmp_path: Path) -> None:
    for name, table in (("good", history()), ("bad", history(**bad)), ("after", history())):
        pq.write_table(table, tmp_path / name)
    with pytest.raises(ValueError, match=r".") as alone:
        read_parquet(tmp_path / "bad", HISTORY)
    with pytest.raises(ValueError, match=r".") as found:
        read_together([tmp_path / name for name in ("good", "bad", "after")], HISTORY)
    assert str(found.value) == str(alone.value)
    assert str(tmp_path / "bad") in str(found.value)


def test_constants_are_those_of_the_first_row_whether_or_not_they_are_constant(tmp_path: Path) -> None:
    names = only(HISTORY, "step", "metric")
    for step, groups in (([7, 7], 2), ([7, 8], 2), ([8, 7], 2), ([7, 7], 1)):
        pq.write_table(history(step=step), tmp_path / "file", row_group_size=groups)
        assert read_constants(tmp_path / "file", names) == {"step": step[0], "metric": "train_loss"}
    with pytest.raises(ValueError, match="column 'seed' is missing"):
        read_constants(tmp_path / "file", only(METRICS, "seed"))
    with pytest.raises(ValueError, match="nothing: does not exist; run the stage that writes it first"):
        read_constants(tmp_path / "nothing", names)


def test_small_tables_are_compressed_to_be_read_fast_large_ones_to_be_small(tmp_path: Path) -> None:
    for rows_of, wanted in ((10, "SNAPPY"), (1 << 17, "ZSTD")):
        table = history(step=range(rows_of), metric=["a"] * rows_of, value=np.zeros(rows_of))
        write_parquet(table, tmp_path / "file", HISTORY)
        group = pq.ParquetFile(tmp_path / "file").metadata.row_group(0)
        assert {group.column(place).compression for place in range(3)} == {wanted}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=20000)
    whole = history(step=np.arange(20000), metric=["a", "b"] * 10000, value=values)
    pieces = pa.concat_tables([whole.slice(0, 7), whole.slice(7)])
    checksums = set()
    for name, table in (("one", whole), ("two", whole), ("pieces", pieces)):
        write_parquet(table, tmp_path / name, HISTORY)
        checksums.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(checksums) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "middle"])
def test_a_damaged_file(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    write_parquet(history(), path, HISTORY)
    whole = path.read_bytes()
    damaged = {
        "cut": whole[:-20],
        "empty": b"",
        "text": b"step,value\n" * 20,
        "middle": whole[:4] + whole[60:],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=r".") as caught:
        read_parquet(path, HISTORY)
    line = str(caught.value)
    assert line.startswith(f"{path}: is no readable Parquet file (")
    assert line.endswith("); delete it and run its stage again")
    assert "\n" not in line


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    wanted = f"{path}: does not exist; run the stage that writes it first"
    with pytest.raises(ValueError, match=r".") as table:
        read_parquet(path, HISTORY)
    with pytest.raises(ValueError, match=r".") as card:
        read_card(path, DatasetCard)
    assert [str(table.value), str(card.value)] == [wanted, wanted]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_text("old", path)

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_text("old", path)
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["notes.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


CARD = DatasetCard(
    dataset="d",
    task={"kind": "regression"},
    source_sha256="0" * 64,
    split=0,
    rows={"train": 3, "valid": 1, "test": 1},
)


def test_cards_survive(tmp_path: Path) -> None:
    write_card(CARD, tmp_path / "dataset.json")
    assert read_card(tmp_path / "dataset.json", DatasetCard) == CARD
    experiment = load("quickstart-regression")
    numbers = {
        "source_sha256": "0",
        "seed": 0,
        "split": 1,
        "parameters": 2,
        "steps": 3,
        "planned_steps": 4,
        "batch_size": 5,
        "validation_loss": 0.5,
        "seconds_per_step": 0.1,
    }
    model = ModelCard(experiment=experiment, experiment_hash=experiment.hash, code_version="0.1.0", **numbers)
    write_card(model, tmp_path / "model.json")
    assert read_card(tmp_path / "model.json", ModelCard) == model


BAD_CARDS = {
    "cut": ('{"dataset": "d"', "Invalid JSON: EOF while parsing"),
    "empty": ("", "Invalid JSON: EOF while parsing"),
    "unknown key": (
        json.dumps(CARD.model_dump() | {"colour": 1}),
        "colour: Extra inputs are not permitted; delete",
    ),
    "missing key": (json.dumps({"dataset": "d"}), "task: Field required; delete"),
    "wrong type": (
        json.dumps(CARD.model_dump() | {"split": "first"}),
        "split: Input should be a valid integer",
    ),
    "wrong part": (
        json.dumps(CARD.model_dump() | {"rows": {"dev": 1}}),
        "rows: dev: [key]: Input should be 'train'",
    ),
}


@pytest.mark.parametrize("case", BAD_CARDS)
def test_bad_card(case: str, tmp_path: Path) -> None:
    text, wanted = BAD_CARDS[case]
    path = tmp_path / "dataset.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".") as caught:
        read_card(path, DatasetCard)
    line = str(caught.value)
    assert line.startswith(f"{path}: {wanted}"), line
    assert line.endswith("; delete it and run its stage again")
    assert "\n" not in line


def test_a_card_holds_no_nan() -> None:
    scales = {"feature_mean": (0.0,), "feature_scale": (NAN,), "target_mean": 0.0, "target_scale": 1.0}
    with pytest.raises(ValidationError, match="finite"):
        Standardisation(**scales)


def test_the_catalogue() -> None:
    coverage = metric_named("coverage_97.5")
    assert (coverage.better, coverage.nominal, coverage.unit) == ("nominal", 0.975, "1")
    assert metric_named("width_90").better == "lower"
    assert metric_named("accuracy").better == "higher"
    for name in ("coverage_", "coverage_x", "width", "nlll", "coverage_1.2.3"):
        with pytest.raises(
            ValueError, match=rf"^unknown metric '{name}'; allowed: nll, .*coverage_<per cent>"
        ):
            metric_named(name)
    assert metric_named("coverage_90_after_quantile_map").nominal == 0.9
    for name, said in (
        (
            "nll_after_",
            "unknown metric 'nll_after_': no recalibration method is called ''; allowed: variance",
        ),
        (
            "nll_after_nonsense",
            "unknown metric 'nll_after_nonsense': no recalibration method is called 'nons",
        ),
        ("nll_after_temperatur", "unknown metric .*, temperature, aps, raps; did you mean 'temperature'"),
        ("nll_after_temperature_after_temperature", "unknown metric .* called 'temperature_after_temp"),
        ("nlll_after_temperature", "unknown metric 'nlll'; allowed: nll, "),
    ):
        with pytest.raises(ValueError, match=f"^{said}"):
            metric_named(name)
    for task in members_of(Task):
        for name in task.metrics:
            assert metric_named(name).name == name


def test_a_table_is_checked_without_pandas(tmp_path):
    """A command that shows tables would import it for this alone."""
    write_parquet(history(), tmp_path / "history.parquet", HISTORY)
    program = (
        "import sys, pathlib; from precisionflow.records.files import read_parquet; "
        "from precisionflow.records.schemas import HISTORY; "
        "read_parquet(pathlib.Path(sys.argv[1]), HISTORY); sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "history.parquet"], check=True)
