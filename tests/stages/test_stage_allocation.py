"""Stages of an encoder and a decoder through all five verbs: equal shares beside inferred ones, what is answered."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from precisionflow.ablation.power import overlap_of
from precisionflow.config import resolve
from precisionflow.data.batches import Rows
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import STAGES, TABLE
from precisionflow.results.layout import (
    PARTS,
    Aggregated,
    EvaluatedCell,
    PreparedSplit,
    Results,
    cell_folder,
    data_folder,
)
from precisionflow.serving.answers.of_task import answers_of, contract_of
from precisionflow.serving.model import load_predictor, predict_with_uncertainty
from tests.every_stage import through_every_stage

TREE = {
    "name": "stages",
    "task": {
        "kind": "stage_allocation",
        "source": {"kind": "stage_chains", "encoder": 1, "decoder": 1, "channels": 6, "encoder_precision": 1},
        "train": 32,
        "valid": 8,
        "test": 40,
    },
    "model": {"kind": "stage_allocator", "budget": 400},
    "objective": {"kind": "free_energy"},
    "training": {"steps": 20, "batch_size": 16, "validate_every": 10, "learning_rate": 0.1},
    "engine": {"kind": "torch", "device": "cpu"},
    "ablation": {
        "metrics": ["utility"],
        "axes": {
            "share": {
                "alike": {"model.share": "uniform"},
                "inferred": {"model.share": "inferred"},
                "told": {"model.share": "told"},
            }
        },
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    results = Results(tmp_path_factory.mktemp("stages"))
    return results, through_every_stage(resolve(TREE), results)


def test_inferred_precisions_gain_on_equal_shares(run) -> None:
    results, variants = run
    table = read_parquet(Aggregated(results.aggregate).table, TABLE).to_pandas()
    means = table.pivot_table(index="variant", columns="metric", values="mean")
    order = means["utility"].sort_values().index.tolist()
    assert [name.split("-")[-1].split("=")[-1] for name in order] == ["alike", "inferred", "told"]
    each = [
        read_parquet(EvaluatedCell(cell_folder(results.evaluation(of), 0, 0)).predictions, STAGES).to_pandas()
        for of in variants
    ]
    # what is inferred does not depend on how tokens are shared
    for other in each[1:]:
        pd.testing.assert_frame_equal(each[0].drop(columns="utility"), other.drop(columns="utility"))
    assert (each[2]["utility"] >= each[1]["utility"] - 1e-12).all()


def test_readings_are_answered_with_tokens_of_all_stages(run) -> None:
    results, variants = run
    _, inferred, told = variants
    served = load_predictor(cell_folder(results.model(inferred), 0, 0), data=results.data)
    rows = Rows.read(PreparedSplit(data_folder(results.data, inferred, 0)).part("test"))
    names = [column.name for column in served.predictor.data_card.inputs]
    table = pd.DataFrame(rows.features[:3].astype(float), columns=names)
    tokens = answers_of(inferred.task).answer(served, table, {})["tokens"]
    assert [sum(map(int, of.split())) for of in tokens] == [400] * 3
    asked, truth = (
        list(contract_of(inferred, served.predictor.data_card).inputs),
        ["precision_0", "precision_1"],
    )
    assert asked == [name for name in names if name not in truth]
    for other in (table[asked], table.assign(precision_0="unknown", precision_1=np.nan)):
        assert answers_of(inferred.task).answer(served, other, {})["tokens"].equals(tokens)
    knows = load_predictor(cell_folder(results.model(told), 0, 0), data=results.data)
    assert list(contract_of(told, knows.predictor.data_card).inputs) == names
    with pytest.raises(ValueError, match="columns 'precision_0', 'precision_1' are missing"):
        answers_of(told.task).answer(knows, table[asked], {})
    with pytest.raises(ValueError, match="row 1, column 'precision_1': given 0; a precision is above 0"):
        answers_of(told.task).answer(knows, table.assign(precision_1=[1.0, 0.0, 1.0]), {})
    assert predict_with_uncertainty(served, table)["tokens"].equals(tokens)
    with pytest.raises(ValueError, match=r"row 1 .*, column 'given_1': 'a' is no number"):
        answers_of(inferred.task).answer(served, table.assign(given_1=[1.0, "a", 2.0]), {})
    table.iloc[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"row 0 .*, column 'given_0': an empty cell"):
        answers_of(inferred.task).answer(served, table, {})


def test_every_split_draws_rows_of_its_own(tmp_path: Path) -> None:
    """Splits share no rows, so that intervals over them have no correction for any."""
    several = resolve(TREE | {"splits": [0, 1, 2], "ablation": {"metrics": ["utility"]}})
    results = Results(tmp_path)
    (variant,) = through_every_stage(several, results)
    parts = {
        (split, part): Rows.read(PreparedSplit(data_folder(results.data, variant, split)).part(part)).features
        for split in several.splits
        for part in PARTS
    }
    every = np.concatenate(list(parts.values()))
    assert len(np.unique(every[:, :3], axis=0)) == len(every) == 3 * (32 + 8 + 40)
    table = read_parquet(Aggregated(results.aggregate).table, TABLE).to_pandas().set_index("metric")
    assert table.loc["utility", ["n", "overlap"]].tolist() == [3, 0]
    each = [
        read_parquet(EvaluatedCell(cell_folder(results.evaluation(variant), 0, of)).predictions, STAGES)
        for of in several.splits
    ]
    means = [np.mean(of["utility"].to_numpy()) for of in each]
    half = 4.302653 * np.std(means, ddof=1) / np.sqrt(3)
    assert table.loc["utility", "high"] - table.loc["utility", "low"] == pytest.approx(2 * half, rel=1e-5)
    assert overlap_of(several) == 0


@pytest.mark.parametrize(
    ("part", "settings", "said"),
    [
        (
            "model",
            {"delay": 3},
            "model.delay: 16 updates do not end with an exchange every 3; give a divisor",
        ),
        ("model", {"delay": 0}, "delay"),
        ("model", {"step": 0}, "step"),
        ("model", {"budget": 100}, "model.budget: 100 tokens for 2 stages of 64 to 400; give 128 to 800"),
        ("model", {"kind": "frame_allocator"}, "model.kind"),
        ("task", {"source": {"kind": "stage_chains", "channels": 1}}, "channels"),
        ("task", {"token": 0}, "token"),
    ],
)
def test_what_cannot_be_shared_is_refused(part: str, settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resolve(TREE | {part: TREE[part] | settings})
