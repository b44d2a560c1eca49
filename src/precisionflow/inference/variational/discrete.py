"""Small discrete graphs exactly: by enumeration, by messages on a tree, by a junction tree of cliques.

p(x) = exp(sum of log tables) / Z. Every way takes logarithms and gives them, so that zeros (-inf) are exact.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import networkx
import torch
from jaxtyping import Float
from torch import Tensor

MOST_STATES = 2**24
"""Joint states of the largest table that is built."""

Names = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """A factor of some variables: a logarithm for each of their joint states, an axis for each variable."""

    variables: Names
    logs: Float[Tensor, "..."]

    def __post_init__(self) -> None:
        logs = torch.as_tensor(self.logs, dtype=torch.float64)
        object.__setattr__(self, "logs", logs)
        name = " ".join(self.variables)
        if (
            logs.ndim != len(self.variables)
            or len(set(self.variables)) < len(self.variables)
            or logs.ndim == 0
        ):
            raise ValueError(
                f"table {name}: has {logs.ndim} axes; it needs one for each variable, each named once"
            )
        if bool((logs.isnan() | (logs == math.inf)).any()):
            raise ValueError(f"table {name}: logarithms have to be finite, or -inf for what is impossible")


class Marginals(NamedTuple):
    """Of every variable, and Z."""

    log_evidence: Float[Tensor, ""]
    """log Z."""
    probabilities: Mapping[str, Float[Tensor, "states"]]


Way = Callable[[Sequence[Table]], Marginals]


def by_enumeration(tables: Sequence[Table]) -> Marginals:
    """The table of all joint states: their number is the product of all variables' states."""
    sizes = _sizes(tables)
    joint = _product(tables, tuple(sizes), sizes)
    return _normalised(joint.logs, {name: _marginal(joint, (name,)).logs for name in sizes})


def by_messages(tables: Sequence[Table]) -> Marginals:
    """Sum-product on a graph without cycles: as many operations as the tables have entries.

    ValueError where the graph of variables and tables has a cycle.
    """
    graph = networkx.Graph([(name, at) for at, table in enumerate(tables) for name in table.variables])
    try:
        cycle = networkx.find_cycle(graph)
    except networkx.NetworkXNoCycle:
        return by_junction_tree(tables)
    through = [str(end) for edge in cycle for end in edge[:1] if isinstance(end, str)]
    raise ValueError(f"by_messages: {', '.join(through)} form a cycle; take by_junction_tree")


def by_junction_tree(tables: Sequence[Table]) -> Marginals:
    """Cliques of a triangulated graph as a tree, two messages over each of its edges (Lauritzen & Spiegelhalter 1988).

    Its cost is that of the largest clique. ValueError where that has more than `MOST_STATES` joint states.
    """
    sizes = _sizes(tables)
    tree = _tree(tables)
    homes: dict[Names, list[Table]] = {clique: [] for clique in tree}
    for table in tables:
        homes[_home(table, tree)].append(table)
    potentials = {clique: _product(own, clique, sizes) for clique, own in homes.items()}
    sent: dict[tuple[Names, Names], Table] = {}
    edges = [edge for root in _roots(tree) for edge in networkx.dfs_edges(tree, root)]
    for source, target in [*((child, parent) for parent, child in reversed(edges)), *edges]:
        others = [sent[other, source] for other in tree[source] if other != target]
        both = tuple(name for name in source if name in target)
        sent[source, target] = _marginal(_product([potentials[source], *others], source, sizes), both)
    beliefs = [
        _product([own, *(sent[other, clique] for other in tree[clique])], clique, sizes)
        for clique, own in potentials.items()
    ]
    of = {name: _marginal(belief, (name,)).logs for belief in beliefs for name in belief.variables}
    roots = [next(b for b in beliefs if b.variables == root) for root in _roots(tree)]
    total = torch.stack([root.logs.flatten().logsumexp(dim=0) for root in roots]).sum()
    return _normalised(total, {name: of[name] for name in sizes})


def _tree(tables: Sequence[Table]) -> networkx.Graph:
    """Cliques of which each variable's form a subtree: a spanning tree of largest overlaps."""
    graph = networkx.Graph()
    for table in tables:
        graph.add_nodes_from(table.variables)
        graph.add_edges_from((a, b) for a in table.variables for b in table.variables if a < b)
    chordal, _ = networkx.complete_to_chordal_graph(graph)
    cliques = sorted(tuple(sorted(clique)) for clique in networkx.find_cliques(chordal))
    overlaps = networkx.Graph()
    overlaps.add_nodes_from(cliques)
    overlaps.add_weighted_edges_from(
        (a, b, len(shared)) for a in cliques for b in cliques if a < b and (shared := set(a) & set(b))
    )
    return networkx.maximum_spanning_tree(overlaps)


def _roots(tree: networkx.Graph) -> list[Names]:
    """A clique of each tree of the forest."""
    return [min(part) for part in networkx.connected_components(tree)]


def _home(table: Table, cliques: Iterable[Names]) -> Names:
    """The first clique that has all its variables."""
    return next(clique for clique in cliques if set(table.variables) <= set(clique))


def _sizes(tables: Sequence[Table]) -> dict[str, int]:
    """States of each variable."""
    if not tables:
        raise ValueError("tables: there are none; give one or more")
    sizes: dict[str, int] = {}
    for table in tables:
        for name, states in zip(table.variables, table.logs.shape, strict=True):
            if sizes.setdefault(name, states) != states:
                raise ValueError(
                    f"table {' '.join(table.variables)}: {name} has {states} states, elsewhere {sizes[name]}"
                )
    return sizes


def _product(tables: Sequence[Table], onto: Names, sizes: Mapping[str, int]) -> Table:
    """Sum of logarithms over the joint states of `onto`."""
    shape = [sizes[name] for name in onto]
    if math.prod(shape) > MOST_STATES:
        raise ValueError(
            f"tables: {math.prod(shape)} joint states of {', '.join(onto)} are more than {MOST_STATES}, the most "
            "that are built"
        )
    start = torch.zeros(shape, dtype=torch.float64)
    return Table(onto, reduce(torch.add, (_aligned(table, onto) for table in tables), start))


def _aligned(table: Table, onto: Names) -> Tensor:
    """Axes in the order of `onto`, of length 1 where the table lacks the variable."""
    order = sorted(table.variables, key=onto.index)
    moved = table.logs.permute([table.variables.index(name) for name in order])
    return moved.reshape([moved.shape[order.index(name)] if name in order else 1 for name in onto])


def _marginal(table: Table, kept: Names) -> Table:
    """logsumexp over the other variables."""
    gone = [at for at, name in enumerate(table.variables) if name not in kept]
    return Table(kept, table.logs.logsumexp(dim=gone) if gone else table.logs)


def _normalised(total: Tensor, logs: Mapping[str, Tensor]) -> Marginals:
    log_evidence = total.flatten().logsumexp(dim=0)
    if log_evidence == -math.inf:
        raise ValueError("tables: no joint state is possible, every one has probability 0")
    return Marginals(log_evidence, {name: each.softmax(dim=0) for name, each in logs.items()})
