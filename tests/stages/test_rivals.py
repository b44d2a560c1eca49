"""Models from outside beside a network through all five verbs: the same rows, scores and contrasts."""

import re
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pytest

from precisionflow import stages
from precisionflow.config import Experiment, resolve
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CONTRASTS, REGRESSION_ROWS, TABLE
from precisionflow.results.cells import all_trained
from precisionflow.results.layout import Aggregated, PreparedSplit, Reported, Results, data_folder
from tests.every_stage import after_preparation


class Ran(NamedTuple):
    variants: list[Experiment]
    results: Results
    file: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("rivals")
    file, results = folder / "theirs.csv", Results(folder / "results")
    file.write_text("row,mean,std\n" + "".join(f"{row},{170 + row % 3},25\n" for row in range(20)))
    whole = resolve(
        {
            "name": "rivals",
            "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "linnerud"}},
            "model": {"kind": "mlp", "hidden": [3]},
            "objective": {"kind": "gaussian_nll"},
            "training": {"steps": 3, "validate_every": 1, "patience": 5},
            "splits": [0, 1],
            "ablation": {
                "axes": {
                    "model": {
                        "mlp": {"model.kind": "mlp"},
                        "ridge": {"model.kind": "ridge"},
                        "theirs": {"model.kind": "predictions", "model.path": str(file)},
                    }
                }
            },
        }
    )
    variants = stages.expand([whole])
    stages.prepare(variants, out=results.data)
    _leave_out_validation(file, variants[0], results)
    after_preparation(whole, variants, results)
    return Ran(variants, results, file)


def _leave_out_validation(file: Path, variant: Experiment, results: Results) -> None:
    """Keep the test rows alone."""
    rows = {
        row
        for split in (0, 1)
        for row in read_parquet(
            PreparedSplit(data_folder(results.data, variant, split)).part("test"), REGRESSION_ROWS
        )["row"].to_pylist()
    }
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, *(line for line in lines if int(line.split(",")[0]) in rows)]) + "\n")


def test_every_variant_is_scored_and_contrasted(ran: Ran) -> None:
    table = read_parquet(Aggregated(ran.results.aggregate).table, TABLE)
    values = {(r["variant"], r["metric"]): r["mean"] for r in table.to_pylist()}
    assert len({values[name, "nll"] for name in ("mlp", "ridge", "theirs")}) == 3
    assert [name for name, metric in values if metric == "validation_loss"] == ["mlp", "ridge"]
    assert values["theirs", "sharpness"] == pytest.approx(25)
    contrasts = read_parquet(Aggregated(ran.results.aggregate).contrasts, CONTRASTS)
    assert set(contrasts["variant"].to_pylist()) == {"ridge", "theirs"}
    assert pc.unique(contrasts["axis"]).to_pylist() == ["model"]


def test_the_page_has_what_a_variant_lacks_as_dashes(ran: Ran) -> None:
    page = Reported(ran.results.report).page.read_text(encoding="utf-8")
    cost = page[page.index("Training cost on linnerud") :]
    row = re.search(r"theirs</th>(.*?)</tr>", cost, re.DOTALL)
    assert row
    assert re.findall(r"<td[^>]*>\s*([^<\s]+)", row[1]) == ["—", "—", "0", "—", "2"]


def test_a_cell_is_open_again_when_its_file_changes(ran: Ran) -> None:
    theirs = ran.variants[2]
    model = ran.results.model(theirs)
    assert all_trained(theirs, data=ran.results.data, out=model)
    text = ran.file.read_text()
    try:
        ran.file.write_text(text.replace(",25", ",26"))
        assert not all_trained(theirs, data=ran.results.data, out=model)
    finally:
        ran.file.write_text(text)
