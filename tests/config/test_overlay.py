"""One override rule: an ablation axis, a Katib parameter and `--set` are the same dotted overlay."""

import itertools
from typing import Any

import pytest
import yaml

from precisionflow.ablation.design import expand
from precisionflow.config import ConfigError, Experiment, load, overlay, resolve, shipped
from precisionflow.config.load import parse_settings

REGRESSION = yaml.safe_load(shipped()["quickstart-regression"])
LANGUAGE = yaml.safe_load(shipped()["quickstart-language"])


def alone(experiment: Experiment) -> dict[str, Any]:
    """The experiment without what the expansion of axes sets."""
    return experiment.model_dump(exclude={"variant", "ablation"})


@pytest.mark.parametrize(
    ("setting", "level", "parameter"),
    [
        (
            "training.learning_rate=3e-4",
            {"training.learning_rate": 3e-4},
            {"training.learning_rate": "0.0003"},
        ),
        ("training.steps=120", {"training.steps": 120}, {"training.steps": "120"}),
        ("objective.kind=crps", {"objective.kind": "crps"}, {"objective.kind": "crps"}),
        ("model.hidden=[8, 4]", {"model.hidden": [8, 4]}, {"model.hidden": [8, 4]}),
        ("learning.kind=predictive_coding",) + 2 * ({"learning.kind": "predictive_coding"},),
    ],
)
def test_axis_setting_and_search_parameter_are_one(
    setting: str, level: dict[str, Any], parameter: dict[str, Any]
) -> None:
    from_setting = load("quickstart-regression", [setting])
    tree = REGRESSION | {"ablation": {"axes": {"axis": {"level": level}}}}
    (variant,) = expand(resolve(tree))
    searched = resolve(overlay(REGRESSION, parameter))
    assert alone(variant.experiment) == alone(from_setting) == alone(searched)
    assert alone(from_setting) != alone(load("quickstart-regression"))


def test_text_becomes_a_number() -> None:
    for text in ("3e-4", "'0.0003'", "0.3E-3", "3.0e-4"):
        experiment = load("quickstart-regression", [f"training.learning_rate={text}"])
        assert experiment.training.learning_rate == 0.0003
    assert load("quickstart-regression", ["training.steps='7'"]).training.steps == 7


def test_values_are_yaml() -> None:
    settings = ["a=1", "b=[x, 2]", "c={d: true}", "e=", "f=a=b", "g.h='1'", "i=2026-01-01"]
    assert parse_settings(settings) == {
        "a": 1,
        "b": ["x", 2],
        "c": {"d": True},
        "e": None,
        "f": "a=b",
        "g.h": "1",
        "i": "2026-01-01",
    }


def test_the_last_of_two_settings_counts() -> None:
    assert load("quickstart-regression", ["training.steps=1", "training.steps=2"]).training.steps == 2


def test_the_base_stays_as_it_is() -> None:
    base = {"a": {"b": {"kind": "x", "c": 1}}, "d": 2}
    merged = overlay(base, {"a.b.c": 3, "a.e": 4, "d": 5, "a.b.kind": "y"})
    assert merged == {"a": {"b": {"kind": "y", "c": 3}, "e": 4}, "d": 5}
    assert base == {"a": {"b": {"kind": "x", "c": 1}}, "d": 2}


def test_a_new_kind_starts_its_part_afresh() -> None:
    settings = ["learning.kind=predictive_coding", "learning.iterations=7"]
    tree = overlay(REGRESSION, parse_settings(settings))
    assert resolve(tree).learning.model_dump()["iterations"] == 7
    assert overlay(tree, {"learning.kind": "backprop"})["learning"] == {"kind": "backprop"}
    assert overlay(tree, {"learning.kind": "predictive_coding"}) == tree


def test_a_part_without_its_kind_is_of_the_defaults_kind() -> None:
    experiment = resolve(LANGUAGE | {"engine": {"dtype": "bfloat16"}, "model": {"kind": "transformer"}})
    assert experiment.engine.kind == "torch"
    tree = LANGUAGE | {"model": {"kind": "transformer", "attention": {"potential": {}, "prior": {}}}}
    assert resolve(tree).model.attention.potential.kind == "dot_product"
    assert (
        resolve(LANGUAGE | {"task": {"kind": "next_token", "source": {}}}).task.source.kind
        == "scikit_learn_text"
    )


def test_setting_the_kind_that_a_part_has_by_default_keeps_its_keys(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(REGRESSION | {"engine": {"dtype": "bfloat16"}}))
    assert load(str(file), ["engine.kind=torch"]).engine.dtype == "bfloat16"
    assert load(str(file), ["engine.kind=deepspeed"]).engine.dtype == "float32"


def test_the_order_of_settings_does_not_matter() -> None:
    settings = ["engine.ranks=2", "engine.kind=deepspeed", "engine={zero_stage: 3, kind: deepspeed}"]
    experiments = [load("quickstart-regression", order) for order in itertools.permutations(settings)]
    assert len({e.hash for e in experiments}) == 1
    assert (experiments[0].engine.kind, experiments[0].engine.ranks, experiments[0].engine.zero_stage) == (
        "deepspeed",
        2,
        3,
    )


def test_two_axes_meet_in_one_part_whatever_their_order() -> None:
    axes = {
        "iterations": {"many": {"learning.iterations": 9}},
        "learning": {"pc": {"learning.kind": "predictive_coding"}},
    }
    (variant,) = expand(resolve(REGRESSION | {"ablation": {"axes": axes}}))
    assert variant.experiment.learning.iterations == 9


def test_parts_that_are_not_there_are_made() -> None:
    assert overlay({}, {"a.b.c": 1}) == {"a": {"b": {"c": 1}}}


def test_a_key_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^seeds\.0: seeds is \[0, 1\], not a part with keys$"):
        overlay(REGRESSION, {"seeds.0": 3})
