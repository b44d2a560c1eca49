"""What a network attends to, of weights that are known; and a trained cell of a source whose causes are known."""

import numpy as np
import pytest
import torch
from torch import nn
from trained import TABLE, trained

from precisionflow.config import attention as kinds
from precisionflow.evaluation.attention import attention_metrics
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.sites import Sites

ROWS, TOKENS = 300, 5


def pointer(value: kinds.Value) -> nn.Module:
    """Attention whose log potential is 20 <q, k>, queries and keys two halves of the token."""
    module = attention(kinds.Attention(prior=kinds.Full(), value=value), width=2 * TOKENS, heads=1)
    weight = torch.zeros(4 * TOKENS, 2 * TOKENS)
    weight[:TOKENS, :TOKENS] = 20 * (2 * TOKENS) ** 0.5 * torch.eye(TOKENS)
    weight[2 * TOKENS : 3 * TOKENS, TOKENS:] = torch.eye(TOKENS)
    module.potential.queries_keys.weight.data = weight
    nn.init.zeros_(module.potential.queries_keys.bias)
    return module


def chains() -> tuple[torch.Tensor, np.ndarray]:
    """Tokens that point from the last to a second, from there to a third, the others to themselves."""
    random = np.random.default_rng(0)
    cause = np.array([random.permutation(TOKENS - 1)[:2] for _ in range(ROWS)])
    asks = np.tile(np.arange(TOKENS), (ROWS, 1))
    asks[:, -1] = cause[:, 0]
    asks[np.arange(ROWS), cause[:, 0]] = cause[:, 1]
    tokens = np.concatenate([np.eye(TOKENS)[asks], np.tile(np.eye(TOKENS), (ROWS, 1, 1))], axis=-1)
    return torch.tensor(tokens, dtype=torch.float32).flatten(1), cause


@pytest.mark.parametrize(
    ("value", "expected"), [(kinds.Neighbour(), [1, 0]), (kinds.Multihop(hops=2), [0.5, 0.5])]
)
def test_a_value_over_two_edges_divides_its_weights_over_both_causes(value, expected):
    tokens, cause = chains()
    module = pointer(value)

    def forward(rows: torch.Tensor) -> None:
        module(rows.unflatten(-1, (TOKENS, -1)), Sites(torch.arange(TOKENS)))

    found = attention_metrics(module, forward, tokens, cause)
    assert found["attention_on_near_cause"] == pytest.approx(expected[0], abs=1e-6)
    assert found["attention_on_far_cause"] == pytest.approx(expected[1], abs=1e-6)
    assert found["keys_visited"] == TOKENS
    assert attention_metrics(nn.Linear(1, 1), forward, tokens, cause) == {}


VALUES = (
    kinds.Neighbour(),
    kinds.Multihop(hops=3),
    kinds.Hopfield(iterations=1),
    kinds.Hopfield(iterations=5),
)
EDGES = (kinds.OneOfKeys(), kinds.Independent())


@pytest.mark.parametrize(
    ("value", "edges"),
    [(value, edges) for value in VALUES for edges in EDGES if isinstance(edges, value.posteriors)],
    ids=repr,
)
@pytest.mark.parametrize("width", [2, 8])
def test_the_masses_of_all_nodes_are_shares_of_one(value, edges, width):
    """Of one head, narrower or wider than there are nodes."""
    torch.manual_seed(0)
    module = attention(kinds.Attention(prior=kinds.Full(), value=value, edges=edges), width=width, heads=1)
    tokens = 3 * torch.randn(1, TOKENS * width)

    def forward(rows: torch.Tensor) -> None:
        module(rows.unflatten(-1, (TOKENS, -1)), Sites(torch.arange(TOKENS)))

    masses = [
        attention_metrics(module, forward, tokens, np.array([[node]]))["attention_on_near_cause"]
        for node in range(TOKENS)
    ]
    assert sum(masses) == pytest.approx(1)
    assert min(masses) >= 0


@pytest.mark.parametrize(
    ("chosen", "visited"),
    [
        ({"prior": {"kind": "window", "before": 1}}, 11 / 6),
        ({"prior": {"kind": "geometric"}, "edges": {"kind": "expanding", "step": 2, "tolerance": 0.0}}, 3.5),
        ({"value": {"kind": "multihop", "hops": 2}, "prior": {"kind": "full"}}, 6),
        ({"value": {"kind": "hopfield", "iterations": 3}, "prior": {"kind": "full"}}, 6),
    ],
)
def test_a_trained_cell_tells_what_it_attends_to(chosen, visited, tmp_path):
    source = {"kind": "node_chain", "rows": 300, "nodes": 6, "channels": 3, "rank": 1}
    model = {"kind": "transformer", "blocks": 1, "heads": 2, "width": 8, "attention": chosen}
    changes = {"task": {"kind": "regression", "source": source}, "model": model, "seeds": [0], "splits": [0]}
    run = trained(TABLE | changes, tmp_path)
    metrics = run.predictor().score(run.experiment, run.data_of()).metrics
    assert set(metrics) >= set(run.experiment.metrics) - {"validation_loss"}
    assert metrics["keys_visited"] == pytest.approx(visited)
    assert 0 < metrics["attention_on_near_cause"] + metrics["attention_on_far_cause"] <= 1
