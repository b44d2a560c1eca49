"""Keys of stages: every field that can change a result changes the key of the stages that it reaches."""

import functools
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from precisionflow.ablation.design import expand
from precisionflow.config import Config, Experiment, load, overlay, resolve, shipped
from precisionflow.config.ablation import Ablation
from precisionflow.config.analyses import Performance, Scaling, Sensitivity
from precisionflow.config.base import kind_of, members_of
from precisionflow.config.cluster import Cluster
from precisionflow.results import cells, identity
from precisionflow.results.cells import evaluation_inputs, preparation_inputs, splits_beside, training_inputs
from precisionflow.results.identity import inputs_digest, stage_key, training_identity
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.results.stage import finished, once

ALL = {"prepare", "train", "evaluate"}
REACHES = {
    "task": ALL,
    "model": {"train", "evaluate"},
    "objective": {"train", "evaluate"},
    "learning": {"train", "evaluate"},
    "training": {"train", "evaluate"},
    "engine": {"train", "evaluate"},
    "evaluation": {"evaluate"},
    "name": {"evaluate"},
    "variant": {"evaluate"},
    "called": {"evaluate"},
    "task.source.path": {"evaluate"},
}
"""Part of an experiment -> stages of a cell whose key it changes; of a file the name of the data set alone."""
REACHES_NOTHING = {
    "question": "text of the report",
    "cluster": "where and with what resources pods run",
    "gate": "judged after evaluation, from its metrics",
    "analysis": "which variants there are, and what is said of all of them",
    "ablation": "which variants there are, and their statistics; a cell is of one resolved variant",
    "seeds": "which cells there are; the seed of a cell is in its key",
    "splits": "which cells there are; the split of a cell is in its key",
    "training.checkpoint_every": "a training that goes on gives what an uninterrupted one gives",
    "engine.device": "rounding, within the tolerance of the dtype",
    "engine.ranks": "rounding: the batch is of all ranks together",
    "engine.nodes": "where the ranks run",
    "ConlluFile.test": "its bytes are in the key, its place is not",
    "TableFile.test": "the same",
    "PredictionFile.path": "the same",
    "TextFile.path": "the same, where the data set has a name of its own",
    "TextFile.test": "the same",
}
"""Field or part -> why it is in no key of a cell."""
NO_OTHER_VALUE = {("BatchedEngine", "dtype"), ("ScikitLearnImages", "name")}
"""Fields of one value."""


def keys(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Key of each stage of the cell of seed 0 and split 0, if its inputs were finished."""
    data, model = Path("data"), Path("model")
    known: dict[Path, str] = {}
    monkeypatch.setattr(cells, "input_key", lambda folder: known[folder])
    monkeypatch.setattr(identity, "raw_sha256", lambda _path: "0")
    for split in (*splits_beside(experiment, 0), 0):
        prepared = stage_key("prepare", preparation_inputs(experiment, source_sha256="0", split=split))
        known[data_folder(data, experiment, split)] = prepared
        trained = stage_key("train", training_inputs(experiment, data=data, seed=0, split=split))
        known[cell_folder(model, 0, split)] = trained
    asked = evaluation_inputs(experiment, data=data, model=model, seed=0, split=0)
    return {"prepare": prepared, "train": trained, "evaluate": stage_key("evaluate", asked)}


def resolved(tree: dict[str, Any], changes: dict[str, Any]) -> Experiment | None:
    try:
        return resolve(overlay(tree, changes))
    except ValueError:
        return None


def parts(config: Config, path: str = "") -> Iterator[tuple[str, Config]]:
    """(dotted key, part) of an experiment and everything in it."""
    yield path, config
    for name in type(config).model_fields:
        inner = getattr(config, name)
        if isinstance(inner, Config):
            yield from parts(inner, f"{path}.{name}".lstrip("."))


@functools.cache
def experiments() -> tuple[Experiment, ...]:
    """Resolved experiments in which every part class of the schema stands at least once, and all those on files."""
    of_files = [resolve(tree) for tree in OF_FILES]
    waiting = [resolve(QUEUED)] + [variant.experiment for name in shipped() for variant in expand(load(name))]
    waiting += of_files
    kept, seen = list[Experiment](), set[tuple[str, type[Config]]]()
    while waiting:
        experiment = waiting.pop(0)
        there = {(path, type(part)) for path, part in parts(experiment)}
        if experiment in kept or (there <= seen and experiment not in of_files):
            continue
        seen |= there
        kept.append(experiment)
        tree = experiment.model_dump(mode="json") | {"ablation": {}}
        for path, part in parts(experiment):
            for name, field in type(part).model_fields.items():
                for member in members_of(field.annotation):
                    dotted = f"{path}.{name}".lstrip(".")
                    if (dotted, member) in seen:
                        continue
                    for more in WITH.get(member.__name__, ({},)):
                        changes = {dotted: {"kind": kind_of(member)} | _required(member)} | more
                        if kind_of(member) and (other := resolved(tree, changes)):
                            waiting.append(other)
    return tuple(kept)


QUEUED: dict[str, Any] = {
    "name": "queued",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp"},
    "objective": {"kind": "gaussian_nll"},
    "ablation": {"axes": {"other": {"b": {}}}},
    "cluster": {"queue": "given"},
}
"""In a queue and with an axis, so that every field of its cluster and of its ablation has another value."""
OF_FILES: tuple[dict[str, Any], ...] = (
    {
        "name": "rows",
        "task": {"kind": "regression", "source": {"kind": "table_file", "path": "a.csv", "target": "y"}},
        "model": {"kind": "mlp", "posterior": {"kind": "ensemble", "members": 4, "folds": 2}},
        "objective": {"kind": "gaussian_nll"},
        "training": {"epochs": 10, "most_steps": 600, "largest_batch": 64},
        "engine": {"kind": "batched"},
    },
    {
        "name": "stages",
        "task": {"kind": "regression", "source": {"kind": "table_file", "path": "a.csv", "target": "y"}},
        "model": {"kind": "mlp"},
        "objective": {"kind": "gaussian_nll"},
        "engine": {"kind": "deepspeed", "zero_stage": 0, "ranks": 2},
    },
    {
        "name": "folds",
        "task": {
            "kind": "regression",
            "source": {"kind": "table_file", "path": "a.csv", "target": "y", "split": {"kind": "k_fold"}},
        },
        "model": {"kind": "mlp"},
        "objective": {"kind": "gaussian_nll"},
    },
    {
        "name": "theirs",
        "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
        "model": {"kind": "predictions", "path": "a.csv"},
        "objective": {"kind": "gaussian_nll"},
    },
    {
        "name": "texts",
        "task": {
            "kind": "sequence_classification",
            "source": {"kind": "table_file", "path": "a.csv", "target": "class", "features": ["text"]},
        },
        "model": {"kind": "transformer", "attention": {"prior": {"kind": "full"}}},
        "objective": {"kind": "cross_entropy"},
    },
    {
        "name": "splits",
        "task": {
            "kind": "classification",
            "source": {"kind": "table_file", "path": "a.csv", "target": "class", "test": "b.csv"},
        },
        "model": {"kind": "mlp"},
        "objective": {"kind": "cross_entropy"},
        "evaluation": {"recalibration": ["temperature"]},
        "splits": [0, 1],
    },
    {
        "name": "tags",
        "task": {"kind": "tagging", "source": {"kind": "conllu", "path": "given"}},
        "model": {"kind": "transformer", "attention": {"prior": {"kind": "full"}}},
        "objective": {"kind": "cross_entropy"},
    },
    {
        "name": "text",
        "task": {
            "kind": "next_token",
            "source": {"kind": "text_file", "path": "given"},
            "tokens": {"kind": "words"},
        },
        "model": {"kind": "transformer"},
        "objective": {"kind": "adaptive_softmax"},
    },
    {
        "name": "pictures",
        "task": {
            "kind": "images",
            "source": {"kind": "image_file", "path": "a.npz", "images": "x", "target": "y"},
        },
        "model": {"kind": "generative"},
        "objective": {"kind": "free_energy"},
        "learning": {"kind": "predictive_coding"},
    },
    {
        "name": "pathways",
        "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
        "model": {"kind": "mlp"},
        "objective": {"kind": "gaussian_nll"},
        "learning": {"kind": "predictive_coding", "pathway": "top_down", "cut_above": [0]},
    },
    *(
        {
            "name": "analysed",
            "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
            "model": {"kind": "mlp"},
            "objective": {"kind": "gaussian_nll"},
            **asked,
        }
        for asked in (
            {
                "analysis": {
                    "kind": "sensitivity",
                    "parameters": {"training.learning_rate": {"kind": "range", "low": 1e-4, "high": 0.1}},
                }
            },
            {"analysis": {"kind": "scaling", "sizes": {"training.epochs": [1, 2, 4, 8]}}},
            {"analysis": {"kind": "performance"}, "training": {"profile": 10}},
            {
                "ablation": {
                    "axes": {"a": {"b": {}}},
                    "tuned": {
                        "axes": ["a"],
                        "trials": 2,
                        "parameters": {"training.learning_rate": {"low": 1e-4, "high": 0.1}},
                    },
                }
            },
        )
    ),
    {
        "name": "their-classes",
        "task": {"kind": "classification", "source": {"kind": "scikit_learn_classes", "name": "digits"}},
        "model": {"kind": "logistic_regression"},
        "objective": {"kind": "cross_entropy"},
    },
    *(
        {
            "name": "prior",
            "task": {"kind": "tagging", "source": {"kind": "conllu", "path": "given"}, "context": 2},
            "model": {"kind": "transformer", "heads": 1, "attention": {"prior": prior}},
            "objective": {"kind": "cross_entropy"},
        }
        for prior in (
            {"kind": "window", "before": 1},
            {"kind": "graph", "edges": [[0, 0], [1, 0], [1, 1]]},
            {"kind": "decay"},
            {"kind": "product", "of": [{"kind": "causal"}]},
        )
    ),
)
"""Experiments on files and of parts that have to be given something, which none that ships is."""


WITH: dict[str, tuple[dict[str, Any], ...]] = {
    "MonteCarloDropout": ({"model.dropout": 0.1},),
    "TAGI": ({"objective": {"kind": "gaussian_nll"}, "engine": {"kind": "batched"}},),
    "Ensemble": ({}, {"engine": {"kind": "batched"}}),
    "RandomSubset": ({"ablation.design.size": 2},),
    "Chain": ({"ablation.design.of": [{"kind": "product"}, {"kind": "zip"}]},),
}
"""Other changes that a part needs."""


def _required(member: type[Config]) -> dict[str, Any]:
    return {name: "given" for name, field in member.model_fields.items() if field.is_required()}


def others(field: Any, value: object) -> list[object]:
    """Values that a field of a schema might take instead."""
    literals = [word for word in _literals(field.annotation) if word != value]
    numbers = [0.5, 0.25, 0.9, 0.1, 1, 2, 3, 4, 6, 8, 12, 0, 64, 100, 232, 1000]
    scaled = [value * 2, value + 1, value / 2] if isinstance(value, int | float) else []
    lists = [[word] for word in literals] + [[2], [3, 4], [0.6], ["other"], []]
    pairs = [
        {"nll": {"high": 1.0}},
        {"nll": {"relative": 0.1}},
        {"deprel": 0.5},
        {"attention": {"law": {"kind": "laplace"}}},
        {"a": "b"},
        {"other": {}},
        {"other": {"other": {}}},
        {"other": {"kind": "boolean"}},
        {"other": ["none"]},
    ]
    files = [f"other{Path(value).suffix}"] if isinstance(value, str) and Path(value).suffix else []
    mostly: list[object] = [not value] if isinstance(value, bool) else [*scaled, *literals, *files]
    nested = [[[0, 0], [1, 1]], [{"kind": "full"}], [{"key": "other", "operator": "Exists"}], ["nll"]]
    return [
        *mostly,
        *numbers,
        *lists,
        *nested,
        "other",
        "other.com/gpu",
        "b.csv",
        "latin-1",
        "1",
        "8Gi",
        True,
        None,
        *pairs,
    ]


def _literals(annotation: Any) -> list[object]:
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [word for inner in typing.get_args(annotation) for word in _literals(inner)]


class Change(typing.NamedTuple):
    owner: str
    field: str
    dotted: str
    before: Experiment
    after: Experiment


@functools.cache
def changes() -> tuple[Change, ...]:
    """One other value of every field of every part class, as two experiments that differ by it."""
    found = dict[tuple[str, str], Change]()
    for experiment in experiments():
        tree = experiment.model_dump(mode="json")
        for path, part in parts(experiment):
            for name, field in type(part).model_fields.items():
                dotted, owner = f"{path}.{name}".lstrip("."), type(part).__name__
                if name == "kind" or members_of(field.annotation) or (owner, name) in found:
                    continue
                for value in others(field, getattr(part, name)):
                    other = resolved(tree, {dotted: value})
                    if other is not None and other != experiment:
                        found[owner, name] = Change(owner, name, dotted, experiment, other)
                        break
    return tuple(found.values())


def classes(part: type[Config]) -> set[type[Config]]:
    """The part classes that a part can hold, and itself."""
    inner = {m for field in part.model_fields.values() for m in members_of(field.annotation)}
    return {part}.union(*(classes(member) for member in inner))


def test_every_part_class_is_tried() -> None:
    tried = {type(part) for experiment in experiments() for _, part in parts(experiment)}
    assert tried == classes(Experiment)


def test_every_field_is_tried_with_another_value() -> None:
    in_no_key = set().union(
        *(classes(part) for part in (Cluster, Ablation, Sensitivity, Scaling, Performance))
    )
    fields = {
        (part.__name__, name)
        for part in classes(Experiment) - in_no_key
        for name, field in part.model_fields.items()
        if name != "kind" and not members_of(field.annotation)
    }
    assert fields - {(change.owner, change.field) for change in changes()} == NO_OTHER_VALUE


def test_every_field_that_can_change_a_result_changes_the_keys_that_it_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for change in changes():
        before, after = keys(change.before, monkeypatch), keys(change.after, monkeypatch)
        changed = {verb for verb in before if before[verb] != after[verb]}
        part = change.dotted.split(".")[0]
        excused = change.dotted in REACHES_NOTHING or part in REACHES_NOTHING
        placed = f"{change.owner}.{change.field}" in REACHES_NOTHING
        wanted = set() if excused or placed else REACHES.get(change.dotted, REACHES[part])
        assert changed == wanted, change.dotted


def test_every_choice_of_a_part_changes_the_keys_that_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = set[tuple[str, type[Config], type[Config]]]()
    for experiment in experiments():
        tree, before = experiment.model_dump(mode="json"), keys(experiment, monkeypatch)
        for path, part in parts(experiment):
            for name, field in type(part).model_fields.items():
                dotted = f"{path}.{name}".lstrip(".")
                for member in members_of(field.annotation):
                    change = (dotted, type(getattr(part, name)), member)
                    if change in tried or change[1] is member or not kind_of(member):
                        continue
                    if (other := resolved(tree, {dotted: {"kind": kind_of(member)}})) is None:
                        continue
                    tried.add(change)
                    after = keys(other, monkeypatch)
                    field_of = dotted.split(".")[0]
                    wanted = set() if field_of in REACHES_NOTHING else REACHES[field_of]
                    assert {verb for verb in before if before[verb] != after[verb]} == wanted, dotted


def test_seed_and_split_are_in_the_key_of_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = load("quickstart-regression")
    monkeypatch.setattr(cells, "input_key", str)
    places = [(0, 0), (1, 0), (0, 1)]
    trained = [training_inputs(experiment, data=Path(), seed=s, split=k) for s, k in places]
    judged = [evaluation_inputs(experiment, data=Path(), model=Path(), seed=s, split=k) for s, k in places]
    assert len({stage_key("train", of) for of in trained}) == 3
    assert len({stage_key("evaluate", of) for of in judged}) == 3


def test_networks_of_other_splits_are_in_a_key_where_they_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "input_key", str)
    found = {}
    for held_out in ("split", "all_splits"):
        given = overlay(load("sst2").model_dump(mode="json"), {"evaluation.held_out": held_out})
        of = [resolve(given | {"splits": splits}) for splits in ([0, 1], [0, 1, 2])]
        asked = [evaluation_inputs(e, data=Path(), model=Path(), seed=0, split=0) for e in of]
        found[held_out] = len({stage_key("evaluate", inputs) for inputs in asked})
    assert found == {"split": 1, "all_splits": 2}


def test_the_bytes_of_the_source_are_in_the_key_of_its_data() -> None:
    experiment = load("quickstart-regression")
    inputs = [
        preparation_inputs(experiment, source_sha256=sha, split=k)
        for sha, k in (("a", 0), ("b", 0), ("a", 1))
    ]
    assert len({stage_key("prepare", of) for of in inputs}) == 3


def test_the_bytes_and_the_form_of_a_file_of_predictions_are_in_the_key_of_its_cells(tmp_path: Path) -> None:
    def key(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        model = {"kind": "predictions", "path": str(tmp_path / name)}
        return stage_key("train", training_identity(resolve(overlay(OF_FILES[2], {"model": model}))))

    first = key("a.csv", "row,mean,std\n")
    assert key("b.csv", "row,mean,std\n") == first
    assert len({first, key("a.csv", "row,mean,std\n0,1,1\n"), key("a.tsv", "row,mean,std\n")}) == 3


def test_the_code_is_in_the_key_and_not_in_the_digest_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    key, asked = stage_key("train", 1), inputs_digest("train", 1)
    assert stage_key("evaluate", 1) != key
    assert inputs_digest("evaluate", 1) != asked
    monkeypatch.setattr(identity, "code_digest", lambda verb: f"edited {verb}")
    assert stage_key("train", 1) != key
    assert inputs_digest("train", 1) == asked


def test_a_result_of_other_code_is_not_finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[str] = []

    def stage() -> bool:
        return once(tmp_path / "out", verb="train", inputs=1, work=lambda folder: ran.append(folder.name))

    assert stage()
    assert not stage()
    monkeypatch.setattr(identity, "code_digest", lambda verb: f"edited {verb}")
    assert not finished(tmp_path / "out", verb="train", inputs=1)
    assert stage()
    assert len(ran) == 2
