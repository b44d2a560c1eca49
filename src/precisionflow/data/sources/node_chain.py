"""Chains of two or three vectors among others: what predicts the target stands one and two steps away."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from precisionflow.config.drawn_tables import NodeChain
from precisionflow.data.table import Table, table_of

OUTLYING = 10.0
"""Standard deviation of what is added to a node that is an outlier; that of a node is 1."""


class Chains(NamedTuple):
    """Rows of nodes, the last of which asks."""

    nodes: Float[np.ndarray, "rows nodes channels"]
    target: Float[np.ndarray, "rows"]
    cause: Int[np.ndarray, "rows causes"]
    """Places of the nodes that the target is a function of: x1, and x0 where it counts."""

    def of(self, row: Int[np.ndarray, "chosen"]) -> "Chains":
        """Some of the rows."""
        return Chains(*(part[row] for part in self))


def relation(source: NodeChain) -> Float[np.ndarray, "channels channels"]:
    """W = sqrt(channels / rank) U V^T, U and V with orthonormal columns: W x is as long as x, on average."""
    random = np.random.default_rng([source.seed, 1])
    left, right = (
        np.linalg.qr(random.standard_normal((source.channels, source.channels)))[0][:, : source.rank]
        for _ in range(2)
    )
    return np.sqrt(source.channels / source.rank) * left @ right.T


def draw_chains(source: NodeChain) -> Chains:
    """x_(i + 1) = sqrt(1 - noise^2) W x_i + noise e; the first node, e and the nodes outside are standard normal.

    Outliers have a random stream of their own: the rows without them are the same.
    """
    random = np.random.default_rng([source.seed, 2])
    weight = random.standard_normal(source.channels) / np.sqrt(source.channels)
    nodes = random.standard_normal((source.rows, source.nodes, source.channels))
    chain = [random.standard_normal((source.rows, source.channels))]
    for _ in range(source.history):
        error = source.noise * random.standard_normal(chain[0].shape)
        chain.append(np.sqrt(1 - source.noise**2) * chain[-1] @ relation(source).T + error)
    cause = _places(source, random)
    nodes[:, -1] = chain[-1]
    np.put_along_axis(nodes, cause[..., None], np.stack(chain[-2::-1], axis=1), axis=1)
    return Chains(nodes + _outlying(source), sum(chain[:-1]) @ weight, cause)


def _outlying(source: NodeChain) -> Float[np.ndarray, "rows nodes channels"]:
    """What is added to the nodes: nothing to those that are no outliers."""
    random = np.random.default_rng([source.seed, 3])
    hit = random.random((source.rows, source.nodes, 1)) < source.outliers
    return hit * OUTLYING * random.standard_normal((source.rows, source.nodes, source.channels))


def _places(source: NodeChain, random: np.random.Generator) -> Int[np.ndarray, "rows causes"]:
    """Where the nodes of the chain stand, that nearest to the last first."""
    order = random.random((source.rows, source.nodes - 1)).argsort(axis=1)
    if source.geometric is not None:
        passes = np.log1p(-source.geometric)
        within = -np.expm1((source.nodes - 1) * passes)
        passed = np.log1p(-random.random(source.rows) * within) / passes
        near = source.nodes - 2 - passed.astype(np.int64)
        order[:, 1:] = order[order != near[:, None]].reshape(source.rows, -1)
        order[:, 0] = near
    return order[:, : source.history]


def open_node_chain(source: NodeChain, *, split: int) -> Table:
    """The channels of each node, one node after the other; cut by `cut_rows`."""
    rows = draw_chains(source)
    return table_of(
        np.column_stack([rows.nodes.reshape(source.rows, -1), rows.target]),
        origin=f"{source.rows} rows of {source.nodes} nodes",
        features=tuple(
            f"node_{node}_channel_{channel}"
            for node in range(source.nodes)
            for channel in range(source.channels)
        ),
        target="target",
        cut=source.split,
        split=split,
    )
