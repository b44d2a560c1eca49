"""Videos through all five verbs in one process: frame by frame beside a plan, what is learned, what is answered."""

import numpy as np
import pandas as pd
import pytest

from precisionflow.config import resolve
from precisionflow.config.drawn_tables import MovingWeights
from precisionflow.data.batches import Rows
from precisionflow.data.sources.moving_weights import draw_videos
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TABLE, VIDEOS
from precisionflow.results.layout import (
    Aggregated,
    EvaluatedCell,
    PreparedSplit,
    Results,
    cell_folder,
    data_folder,
)
from precisionflow.serving.answers.of_task import answers_of, contract_of
from precisionflow.serving.model import load_predictor
from tests.every_stage import through_every_stage

TREE = {
    "name": "videos",
    "task": {
        "kind": "video_allocation",
        "source": {"kind": "moving_weights", "patches": 2, "frames": 6, "spots": 1, "flicker": 0.3},
        "change_cost": 0.05,
        "train": 16,
        "valid": 4,
        "test": 12,
    },
    "model": {"kind": "frame_allocator", "budget": 480, "grain": 56},
    "objective": {"kind": "free_energy"},
    "training": {"steps": 30, "batch_size": 8, "validate_every": 30, "learning_rate": 0.1},
    "engine": {"kind": "torch", "device": "cpu"},
    "ablation": {
        "metrics": ["net_utility"],
        "axes": {
            "plan": {
                "alone": {"model.horizon": 1, "model.change": False},
                "ahead": {"model.horizon": 3},
                "told": {"model.horizon": 6, "model.foresight": "told"},
            }
        },
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    whole = resolve(TREE)
    results = Results(tmp_path_factory.mktemp("videos"))
    return results, through_every_stage(whole, results)


def test_planning_ahead_gains_what_changes_cost(run) -> None:
    results, variants = run
    table = read_parquet(Aggregated(results.aggregate).table, TABLE).to_pandas()
    means = table.pivot_table(index="variant", columns="metric", values="mean")
    order = means["net_utility"].sort_values().index.tolist()
    assert [name.split("-")[-1].split("=")[-1] for name in order] == ["alone", "ahead", "told"]
    for variant in variants:
        cell = cell_folder(results.evaluation(variant), 0, 0)
        each = read_parquet(EvaluatedCell(cell).predictions, VIDEOS).to_pandas()
        np.testing.assert_allclose(each["net_utility"], each["utility"] - each["change_cost"], atol=1e-12)
        assert means.loc[variant.variant, "change_cost"] == pytest.approx(each["change_cost"].mean())


def test_last_frame_is_answered_with_tokens_that_keep_the_budget(run) -> None:
    results, variants = run
    ahead = variants[1]
    served = load_predictor(cell_folder(results.model(ahead), 0, 0), data=results.data)
    rows = Rows.read(PreparedSplit(data_folder(results.data, ahead, 0)).part("test"))
    names = [column.name for column in served.predictor.data_card.inputs]
    table = pd.DataFrame(rows.features[:3].astype(float), columns=names)
    tokens = answers_of(ahead.task).answer(served, table, {})["tokens"]
    assert [sum(map(int, of.split())) for of in tokens] == [480] * 3
    asked = list(contract_of(ahead, served.predictor.data_card).inputs)
    assert asked == [name for name in names if name.startswith("seen_")]
    assert answers_of(ahead.task).answer(served, table[asked], {})["tokens"].equals(tokens)
    told = variants[2]
    assert list(contract_of(told, served.predictor.data_card).inputs) == names
    with pytest.raises(ValueError, match="column 'seen_0_0' is missing"):
        answers_of(ahead.task).answer(served, table.drop(columns="seen_0_0"), {})


def test_spots_stay_on_the_grid_and_flicker_is_noise() -> None:
    drawn = draw_videos(MovingWeights(speed=1.0), 50, np.random.default_rng(0))
    assert drawn.true.shape == (50, 20, 16)
    assert float(drawn.true.min()) >= 0
    assert float(drawn.true.max()) <= 3
    assert float(drawn.true.max(axis=(1, 2)).min()) > 3 * np.exp(-0.25) - 1e-9
    assert float((drawn.seen - drawn.true).std()) == pytest.approx(0.7, rel=0.02)


@pytest.mark.parametrize(
    ("part", "settings", "said"),
    [
        ("model", {"horizon": 0}, "horizon"),
        ("model", {"grain": 5}, "model.grain: steps of 5 do not lead from 64 to 400 tokens"),
        ("model", {"budget": 100}, "model.budget: 100 tokens for 4 patches of 64 to 400; give 256 to 1600"),
        ("task", {"change_cost": -1}, "change_cost"),
    ],
)
def test_what_cannot_be_shared_is_refused(part: str, settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resolve(TREE | {part: TREE[part] | settings})
