"""A planning study from its episodes to its metrics: learned counts, seeds, resumption, refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from precisionflow.config import Experiment
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.inference.planning.worlds.t_maze import CUE, RIGHT
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import HISTORY, METRICS, PLAYED
from precisionflow.results.layout import EvaluatedCell, TrainedCell, cell_folder
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import load_predictor
from precisionflow.training.files import load_weights
from precisionflow.training.train import train
from tests.planning_experiment import planning

UNKNOWN = {"kind": "frozen_lake", "map_known": False, "slip": 0.0, "length": 10}


def run(experiment: Experiment, out: Path) -> dict[int, dict[str, float]]:
    """seed -> metrics."""
    prepare([experiment], out=out / "data")
    train(experiment, data=out / "data", out=out / "model")
    evaluate(experiment, data=out / "data", model=out / "model", out=out / "evaluation")
    found = {}
    for seed in experiment.seeds:
        table = read_parquet(EvaluatedCell(cell_folder(out / "evaluation", seed, 0)).metrics, METRICS)
        found[seed] = dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))
    return found


def test_t_maze_study_gives_the_means_of_its_episodes(tmp_path: Path) -> None:
    experiment = planning(seeds=(0, 1), test=300)
    found = run(experiment, tmp_path)
    for seed, metrics in found.items():
        assert set(metrics) == set(experiment.metrics)
        table = read_parquet(EvaluatedCell(cell_folder(tmp_path / "evaluation", seed, 0)).predictions, PLAYED)
        assert metrics["reward"] == pytest.approx(np.mean(table["reward"].to_numpy()))
        assert metrics["success"] == pytest.approx(0.95, abs=0.05)
        assert metrics["episode_steps"] == 2
    assert found[0]["reward"] != found[1]["reward"]


def test_an_unknown_map_is_counted_while_training(tmp_path: Path) -> None:
    experiment = planning(
        source=UNKNOWN, model={"horizon": 3}, training={"steps": 12, "batch_size": 4}, train=48
    )
    metrics = run(experiment, tmp_path)[0]
    cell = TrainedCell(cell_folder(tmp_path / "model", 0, 0))
    counts = load_weights(cell.weights)["counts_1"]
    assert read_card(cell.card, ModelCard).parameters == counts.numel() == 48
    history = read_parquet(cell.history, HISTORY).to_pylist()
    losses = [row["value"] for row in history if row["metric"] == "validation_loss"]
    assert losses[-1] < losses[0] / 2
    assert metrics["validation_loss"] == losses[-1]
    assert metrics["surprise"] == pytest.approx(losses[-1], rel=0.5)


def test_novelty_sends_the_agent_to_more_cells(tmp_path: Path) -> None:
    seen = []
    for novelty in (True, False):
        experiment = planning(
            source=UNKNOWN,
            model={"horizon": 3},
            objective={"information": False, "pragmatic": False, "novelty": novelty},
            training={"steps": 15, "batch_size": 1},
            train=15,
        )
        run(experiment, tmp_path / str(novelty))
        cell = TrainedCell(cell_folder(tmp_path / str(novelty) / "model", 0, 0))
        counts = load_weights(cell.weights)["counts_1"].sum(dim=0) - 1.5
        seen.append(int((counts > 0).sum()))
    assert seen[0] > seen[1]


def test_a_history_is_answered_by_beliefs_and_actions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = planning(model={"precision": 64.0})
    run(experiment, tmp_path)
    served = load_predictor(cell_folder(tmp_path / "model", 0, 0), data=tmp_path / "data")
    answers = answers_of(experiment.task)
    table = pd.DataFrame({"observations": ["0 0", "0 0; 1 0"], "actions": ["", "1"]})
    found = answers.answer(served, table, {})
    assert found["action"].tolist() == [CUE, RIGHT]
    np.testing.assert_allclose(found[[f"p_{i}" for i in range(4)]].sum(axis=1), 1)
    np.testing.assert_allclose(found["surprise"], np.log(2))
    plan, once = served.predictor.plan, served.predictor.plan.remembered
    pd.testing.assert_frame_equal(answers.answer(served, table, {}), found)
    assert served.predictor.plan is plan
    assert plan.remembered == once > 2, "the tree serves later calls"
    nodes = plan.tree.nodes
    monkeypatch.setattr("precisionflow.evaluation.tasks.planning.MOST_REMEMBERED", once)
    pd.testing.assert_frame_equal(answers.answer(served, table, {}), found)
    assert plan.tree.nodes is not nodes, "forgotten"
    assert list(answers.contract(served.predictor.data_card).outputs) == list(found)
    for seen, done, said in (
        ("0 0", "1", "1 observations and 1 actions"),
        ("0", "", "each with 2 outcomes"),
        ("0 0; 0 0", "4", "history: action: given 4; give whole numbers from 0 to 3"),
        ("0 x", "", "holds what is no whole number"),
        ("0 1", "", "has probability 0"),
        ("0 7", "", "given 7; give whole numbers from 0 to 2"),
    ):
        with pytest.raises(ValueError, match=said):
            answers.answer(served, pd.DataFrame({"observations": [seen], "actions": [done]}), {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": {"horizon": 0}}, "horizon"),
        ({"model": {"policies": "none"}}, "policies"),
        (
            {"source": {"kind": "frozen_lake"}, "model": {"policies": "flat", "horizon": 12}},
            "model.horizon: 4 actions over 12 steps are 16,777,216 policies, and model.policies flat evaluates each",
        ),
        ({"source": {"kind": "t_maze", "validity": 0.2}}, "validity"),
        ({"source": {"kind": "t_maze", "length": 0}}, "length"),
    ],
)
def test_what_cannot_be_planned_is_refused(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        planning(**given)


def test_other_parts_do_not_fit() -> None:
    experiment = planning().model_dump(mode="json")
    for part, value, said in (
        (
            "objective",
            {"kind": "gaussian_nll"},
            "objective.kind: 'gaussian_nll' does not fit task.kind 'planning'",
        ),
        ("model", {"kind": "mlp"}, "model.kind: 'mlp' does not fit task.kind 'planning'"),
        ("engine", {"kind": "batched"}, "engine.kind: batched trains"),
        ("learning", {"kind": "predictive_coding"}, "learning: model.kind agent learns in its own way"),
        ("splits", [0, 1], "splits: given"),
    ):
        with pytest.raises(ValueError, match=said):
            Experiment.model_validate(experiment | {part: value})
