"""What fits with what: the declarations on the classes are of kinds that exist, and every default is allowed."""

import contextlib
import re

import pytest

from precisionflow.config import ConfigError, Experiment, overlay, resolve
from precisionflow.config.base import kind_of, members_of
from precisionflow.config.drawn_tables import Sensors
from precisionflow.config.engine import DeepSpeedEngine, Engine
from precisionflow.config.evaluation import RECALIBRATIONS, Evaluation
from precisionflow.config.learning import Learning
from precisionflow.config.likelihoods import Objective
from precisionflow.config.networks import MLP, TAGI, Model, Transformer, posterior_of
from precisionflow.config.optimiser import Muon
from precisionflow.config.posteriors import Posterior
from precisionflow.config.sources import ImageFile, ScikitLearnImages
from precisionflow.config.tasks import IMAGE_METRICS, Images, NextToken, Regression, Task
from precisionflow.config.tokens import RunningTokens
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
    headlines = [] if task is Images else [task.headline]
    if task is NextToken:
        headlines = [task(tokens={"kind": kind_of(tokens)}).headline for tokens in members_of(RunningTokens)]
    if task is Images:
        sources = (ScikitLearnImages(), ImageFile(path="a.npz", target=None))
        headlines = [task(source=source).headline for source in sources]
    assert all(set(headline) <= set(task.metrics) for headline in headlines)
    given = task.model_construct()
    measured = given.measured(Evaluation())
    if task is Regression:
        measured += task(source=Sensors()).measured(Evaluation())
    assert all(any(m.startswith(start) for m in measured) for start in task.without_zero)
    every = given.measured(Evaluation(recalibration=task.recalibrations))
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
        given = source.model_construct(path="sets/mine.csv", target="y")
        published = ("tinyshakespeare/input.txt",) if kind_of(source) == "tiny_shakespeare" else ()
        assert given.files == (("sets/mine.csv",) if "path" in source.model_fields else published)


def test_a_network_without_a_choice_of_posterior_has_none():
    assert posterior_of(MLP()) == MLP().posterior
    assert posterior_of(TAGI()) is None
    assert posterior_of(Transformer()) == Transformer().posterior


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"kind": "tagi_v"}, "objective": {"kind": "natural"}}, "objective: model.kind tagi_v learns in its"),
        ({"model": {"kind": "tagi_v"}, "objective": {"beta": 0.5}}, "leave objective.kind gaussian_nll with its def"),
        ({"learning": {"kind": "predictive_coding"}}, "batched trains task.kind regression, classification by learn"),
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


@pytest.mark.parametrize("model", ["slots", "clusters"])
def test_images_of_objects_are_explained_by_backpropagation(model):
    tree = {"name": "t", "task.kind": "objects", "objective.kind": "free_energy", "model.kind": model}
    assert resolve(overlay({}, tree)).metrics == ("adjusted_rand_index", "validation_loss")
    with pytest.raises(
        ConfigError, match=f"^learning: model.kind {model} learns in its own way; leave learning.k"
    ):
        resolve(overlay({}, tree | {"learning.kind": "predictive_coding"}))
    with pytest.raises(
        ConfigError, match=r"^evaluation.recalibration: temperature does not fit .* allowed: none"
    ):
        resolve(overlay({}, tree | {"evaluation.recalibration": ["temperature"]}))


def test_rows_have_no_precision_of_each_position():
    learning = {"kind": "predictive_coding", "precision": {"kind": "learned", "per": "position"}}
    tree = {"name": "t", "task": {"kind": "regression"}, "model": {"kind": "mlp"}, "learning": learning}
    with pytest.raises(ConfigError, match=r"^learning.precision.per: model.kind 'mlp' has rows"):
        resolve(tree | {"objective": {"kind": "gaussian_nll"}})


CHAINS = {
    "transformer": {"task.kind": "next_token", "objective.kind": "cross_entropy", "model.blocks": 2},
    "mlp": {"task.kind": "regression", "objective.kind": "gaussian_nll", "model.hidden": [9] * 5},
    "generative": {"task.kind": "images", "objective.kind": "free_energy", "model.states": [9] * 5},
}
"""Networks of five layers."""


def chain(kind: str, changes: dict[str, object]) -> Experiment:
    """An experiment whose network learns by predictive coding."""
    given = {"name": "t", "model.kind": kind, "learning.kind": "predictive_coding", **CHAINS[kind]}
    return resolve(overlay({}, given | changes))


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning.layers": [0, 5]}, "learning.layers: there is no layer 5; the network has 5, 0 to 4"),
        (
            {"learning.precision.raised": [7]},
            "learning.precision.raised: there is no layer 7 with an error of this precision; there are ",
        ),
        (
            {"learning.pathway": "top_down", "learning.cut_above": [1, 5]},
            "learning.cut_above: layer 5 has no error; layers with one: 0, 1, 2, 3, 4",
        ),
        (
            {"learning.pathway": "top_down", "learning.layers": [0, 2], "learning.cut_above": [1]},
            "learning.cut_above: layer 1 has no error; layers with one: 0, 2",
        ),
        (
            {"learning.pathway": "bottom_up", "learning.cut_above": [4]},
            "learning.cut_above: bottom_up above layer 4, the last one with an error, keeps the loss from all errors",
        ),
    ],
)
def test_a_layer_that_is_not_there_is_told_by_the_configuration_alone(kind, changes, message):
    if kind == "generative" and "learning.pathway" in changes:
        message = "learning.pathway: "
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        chain(kind, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning.precision.value": 1e39}, "learning.precision.value: given 1e+39"),
        ({"learning.precision.value": 1e-50}, "learning.precision.value: given 1e-50"),
        (
            {"learning.precision.growth": 1e200},
            "learning.precision: layer 1 would have a precision of 1e203; bring growth or raised_by nearer to 1",
        ),
        (
            {"learning.precision.raised": [0, 0]},
            "learning.precision: given a mapping; should have each layer once in raised",
        ),
        (
            {"learning.precision": {"kind": "learned", "initial": 1e39}},
            "learning.precision.initial: given 1e+39",
        ),
        (
            {"learning.law": {"kind": "mixture", "ratios": [1e-7], "shape": "learned"}},
            "learning.law: given a mapping; should have learned ratios of at least 1e-06, not [1e-07]; raise them",
        ),
        (
            {"learning.precision": {"kind": "learned", "per": "head"}, "learning.layers": [0, 2]},
            "learning.precision.per: head needs attention with an error; kinds with one: embedding, feed_forward",
        ),
        (
            {"learning.pathway": "top_down", "learning.step_size": 2.0},
            "learning.step_size: given 2; under learning.pathway top_down an error is stable below 2",
        ),
        ({"learning.pathway": "top_down", "learning.cut_above": []}, "learning.cut_above: [] cuts nothing"),
    ],
)
def test_a_precision_or_a_step_that_no_layer_can_have_is_told_by_the_configuration_alone(changes, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)) as told:
        chain("transformer", changes)
    assert "\n" not in str(told.value)


def test_the_last_layers_that_are_there_can_be_named():
    for kind in CHAINS:
        assert chain(kind, {"learning.layers": [0, 4]}).learning.layers == (0, 4)
        last = 5 if kind == "generative" else 4
        assert chain(kind, {"learning.precision.raised": [last]}).learning.precision.raised == (last,)
        if kind != "generative":
            assert chain(kind, {"learning.pathway": "top_down", "learning.cut_above": [4]}).learning.cut_above
    assert chain("transformer", {"model.convolution": 3, "learning.layers": [6]}).learning.layers == (6,)


def test_states_of_a_transformer_do_not_start_where_its_norms_are_steepest():
    for kind in ("mlp", "generative"):
        assert chain(kind, {"learning.start": "zeros"}).learning.start == "zeros"
    for norm in ("rms", "layer"):
        with pytest.raises(ConfigError, match=r"^learning.start: zeros puts .*; use forward or amortised$"):
            chain("transformer", {"learning.start": "zeros", "model.norm": norm})


def test_a_fusion_has_one_layer():
    tree = {
        "name": "t",
        "task": {"kind": "regression"},
        "model": {"kind": "fusion", "sources": 2},
        "objective": {"kind": "gaussian_nll"},
        "learning": {"kind": "predictive_coding", "layers": [0]},
    }
    assert resolve(tree).learning.layers == (0,)
    with pytest.raises(
        ConfigError, match=r"^learning.layers: there is no layer 1; the network has 1, 0 to 0$"
    ):
        resolve(tree | {"learning": {"kind": "predictive_coding", "layers": [1]}})


def test_the_highest_state_of_images_has_the_precision_of_the_prior():
    assert images({"model.prior.raised": [0]}).model.prior.raised == (0,)
    with pytest.raises(ConfigError, match=r"^model.prior.raised: there is no layer 3 .*; there are 0$"):
        images({"model.prior.raised": [3]})
    with pytest.raises(
        ConfigError, match=r"^learning.precision.raised: there is no layer 0 .*; there are 1$"
    ):
        images({"learning.precision.raised": [0]})


def images(changes: dict[str, object]) -> Experiment:
    """An experiment on images with changes of its settings."""
    tree = {
        "name": "t",
        "task": {"kind": "images"},
        "model": {"kind": "generative"},
        "objective": {"kind": "free_energy"},
        "learning": {"kind": "predictive_coding"},
    }
    return resolve(overlay(tree, changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning": {"kind": "backprop"}}, "learning.kind: model.kind generative settles its states, given 'back"),
        ({"learning.law.kind": "laplace"}, "learning.law.kind: laplace has no slope at 0, which a model of images"),
        ({"learning.law.kind": "student_t"}, "model.beliefs: laplace needs learning.law.kind gaussian"),
        ({"model.prior": {"kind": "learned", "per": "position"}}, "model.prior.per: the highest state has no pos"),
        ({"learning.layers": [1]}, "learning.layers: leaves out layer 0, the highest state"),
        ({"learning.pathway": "top_down"}, "learning.pathway: top_down keeps states of model.kind generative"),
        ({"engine": {"kind": "torch", "dtype": "bfloat16"}}, "engine: model.kind generative is trained in float32"),
        ({"engine": {"kind": "torch", "compile": True}}, "engine: model.kind generative is trained in float32"),
        ({"engine": {"kind": "deepspeed", "dtype": "bfloat16"}}, "engine: model.kind generative is trained in float32"),
        (
            {"engine": {"kind": "deepspeed", "zero_stage": 0, "ranks": 2, "pipeline_stages": 2}},
            "learning.kind: predictive_coding settles all layers at once",
        ),
    ],
)  # fmt: skip
def test_what_a_model_of_images_cannot_do_is_told_with_what_can(changes, message):
    with pytest.raises(ConfigError, match="^" + message.replace(".", r"\.")):
        images(changes)


def test_a_model_of_images_has_other_laws_where_its_states_alone_are_believed():
    given = images(
        {"model.beliefs": "mode", "learning.law.kind": "student_t", "learning.descent.kind": "gauss_newton"}
    )
    assert given.learning.law.kind == "student_t"


def test_images_without_classes_have_no_metrics_of_classes():
    source = {"kind": "image_file", "path": "a.npz", "target": None}
    given = images({"task.source": source, "evaluation.levels": [0.9]})
    assert given.metrics == (*IMAGE_METRICS, "validation_loss", "coverage_90")
    for changes, message in (
        (
            {"task.unknown": ["a"]},
            "task.unknown: names a, but the images have no classes; name their column in task.",
        ),
        (
            {"evaluation.recalibration": ["temperature"]},
            "evaluation.recalibration: mends probabilities of classes, a",
        ),
        (
            {"ablation.metrics": ["accuracy"]},
            "ablation.metrics: task.kind 'images' has no metric 'accuracy'; allowed",
        ),
    ):
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
            images({"task.source": source} | changes)


def test_the_curvature_of_images_is_not_that_of_other_tasks():
    learning = {"kind": "predictive_coding", "descent": {"kind": "gauss_newton"}}
    tree = {"name": "t", "task": {"kind": "regression"}, "model": {"kind": "mlp"}, "learning": learning}
    with pytest.raises(ConfigError, match=r"^learning.descent.kind: gauss_newton needs a model of images"):
        resolve(tree | {"objective": {"kind": "gaussian_nll"}})


def with_margins(task: dict, margins: object, metrics: tuple[str, ...] = ()) -> Experiment:
    networks = {"regression": {"kind": "mlp"}, "next_token": {"kind": "transformer"}}
    objectives = {"regression": {"kind": "gaussian_nll"}, "next_token": {"kind": "cross_entropy"}}
    return resolve(
        {
            "name": "m",
            "task": task,
            "model": networks[task["kind"]],
            "objective": objectives[task["kind"]],
            "ablation": {"margins": margins, "metrics": metrics},
        }
    )


TABLE, TEXT = {"kind": "regression"}, {"kind": "next_token"}


def test_a_margin_is_absolute_or_a_share_of_the_baseline():
    margins = with_margins(TEXT, {"nll": {"relative": 0.01}, "ece": {"absolute": 0.01}}).ablation.margins
    assert (margins["nll"].relative, margins["ece"].absolute) == (0.01, 0.01)
    assert with_margins(TABLE, {"crps": {"relative": 0.02}, "nll": {"absolute": 0.02}})


@pytest.mark.parametrize(
    ("task", "margins", "metrics", "message"),
    [
        (TEXT, {"nll": {}}, (), "ablation.margins.nll: given a mapping; should have either absolute or"),
        (TEXT, {"nll": {"absolute": 1, "relative": 1}}, (), "given a mapping; should have either"),
        (
            TEXT,
            {"nll": {"absolute": 0}},
            (),
            "ablation.margins.nll.absolute: given 0; should be greater than 0",
        ),
        (TEXT, {"nll": {"absolute": -0.1}}, (), "ablation.margins.nll.absolute"),
        (TEXT, {"nll": {"absolute": ".inf"}}, (), "ablation.margins.nll.absolute"),
        (
            TEXT,
            {"rmse": {"absolute": 0.01}},
            (),
            "ablation.margins: task.kind 'next_token' has no metric 'rmse'",
        ),
        (TABLE, {"nlll": {"absolute": 0.01}}, (), "did you mean 'nll'"),
        (
            TABLE,
            {"nll": {"relative": 0.01}},
            (),
            "ablation.margins.nll.relative: nll has no zero .*; give an absolute",
        ),
        (TABLE, {"coverage_90": {"relative": 0.01}}, ("coverage_90",), "coverage_90 has no zero"),
    ],
)
def test_a_margin_that_says_nothing_is_a_mistake(task, margins, metrics, message):
    with pytest.raises(ConfigError, match=message):
        with_margins(task, margins, metrics)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"engine": {"kind": "deepspeed"}, "training": {"optimiser": {"kind": "muon"}}},
            "training.optimiser.kind: muon needs whole matrices, which engine.kind deepspeed does not keep; use "
            "engine.zero_stage 0 or training.optimiser.kind adamw",
        ),
        (
            {"engine": {"kind": "deepspeed", "ranks": 4}, "training": {"batch_size": 24, "accumulate": 4}},
            "training.batch_size 24: a share of it, 6 rows, is not a multiple of training.accumulate 4; the parts",
        ),
        (
            {"model": {"kind": "transformer", "width": 12}},
            "model.width 12 over model.heads 4 is odd, and model.pos",
        ),
    ],
)
def test_what_a_training_of_text_cannot_do_is_told_with_what_can(changes, message):
    tree = {
        "name": "t",
        "task": TEXT,
        "model": {"kind": "transformer"},
        "objective": {"kind": "cross_entropy"},
    }
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve(tree | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"engine": {"ranks": 3}},
            "engine.ranks 3 is not a multiple of engine.pipeline_stages 2; every stage has",
        ),
        (
            {"engine": {"zero_stage": 1}},
            "engine.zero_stage 1 cuts an optimiser into pieces that engine.pipeline_stages 2",
        ),
        ({"training": {"batch_size": 3}}, None),
        (
            {"engine": {"ranks": 4}, "training": {"batch_size": 3}},
            "training.batch_size 3 is not a multiple of its 2 shares, engine.ranks 4 / engine.pipeline_stages 2; ",
        ),
        (
            {"learning": {"kind": "predictive_coding"}},
            "learning.kind: predictive_coding settles all layers at once, which engine.pipeline_stages 2 keeps apart",
        ),
        (
            {"model": {"attention": {"potential": {"kind": "gaussian_per_key", "shared": True}}}},
            "model.attention.potential.shared: one map of all layers, which engine.pipeline_stages 2 keeps apart; give",
        ),
        (
            {"model": {"tied_readout": True}},
            "model.tied_readout: its weights are those of the embedding, which",
        ),
        (
            {"training": {"monitor_every": 10}},
            "training.monitor_every: looks at all layers at once, which engine.",
        ),
        (
            {"training": {"profile": 10}},
            "training.profile: looks at all layers at once, which engine.pipeline_st",
        ),
    ],
)
def test_layers_lie_apart_where_nothing_needs_them_together(changes, message):
    tree = {
        "name": "t",
        "task": TEXT,
        "model": {"kind": "transformer"},
        "objective": {"kind": "cross_entropy"},
        "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 0, "pipeline_stages": 2},
    }
    given = tree | {part: tree.get(part, {}) | of for part, of in changes.items()}
    expected = pytest.raises(ConfigError, match=re.escape(message)) if message else contextlib.nullcontext()
    with expected:
        assert resolve(given).engine.replicas == 1


def test_deepspeed_without_partitions_runs_muon():
    found = resolve(
        {
            "name": "t",
            "task": TEXT,
            "model": {"kind": "transformer", "tied_readout": True},
            "objective": {"kind": "cross_entropy"},
            "engine": {"kind": "deepspeed", "zero_stage": 0},
            "training": {"optimiser": {"kind": "muon"}},
        }
    )
    assert found.training.optimiser == Muon()
    assert Muon in found.engine.optimisers
    for stage in (1, 2, 3):
        assert Muon not in DeepSpeedEngine(zero_stage=stage).optimisers


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            {"optimiser": {"kind": "muon"}},
            "muon needs whole matrices, which engine.kind batched does not keep; use en",
        ),
        (
            {"accumulate": 2},
            "training.accumulate: engine.kind batched takes every batch whole; leave it at 1 or use",
        ),
    ],
)
def test_what_many_networks_at_once_cannot_do_is_told_with_what_can(training, message):
    tree = {
        "name": "t",
        "task": TABLE,
        "model": {"kind": "mlp"},
        "objective": {"kind": "gaussian_nll"},
        "engine": {"kind": "batched"},
    }
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve(tree | {"training": training})


def test_only_a_readout_of_tokens_can_be_tied():
    with pytest.raises(
        ConfigError, match=r"model\.tied_readout: task\.kind sequence_classification predicts no"
    ):
        resolve(
            {
                "name": "t",
                "task": {
                    "kind": "sequence_classification",
                    "source": {"kind": "table_file", "path": "x.tsv", "target": "t", "features": ["f"]},
                },
                "model": {"kind": "transformer", "tied_readout": True},
                "objective": {"kind": "cross_entropy"},
            }
        )


def test_a_factor_on_the_spread_is_for_numbers_alone():
    tree = {
        "name": "t",
        "task": {"kind": "classification"},
        "model": {"kind": "mlp", "posterior": {"kind": "ensemble", "members": 4, "folds": 2}},
        "objective": {"kind": "cross_entropy"},
        "engine": {"kind": "batched"},
    }
    assert resolve(tree).model.posterior.spread == "stated"
    tree["model"]["posterior"]["spread"] = "fitted"
    with pytest.raises(
        ConfigError, match=r"^model\.posterior\.spread fitted is a factor on the spread of a number; "
    ):
        resolve(tree)


TEXTS = {
    "kind": "sequence_classification",
    "source": {"kind": "table_file", "path": "x.tsv", "target": "t", "features": ["f"]},
}
TAGGED = {"kind": "tagging", "source": {"kind": "conllu", "path": "x.conllu"}}


def of_transformers(posterior="ensemble", **changes):
    described = {"kind": posterior} if isinstance(posterior, str) else posterior
    return {
        "name": "t",
        "model": {
            "kind": "transformer",
            "attention": {"prior": {"kind": "full"}},
            "posterior": described,
        },
        "objective": {"kind": "cross_entropy"},
    } | changes


@pytest.mark.parametrize("task", [TEXTS, TAGGED])
def test_transformers_vote_on_classes_of_texts_and_tags(task):
    assert resolve(of_transformers(task=task)).model.posterior.members == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"task": {"kind": "synthetic", "source": {"kind": "urns"}}},
            "model.posterior.kind: ensemble of a transformer states classes of texts or tags of words, and "
            "task.kind 'synthetic' has neither; use point, or task.kind sequence_classification or tagging",
        ),
        (
            {"task": TEXTS, "posterior": "mc_dropout"},
            "model.posterior.kind mc_dropout needs model.dropout above 0; give it, such as 0.1",
        ),
        (
            {"task": TEXTS, "posterior": {"kind": "laplace_approximation", "weights": "all"}},
            "model.posterior.weights: all needs one full matrix over the weights, and a transformer has too many; "
            "use last_layer",
        ),
        (
            {"task": TEXTS, "engine": {"kind": "deepspeed"}},
            "model.posterior.kind: ensemble needs engine.kind torch, batched; change one of them",
        ),
        (
            {"task": TEXTS | {"source": TEXTS["source"] | {"weights": "w"}}},
            "task.source.weights: model.kind transformer counts every row alike; leave the weights out or change it",
        ),
    ],
)
def test_a_posterior_of_transformers_says_what_it_cannot_do(changes, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        resolve(of_transformers(**changes))
