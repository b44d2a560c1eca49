"""Stored patterns, prepared, trained on and evaluated: what is measured, what is answered, what is learned."""

import numpy as np
import pandas as pd
import pytest
import torch

from precisionflow import stages
from precisionflow.config import ConfigError, resolve
from precisionflow.config.overlay import overlay
from precisionflow.data.batches import Rows
from precisionflow.evaluation.tasks.retrieval import Asked, bounded, log2_capacity, retrieved
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS, RETRIEVALS
from precisionflow.results.layout import (
    EvaluatedCell,
    PreparedSplit,
    Results,
    cell_folder,
    data_folder,
)
from precisionflow.serving.answers.of_task import answers_of, contract_of
from precisionflow.serving.model import load_predictor

TREE = {
    "name": "memory",
    "task": {
        "kind": "retrieval",
        "source": {"kind": "stored_patterns", "width": 16, "patterns": 24, "noise": 0.5},
        "valid": 4,
        "test": 30,
    },
    "model": {"kind": "associative_memory"},
    "objective": {"kind": "free_energy"},
    "training": {"steps": 60, "batch_size": 24, "validate_every": 60, "learning_rate": 5e-2},
    "engine": {"kind": "torch", "device": "cpu"},
    "ablation": {
        "margins": {"retrieved": {"absolute": 0.02}},
        "axes": {
            "retrieval": {
                "until_rest": {"model.iterations": 50},
                "learned": {"model.learned": True},
                "quadratic": {"model.energy": "quadratic"},
            }
        },
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    results = Results(tmp_path_factory.mktemp("memory"))
    variants = stages.expand([resolve(TREE)])
    stages.prepare(stages.expand([resolve(TREE | {"splits": [0, 1]})]), out=results.data)
    for variant in variants:
        model = results.model(variant)
        stages.train(variant, data=results.data, out=model)
        stages.evaluate(variant, data=results.data, model=model, out=results.evaluation(variant))
    return results, variants


def served_of(run, place: int):
    results, variants = run
    return load_predictor(cell_folder(results.model(variants[place]), 0, 0), data=results.data)


def asked_of(run) -> tuple[Asked, np.ndarray]:
    results, (variant, *_) = run
    rows = Rows.read(PreparedSplit(data_folder(results.data, variant, 0)).part("test")).features
    return Asked(torch.from_numpy(rows[:, 16:]).double(), torch.arange(30) % 24), rows


def test_metrics_are_the_means_of_queries(run) -> None:
    results, variants = run
    each = []
    for variant in variants:
        cell = EvaluatedCell(cell_folder(results.evaluation(variant), 0, 0))
        rows = read_parquet(cell.metrics, METRICS).to_pylist()
        each.append({row["metric"]: row["value"] for row in rows})
        queries = read_parquet(cell.predictions, RETRIEVALS).to_pandas()
        assert set(each[-1]) == set(variant.metrics)
        assert {name: each[-1][name] for name in RETRIEVALS.names[1:]} == pytest.approx(
            queries.mean()[RETRIEVALS.names[1:]].to_dict()
        )
    exponential, learned, quadratic = each
    assert exponential["error_over_bound"] <= 1
    assert quadratic["log2_capacity"] == quadratic["retrieved"] == 0
    assert learned["retrieved"] > 0.9


def test_a_metric_of_the_bound_is_of_the_exponential_energy_alone() -> None:
    asked = {"model.energy": "quadratic", "ablation": {}, "gate": {"error_over_bound": {"high": 1}}}
    told = "^gate: error_over_bound is of the bound of an exponential energy, and model.energy quadratic has none"
    with pytest.raises(ConfigError, match=told):
        resolve(overlay(TREE, asked))


def test_a_learned_precision_is_that_of_the_noise(run) -> None:
    """Patterns far apart: the variance of a channel is noise^2 / width."""
    assert float(served_of(run, 0).predictor.memory.precision.detach()) == 32
    assert float(served_of(run, 1).predictor.memory.precision.detach()) == pytest.approx(16 / 0.5**2, rel=0.1)


def test_the_error_of_a_step_keeps_its_bound_and_both_are_those_of_the_definition(run) -> None:
    memory, (asked, _) = served_of(run, 0).predictor.memory, asked_of(run)
    stored, found = memory.patterns.double(), bounded(memory, asked)
    for query in range(30):
        z, true = asked.queries[query], stored[query % 24]
        error = (stored.mT @ (32 * stored @ z).softmax(0) - true).norm()
        gap = min(float(true @ (true - other)) for other in stored if not torch.equal(other, true))
        longest = stored.norm(dim=-1).max()
        bound = 2 * longest * 23 * torch.exp(-32 * (gap - 2 * longest * (z - true).norm()))
        torch.testing.assert_close(found.log_error[query].exp(), error, rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(found.log_bound[query].exp(), bound)
    near = Asked(
        stored + 0.01 * torch.randn(24, 16, generator=torch.Generator().manual_seed(0)), torch.arange(24)
    )
    assert (bounded(memory, near).log_error < bounded(memory, near).log_bound).all()


def test_the_capacity_is_where_half_of_the_queries_are_retrieved(run) -> None:
    memory, (asked, _) = served_of(run, 0).predictor.memory, asked_of(run)
    shares = []
    for load in (1, 2, 8, 24):
        near = []
        for z, place in zip(asked.queries, asked.places.tolist(), strict=True):
            met = memory.patterns.double()[[(place + other) % 24 for other in range(load)]]
            state = memory.settled(z[None], met).state[0, 0]
            near.append(bool((state - met[0]).norm() < 0.1))
        assert retrieved(memory, asked, load=load).tolist() == near
        shares.append(np.mean(near))
    assert shares[0] == 1
    assert log2_capacity(memory, asked) == pytest.approx(np.log2(24))
    blunt = served_of(run, 0).predictor.memory
    blunt.config = blunt.config.model_copy(update={"precision": 2.0})
    half = [float(retrieved(blunt, asked, load=load).double().mean()) for load in (1, 2, 4, 8)]
    after = next(place for place, share in enumerate(half) if share < 0.5)
    crossed = after - 1 + (half[after - 1] - 0.5) / (half[after - 1] - half[after])
    assert log2_capacity(blunt, asked) == pytest.approx(crossed)


def test_a_query_is_answered_with_the_state_where_it_rests(run) -> None:
    _, (variant, *_) = run
    served, (_, rows) = served_of(run, 0), asked_of(run)
    card = served.predictor.data_card
    table = pd.DataFrame(rows[:3].astype(float), columns=[column.name for column in card.inputs])
    asked = list(contract_of(variant, card).inputs)
    assert asked == [f"query_{channel}" for channel in range(16)]
    said = answers_of(variant.task).answer(served, table[asked], {})["state"]
    state = np.array([[float(number) for number in text.split()] for text in said])
    np.testing.assert_allclose(state, rows[:3, :16], atol=0.1)
    with pytest.raises(ValueError, match="column 'query_3' is missing"):
        answers_of(variant.task).answer(served, table[asked].drop(columns="query_3"), {})


def test_queries_of_other_patterns_are_not_scored(run) -> None:
    results, (variant, *_) = run
    predictor = served_of(run, 0).predictor
    with pytest.raises(ValueError, match="its test part is of other patterns than those that are stored"):
        predictor.score(variant, data_folder(results.data, variant, 1))
