"""Discrete graphs: junction tree and messages against enumeration, and that against a table by hand."""

import itertools
import math
import sys

import pytest
import torch

from precisionflow.inference.variational.discrete import (
    Table,
    by_enumeration,
    by_junction_tree,
    by_messages,
)


def table(*variables, states=None):
    sizes = [(states or {}).get(name, 2) for name in variables]
    return Table(variables, torch.randn(*sizes, dtype=torch.float64))


def grid(width, height):
    torch.manual_seed(0)
    places = {(x, y): f"x{x}{y}" for x in range(width) for y in range(height)}
    edges = [(a, b) for a in places for b in places if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1 and a < b]
    return [table(places[a], places[b]) for a, b in edges]


def tree():
    torch.manual_seed(1)
    states = {"a": 2, "b": 3, "c": 2, "d": 4, "e": 2}
    return [table("a", states=states), *(table(*pair, states=states) for pair in ("ab", "ac", "bde"))]


def forest():
    torch.manual_seed(2)
    return [table("a", "b"), table("c", "d"), table("e")]


def loops():
    """Overlapping loops of four and five variables, one table of three, an axis order that is not sorted."""
    torch.manual_seed(3)
    states = {"a": 3, "d": 3}
    return [table(*pair, states=states) for pair in ("ab", "bc", "cd", "da", "ef", "fb", "ec", "gcb", "ga")]


GRAPHS = pytest.mark.parametrize("made", [lambda: grid(3, 4), tree, forest, loops])


@GRAPHS
def test_the_junction_tree_gives_what_enumeration_does(made):
    one, two = by_enumeration(made()), by_junction_tree(made())
    assert one.log_evidence.item() == pytest.approx(two.log_evidence.item(), rel=1e-12)
    assert list(one.probabilities) == list(two.probabilities)
    for name, wanted in one.probabilities.items():
        torch.testing.assert_close(two.probabilities[name], wanted, rtol=1e-10, atol=1e-12)


def test_enumeration_is_a_sum_over_all_states():
    tables = loops()
    sizes = {
        name: size for each in tables for name, size in zip(each.variables, each.logs.shape, strict=True)
    }
    weights = {}
    for state in itertools.product(*map(range, sizes.values())):
        at = dict(zip(sizes, state, strict=True))
        weights[state] = math.exp(
            sum(each.logs[tuple(at[n] for n in each.variables)].item() for each in tables)
        )
    found = by_enumeration(tables)
    assert found.log_evidence.item() == pytest.approx(math.log(sum(weights.values())))
    share = sum(weight for state, weight in weights.items() if state[2] == 1) / sum(weights.values())
    assert found.probabilities[list(sizes)[2]][1].item() == pytest.approx(share)


@pytest.mark.parametrize("made", [tree, forest])
def test_messages_are_exact_without_cycles(made):
    found, wanted = by_messages(made()), by_enumeration(made())
    assert found.log_evidence.item() == pytest.approx(wanted.log_evidence.item())
    for name, each in wanted.probabilities.items():
        torch.testing.assert_close(found.probabilities[name], each)


def test_a_hidden_markov_model_is_the_forward_algorithm():
    """3,300 steps: 3^3300 joint states are never built, and nothing is as deep as the chain is long."""
    torch.manual_seed(4)
    turn = torch.randn(3, 3, dtype=torch.float64).log_softmax(dim=1)
    seen = torch.randn(3300, 3, dtype=torch.float64)
    names = [f"x{t}" for t in range(len(seen))]
    tables = [Table(names[:1], seen[0])]
    tables += [Table(pair, turn + row) for pair, row in zip(itertools.pairwise(names), seen[1:], strict=True)]
    forward = seen[0]
    for row in seen[1:]:
        forward = (forward[:, None] + turn).logsumexp(dim=0) + row
    found = by_messages(tables)
    assert found.log_evidence.item() == pytest.approx(forward.logsumexp(dim=0).item(), rel=1e-12)
    torch.testing.assert_close(found.probabilities[names[-1]], forward.softmax(dim=0))


def ring(length):
    return [table(f"x{at}", f"x{(at + 1) % length}") for at in range(length)]


def star(length):
    return [table("hub", f"x{at}") for at in range(length)]


@pytest.mark.parametrize("made", [ring, star])
def test_work_grows_with_the_tables_and_not_with_their_square(made):
    """Calls of functions, counted."""
    counts = []
    for length in (25, 200):
        tables, calls = made(length), []
        sys.setprofile(lambda *_, calls=calls: calls.append(1))
        try:
            by_junction_tree(tables)
        finally:
            sys.setprofile(None)
        counts.append(len(calls) / length)
    assert counts[1] < 1.2 * counts[0]


def test_what_is_impossible_has_probability_0():
    logs = torch.tensor([[0.0, -math.inf], [-math.inf, -math.inf]])
    for way in (by_enumeration, by_messages, by_junction_tree):
        found = way([Table(("a", "b"), logs), Table(("b",), torch.tensor([0.5, 7.0]))])
        assert found.log_evidence.item() == pytest.approx(0.5)
        assert found.probabilities["a"].tolist() == [1.0, 0.0]
        with pytest.raises(ValueError, match="no joint state is possible"):
            way([Table(("a", "b"), logs), Table(("b",), torch.tensor([-math.inf, 7.0]))])


@pytest.mark.parametrize(
    ("do", "line"),
    [
        (
            lambda: by_messages([table(*pair) for pair in ("ab", "bc", "ca")]),
            "[abc], [abc], [abc] form a cycle; take",
        ),
        (lambda: by_messages([table("a", "b"), table("b", "a")]), "[ab], [ab] form a cycle"),
        (lambda: by_enumeration([]), "tables: there are none"),
        (
            lambda: by_enumeration([table("a"), table("a", states={"a": 3})]),
            "table a: a has 3 states, elsewhere 2",
        ),
        (lambda: by_enumeration([table(f"x{i}") for i in range(25)]), "33554432 joint states of x0"),
        (lambda: Table(("a", "b"), torch.zeros(2)), "table a b: has 1 axes; it needs one for each variable"),
        (lambda: Table(("a", "a"), torch.zeros(2, 2)), "each named once"),
        (lambda: Table(("a",), torch.tensor([0.0, math.nan])), "table a: logarithms have to be finite"),
        (lambda: Table(("a",), torch.tensor([0.0, math.inf])), "table a: logarithms have to be finite"),
        (lambda: Table(("a",), "x"), "table a: logarithms: given 'x'; give a number"),
        (lambda: by_messages([3]), "tables: given 3, which is int; give a Table"),
        (lambda: by_junction_tree(table("a")), "tables: given Table.*; give a list of them"),
        (lambda: Table((1, 2), torch.zeros(2, 2)), "table: variable: given 1, which is int; give its name"),
        (lambda: Table("ab", torch.zeros(2, 2)), "table: variables: given 'ab', which is str; give names"),
    ],
)
def test_what_cannot_be_is_one_line(do, line):
    with pytest.raises((ValueError, TypeError), match=line) as raised:
        do()
    assert "\n" not in str(raised.value)
