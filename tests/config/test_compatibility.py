"""What fits with what: the declarations on the classes are of kinds that exist, and every default is allowed."""

import pytest

from precisionflow.config import ConfigError, resolve
from precisionflow.config.base import kind_of, members_of
from precisionflow.config.engine import Engine
from precisionflow.config.evaluation import RECALIBRATIONS, Evaluation
from precisionflow.config.learning import Learning
from precisionflow.config.likelihoods import Objective
from precisionflow.config.networks import MLP, TAGI, Model, posterior_of
from precisionflow.config.posteriors import Posterior
from precisionflow.config.tasks import Task
from precisionflow.records.metrics import metric_named

TASKS, MODELS, OBJECTIVES, ENGINES, LEARNINGS, POSTERIORS = map(
    members_of, (Task, Model, Objective, Engine, Learning, Posterior)
)


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_a_task_names_parts_and_metrics_that_exist(task):
    assert task.networks
    assert set(task.networks) <= set(MODELS)
    assert set(task.likelihoods) <= set(OBJECTIVES)
    assert set(task.engines) <= set(ENGINES)
    assert set(task.recalibrations) <= set(RECALIBRATIONS)
    assert set(task.headline) <= set(task.metrics)
    every = task.measured(Evaluation(recalibration=task.recalibrations))
    assert [metric_named(name).name for name in every] == list(every)
    assert every[: len(task.metrics)] == task.metrics


def test_every_network_likelihood_and_recalibration_belongs_to_a_task():
    for name, parts in (
        ("networks", MODELS),
        ("likelihoods", OBJECTIVES),
        ("engines", ENGINES),
        ("recalibrations", RECALIBRATIONS),
    ):
        assert {part for task in TASKS for part in getattr(task, name)} == set(parts)


def test_networks_posteriors_and_engines_name_parts_that_exist():
    for part in (*MODELS, *POSTERIORS):
        assert set(part.engines) <= set(ENGINES)
    for posterior in POSTERIORS:
        assert set(posterior.likelihoods) <= set(OBJECTIVES)
    for engine in ENGINES:
        assert set(engine.learnings) <= set(LEARNINGS)
    for source in (s for task in TASKS for s in members_of(task.model_fields["source"].annotation)):
        assert source.raw_files == ("path" in source.model_fields or kind_of(source) == "tiny_shakespeare")


def test_a_network_without_a_choice_of_posterior_has_none():
    assert posterior_of(MLP()) == MLP().posterior
    assert posterior_of(TAGI()) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"kind": "tagi_v"}, "objective": {"kind": "natural"}}, "objective: model.kind tagi_v learns a Gaus"),
        ({"model": {"kind": "tagi_v"}, "objective": {"beta": 0.5}}, "leave objective.kind gaussian_nll with its def"),
        ({"learning": {"kind": "predictive_coding"}}, "engine.kind: batched trains task.kind regression by learning."),
    ],
)  # fmt: skip
def test_the_engine_and_the_closed_form_are_told_apart(changes, message):
    tree = {
        "name": "t",
        "task": {"kind": "regression"},
        "model": {"kind": "mlp"},
        "objective": {"kind": "gaussian_nll"},
        "engine": {"kind": "batched"},
    }
    objective = {"kind": "gaussian_nll"} | changes.pop("objective", {})
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        resolve(tree | changes | {"objective": objective})
