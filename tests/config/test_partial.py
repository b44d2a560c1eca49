"""A partial override changes what it names and nothing else, in every part of an experiment."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from precisionflow.ablation.design import expand
from precisionflow.config import Config, Experiment, load, overlay, parse, resolve
from precisionflow.config.base import completed, keys_of, kind_of, members_of, without_defaults
from precisionflow.config.cluster import Cluster, Resources

Path = tuple[str, ...]
BASE = {
    "name": "own",
    "task": {"kind": "regression"},
    "model": {"kind": "mlp"},
    "objective": {"kind": "gaussian_nll"},
}


def chains(
    part: type[Config] = Experiment, path: Path = ()
) -> Iterator[tuple[Path, tuple[type[Config], ...]]]:
    """Every part by its dotted path, and the classes from below the experiment down to it."""
    for name, field in keys_of(part).items():
        for member in members_of(field.annotation):
            yield (*path, name), (member,)
            for deeper, classes in chains(member, (*path, name)):
                yield deeper, (member, *classes)


PARTS = list(chains())
IDS = [".".join(path) + ":" + classes[-1].__name__ for path, classes in PARTS]


def of_kinds(path: Path, classes: tuple[type[Config], ...]) -> dict[str, Any]:
    """An experiment whose parts on the way to a part are `classes`."""
    places = [".".join(path[: depth + 1]) for depth in range(len(path))]
    return overlay(
        BASE,
        {
            **{place: {} for place, part in zip(places, classes, strict=True) if not kind_of(part)},
            **{
                f"{place}.kind": kind_of(part)
                for place, part in zip(places, classes, strict=True)
                if kind_of(part)
            },
        },
    )


def whole(tree: dict[str, Any], part: type[Config] = Experiment) -> dict[str, Any]:
    """The tree with every default written out, whether or not its values are valid and its parts fit together."""
    tree, result = completed(tree, part), {}
    for name, field in part.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        value = tree.get(name, default.model_dump(mode="json") if isinstance(default, Config) else default)
        members = members_of(field.annotation)
        if members and isinstance(value, dict):
            kind = value.get("kind")
            value = whole(value, next(m for m in members if len(members) == 1 or kind_of(m) == kind))
        result[name] = list(value) if isinstance(value, tuple) else value
    return result


def at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def settings_of(path: Path, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The ways to say the same: dotted keys, or a mapping at any place above them."""
    yield {".".join((*path, name)): value for name, value in values.items()}
    for depth in range(1, len(path) + 1):
        inside: dict[str, Any] = values
        for step in reversed(path[depth:]):
            inside = {step: inside}
        yield {".".join(path[:depth]): inside}


@pytest.mark.parametrize(("path", "classes"), PARTS, ids=IDS)
def test_every_key_of_every_part(path: Path, classes: tuple[type[Config], ...]) -> None:
    base = of_kinds(path, classes)
    before, names = whole(base), [name for name in classes[-1].model_fields if name != "kind"]
    random = np.random.default_rng(len(names))
    chosen = [[name] for name in names] + [list(random.permutation(names)[: len(names) // 2 + 1])]
    for values in ({name: [f"another {name}"] for name in several} for several in chosen if names):
        expected = copy.deepcopy(before)
        at(expected, path).update(values)
        for settings in settings_of(path, values):
            assert whole(overlay(base, settings)) == expected
            for kept in settings_of(path, {"kind": kind_of(classes[-1])} if kind_of(classes[-1]) else {}):
                assert whole(overlay(overlay(base, settings), kept)) == expected


UNIONS = [(path, classes) for path, classes in PARTS if kind_of(classes[-1])]


@pytest.mark.parametrize(
    ("path", "classes"), UNIONS, ids=[f"{'.'.join(p)}:{kind_of(c[-1])}" for p, c in UNIONS]
)
def test_a_new_kind_has_nothing_of_the_old_one(path: Path, classes: tuple[type[Config], ...]) -> None:
    siblings = [c[-1] for p, c in UNIONS if p == path and c[:-1] == classes[:-1] and c[-1] != classes[-1]]
    fresh = of_kinds(path, classes)
    for sibling in siblings:
        other = of_kinds(path, (*classes[:-1], sibling))
        names = [name for name in sibling.model_fields if name != "kind"]
        changed = overlay(other, {".".join((*path, name)): ["another"] for name in names})
        for settings in settings_of(path, {"kind": kind_of(classes[-1])}):
            assert whole(overlay(changed, settings)) == whole(fresh)


@pytest.mark.parametrize(
    "spelling", ["cluster.train.gpus=1", "cluster.train={gpus: 1}", "cluster={train: {gpus: 1}}"]
)
def test_a_gpu_leaves_the_rest_of_a_pod_as_it_is(spelling: str, tmp_path) -> None:
    expected = Cluster(train=Resources(cpu="2", memory="4Gi", gpus=1))
    assert load("toy", [spelling]).cluster == expected
    file = tmp_path / "own.yaml"
    own = "name: own\ntask: {kind: regression}\nmodel: {kind: mlp}\nobjective: {kind: crps}\ncluster: {train: {%s}}\n"
    file.write_text(own % "gpus: 1")
    assert load(str(file)).cluster == expected
    file.write_text(own % "memory: 16Gi")
    assert load(str(file), [spelling]).cluster == Cluster(train=Resources(cpu="2", memory="16Gi", gpus=1))


def test_a_level_keeps_what_it_does_not_name() -> None:
    model = {"kind": "mlp", "posterior": {"kind": "ensemble", "members": 10, "folds": 5}}
    axes = {
        "members": {
            "ten": {},
            "twenty": {"model.posterior": {"members": 20}},
            "one": {"model.posterior.kind": "point"},
        }
    }
    found = expand(
        resolve(BASE | {"model": model, "engine": {"kind": "batched"}, "ablation": {"axes": axes}})
    )
    posteriors = [variant.experiment.model.posterior.model_dump() for variant in found]
    assert [(p.get("members"), p.get("folds")) for p in posteriors] == [(10, 5), (20, 5), (None, None)]


def test_lists_and_free_names_are_replaced() -> None:
    base = overlay(
        BASE, {"cluster.train.node_selector": {"a": "1"}, "gate": {"nll": {"low": 0}, "rmse": {"low": 1}}}
    )
    changed = overlay(
        base, {"cluster.train.node_selector": {"b": "2"}, "gate": {"crps": {"high": 1}}, "seeds": [3]}
    )
    assert changed["cluster"]["train"]["node_selector"] == {"b": "2"}
    assert changed["gate"] == {"crps": {"high": 1}}
    assert changed["seeds"] == [3]
    assert overlay(base, {"gate.nll": {"high": 2}})["gate"] == {
        "nll": {"low": 0, "high": 2},
        "rmse": {"low": 1},
    }
    assert overlay({"ablation": {"axes": {"a": {"b": {}}}, "confidence": 0.9}}, {"ablation.axes": {}}) == {
        "ablation": {"axes": {}, "confidence": 0.9}
    }


def test_a_key_goes_above_the_mapping_that_holds_it() -> None:
    for order in (1, -1):
        settings = [("engine.ranks", 4), ("engine", {"kind": "deepspeed", "ranks": 2, "zero_stage": 3})][
            ::order
        ]
        assert overlay(BASE, dict(settings))["engine"] == {"kind": "deepspeed", "ranks": 4, "zero_stage": 3}


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize("cpu", ["1", "2"])
@pytest.mark.parametrize("memory", ["2Gi", "3Gi", "4Gi"])
def test_what_is_left_without_defaults_is_the_whole(gpus: int, cpu: str, memory: str) -> None:
    resources = {"cpu": cpu, "memory": memory, "gpus": gpus}
    settings = {f"cluster.{pod}": resources for pod in ("train", "evaluate", "other")}
    experiment = resolve(overlay(BASE, settings))
    assert experiment.cluster.train == experiment.cluster.other == Resources(**resources)
    assert resolve(without_defaults(experiment)) == parse(experiment.model_dump_json()) == experiment
