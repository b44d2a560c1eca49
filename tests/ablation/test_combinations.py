"""Designs: which combinations of levels there are, in which order, and what is contrasted among them."""

import itertools
from collections import Counter
from typing import Any

import pytest

from precisionflow.ablation.combinations import combinations, factors
from precisionflow.ablation.design import expand, pairs
from precisionflow.config import ConfigError, Experiment
from precisionflow.config.ablation import Ablation
from tests.synthetic import regression

AXES = {
    "a": {"a1": {"model.hidden": [4]}, "a2": {"model.hidden": [5]}, "a3": {"model.hidden": [6]}},
    "b": {"b1": {"training.steps": 10}, "b2": {"training.steps": 20}, "b3": {"training.steps": 30}},
    "c": {"c1": {"objective.beta": 0.1}, "c2": {"objective.beta": 0.2}},
}


def ablation(design: dict[str, Any], axes: dict[str, Any] = AXES) -> Ablation:
    return Ablation.model_validate({"axes": axes, "design": design})


def names(design: dict[str, Any], axes: dict[str, Any] = AXES) -> list[str]:
    return ["+".join(levels.values()) for levels in combinations(ablation(design, axes))]


def experiment(design: dict[str, Any]) -> Experiment:
    return Experiment.model_validate(
        regression().model_dump(mode="json") | {"ablation": {"axes": AXES, "design": design}}
    )


def compared(design: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(axis, variant, baseline) of everything that is contrasted."""
    of = experiment(design)
    return [(p.axis, p.variant.name, p.baseline.name) for p in pairs(of, expand(of))]


ALL = [f"a{i}+b{j}+c{k}" for i, j, k in itertools.product((1, 2, 3), (1, 2, 3), (1, 2))]


def test_a_product_has_every_combination_with_the_last_axis_fastest() -> None:
    assert names({"kind": "product"}) == ALL
    assert names({"kind": "product", "of": ["c", "b", "a"]})[:4] == [
        "a1+b1+c1",
        "a2+b1+c1",
        "a3+b1+c1",
        "a1+b2+c1",
    ]


def test_a_zip_takes_its_parts_together() -> None:
    two = {axis: AXES[axis] for axis in "ab"}
    assert names({"kind": "zip"}, two) == ["a1+b1", "a2+b2", "a3+b3"]
    with pytest.raises(
        ConfigError, match=r"ablation\.design: zip has parts of 3, 3, 2 combinations; make them"
    ):
        names({"kind": "zip"})


def test_one_at_a_time_leaves_the_others_at_their_first_level() -> None:
    assert names({"kind": "one_at_a_time"}) == [
        "a1+b1+c1",
        "a2+b1+c1",
        "a3+b1+c1",
        "a1+b2+c1",
        "a1+b3+c1",
        "a1+b1+c2",
    ]


def test_leave_one_out_leaves_the_others_at_their_last_level() -> None:
    assert names({"kind": "leave_one_out"}) == [
        "a3+b3+c2",
        "a1+b3+c2",
        "a2+b3+c2",
        "a3+b1+c2",
        "a3+b2+c2",
        "a3+b3+c1",
    ]


def test_a_chain_has_each_combination_once_and_what_it_does_not_name_at_the_first_level() -> None:
    design = {
        "kind": "chain",
        "of": [{"kind": "product", "of": ["a", "c"]}, {"kind": "one_at_a_time", "of": ["a", "b"]}],
    }
    assert names(design) == [
        *(f"a{i}+b1+c{k}" for i in (1, 2, 3) for k in (1, 2)),
        "a1+b2+c1",
        "a1+b3+c1",
    ]


def test_designs_are_parts_of_designs() -> None:
    assert names({"kind": "product", "of": ["c", {"kind": "zip", "of": ["a", "b"]}]}) == [
        f"a{i}+b{i}+c{k}" for k in (1, 2) for i in (1, 2, 3)
    ]
    assert names({"kind": "one_at_a_time", "of": [{"kind": "zip", "of": ["a", "b"]}, "c"]}) == [
        "a1+b1+c1",
        "a2+b2+c1",
        "a3+b3+c1",
        "a1+b1+c2",
    ]


def test_a_random_subset_is_some_of_the_product_in_its_order() -> None:
    drawn = {seed: names({"kind": "random_subset", "size": 5, "seed": seed}) for seed in range(3)}
    for found in drawn.values():
        assert len(found) == 5
        assert found == [name for name in ALL if name in found]
    assert drawn[0] != drawn[1]
    assert drawn[0] == names({"kind": "random_subset", "size": 5})
    assert names({"kind": "random_subset", "size": 18, "seed": 4}) == ALL


def test_every_combination_is_as_likely_to_be_drawn() -> None:
    """600 draws of 6 of 18: each is expected 200 times, with a standard deviation of 11.5."""
    counts = Counter(
        name for seed in range(600) for name in names({"kind": "random_subset", "size": 6, "seed": seed})
    )
    assert set(counts) == set(ALL)
    assert all(abs(count - 200) < 5 * 11.5 for count in counts.values())


def test_a_subset_of_more_than_there_are_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"ablation\.design\.size: given 19; there are 18 combinations, take fewer"
    ):
        names({"kind": "random_subset", "size": 19})


def test_axes_that_a_design_does_not_know_or_does_not_use_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"ablation\.design: unknown axis 'd'; allowed: a, b, c"):
        names({"kind": "product", "of": ["a", "d"]})
    with pytest.raises(
        ConfigError, match=r"ablation\.axes\.c: changes nothing, ablation\.design does not name it"
    ):
        names({"kind": "zip", "of": ["a", "b"]})
    with pytest.raises(
        ConfigError, match=r"names the axis 'a' twice in what is combined; name it once there"
    ):
        names({"kind": "product", "of": ["a", {"kind": "zip", "of": ["a", "b"]}, "c"]})


def test_without_axes_there_is_one_combination_but_none_of_a_zip() -> None:
    for kind in ("product", "one_at_a_time", "leave_one_out"):
        assert combinations(ablation({"kind": kind}, {})) == [{}]
    with pytest.raises(
        ConfigError, match=r"ablation\.design: zip has no combination, so no cell; give ablation"
    ):
        combinations(ablation({"kind": "zip"}, {}))


def test_axes_of_a_zip_are_one_factor() -> None:
    assert factors(ablation({"kind": "product"})) == [("a",), ("b",), ("c",)]
    assert factors(ablation({"kind": "zip", "of": ["b", "a"]})) == [("a", "b"), ("c",)]
    overlapping = [{"kind": "zip", "of": ["b", "c"]}, {"kind": "zip", "of": ["a", "c"]}]
    assert factors(ablation({"kind": "chain", "of": overlapping})) == [("a", "b", "c")]


def test_one_at_a_time_is_contrasted_with_its_base_and_leave_one_out_with_what_was_left_out() -> None:
    assert compared({"kind": "one_at_a_time"}) == [
        ("a", "a2+b1+c1", "a1+b1+c1"),
        ("a", "a3+b1+c1", "a1+b1+c1"),
        ("b", "a1+b2+c1", "a1+b1+c1"),
        ("b", "a1+b3+c1", "a1+b1+c1"),
        ("c", "a1+b1+c2", "a1+b1+c1"),
    ]
    assert compared({"kind": "leave_one_out"}) == [
        ("a", "a3+b3+c2", "a1+b3+c2"),
        ("a", "a2+b3+c2", "a1+b3+c2"),
        ("b", "a3+b3+c2", "a3+b1+c2"),
        ("b", "a3+b2+c2", "a3+b1+c2"),
        ("c", "a3+b3+c2", "a3+b3+c1"),
    ]


def test_what_moves_together_is_contrasted_together() -> None:
    design = {"kind": "product", "of": ["c", {"kind": "zip", "of": ["a", "b"]}]}
    assert compared(design) == [
        ("a+b", "a2+b2+c1", "a1+b1+c1"),
        ("a+b", "a3+b3+c1", "a1+b1+c1"),
        ("a+b", "a2+b2+c2", "a1+b1+c2"),
        ("a+b", "a3+b3+c2", "a1+b1+c2"),
        ("c", "a1+b1+c2", "a1+b1+c1"),
        ("c", "a2+b2+c2", "a2+b2+c1"),
        ("c", "a3+b3+c2", "a3+b3+c1"),
    ]
    of = experiment(design)
    pair = pairs(of, expand(of))[1]
    assert (pair.level(pair.variant), pair.level(pair.baseline)) == ("a3+b3", "a1+b1")


def test_a_pair_whose_baseline_is_not_in_the_design_is_left_out() -> None:
    design = {"kind": "random_subset", "size": 5, "seed": 3}
    there = names(design)
    for axis, variant, baseline in compared(design):
        assert {variant, baseline} <= set(there)
        differ = [one for one, two in zip(variant.split("+"), baseline.split("+"), strict=True) if one != two]
        assert [level[0] for level in differ] == [axis]
        assert f"{axis}1" in baseline
    assert compared(design)
