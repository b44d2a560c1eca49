"""Every shipped experiment fits its own schema, expands, and survives being written out."""

import json
import re
from typing import Any

import pytest
import yaml

from precisionflow.ablation.design import expand, shortfall
from precisionflow.config import Experiment, load, parse, shipped, to_yaml
from precisionflow.config.base import without_defaults
from precisionflow.config.schema import json_schema

SCHEMA = json_schema()
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
    "null": type(None),
}
SILENT = {"$defs", "additionalProperties", "default", "description", "discriminator", "title"}
"""Keywords that forbid nothing by themselves."""


def faults(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """What JSON Schema (2020-12) finds wrong in `value`; KeyError for a keyword that is not known here."""
    found = []
    for keyword, wanted in schema.items():
        if keyword not in SILENT and not RULES[keyword](value, wanted, where):
            found.append(f"{where}: {keyword} {wanted}")
    if isinstance(value, dict):
        found += _faults_of_keys(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        found += [fault for item in value for fault in faults(item, schema["items"], where)]
    return found


def _faults_of_keys(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    found = []
    patterns = schema.get("patternProperties", {})
    for key, content in value.items():
        fitting = [part for pattern, part in patterns.items() if re.search(pattern, key)]
        fitting += [schema["properties"][key]] if key in schema.get("properties", {}) else []
        if not fitting and schema.get("additionalProperties") is False:
            found.append(f"{where}.{key}: unknown")
        found += [fault for part in fitting for fault in faults(content, part, f"{where}.{key}")]
    return found


def _compare(bound: Any) -> Any:
    return lambda value, wanted, _: not isinstance(value, int | float) or bound(value, wanted)


RULES = {
    "$ref": lambda value, wanted, where: not faults(value, SCHEMA["$defs"][wanted.rsplit("/")[-1]], where),
    "oneOf": lambda value, wanted, where: sum(not faults(value, part, where) for part in wanted) == 1,
    "anyOf": lambda value, wanted, where: any(not faults(value, part, where) for part in wanted),
    "type": lambda value, wanted, _: (
        isinstance(value, TYPES[wanted]) and isinstance(value, bool) == (wanted == "boolean")
    ),
    "const": lambda value, wanted, _: value == wanted,
    "enum": lambda value, wanted, _: value in wanted,
    "required": lambda value, wanted, _: not isinstance(value, dict) or set(wanted) <= set(value),
    "minProperties": lambda value, wanted, _: not isinstance(value, dict) or len(value) >= wanted,
    "minItems": lambda value, wanted, _: not isinstance(value, list) or len(value) >= wanted,
    "maxLength": lambda value, wanted, _: not isinstance(value, str) or len(value) <= wanted,
    "pattern": lambda value, wanted, _: not isinstance(value, str) or bool(re.search(wanted, value)),
    "propertyNames": lambda value, wanted, where: not any(faults(key, wanted, where) for key in value or ()),
    "maximum": _compare(lambda value, bound: value <= bound),
    "minimum": _compare(lambda value, bound: value >= bound),
    "exclusiveMinimum": _compare(lambda value, bound: value > bound),
    "exclusiveMaximum": _compare(lambda value, bound: value < bound),
    "properties": lambda *_: True,
    "patternProperties": lambda *_: True,
    "items": lambda *_: True,
}


def content(name: str) -> dict[str, Any]:
    return yaml.safe_load(shipped()[name])


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_file_fits_the_json_schema(name: str) -> None:
    assert faults(content(name), SCHEMA) == []
    assert faults(load(name).model_dump(mode="json"), SCHEMA) == []


@pytest.mark.parametrize(
    "change",
    [
        {"trainin": {}},
        {"training": {"stepz": 1}},
        {"training": {"steps": 0}},
        {"training": {"steps": "many"}},
        {"training": {"learning_rate": 0}},
        {"training": {"schedule": "linear"}},
        {"name": "Not A Name"},
        {"seeds": []},
        {"seeds": [2**32]},
        {"model": {"hidden": [50]}},
        {"model": {"kind": "forest"}},
        {"engine": {"ranks": 2}},
        {"task": None},
        {"ablation": {"axes": {"noise": {"level": 3}}}},
    ],
    ids=str,
)
def test_the_json_schema_refuses_what_the_parser_refuses(change: dict[str, Any]) -> None:
    tree = content("quickstart-regression") | change
    assert faults(tree, SCHEMA)
    with pytest.raises(ValueError, match=":"):
        parse(yaml.safe_dump(tree))


def test_a_part_without_its_kind_fits_where_it_is_of_the_default_kind() -> None:
    tree = content("quickstart-regression") | {"engine": {"dtype": "bfloat16"}, "learning": {}}
    assert faults(tree, SCHEMA) == []
    assert parse(yaml.safe_dump(tree)).engine.dtype == "bfloat16"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shown_experiment_is_the_same_experiment(name: str) -> None:
    experiment = load(name)
    assert parse(to_yaml(experiment)) == experiment
    assert parse(experiment.model_dump_json()) == experiment
    assert parse(to_yaml(experiment)).hash == experiment.hash
    assert to_yaml(parse(to_yaml(experiment))) == to_yaml(experiment)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_variant_is_an_experiment_of_its_own(name: str) -> None:
    for variant in expand(load(name)):
        assert parse(to_yaml(variant.experiment)) == variant.experiment


PUBLISHED = {"shakespeare", "shakespeare-gpu", "sst2", "ewt"}
"""Experiments that are compared with published figures: three seeds of minutes to hours each tell the spread alone."""
TOURS = {"synthetic", "performance"}
"""Those that compare with an exact optimum, or measure seconds: their contrasts come beside it."""


def test_an_experiment_has_the_units_that_a_verdict_takes() -> None:
    short = {name: told for name in shipped() if (told := shortfall(load(name)))}
    assert set(short) == PUBLISHED | TOURS, short


@pytest.mark.parametrize("name", sorted(shipped()))
def test_file_name_and_question(name: str) -> None:
    experiment = load(name)
    assert experiment.name == name
    assert experiment.question.endswith("?")


def test_text_that_yaml_could_misread_survives() -> None:
    for question in ("2026-01-01", "yes", "3e-4", "a: b", "'", "größer\n als", "null", "- x", "# no"):
        experiment = load("quickstart-regression").model_copy(update={"question": question})
        assert parse(to_yaml(experiment)) == experiment


def test_the_schema_describes_every_part() -> None:
    parts = {"Experiment": SCHEMA, **SCHEMA["$defs"]}
    assert [name for name, part in parts.items() if not part.get("description")] == []
    assert set(SCHEMA["properties"]) == set(Experiment.model_fields)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_what_is_left_without_defaults_is_the_same_experiment(name: str) -> None:
    for variant in expand(load(name)):
        said = without_defaults(variant.experiment)
        assert parse(json.dumps(said)) == variant.experiment


def test_many_variants_fit_into_one_argument() -> None:
    """Linux takes 128 KiB; KFP quotes the list twice, which escapes every quotation mark."""
    texts = [json.dumps(without_defaults(variant.experiment)) for variant in expand(load("uci-methods"))]
    assert len(texts) == 90
    assert len(json.dumps(json.dumps(texts))) < 100_000
