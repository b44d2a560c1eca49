"""YAML 1.2: the examples of its core schema, and what 1.1 reads otherwise."""

import math
from typing import Any

import pytest
import yaml
from studies_of_katib import STUDY

from precisionflow.ablation.design import expand
from precisionflow.config import load, parse, to_yaml
from precisionflow.config.load import mapping, parse_settings
from precisionflow.config.yaml12 import read_yaml, write_yaml
from precisionflow.search.study import Study, parse_study

SCALARS: dict[str, Any] = {
    # YAML 1.2.2, example 10.3 and section 10.3.2
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "0": 0, "0o7": 7, "0x3A": 58, "-19": -19, "0o17": 15, "0x1F": 31, "+12": 12,
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -200000.0, "1e3": 1000.0, "3e-4": 3e-4,
    ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf, "1e400": math.inf,
    # YAML 1.1 has octal by a leading zero, numbers to the base 60, underscores, yes and no, dates
    "010": 10, "08": 8, "-010": -10, "007.5": 7.5,
} | dict.fromkeys(
    (
        *("1:20", "1:20:30", "1:20.5", "1_000", "0b11", "-0x1F", "0o8", "0x", "1.5.2", "1e", "nan", "inf"),
        *("yes", "Yes", "no", "on", "ON", "off", "y", "n", "tRUE", "2026-01-01", "=", "<<"),
    ),
    str,
)  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_plain_scalars(text: str) -> None:
    expected = text if SCALARS[text] is str else SCALARS[text]
    for given in (read_yaml(text), read_yaml(f"[{text or '~'}]")[0], parse_settings([f"a={text}"])["a"]):
        assert (given, type(given)) == (expected, type(expected))
    assert read_yaml(f"'{text}'") == text


def test_not_a_number() -> None:
    assert all(math.isnan(read_yaml(text)) for text in (".nan", ".NaN", ".NAN"))


OWN = """
name: own
task: {kind: regression}
model: {kind: mlp}
objective: {kind: gaussian_nll}
splits: [010, 0x1F, +12]
ablation: {axes: {long: {off: {training.steps: 0100}, on: {}}}}
"""


def test_every_door_reads_the_same_schema(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    assert load(str(file)).splits == load(str(file), ["splits=[0o12, 31, 1.2e1]"]).splits == (10, 31, 12)
    steps = {variant.name: variant.experiment.training.steps for variant in expand(load(str(file)))}
    assert steps == {"off": 100, "on": 300}
    study = STUDY.replace("parallelTrialCount: 2", "parallelTrialCount: 010")
    assert parse_study(mapping(study, "study", of=Study)).spec.parallel == 10


def test_json_is_yaml() -> None:
    assert read_yaml('{"a": [1e3, true, null, "\\ud83c\\udfaf"]}') == {"a": [1000.0, True, None, "🎯"]}
    assert read_yaml("{a: [010, yes], b: {c: .5}}") == {"a": [10, "yes"], "b": {"c": 0.5}}
    assert read_yaml('{"a": NaN}') == {"a": "NaN"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' stands twice"),
        ("x: [{a: 1, 'a': 2}]", "line 1, column 12: key 'a' stands twice"),
        ("1: a\n01: b", "line 2, column 1: key '01' stands twice"),
        ('{"x": {"a": 1, "a": 1}}', "key 'a' stands twice"),
        ("!!int 1_0", "line 1, column 1: '1_0' is no int"),
        ("!!float x", "line 1, column 1: 'x' is no float"),
        ("!!bool yes", "line 1, column 1: 'yes' is no bool"),
        ("a: !!binary aGk=", "line 1, column 4: could not determine a constructor for the tag *"),
        ("a: !!timestamp 2026-01-01", "line 1, column 4: could not determine a constructor *"),
        ("a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("9" * 5000, "Exceeds the limit *"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_yaml(text)
    begun, *more = problem.split("*")
    assert str(caught.value) == begun if not more else str(caught.value).startswith(begun)


def test_merged_keys_give_way_to_the_mappings_own() -> None:
    text = "b: &b {k: 0, l: 3}\nx: {y: &a {<<: *b, k: 1}}\nz: {<<: *a, m: 2}"
    assert read_yaml(text)["z"] == {"k": 1, "l": 3, "m": 2}


@pytest.mark.parametrize(
    "text", [*SCALARS, "a: b", "größer\n als", "- x", "🎯", "x\u2028y", "\t", " x", "x" * 300]
)
def test_written_text_is_read_back_as_1_1_and_1_2(text: str) -> None:
    written = write_yaml({"a": text, "b": [text]})
    assert read_yaml(written) == yaml.safe_load(written) == {"a": text, "b": [text]}


@pytest.mark.parametrize("value", [1e-5, 1e22, -0.1, math.inf, 2**60, True, None, [], {}, [[1], {"a": 0.5}]])
def test_written_values_are_read_back_as_1_1_and_1_2(value: Any) -> None:
    written = write_yaml({"a": value})
    assert read_yaml(written) == yaml.safe_load(written) == {"a": value}


def test_a_text_of_yaml_1_1_survives_in_an_experiment() -> None:
    for question in ("1e3", "010", "0o17", "yes", "1:20", ".5"):
        experiment = load("toy", [f"question='{question}'"])
        assert experiment.question == question
        assert parse(to_yaml(experiment)) == experiment
