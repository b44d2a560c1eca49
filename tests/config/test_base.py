"""Parts are frozen and closed, hashes tell configurations apart, and metrics are promised truly."""

import subprocess
import sys
import typing
from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import Field, ValidationError

from precisionflow.config import Config, Experiment, digest, load
from precisionflow.config.base import keys_of, kind_of, members_of
from precisionflow.config.sources import TextFile, UciFolder
from precisionflow.evaluation.classes import ClassScores
from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.metrics import regression_metrics
from precisionflow.evaluation.tasks.next_token import text_metrics
from precisionflow.records.cards import TextSize

HEAVY = ("torch", "deepspeed", "mlflow", "kfp", "matplotlib", "scipy", "sklearn", "pandas", "kubernetes")


def parts(part: type[Config] = Experiment) -> Iterator[type[Config]]:
    """Every part class of an experiment."""
    yield part
    for field in part.model_fields.values():
        for member in members_of(field.annotation):
            yield from parts(member)


PARTS = list(dict.fromkeys(parts()))


def test_there_are_parts() -> None:
    assert {"Experiment", "Training", "GaussianPerKey", "Evaluation"} <= {part.__name__ for part in PARTS}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_parts_are_frozen_closed_and_hold_no_list(part: type[Config]) -> None:
    assert part.model_config["frozen"]
    assert part.model_config["extra"] == "forbid"
    assert not any(typing.get_origin(field.annotation) in (list, set) for field in part.model_fields.values())


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_kind_is_written_in_small_letters_and_names_one_part_of_its_choice(part: type[Config]) -> None:
    kind = kind_of(part)
    assert kind is None or kind == kind.lower().replace("-", "_")
    for field in part.model_fields.values():
        kinds = [kind_of(member) for member in members_of(field.annotation)]
        assert len(set(kinds)) == len(kinds)


def test_a_part_cannot_be_changed() -> None:
    experiment = load("quickstart-regression")
    with pytest.raises(ValidationError, match="frozen"):
        experiment.training.steps = 3
    with pytest.raises(ValidationError, match="frozen"):
        experiment.seeds = (3,)
    with pytest.raises(ValidationError, match="extra"):
        type(experiment.training)(stepz=3)


def test_hash_depends_on_every_value_and_on_nothing_else() -> None:
    settings = [
        "training.steps=3",
        "seeds=[0]",
        "question=x",
        "evaluation.bins=3",
        "ablation.confidence=0.9",
        "engine.dtype=bfloat16",
    ]
    hashes = [load("quickstart-regression", [setting]).hash for setting in settings]
    hashes += [load("quickstart-regression").hash, load("quickstart-language").hash]
    assert len(set(hashes)) == len(hashes)
    assert load("quickstart-regression", ["training.steps=400"]) == load("quickstart-regression")
    assert load("quickstart-regression", ["training.steps=400"]).hash == load("quickstart-regression").hash


def test_digest_is_the_sha256_of_canonical_json() -> None:
    assert digest({"b": [1, 2.5], "a": "ß"}) == digest({"a": "ß", "b": [1, 2.5]})
    assert digest({}) == "44136fa355b3"  # printf '{}' | sha256sum
    assert digest({"a": 1}) != digest({"a": 1.5})


def test_data_sets_are_called_after_their_paths() -> None:
    assert UciFolder(path="/data/uci/boston/").dataset == "boston"
    assert TextFile(path="books/moby dick.txt").dataset == "moby dick"
    for path in ("", "/", "..", "a/.."):
        with pytest.raises(ValidationError, match="should end in the name"):
            UciFolder(path=path)


def test_the_promised_metrics_of_a_table_are_the_measured_ones() -> None:
    experiment = load("quickstart-regression", ["evaluation.levels=[0.5, 0.975, 0.999]"])
    target = np.linspace(-1, 1, 9)
    measured = regression_metrics(
        gaussian(target / 2, 0 * target + 1), target, levels=experiment.evaluation.levels
    )
    assert {*measured, "validation_loss"} == set(experiment.metrics)
    wanted = ["coverage_97.5", "width_99.9"]
    assert load("quickstart-regression", [f"ablation.metrics={wanted}", "evaluation.levels=[0.975, 0.999]"])


def test_the_promised_metrics_of_a_text_are_the_measured_ones() -> None:
    scores = ClassScores(bins=15, row=np.arange(3))
    scores.add(np.log(np.full((3, 4), 0.25)), np.arange(3))
    measured = text_metrics(scores, TextSize(characters=3, bytes=3, unknown=0))
    experiment = load("quickstart-language", ["evaluation.recalibration=[]"])
    assert {*measured, "validation_loss"} == set(experiment.metrics)


@pytest.mark.parametrize(
    ("module", "also"),
    [
        ("precisionflow", ("pydantic", "pyarrow", "numpy", "yaml")),
        ("precisionflow.cli", ("pydantic", "pyarrow", "numpy", "yaml")),
        ("precisionflow.config", ("pyarrow", "numpy")),
        ("precisionflow.ablation.design", ("pyarrow", "numpy")),
        ("precisionflow.records.files", ()),
        ("precisionflow.results.stage", ()),
        ("precisionflow.app.run", ()),
        ("precisionflow.stages", ("pydantic", "pyarrow", "numpy", "yaml")),
        ("precisionflow.entrypoints", ("pydantic", "pyarrow", "numpy", "yaml")),
        ("precisionflow.destination", ()),
        ("precisionflow.arguments", ("pyarrow", "numpy")),
        ("precisionflow.components.images", ()),
    ],
)
def test_importing_is_light(module: str, also: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*({{*{HEAVY + also}}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_field_with_an_alias_is_given_by_it_alone() -> None:
    class Resource(Config):
        metric: str = Field(alias="objectiveMetricName")
        goal: float = 0.0

    assert list(keys_of(Resource)) == ["objectiveMetricName", "goal"]
    assert Resource.model_validate({"objectiveMetricName": "nll"}).metric == "nll"
    with pytest.raises(ValidationError):
        Resource.model_validate({"metric": "nll"})
