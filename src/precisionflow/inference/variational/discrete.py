"""Small discrete graphs exactly: by enumeration, by messages on a tree, by a junction tree of cliques.

p(x) = exp(sum of log tables) / Z. Every way takes logarithms and gives them, so that zeros (-inf) are exact.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import networkx
import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import array, require_kind

MOST_STATES = 2**24
"""Joint states of the largest table that is built."""

Names = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """A factor of some variables: a logarithm for each of their joint states, an axis for each variable."""

    variables: Names
    logs: Float[Tensor, "..."]

    def __post_init__(self) -> None:
        require_kind(self.variables, (tuple, list), "table: variables", "names of them, such as ('a', 'b')")
        for each in self.variables:
            require_kind(each, (str,), "table: variable", "its name")
        name = " ".join(self.variables)
        logs = array(self.logs, f"table {name}: logarithms", torch.float64)
        object.__setattr__(self, "variables", tuple(self.variables))
        object.__setattr__(self, "logs", logs)
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
    every = tuple(sizes)
    joint = _product(tables, every, sizes, tables[0].logs.device)
    return _normalised(joint, {name: _marginal(joint, every, (name,)) for name in sizes})


def by_messages(tables: Sequence[Table]) -> Marginals:
    """Sum-product on a graph without cycles: the junction tree, whose cliques are the variables of single tables.

    A message costs the entries of the table that it leaves, and all messages are two for each place where tables meet.
    ValueError where the graph of variables and tables has a cycle.
    """
    _sizes(tables)
    graph = networkx.Graph([(name, at) for at, table in enumerate(tables) for name in table.variables])
    if networkx.is_forest(graph):
        return by_junction_tree(tables)
    through = [end for edge in networkx.find_cycle(graph) for end in edge[:1] if isinstance(end, str)]
    raise ValueError(f"by_messages: {', '.join(through)} form a cycle; take by_junction_tree")


def by_junction_tree(tables: Sequence[Table]) -> Marginals:
    """Cliques of a triangulated graph as a tree, two messages over each of its edges (Lauritzen & Spiegelhalter 1988).

    Its cost is that of the largest clique. ValueError where that has more than `MOST_STATES` joint states.
    """
    sizes = _sizes(tables)
    tree = _tree(tables, sizes)
    held: list[list[Table]] = [[] for _ in tree.cliques]
    for table in tables:
        held[tree.homes[min(table.variables, key=tree.order.__getitem__)]].append(table)
    device = tables[0].logs.device
    own = [_product(each, clique, sizes, device) for clique, each in zip(tree.cliques, held, strict=True)]
    totals = list(own)
    # a parent stands before its children
    heard: list[list[tuple[int, Tensor]]] = [[] for _ in tree.cliques]
    for at, parent in reversed([*enumerate(tree.parents)]):
        if parent is not None:
            clique, above = tree.cliques[at], tree.cliques[parent]
            both = tuple(name for name in clique if name in above)
            sent = _aligned(_marginal(totals[at], clique, both), both, above)
            heard[parent].append((at, sent))
            totals[parent] = totals[parent] + sent
    roots = [
        total.flatten().logsumexp(dim=0)
        for total, parent in zip(totals, tree.parents, strict=True)
        if parent is None
    ]
    for at, clique in enumerate(tree.cliques):
        for child, others in _without_each(own[at], heard[at]):
            below = tree.cliques[child]
            both = tuple(name for name in clique if name in below)
            sent = _aligned(_marginal(others, clique, both), both, below)
            own[child], totals[child] = own[child] + sent, totals[child] + sent
    logs = {}
    for name in sizes:
        at = tree.homes[name]
        logs[name] = _marginal(totals[at], tree.cliques[at], (name,))
    return _normalised(torch.stack(roots).sum(), logs)


def _without_each(own: Tensor, heard: Sequence[tuple[int, Tensor]]) -> Iterator[tuple[int, Tensor]]:
    """The sum of all but one, for each: by halves, k log2 k additions, since -inf is not taken away again."""
    if len(heard) == 1:
        yield heard[0][0], own
    if len(heard) > 1:
        half = len(heard) // 2
        for part, others in ((heard[:half], heard[half:]), (heard[half:], heard[:half])):
            yield from _without_each(reduce(torch.add, (sent for _, sent in others), own), part)


class _Tree(NamedTuple):
    """Cliques of a triangulated graph, those of each variable connected: a spanning tree of largest overlaps."""

    cliques: list[Names]
    parents: list[int | None]
    """Place of a clique that stands before it and has all that it shares with those before it; None: of a root."""
    homes: dict[str, int]
    """The first clique that has the variable."""
    order: dict[str, int]
    """In which variables were taken away: the home of the first of a table has all of them."""


def _tree(tables: Sequence[Table], sizes: Mapping[str, int]) -> _Tree:
    """Each variable and its neighbours when it is taken away, largest such sets alone (Blair & Peyton 1993)."""
    near = _taken_away(tables, sizes)
    order = {name: at for at, name in enumerate(near)}
    cliques: list[set[str]] = []
    parents: list[int | None] = []
    homes: dict[str, int] = {}
    for name in reversed(near):
        others = near[name]
        parent = homes[min(others, key=order.__getitem__)] if others else None
        if parent is not None and len(cliques[parent]) == len(others):
            cliques[parent].add(name)
            homes[name] = parent
        else:
            homes[name] = len(cliques)
            cliques.append({name, *others})
            parents.append(parent)
    return _Tree([tuple(sorted(clique)) for clique in cliques], parents, homes, order)


def _taken_away(tables: Sequence[Table], sizes: Mapping[str, int]) -> dict[str, set[str]]:
    """Variables in the order in which they are taken away, and their neighbours then, which it connects.

    First one whose neighbours are connected, as long as there is one, else one of fewest: a graph that needs no edge
    more gets none.
    """
    near: dict[str, set[str]] = {name: set() for name in sizes}
    for table in tables:
        for name in table.variables:
            near[name].update(other for other in table.variables if other != name)
    places = {name: at for at, name in enumerate(sizes)}

    def cost(name: str) -> tuple[bool, int, int]:
        others = near[name]
        connected = all(
            len(near[one]) >= len(others) and len(near[one] & others) == len(others) - 1 for one in others
        )
        return not connected, len(others), places[name]

    costs = {name: cost(name) for name in sizes}
    queue = sorted((of, name) for name, of in costs.items())
    taken: dict[str, set[str]] = {}
    while queue:
        of, name = heapq.heappop(queue)
        if name in taken or of != costs[name]:
            continue
        others = taken[name] = near.pop(name)
        for one in others:
            near[one].remove(name)
        touched = set(others)
        if of[0]:
            for one, other in itertools.combinations(others, 2):
                if other not in near[one]:
                    near[one].add(other)
                    near[other].add(one)
                    touched |= near[one] & near[other]
        for one in touched:
            costs[one] = cost(one)
            heapq.heappush(queue, (costs[one], one))
    return taken


def _sizes(tables: Sequence[Table]) -> dict[str, int]:
    """States of each variable."""
    require_kind(tables, (tuple, list), "tables", "a list of them")
    for table in tables:
        require_kind(table, Table, "tables", "a Table")
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


def _product(tables: Sequence[Table], onto: Names, sizes: Mapping[str, int], device: torch.device) -> Tensor:
    """Sum of logarithms over the joint states of `onto`."""
    shape = [sizes[name] for name in onto]
    if math.prod(shape) > MOST_STATES:
        raise ValueError(
            f"tables: {math.prod(shape)} joint states of {', '.join(onto)} are more than {MOST_STATES}, the most "
            "that are built"
        )
    start = torch.zeros(shape, dtype=torch.float64, device=device)
    return reduce(torch.add, (_aligned(table.logs, table.variables, onto) for table in tables), start)


def _aligned(logs: Tensor, variables: Names, onto: Names) -> Tensor:
    """Axes in the order of `onto`, of length 1 where the table lacks the variable."""
    order = sorted(variables, key=onto.index)
    moved = logs.permute([variables.index(name) for name in order])
    return moved.reshape([moved.shape[order.index(name)] if name in order else 1 for name in onto])


def _marginal(logs: Tensor, variables: Names, kept: Names) -> Tensor:
    """logsumexp over the other variables."""
    gone = [at for at, name in enumerate(variables) if name not in kept]
    return logs.logsumexp(dim=gone) if gone else logs


def _normalised(total: Tensor, logs: Mapping[str, Tensor]) -> Marginals:
    log_evidence = total.flatten().logsumexp(dim=0)
    if log_evidence == -math.inf:
        raise ValueError("tables: no joint state is possible, every one has probability 0")
    return Marginals(log_evidence, {name: each.softmax(dim=0) for name, each in logs.items()})
