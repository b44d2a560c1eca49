"""Chains of nodes: the relation between them, where they stand, and what the target follows from."""

import numpy as np
import pytest

from precisionflow.config import ConfigError, resolve
from precisionflow.config.drawn_tables import NodeChain
from precisionflow.data.sources.node_chain import draw_chains, open_node_chain, relation


def at(rows: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.take_along_axis(rows, place[:, None, None], axis=1)[:, 0]


def test_the_target_is_one_linear_function_of_the_causes_alone():
    chains = draw_chains(NodeChain(rows=400))
    told = at(chains.nodes, chains.cause[:, 0]) + at(chains.nodes, chains.cause[:, 1])
    weight, *_ = np.linalg.lstsq(told, chains.target, rcond=None)
    np.testing.assert_allclose(told @ weight, chains.target, atol=1e-10)
    last, *_ = np.linalg.lstsq(chains.nodes[:, -1], chains.target, rcond=None)
    assert np.std(chains.nodes[:, -1] @ last - chains.target) > 0.4 * np.std(chains.target)


def test_each_node_of_the_chain_follows_from_the_one_before():
    source = NodeChain(rows=20_000, noise=0.6)
    chains = draw_chains(source)
    near, far = (at(chains.nodes, place) for place in chains.cause.T)
    for node, before in ((chains.nodes[:, -1], near), (near, far)):
        error = node - 0.8 * before @ relation(source).T
        np.testing.assert_allclose(np.cov(error.T), 0.36 * np.eye(8), atol=0.03)
        assert np.square(node).mean() == pytest.approx(1, abs=0.05)


def test_outliers_are_added_to_a_share_of_the_nodes_and_to_nothing_else():
    clean, shown = (draw_chains(NodeChain(rows=5000, outliers=share)) for share in (0.0, 0.2))
    added = shown.nodes - clean.nodes
    hit = (added != 0).any(-1)
    assert hit.mean(axis=0) == pytest.approx(np.full(8, 0.2), abs=0.03)
    assert added[hit].std() == pytest.approx(10, rel=0.02)
    assert np.mean(hit[:, 0] & hit[:, 1]) == pytest.approx(0.04, abs=0.01)
    np.testing.assert_array_equal(shown.target, clean.target)
    np.testing.assert_array_equal(shown.cause, clean.cause)
    assert NodeChain(outliers=0.2).dataset == f"{NodeChain().dataset}_outliers_0.2"


@pytest.mark.parametrize(("channels", "rank"), [(8, 4), (5, 1), (3, 3)])
def test_the_relation_has_its_rank_and_keeps_lengths(channels, rank):
    values = np.linalg.svd(relation(NodeChain(channels=channels, rank=rank)), compute_uv=False)
    np.testing.assert_allclose(values[:rank], np.sqrt(channels / rank))
    np.testing.assert_allclose(values[rank:], 0, atol=1e-12)


def test_shuffled_causes_stand_anywhere_before_the_last_and_never_at_one_place():
    cause = draw_chains(NodeChain(rows=7000, nodes=8)).cause
    assert (cause[:, 0] != cause[:, 1]).all()
    for column in cause.T:
        np.testing.assert_allclose(np.bincount(column, minlength=8), [1000] * 7 + [0], atol=150)


@pytest.mark.parametrize("history", [1, 2])
def test_a_geometric_distance_is_cut_at_the_beginning_of_the_row(history):
    source = NodeChain(rows=20_000, nodes=6, history=history, geometric=0.3)
    chains = draw_chains(source)
    distance = source.nodes - 1 - chains.cause[:, 0]
    share = 0.3 * 0.7 ** np.arange(5)
    np.testing.assert_allclose(
        np.bincount(distance, minlength=6)[1:] / source.rows, share / share.sum(), atol=0.02
    )
    assert chains.cause.shape[1] == history
    assert history == 1 or (chains.cause[:, 0] != chains.cause[:, 1]).all()


def test_a_row_is_its_nodes_one_after_the_other():
    source = NodeChain(rows=30, nodes=3, channels=2, rank=1)
    table = open_node_chain(source, split=0)
    columns = table.columns(table.cut.train)
    (values,) = columns.batches()
    chains = draw_chains(source)
    np.testing.assert_array_equal(values[:, 2:4], chains.nodes[:, 1])
    np.testing.assert_array_equal(values[:, -1], chains.target)
    assert columns.features[2:4] == ("node_1_channel_0", "node_1_channel_1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": {"kind": "regression", "source": {"kind": "node_chain", "rank": 9}}}, "rank 9 is above"),
        (
            {"task": {"kind": "regression"}},
            "model.kind: transformer needs rows that are sequences, and those of task",
        ),
        (
            {"model": {"kind": "transformer", "token_dropout": 0.1}},
            "model.token_dropout: the rows of a table have no",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(change, message):
    described = {
        "name": "c",
        "task": {"kind": "regression", "source": {"kind": "node_chain"}},
        "model": {"kind": "transformer"},
        "objective": {"kind": "gaussian_nll"},
    }
    assert resolve(described).task.context == 8
    with pytest.raises(ConfigError) as caught:
        resolve(described | change)
    assert message in str(caught.value)
